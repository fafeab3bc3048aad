package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"consilium/internal/directory"
)

// staffLine is somebody whom events name, or the case of a hold. Like nameEntry, it outlives changes of the database.
type staffLine struct {
	Staff *staffEntry `json:"staff,omitempty"`
	Case  *caseEntry  `json:"case,omitempty"`
}

type staffEntry struct {
	ID        string    `json:"id"`
	Issuer    string    `json:"issuer"`
	Subject   string    `json:"subject"`
	Role      string    `json:"role"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

type caseEntry struct {
	Consultation string    `json:"consultation"`
	Hold         string    `json:"hold"`
	Reference    string    `json:"reference"`
	CreatedAt    time.Time `json:"createdAt"`
}

// copyStaff copies who the actors of events are, and what holds are for. Without the first, somebody who has asked to release a
// hold would be another person after a restore, who could agree to it.
func (m *maker) copyStaff(ctx context.Context) (File, error) {
	staff, err := m.from.Directory.AllStaff(ctx)
	if err != nil {
		return File{}, err
	}
	cases, err := m.from.Directory.AllCases(ctx)
	if err != nil {
		return File{}, err
	}
	return create(m.dir, staffFile, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		lines := json.NewEncoder(out)
		for _, s := range staff {
			if err := lines.Encode(staffLine{Staff: &staffEntry{s.ID, s.Issuer, s.Subject, s.Role, s.Name, s.CreatedAt.UTC()}}); err != nil {
				return fmt.Errorf("encode actor %s: %w", s.ID, err)
			}
		}
		for _, c := range cases {
			if err := lines.Encode(staffLine{Case: &caseEntry{c.Consultation, c.Hold, c.Reference, c.CreatedAt.UTC()}}); err != nil {
				return fmt.Errorf("encode the case of hold %s: %w", c.Hold, err)
			}
		}
		return out.Flush()
	})
}

// copyStaff brings them back.
func (r *restorer) copyStaff(ctx context.Context) error {
	return eachLine(r, staffFile, func(line staffLine) error {
		if s := line.Staff; s != nil {
			return r.into.Directory.KeepStaff(ctx, directory.Staff{ID: s.ID, Issuer: s.Issuer, Subject: s.Subject, Role: s.Role, Name: s.Name, CreatedAt: s.CreatedAt})
		}
		if c := line.Case; c != nil {
			return r.into.Directory.KeepCase(ctx, directory.Case{Consultation: c.Consultation, Hold: c.Hold, Reference: c.Reference, CreatedAt: c.CreatedAt})
		}
		return nil
	})
}
