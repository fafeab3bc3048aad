package consultation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"consilium/internal/events"
)

// Reasons why a command about a hold, or a deletion, is not followed.
var (
	ErrHeld                = errors.New("a hold forbids to delete anything of this consultation")
	ErrUnknownHold         = errors.New("there is no such hold on this consultation")
	ErrHoldReleased        = errors.New("the hold was released already")
	ErrReleasePending      = errors.New("the release of this hold was requested already")
	ErrReleaseNotRequested = errors.New("nobody has requested the release of this hold")
	ErrReleaseExpired      = errors.New("the release of this hold was requested more than seven days ago")
	ErrSecondPerson        = errors.New("a hold is released by another person than the one who requested it")
)

// ReleaseWithin is how long a request to release a hold counts. After that it has to be made anew, so that nobody agrees to
// what was asked in a situation that is forgotten.
const ReleaseWithin = 7 * 24 * time.Hour

// maxHolds bounds how many holds a consultation has at a time: there are a few cases at most, and a program that runs wild.
const maxHolds = 100

// Hold is what the log says about one hold.
type Hold struct {
	ID       string
	Reason   string // one of events.HoldReasons
	PlacedBy string // actor
	PlacedAt time.Time
	Request  *ReleaseRequest // for its release, nil when there is none
	Released bool
}

// ReleaseRequest waits for a second person. It counts for ReleaseWithin.
type ReleaseRequest struct {
	By     string // actor
	Reason string // one of events.ReleaseReasons
	At     time.Time
}

// Counts says whether the request can still be followed.
func (r *ReleaseRequest) Counts(now time.Time) bool { return r != nil && now.Sub(r.At) < ReleaseWithin }

// Holds lists all holds that were ever placed, in the order in which they were.
func (s *State) Holds() []Hold { return slices.Clone(s.holds) }

// Held says whether a hold is in force.
func (s *State) Held() bool { return s.holdsInForce() > 0 }

func (s *State) holdsInForce() int {
	n := 0
	for _, h := range s.holds {
		if !h.Released {
			n++
		}
	}
	return n
}

// MayErase says why nothing of the consultation may be deleted at this moment, or nil: not its recordings, its archives, its
// render sheets, its samples, nor its names. Whatever deletes any of that asks here, inside of the command that puts the
// deletion into the log, so that a hold that is placed at the same moment is seen. What can be made again from what stays, as
// chunks of archives can, is no part of it.
func (s *State) MayErase() error {
	switch {
	case !s.Exists():
		return ErrUnknown
	case s.Held():
		return ErrHeld
	}
	return nil
}

// evolveHolds takes in what the log says about holds. What makes no sense changes nothing.
func (s *State) evolveHolds(e events.Stored) {
	switch ev := e.Event.(type) {
	case events.HoldPlaced:
		if s.hold(ev.Hold) == nil {
			s.holds = append(s.holds, Hold{ID: ev.Hold, Reason: ev.Reason, PlacedBy: e.Actor, PlacedAt: e.Time})
		}
	case events.HoldReleaseRequested:
		if h := s.hold(ev.Hold); h != nil && !h.Released {
			h.Request = &ReleaseRequest{By: e.Actor, Reason: ev.Reason, At: e.Time}
		}
	case events.HoldReleaseDeclined:
		if h := s.hold(ev.Hold); h != nil && !h.Released {
			h.Request = nil
		}
	case events.HoldReleased:
		if h := s.hold(ev.Hold); h != nil {
			h.Released = true
		}
	}
}

func (s *State) hold(id string) *Hold {
	for i := range s.holds {
		if s.holds[i].ID == id {
			return &s.holds[i]
		}
	}
	return nil
}

// PlaceHold forbids to delete anything of the consultation, in whatever phase it is. To place the same one again changes
// nothing.
type PlaceHold struct {
	Hold   string // a new id
	Reason string // one of events.HoldReasons
	Actor  string // who wants it
	Role   string // of the actor
}

func (c PlaceHold) decide(s *State, _ time.Time) ([]Change, error) {
	switch {
	case !s.Exists():
		return nil, ErrUnknown
	case c.Hold == "" || c.Actor == "":
		return nil, fmt.Errorf("%w: a hold has an id, and somebody who places it", ErrInvalid)
	case !slices.Contains(events.HoldReasons, c.Reason):
		return nil, fmt.Errorf("%w: there is no such reason for a hold", ErrInvalid)
	case s.hold(c.Hold) != nil:
		return nil, nil
	case s.holdsInForce() >= maxHolds:
		return nil, fmt.Errorf("%w: the consultation has %d holds already", ErrInvalid, maxHolds)
	}
	return []Change{{Event: events.HoldPlaced{Hold: c.Hold, Reason: c.Reason, By: c.Role}}}, nil
}

// RequestRelease asks a second person to release a hold.
type RequestRelease struct {
	Hold   string
	Reason string // one of events.ReleaseReasons
	Actor  string
	Role   string
}

func (c RequestRelease) decide(s *State, now time.Time) ([]Change, error) {
	h, err := s.inForce(c.Hold)
	switch {
	case err != nil:
		return nil, err
	case c.Actor == "":
		return nil, fmt.Errorf("%w: a release is requested by somebody", ErrInvalid)
	case !slices.Contains(events.ReleaseReasons, c.Reason):
		return nil, fmt.Errorf("%w: there is no such reason for a release", ErrInvalid)
	case h.Request.Counts(now):
		return nil, ErrReleasePending
	}
	return []Change{{Event: events.HoldReleaseRequested{Hold: c.Hold, Reason: c.Reason, By: c.Role}}}, nil
}

// ApproveRelease releases a hold as somebody else has requested.
type ApproveRelease struct {
	Hold  string
	Actor string
	Role  string
}

func (c ApproveRelease) decide(s *State, now time.Time) ([]Change, error) {
	h, err := s.inForce(c.Hold)
	switch {
	case err != nil:
		return nil, err
	case h.Request == nil:
		return nil, ErrReleaseNotRequested
	case !h.Request.Counts(now):
		return nil, ErrReleaseExpired
	case c.Actor == "" || c.Actor == h.Request.By: // nobody knows that somebody unknown is somebody else
		return nil, ErrSecondPerson
	}
	return []Change{{Event: events.HoldReleased{Hold: c.Hold, Reason: h.Request.Reason, By: c.Role}}}, nil
}

// DeclineRelease takes a request off the table: who made it takes it back, anybody else refuses it. The hold stays.
type DeclineRelease struct {
	Hold  string
	Actor string
	Role  string
}

func (c DeclineRelease) decide(s *State, _ time.Time) ([]Change, error) {
	h, err := s.inForce(c.Hold)
	switch {
	case err != nil:
		return nil, err
	case h.Request == nil:
		return nil, ErrReleaseNotRequested
	}
	return []Change{{Event: events.HoldReleaseDeclined{Hold: c.Hold, By: c.Role}}}, nil
}

// inForce finds a hold that was not released.
func (s *State) inForce(id string) (*Hold, error) {
	if !s.Exists() {
		return nil, ErrUnknown
	}
	switch h := s.hold(id); {
	case h == nil:
		return nil, ErrUnknownHold
	case h.Released:
		return nil, ErrHoldReleased
	default:
		return h, nil
	}
}
