package appender_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/events"
	"consilium/internal/events/appender"
)

func hosted(epoch int) events.Event {
	return events.ConferenceHosted{Epoch: epoch, Wall: time.Date(2026, time.November, 22, 9, 30, 0, 0, time.UTC), Node: "a", URL: "http://a"}
}

// mine gives the numbers of the stalled facts that are stored, in order.
func mine(all []events.Stored) []int {
	var ns []int
	for _, s := range all {
		if e, ok := s.Event.(events.TrackStalled); ok {
			ns = append(ns, int(e.AfterMS))
		}
	}
	return ns
}

func upTo(n int) []int {
	var ns []int
	for i := range n {
		ns = append(ns, i)
	}
	return ns
}

func TestWriterKeepsEveryFactInOrder(t *testing.T) {
	tests := []struct {
		name   string
		faults []fault
		pause  time.Duration // between two facts
	}{
		{"nothing happens", nil, time.Millisecond},
		{"all facts come at once", nil, 0},
		{"somebody else writes in between", []fault{none, overtake, none, overtake, overtake}, time.Millisecond},
		{"answers are lost", []fault{lost, none, lost, lost, none, lost}, 10 * time.Second},
		{"the answer to a batch is lost", []fault{none, lost, lost}, 0},
		{"an answer is lost and somebody else is faster", []fault{lost, overtake, lost, overtake}, 0},
		{"the log is late to show what it has stored", []fault{none, late, none, late, away, late}, 0},
		{"the log is away for a while", []fault{away, away, away, away, away, away, away, away, away, away, away, away}, time.Millisecond},
		{"everything at once", []fault{away, lost, overtake, away, none, lost, lost, overtake, overtake, away, lost}, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFaulty(t, tt.faults...)
				c := events.NewID()
				other(t, l.Log, c, hosted(1))
				w := appender.New(l, quiet(), nil).Writer(c, 1)
				const n = 200
				for i := range n {
					w.Fact(stalled(i))
					time.Sleep(tt.pause)
				}
				if err := w.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(upTo(n), mine(read(t, l, c))); diff != "" {
					t.Errorf("stored facts (-want +got):\n%s", diff)
				}
				if err := w.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWriterReadsOnlyWhenSomebodyElseWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFaulty(t, none, none, overtake)
		c := events.NewID()
		other(t, l.Log, c, hosted(1))
		w := appender.New(l, quiet(), nil).Writer(c, 1)
		for i := range 20 {
			w.Fact(stalled(i))
			synctest.Wait()
		}
		// One read at the start and one after the conflict, which costs one append more.
		if appends, reads := l.counts(); appends != 21 || reads != 2 {
			t.Errorf("%d appends and %d reads for 20 facts", appends, reads)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWriterCatchesUpInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFaulty(t)
		l.always = away
		c := events.NewID()
		w := appender.New(l, quiet(), nil).Writer(c, 1)
		const n = 10_000
		began := time.Now()
		for i := range n {
			w.Fact(stalled(i))
		}
		if time.Since(began) != 0 {
			t.Error("queueing took time")
		}
		time.Sleep(8 * time.Hour) // the log is away all night
		before, _ := l.counts()
		l.mend()
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(upTo(n), mine(read(t, l, c))); diff != "" {
			t.Errorf("stored facts (-want +got):\n%s", diff)
		}
		if after, _ := l.counts(); after-before > n/32 {
			t.Errorf("%d appends for %d waiting facts", after-before, n)
		}
	})
}

func TestOfferedFactsAreDroppedWhenTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFaulty(t)
		l.always = away
		c := events.NewID()
		reg := prometheus.NewRegistry()
		w := appender.New(l, quiet(), reg).Writer(c, 1)
		taken := 0
		for i := range 1000 {
			if w.Offer(stalled(i)) {
				taken++
			}
		}
		w.Fact(stalled(5000))
		if taken == 0 || taken == 1000 {
			t.Fatalf("%d of 1000 offered facts were taken", taken)
		}
		l.mend()
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(upTo(taken), 5000), mine(read(t, l, c))); diff != "" {
			t.Errorf("stored facts (-want +got):\n%s", diff)
		}
		if !w.Offer(stalled(6000)) {
			t.Error("no room although nothing waits")
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		counted(t, reg, "consilium_appender_dropped_facts_total", `consilium_appender_dropped_facts_total{reason="full"} `+strconv.Itoa(1000-taken))
		counted(t, reg, "consilium_appender_waiting_facts", "consilium_appender_waiting_facts 0")
	})
}

