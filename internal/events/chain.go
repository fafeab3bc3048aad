package events

import (
	"errors"
	"fmt"
)

// ErrCorrupt says that stored events are not what was appended: one does not link to the one before it, or stands where
// it does not belong. It is an incident; nobody skips over it.
var ErrCorrupt = errors.New("the stored events are corrupt")

// Chain checks the events of one consultation, given to it in order, for gaps and broken links. The zero Chain begins
// at the first event.
type Chain struct {
	at Version
}

// Next takes the event that follows. It returns a GapError when one is missing and ErrCorrupt when s does not link to
// the event before it; the chain then stays where it was.
func (c *Chain) Next(s Stored) error {
	if want := c.at.Seq + 1; s.Seq != want {
		return &GapError{Consultation: s.Subject, Want: want, Got: s.Seq}
	}
	prev := c.at.Hash
	if c.at.Seq == 0 {
		prev = NoHash
	}
	if s.PrevHash != prev {
		return fmt.Errorf("event %d of %s does not link to the one before it: %w", s.Seq, s.Subject, ErrCorrupt)
	}
	c.at = s.Version()
	return nil
}

// At is the version after the newest event that Next accepted, zero before the first.
func (c *Chain) At() Version {
	return c.at
}
