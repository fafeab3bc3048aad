package appender_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/events/appender"
)

func draft(e events.Event) events.Draft {
	return events.NewDraft("/live/test", time.Date(2026, time.November, 22, 9, 30, 0, 0, time.UTC), e)
}

func stalled(n int) events.Draft {
	return draft(events.TrackStalled{Track: "t", AfterMS: int64(n)})
}

func quiet() *slog.Logger {
	return slog.New(slog.DiscardHandler)
}

// read gives what the log holds; it checks the chain.
func read(t *testing.T, l events.Log, consultation string) []events.Stored {
	t.Helper()
	all, err := events.ReadAll(context.Background(), l, consultation)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func count(all []events.Stored, id string) int {
	n := 0
	for _, s := range all {
		if s.ID == id {
			n++
		}
	}
	return n
}

func TestCommand(t *testing.T) {
	c := events.NewID()
	refused := errors.New("not allowed")
	tests := []struct {
		name   string
		faults []fault
		decide func(history []events.Stored) ([]events.Draft, error)
		calls  int // of decide
		stored int // events at the end; one is there before
		want   error
	}{
		{
			name: "what was decided is appended in one step", calls: 1, stored: 3,
			decide: func(history []events.Stored) ([]events.Draft, error) {
				return []events.Draft{stalled(1), stalled(2)}, nil
			},
		},
		{
			name: "an error of the decision comes back as it is", calls: 1, stored: 1, want: refused,
			decide: func([]events.Stored) ([]events.Draft, error) { return nil, refused },
		},
		{
			name: "nothing decided is nothing appended", calls: 1, stored: 1,
			decide: func([]events.Stored) ([]events.Draft, error) { return nil, nil },
		},
		{
			name: "after a conflict it is decided again, on the newer events", faults: []fault{overtake, overtake, overtake, overtake},
			calls: 5, stored: 6,
			decide: func(history []events.Stored) ([]events.Draft, error) {
				return []events.Draft{stalled(len(history))}, nil
			},
		},
		{
			name: "a conflict can change the decision", faults: []fault{overtake}, calls: 2, stored: 2, want: refused,
			decide: func(history []events.Stored) ([]events.Draft, error) {
				if len(history) > 1 {
					return nil, refused
				}
				return []events.Draft{stalled(1)}, nil
			},
		},
		{
			name: "a log that is away is told to the caller", faults: []fault{away}, calls: 1, stored: 1, want: errAway,
			decide: func([]events.Stored) ([]events.Draft, error) { return []events.Draft{stalled(1)}, nil },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newFaulty(t, tt.faults...)
			other(t, l.Log, c)
			calls, seen := 0, 0
			v, err := appender.New(l, quiet(), nil).Command(t.Context(), c, func(history []events.Stored) ([]events.Draft, error) {
				calls++
				seen = len(history)
				return tt.decide(history)
			})
			if !errors.Is(err, tt.want) || (err != nil) != (tt.want != nil) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			all := read(t, l, c)
			if calls != tt.calls || len(all) != tt.stored {
				t.Errorf("decided %d times, %d events; want %d and %d", calls, len(all), tt.calls, tt.stored)
			}
			if seen != len(l.seenBefore(all)) {
				t.Errorf("decided on %d events", seen)
			}
			if err == nil && v != all[len(all)-1].Version() {
				t.Errorf("version %+v, want %+v", v, all[len(all)-1].Version())
			}
		})
	}
}

// seenBefore is all without the facts of the command itself.
func (f *faulty) seenBefore(all []events.Stored) []events.Stored {
	return slices.DeleteFunc(slices.Clone(all), func(s events.Stored) bool { return s.Type == events.TypeTrackStalled })
}

func TestCommandGivenAgainSeesWhatWasStored(t *testing.T) {
	l := newFaulty(t, lost)
	c := events.NewID()
	a := appender.New(l, quiet(), nil)
	once := func(history []events.Stored) ([]events.Draft, error) {
		if len(history) > 0 {
			return nil, nil
		}
		return []events.Draft{stalled(1)}, nil
	}
	if _, err := a.Command(t.Context(), c, once); !errors.Is(err, errAway) {
		t.Fatalf("got %v", err)
	}
	v, err := a.Command(t.Context(), c, once)
	if all := read(t, l, c); err != nil || len(all) != 1 || v != all[0].Version() {
		t.Errorf("%v, %d events, version %+v", err, len(all), v)
	}
}

func TestFactIsStoredOnceWhateverHappens(t *testing.T) {
	tests := []struct {
		name   string
		faults []fault
		stored int
	}{
		{"nothing happens", nil, 2},
		{"somebody else is faster three times", []fault{overtake, overtake, overtake}, 5},
		{"the log is away for a while", []fault{away, away, away, away, away, away, away, away, away, away}, 2},
		{"the answer is lost", []fault{lost}, 2},
		{"the answer is lost and then the log is away", []fault{lost, away, away}, 2},
		{"the answer is lost and then somebody else is faster", []fault{lost, overtake, away}, 3},
		{"the log is late to show it", []fault{away, late, away}, 2},
		{"the log is away and somebody else is faster", []fault{away, overtake, lost}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFaulty(t, tt.faults...)
				c := events.NewID()
				other(t, l.Log, c)
				d := stalled(1)
				v, err := appender.New(l, quiet(), nil).Fact(t.Context(), c, d)
				if err != nil {
					t.Fatal(err)
				}
				all := read(t, l, c)
				if count(all, d.ID) != 1 || len(all) != tt.stored {
					t.Errorf("the fact is there %d times, among %d events (want %d)", count(all, d.ID), len(all), tt.stored)
				}
				if i := slices.IndexFunc(all, func(s events.Stored) bool { return s.ID == d.ID }); i < 0 || all[i].Version() != v {
					t.Errorf("version %+v", v)
				}
			})
		})
	}
}

func TestFactTriesUntilItsContextEnds(t *testing.T) {
	for name, f := range map[string]fault{"the log refuses": away, "the log does not answer": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFaulty(t)
				l.always = f
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				_, err := appender.New(l, quiet(), nil).Fact(ctx, events.NewID(), stalled(1))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				if n, _ := l.counts(); f == away && (n < 12 || n > 60) {
					t.Errorf("asked the log %d times in a minute", n)
				}
			})
		})
	}
}

func TestFactRefusesAtOnceWhatCanNeverBeStored(t *testing.T) {
	l := newFaulty(t)
	d := stalled(1)
	d.Source = ""
	if _, err := appender.New(l, quiet(), nil).Fact(t.Context(), events.NewID(), d); err == nil {
		t.Error("stored")
	}
	if appends, reads := l.counts(); appends+reads > 0 {
		t.Error("the log was asked")
	}
}

func TestFactCostsOneReadAndOneAppend(t *testing.T) {
	l := newFaulty(t)
	if _, err := appender.New(l, quiet(), nil).Fact(t.Context(), events.NewID(), stalled(1)); err != nil {
		t.Fatal(err)
	}
	appends, reads := l.counts()
	if diff := cmp.Diff([]int{1, 1}, []int{appends, reads}); diff != "" {
		t.Errorf("appends, reads (-want +got):\n%s", diff)
	}
}
