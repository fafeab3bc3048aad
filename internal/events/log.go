package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Version is the place after which an append is meant: the last event that the writer has seen.
// The zero Version means "nothing yet".
type Version struct {
	Seq    uint64 // in the consultation
	Stream uint64 // in the whole log
	Hash   string // of the stored bytes of Seq, hex
}

// ErrConflict says that the consultation has moved on since the version that Append was given. The writer reads again
// and decides again.
var ErrConflict = errors.New("the consultation has newer events")

// GapError says that the log does not hold an event that it must hold: an incident, never a skip.
type GapError struct {
	Consultation string // empty when the whole log is followed
	Want, Got    uint64 // sequence numbers: of the consultation, or of the log when Consultation is empty
}

func (e *GapError) Error() string {
	where := "the log"
	if e.Consultation != "" {
		where = "consultation " + e.Consultation
	}
	return fmt.Sprintf("%s has a gap: wanted event %d, got %d", where, e.Want, e.Got)
}

// Filter chooses what Follow yields. The zero Filter is everything.
type Filter struct {
	Consultation string // only this consultation
	Types        []Type // only these types
}

// Info describes the whole log.
type Info struct {
	Last    uint64    // stream sequence of the newest event, 0 when empty
	Created time.Time // of the stream: another time means another log
}

// Log is the only truth. Every body of it passes logtest.Run.
type Log interface {
	// Append stores the drafts one directly after another behind the version after: all of them or none. It returns the
	// version after the last one, ErrConflict when the consultation has moved on, and another error when nothing is
	// known to be stored. Before it reports a time-out it reads back whether the drafts were stored after all.
	//
	// To append again with the same drafts and the same version is safe at any time: what is stored already is not
	// stored twice, and its version is returned. With a newer version the same ids are recognised for two minutes only;
	// after ErrConflict the writer therefore looks for its ids among the events that are new to it. Without drafts
	// nothing is asked and after comes back.
	Append(ctx context.Context, consultation string, after Version, drafts ...Draft) (Version, error)
	// Read yields the events of one consultation from sequence from (1 = all) to the newest, in order, then ends.
	// It yields a GapError where one is missing and ErrCorrupt where one does not link to the one before it, and ends
	// there. A consultation without events yields nothing.
	Read(ctx context.Context, consultation string, from uint64) iter.Seq2[Stored, error]
	// Follow yields the events after the stream sequence after (0 = all), in order, and waits for new ones until ctx
	// ends; then it ends without an error. It yields a GapError and ends where an event is missing, or where the log is
	// shorter than after; with Filter.Types set it cannot notice a missing one. While the log is away it waits.
	Follow(ctx context.Context, after uint64, filter Filter) iter.Seq2[Stored, error]
	// Last is the version of a consultation, zero if it has no events.
	Last(ctx context.Context, consultation string) (Version, error)
	// Info describes the whole log.
	Info(ctx context.Context) (Info, error)
}

// ReadAll collects Read from the first event on.
func ReadAll(ctx context.Context, l Log, consultation string) ([]Stored, error) {
	var all []Stored
	for s, err := range l.Read(ctx, consultation, 1) {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
