package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/directory"
)

// nameEntry is one consultation of the directory. It is a form of its own, so that a back-up outlives changes of the
// database.
type nameEntry struct {
	ID           string            `json:"id"`
	Title        string            `json:"title"`
	ExternalRef  string            `json:"externalRef,omitempty"`
	Language     string            `json:"language"`
	TimeZone     string            `json:"timeZone"`
	CreatedAt    time.Time         `json:"createdAt"`
	Participants []nameParticipant `json:"participants"`
}

type nameParticipant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// copyNames copies the directory.
func (m *maker) copyNames(ctx context.Context) (File, error) {
	n := int64(0)
	return create(m.dir, namesFile, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		lines := json.NewEncoder(out)
		for c, err := range m.from.Directory.All(ctx) {
			if err != nil {
				return err
			}
			e := nameEntry{c.ID, c.Title, c.ExternalRef, c.Language, c.TimeZone, c.CreatedAt.UTC(), []nameParticipant{}}
			for _, p := range c.Participants {
				e.Participants = append(e.Participants, nameParticipant{p.ID, p.Name, p.CreatedAt.UTC()})
			}
			if err := lines.Encode(e); err != nil {
				return fmt.Errorf("encode the names of %s: %w", c.ID, err)
			}
			n++
			m.tell(Progress{Stage: "names", Done: n})
		}
		return out.Flush()
	})
}

// readNames gives the entries of a back-up.
func readNames(dir string) iter.Seq2[directory.Consultation, error] {
	return func(yield func(directory.Consultation, error) bool) {
		f, err := os.Open(filepath.Join(dir, namesFile))
		if err != nil {
			yield(directory.Consultation{}, err)
			return
		}
		defer f.Close()
		lines := json.NewDecoder(bufio.NewReader(f))
		for {
			var e nameEntry
			err := lines.Decode(&e)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(directory.Consultation{}, fmt.Errorf("read %s: %w", namesFile, err))
				return
			}
			c := directory.Consultation{
				ID: e.ID, Title: e.Title, ExternalRef: e.ExternalRef, Language: e.Language, TimeZone: e.TimeZone, CreatedAt: e.CreatedAt,
			}
			for _, p := range e.Participants {
				c.Participants = append(c.Participants, directory.Participant{ID: p.ID, Name: p.Name, CreatedAt: p.CreatedAt})
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}
