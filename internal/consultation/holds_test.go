package consultation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"consilium/internal/events"

	"github.com/google/go-cmp/cmp"
)

const (
	holdA   = "01890a5d-ac96-774b-bcce-b302099a8201"
	holdB   = "01890a5d-ac96-774b-bcce-b302099a8202"
	officer = "01890a5d-ac96-774b-bcce-b302099a8301"
	second  = "01890a5d-ac96-774b-bcce-b302099a8302"
)

// as carries a command out as an actor of its own.
func (s *script) as(actor string, c Command) error {
	s.t.Helper()
	drafts, err := Deciding(c, By{Source: "/live/test", Actor: actor, Now: func() time.Time { return s.now }})(s.history)
	for _, d := range drafts {
		s.append(d)
	}
	return err
}

func (s *script) place(hold string) {
	s.t.Helper()
	if err := s.as(officer, PlaceHold{Hold: hold, Reason: events.HoldLitigation, Actor: officer}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) asks(hold string) error {
	return s.as(officer, RequestRelease{Hold: hold, Reason: events.ReleaseResolved, Actor: officer})
}

func (s *script) approves(actor, hold string) error {
	return s.as(actor, ApproveRelease{Hold: hold, Actor: actor})
}

func (s *script) declines(actor, hold string) error {
	return s.as(actor, DeclineRelease{Hold: hold, Actor: actor})
}

func TestHolds(t *testing.T) {
	must := func(s *script, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		play func(*script) error // the error of the last command
		want error
		held bool
	}{
		{"nothing is held before", func(*script) error { return nil }, nil, false},
		{"a hold that was placed holds", func(s *script) error { s.place(holdA); return nil }, nil, true},
		{"a request releases nothing", func(s *script) error { s.place(holdA); return s.asks(holdA) }, nil, true},
		{"a second person releases", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			return s.approves(second, holdA)
		}, nil, false},
		{"who requested it does not", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			return s.approves(officer, holdA)
		}, ErrSecondPerson, true},
		{"who placed it may be the second person", func(s *script) error {
			s.place(holdA)
			must(s, s.as(second, RequestRelease{Hold: holdA, Reason: events.ReleaseMistake, Actor: second}))
			return s.approves(officer, holdA)
		}, nil, false},
		{"somebody unknown is no second person", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			return s.approves("", holdA)
		}, ErrSecondPerson, true},
		{"nothing is released without a request", func(s *script) error { s.place(holdA); return s.approves(second, holdA) }, ErrReleaseNotRequested, true},
		{"a declined request counts no more", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			must(s, s.declines(second, holdA))
			return s.approves(second, holdA)
		}, ErrReleaseNotRequested, true},
		{"one's own request can be taken back", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			return s.declines(officer, holdA)
		}, nil, true},
		{"what nobody requested cannot be declined", func(s *script) error { s.place(holdA); return s.declines(second, holdA) }, ErrReleaseNotRequested, true},
		{"a request can be made anew after it was declined", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			must(s, s.declines(second, holdA))
			must(s, s.asks(holdA))
			return s.approves(second, holdA)
		}, nil, false},
		{"two requests at once are one too many", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			return s.as(second, RequestRelease{Hold: holdA, Reason: events.ReleaseOther, Actor: second})
		}, ErrReleasePending, true},
		{"a request counts to the last moment of a week", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			s.now = s.now.Add(ReleaseWithin - time.Nanosecond)
			return s.approves(second, holdA)
		}, nil, false},
		{"after a week it counts no more", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			s.now = s.now.Add(ReleaseWithin)
			return s.approves(second, holdA)
		}, ErrReleaseExpired, true},
		{"and can be made anew, by the other one too", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			s.now = s.now.Add(ReleaseWithin)
			must(s, s.as(second, RequestRelease{Hold: holdA, Reason: events.ReleaseResolved, Actor: second}))
			return s.approves(officer, holdA)
		}, nil, false},
		{"one of two holds is released, the other one holds", func(s *script) error {
			s.place(holdA)
			s.place(holdB)
			must(s, s.asks(holdA))
			return s.approves(second, holdA)
		}, nil, true},
		{"a request is for one hold", func(s *script) error {
			s.place(holdA)
			s.place(holdB)
			must(s, s.asks(holdA))
			return s.approves(second, holdB)
		}, ErrReleaseNotRequested, true},
		{"nothing is released twice", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			must(s, s.approves(second, holdA))
			return s.approves(second, holdA)
		}, ErrHoldReleased, false},
		{"nor requested when it is released", func(s *script) error {
			s.place(holdA)
			must(s, s.asks(holdA))
			must(s, s.approves(second, holdA))
			return s.asks(holdA)
		}, ErrHoldReleased, false},
		{"a hold that there is not cannot be released", func(s *script) error { s.place(holdA); return s.asks(holdB) }, ErrUnknownHold, true},
		{"a reason that there is not is none", func(s *script) error {
			return s.as(officer, PlaceHold{Hold: holdA, Reason: "because", Actor: officer})
		}, ErrInvalid, false},
		{"nor for a release", func(s *script) error {
			s.place(holdA)
			return s.as(officer, RequestRelease{Hold: holdA, Reason: events.HoldLitigation, Actor: officer})
		}, ErrInvalid, true},
		{"nobody places nothing", func(s *script) error { return s.as("", PlaceHold{Hold: holdA, Reason: events.HoldOther}) }, ErrInvalid, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, events.PolicyRequired)
			if err := tt.play(s); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			want := error(nil)
			if tt.held {
				want = ErrHeld
			}
			if got := s.state(); got.Held() != tt.held || !errors.Is(got.MayErase(), want) {
				t.Fatalf("held: %v, may erase: %v, want %v", got.Held(), got.MayErase(), want)
			}
		})
	}
}