// counted compares the lines of one metric without its help.
func counted(t *testing.T, reg prometheus.Gatherer, name, want string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			line := name
			for _, l := range m.GetLabel() {
				line += "{" + l.GetName() + `="` + l.GetValue() + `"}`
			}
			lines = append(lines, line+" "+strconv.Itoa(int(m.GetCounter().GetValue()+m.GetGauge().GetValue())))
		}
	}
	for _, line := range lines {
		if line == want {
			return
		}
	}
	t.Errorf("metric %q, got\n%s", want, strings.Join(lines, "\n"))
}

func TestWriterStopsWhenAnotherOneHosts(t *testing.T) {
	tests := []struct {
		name   string
		before []events.Event // in the log before the writer starts
		during []events.Event // appended by somebody else after its first fact
		stored []int
		fenced bool
	}{
		{"its own claim and older ones are no reason", []events.Event{hosted(1), hosted(2)}, nil, upTo(4), false},
		{"other people's events are no reason", []events.Event{hosted(2)}, []events.Event{events.ConsultationReopened{}}, upTo(4), false},
		{"the newer claim was there before", []events.Event{hosted(2), hosted(3)}, nil, nil, true},
		{"the newer claim comes meanwhile", []events.Event{hosted(2)}, []events.Event{hosted(3)}, upTo(1), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFaulty(t)
				c := events.NewID()
				other(t, l.Log, c, tt.before...)
				w := appender.New(l, quiet(), nil).Writer(c, 2)
				w.Fact(stalled(0))
				synctest.Wait()
				other(t, l.Log, c, append([]events.Event{events.ParticipantInvited{Role: "observer"}}, tt.during...)...)
				for i := 1; i < 4; i++ {
					w.Fact(stalled(i))
				}
				synctest.Wait()
				select {
				case <-w.Fenced():
					if !tt.fenced {
						t.Error("fenced")
					}
				default:
					if tt.fenced {
						t.Error("not fenced")
					}
				}
				if diff := cmp.Diff(tt.stored, mine(read(t, l, c))); diff != "" {
					t.Errorf("stored facts (-want +got):\n%s", diff)
				}
				flushed, closed := w.Flush(t.Context()), w.Close(t.Context())
				if errors.Is(flushed, appender.ErrFenced) != tt.fenced || errors.Is(closed, appender.ErrFenced) != tt.fenced {
					t.Errorf("flush: %v, close: %v", flushed, closed)
				}
				if w.Offer(stalled(9)) {
					t.Error("a fact was taken after the end")
				}
			})
		})
	}
}

func TestFlushAndCloseEndWithTheirContext(t *testing.T) {
	for name, f := range map[string]fault{"the log refuses": away, "the log does not answer": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newFaulty(t)
				l.always = f
				w := appender.New(l, quiet(), nil).Writer(events.NewID(), 1)
				for i := range 3 {
					w.Fact(stalled(i))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("flush: %v", err)
				}
				again, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				for range 2 { // Close may be called again
					if err := w.Close(again); err == nil || !strings.Contains(err.Error(), "3 facts") {
						t.Errorf("close: %v", err)
					}
				}
			})
		})
	}
}

func TestFlushAndCloseWithNothingQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := appender.New(newFaulty(t), quiet(), nil).Writer(events.NewID(), 1)
		if err := errors.Join(w.Flush(t.Context()), w.Close(t.Context()), w.Close(t.Context()), w.Flush(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestAFactThatCanNeverBeStoredDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFaulty(t)
		c := events.NewID()
		w := appender.New(l, quiet(), nil).Writer(c, 1)
		bad := stalled(7)
		bad.Time = time.Time{}
		w.Fact(stalled(0))
		w.Fact(bad)
		w.Fact(stalled(1))
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(upTo(2), mine(read(t, l, c))); diff != "" {
			t.Errorf("stored facts (-want +got):\n%s", diff)
		}
	})
}
