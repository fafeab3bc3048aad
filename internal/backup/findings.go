package backup

import (
	"fmt"
	"path"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

// findings are what the entries of a log say, gathered one after another: what they name, and whether their chains hold.
type findings struct {
	chains map[string]*events.Chain
	named  map[string]string // digest by key of every blob that the log names
	sheets map[string]bool   // keys of named blobs that may be erased
	sealed map[string]string // consultation of every segment that is closed and not stored, by segment
	next   uint64
}

func newFindings() *findings {
	return &findings{chains: map[string]*events.Chain{}, named: map[string]string{}, sheets: map[string]bool{}, sealed: map[string]string{}, next: 1}
}

func (f *findings) consultations() int { return len(f.chains) }

// note takes the next entry in. It fails on a hole, on a broken link and on an entry that lies under another name.
func (f *findings) note(m natslog.Message) error {
	if m.Sequence != f.next {
		return fmt.Errorf("entry %d of the log comes instead of %d: %w", m.Sequence, f.next, events.ErrCorrupt)
	}
	f.next++
	s, err := events.Open(m.Data, m.Sequence)
	if err != nil {
		return fmt.Errorf("entry %d of the log: %w: %w", m.Sequence, events.ErrCorrupt, err)
	}
	if want := events.Subject(s.Subject, s.Type); m.Subject != want {
		return fmt.Errorf("entry %d of the log lies under %s instead of %s: %w", m.Sequence, m.Subject, want, events.ErrCorrupt)
	}
	chain := f.chains[s.Subject]
	if chain == nil {
		chain = &events.Chain{}
		f.chains[s.Subject] = chain
	}
	if err := chain.Next(s); err != nil {
		return fmt.Errorf("entry %d of the log: %w", m.Sequence, err)
	}
	f.names(s)
	return nil
}

// names notes which blobs an event names.
func (f *findings) names(s events.Stored) {
	switch e := s.Event.(type) {
	case events.SegmentSealed:
		f.sealed[e.Segment] = s.Subject
	case events.SegmentRecovered:
		f.sealed[e.Segment] = s.Subject
	case events.SegmentStored:
		delete(f.sealed, e.Segment)
		f.named[e.Key] = e.SHA256
	case events.ConsultationCompleted:
		if e.Quality != nil {
			f.named[e.Quality.Blob] = e.Quality.SHA256
		}
	case events.ArchiveRequested:
		if e.Sheet.Key != "" {
			f.named[e.Sheet.Key], f.sheets[e.Sheet.Key] = e.Sheet.SHA256, true
		}
	case events.ArchiveRendered:
		f.named[e.Key] = e.SHA256
		f.named[path.Join(path.Dir(e.Key), "manifest.json")] = e.ManifestSHA256
	case events.ArchiveFailed:
		if e.Detail != nil {
			f.named[e.Detail.Key] = e.Detail.SHA256
		}
	}
}
