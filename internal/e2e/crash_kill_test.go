package e2e

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// What ./task test:crash sets. The values here are those of every run.
var (
	kills     = flag.Int("kills", 3, "how often TestKilledAtAnyMoment kills live")
	crashSeed = flag.Uint64("crash-seed", 0, "repeats the cases of an earlier run; 0 takes a new one")
)

// seedOf is where the dice of a test begin. It is printed, so that a case can be repeated: what is done is then the same
// and happens at the same moments, although not to the microsecond.
func seedOf(t testing.TB) uint64 {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("seed %d (repeat with -crash-seed=%d)", seed, seed)
	return seed
}

// moments are the phases of a consultation in which live is killed, in their order. Each does what happens in the
// phase, and kills live at a random moment of it.
var moments = []struct {
	name string
	kill func(*ward)
}{
	{"joining", (*ward).killedWhileJoining},
	{"talking", (*ward).killedWhileTalking},
	{"pausing", (*ward).killedWhilePausing},
	{"leaving", (*ward).killedWhileLeaving},
	{"ending", (*ward).killedWhileEnding},
}

// live is killed in every phase of consultations of eight. Nothing that anybody was told is untrue afterwards, every
// file can be read, at most a second of a track is lost, and the archive shows exactly what was recorded.
func TestKilledAtAnyMoment(t *testing.T) {
	seed := seedOf(t)
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_SEGMENT_LENGTH=2s"}})
	var total toll
	for done := 0; done < *kills; seed++ {
		n := min(len(moments), *kills-done)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			total.add(killed(t, p, seed, n))
		})
		done += n
		if t.Failed() {
			break
		}
	}
	t.Logf("%s", total)
}

// killed runs one consultation in which live is killed so many times.
func killed(t *testing.T, p *testenv.Product, seed uint64, times int) toll {
	p.In(t)
	w := admit(t, p, 8, seed)
	ends := false
	for _, i := range w.some(len(moments), times) {
		m := moments[i]
		if m.name != "joining" {
			w.assemble()
		}
		began := time.Now()
		m.kill(w)
		last := w.cuts[len(w.cuts)-1]
		t.Logf("killed while %s, %s after it began; back after %s", m.name, last.at.Sub(began).Round(time.Millisecond), last.back.Sub(last.at).Round(time.Millisecond))
		ends = m.name == "ending"
	}
	if !ends {
		w.assemble()
		w.wait(1500 * time.Millisecond)
	}
	all := w.finish()
	return w.examine(all)
}

// some chooses n of m, in their order.
func (w *ward) some(m, n int) []int {
	chosen := w.dice.Perm(m)[:n]
	var sorted []int
	for i := range m {
		for _, c := range chosen {
			if c == i {
				sorted = append(sorted, i)
			}
		}
	}
	return sorted
}

// within is a random time.
func (w *ward) within(from, to time.Duration) time.Duration {
	return from + time.Duration(w.dice.Int64N(int64(to-from)))
}

// wait lets a time pass that is part of the story.
func (w *ward) wait(d time.Duration) { time.Sleep(d) }

// meanwhile does something that may fail as soon as live is killed, and kills it after a time.
func (w *ward) meanwhile(what string, after time.Duration, do func(ctx context.Context)) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx, or when it has done what it does
		defer close(done)
		do(ctx)
	}()
	w.wait(after)
	w.cuts = append(w.cuts, cut{at: time.Now(), what: what, killed: true})
	w.p.Live.Kill()
	cancel()
	<-done
	w.restart()
}

func (w *ward) killedWhileJoining() {
	late := make([]time.Duration, len(w.people))
	for i := range late {
		late[i] = w.within(0, 600*time.Millisecond)
	}
	w.meanwhile("joining", w.within(50*time.Millisecond, 2500*time.Millisecond), func(ctx context.Context) {
		_ = w.each(func(g *guest) error {
			select {
			case <-time.After(late[g.n]):
				return g.enter(ctx, w.p, w.t) // it fails when live goes, which is what happens
			case <-ctx.Done():
				return nil
			}
		})
	})
}

// killedWhileTalking has rotations in it: segments are two seconds long.
func (w *ward) killedWhileTalking() {
	w.meanwhile("talking", w.within(500*time.Millisecond, 5500*time.Millisecond), func(context.Context) {})
}

func (w *ward) killedWhilePausing() {
	w.wait(500 * time.Millisecond)
	pause, resume := w.within(0, 300*time.Millisecond), w.within(400*time.Millisecond, 900*time.Millisecond)
	w.meanwhile("pausing", w.within(0, 1500*time.Millisecond), func(ctx context.Context) {
		for _, step := range []struct {
			after time.Duration
			path  string
			want  events.Type
		}{{pause, "/recording/pause?reason=private", events.TypeRecordingPaused}, {resume, "/recording/resume?reason=private", events.TypeRecordingResumed}} {
			select {
			case <-time.After(step.after):
			case <-ctx.Done():
				return
			}
			if _, err := w.ask("POST", step.path, step.want); err != nil {
				return
			}
		}
	})
	w.must("POST", "/recording/resume?reason=private", events.TypeRecordingResumed)
}

func (w *ward) killedWhileLeaving() {
	late := make([]time.Duration, len(w.people))
	for i := range late {
		late[i] = w.within(0, 1500*time.Millisecond)
	}
	w.meanwhile("leaving", w.within(100*time.Millisecond, 1800*time.Millisecond), func(ctx context.Context) {
		_ = w.each(func(g *guest) error {
			select {
			case <-time.After(late[g.n]):
			case <-ctx.Done():
				return nil
			}
			switch g.n % 4 {
			case 0, 1:
				return nil // stays
			case 2: // says goodbye
				g.inside = false
				g.gone(time.Now())
				return g.peer.Leave(ctx)
			default: // loses the network and comes back
				g.drop()
				return g.enter(ctx, w.p, w.t)
			}
		})
	})
}

// killedWhileEnding has the upload of the last segments and the completion in it.
func (w *ward) killedWhileEnding() {
	w.wait(500 * time.Millisecond)
	w.meanwhile("ending", w.within(0, 1200*time.Millisecond), func(context.Context) {
		_, _ = w.ask("POST", "/end", events.TypeConsultationEnded)
	})
}