// A hold may be needed at any time, and nothing that happens afterwards lifts it.
func TestAHoldCanBePlacedInEveryPhaseAndOutlivesAllOfThem(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	s.agree(doctor)
	for i, step := range []func(){
		func() {},
		func() { s.must(Join{Participant: doctor}) },
		func() { s.must(Host{Node: "n", Wall: start}) },
		func() { s.must(End{Reason: events.EndedClosed}) },
		func() { s.must(Reopen{}) },
		func() { s.must(End{Reason: events.EndedClosed}) },
		func() { s.must(Complete{Epoch: 1}) },
		func() { s.fact("", events.ArchiveRendered{Version: 1}) },
	} {
		step()
		phase := s.state().Phase
		s.place(fmt.Sprintf("hold-%d", i))
		if got := s.state(); len(got.Holds()) != i+1 || !got.Held() || got.Phase != phase {
			t.Fatalf("%s: %d holds, %s", phase, len(got.Holds()), got.Phase)
		}
	}
	before := len(s.history)
	s.place("hold-0")
	if len(s.history) != before {
		t.Error("the same hold was placed twice")
	}
}

func TestHoldsAreBounded(t *testing.T) {
	s := newScript(t, events.PolicyRequired)
	for i := range maxHolds {
		s.place(fmt.Sprint(i))
	}
	if err := s.as(officer, PlaceHold{Hold: "more", Reason: events.HoldOther, Actor: officer}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("one too many: %v", err)
	}
	if err := errors.Join(s.asks("7"), s.approves(second, "7")); err != nil {
		t.Fatal(err)
	}
	s.place("more")
}

func TestHoldsOfAnUnknownConsultation(t *testing.T) {
	for _, c := range []Command{
		PlaceHold{Hold: holdA, Reason: events.HoldOther, Actor: officer}, RequestRelease{Hold: holdA}, ApproveRelease{Hold: holdA}, DeclineRelease{Hold: holdA},
	} {
		if _, err := Decide(&State{}, c, start); !errors.Is(err, ErrUnknown) {
			t.Errorf("%T: got %v, want ErrUnknown", c, err)
		}
	}
	if err := (&State{}).MayErase(); !errors.Is(err, ErrUnknown) {
		t.Errorf("may erase: %v", err)
	}
}

// Whatever three officers try in whatever order: a hold is over only when one of them has requested it within the last week
// and another one has agreed, and the log alone tells who both were.
func TestNobodyReleasesAHoldAlone(t *testing.T) {
	people, holds := []string{officer, second, doctor}, []string{holdA, holdB}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newScript(t, events.PolicyOptional)
		for range 80 {
			who, hold := people[rnd.IntN(3)], holds[rnd.IntN(2)]
			_ = s.as(who, []Command{
				PlaceHold{Hold: hold, Reason: events.HoldAudit, Actor: who},
				RequestRelease{Hold: hold, Reason: events.ReleaseResolved, Actor: who},
				ApproveRelease{Hold: hold, Actor: who},
				ApproveRelease{Hold: hold, Actor: who},
				DeclineRelease{Hold: hold, Actor: who},
			}[rnd.IntN(5)])
			s.now = s.now.Add(time.Duration(rnd.IntN(96)) * time.Hour)
		}
		held := map[string]bool{}
		asked := map[string]events.Stored{}
		for _, e := range s.history {
			switch ev := e.Event.(type) {
			case events.HoldPlaced:
				held[ev.Hold] = true
			case events.HoldReleaseRequested:
				asked[ev.Hold] = e
			case events.HoldReleaseDeclined:
				delete(asked, ev.Hold)
			case events.HoldReleased:
				r, ok := asked[ev.Hold]
				if !ok || !held[ev.Hold] || r.Actor == e.Actor || e.Actor == "" || e.Time.Sub(r.Time) >= ReleaseWithin {
					t.Fatalf("seed %d: event %d releases a hold that was requested by %q at %s, by %q at %s", seed, e.Seq, r.Actor, r.Time, e.Actor, e.Time)
				}
				held[ev.Hold] = false
			}
		}
		want := []string{}
		for _, h := range holds {
			if held[h] {
				want = append(want, h)
			}
		}
		got := []string{}
		for _, h := range s.state().Holds() {
			if !h.Released {
				got = append(got, h.ID)
			}
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: holds in force (-log +state):\n%s", seed, d)
		}
	}
}
