package e2e

import (
	"context"
	"flag"
	"fmt"
	"image"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

var (
	wholeMatrix = flag.Bool("matrix", false, "run the sync matrix (./task measure:sync -- --matrix)")
	somePlans   = flag.String("plans", "", "only the plans of the matrix whose names match")
)

// trial is one plan in one consultation.
type trial struct {
	plan  simpeer.Plan
	spec  simpeer.Spec
	who   participant
	peer  *simpeer.Participant // nil on a tape
	began time.Time
	// fastest is how long the way to the server took at least.
	fastest func() simpeer.Fastest

	mu     sync.Mutex // guards frames
	frames []simpeer.SentFrame
}

func (tr *trial) onSend(f simpeer.SentFrame) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.frames = append(tr.frames, f)
}

// matrixCall is one consultation of the matrix: a reference and its trials.
type matrixCall struct {
	id        string
	reference *trial
	trials    []*trial
	end       time.Time // when it was ended, about
}

func (c *matrixCall) everybody() []*trial { return append([]*trial{c.reference}, c.trials...) }

// TestSyncMatrix lets simulated participants from bad worlds meet, five and one from a perfect world in a consultation,
// and measures in the decoded archive, in the timeline and in the segments what the product made of it. The plans are
// data, and what they say of themselves is what is expected.
func TestSyncMatrix(t *testing.T) {
	if !*wholeMatrix {
		t.Skip("takes a quarter of an hour: ./task measure:sync -- --matrix runs it; TestMeasureSync is the short form")
	}
	only, err := regexp.Compile(*somePlans)
	if err != nil {
		t.Fatal(err)
	}
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true}) // it would take time from the calls
	service := as(t, p, "service")
	var calls []*matrixCall
	for _, plans := range matrix {
		plans = slices.DeleteFunc(slices.Clone(plans), func(p simpeer.Plan) bool { return !only.MatchString(p.Name) })
		if len(plans) > 0 {
			calls = append(calls, holdMatrixCall(t, p, service, plans))
		}
	}
	p.StartStitcher()
	var all []verdict
	for _, c := range calls {
		for _, v := range measureMatrixCall(t, p, service, c) {
			t.Logf("%s", v.row())
			all = append(all, v)
		}
	}
	t.Logf("%s", matrixTable(all))
	for _, v := range all {
		for _, fault := range v.faults() {
			t.Errorf("%s: %s", v.name, fault)
		}
	}
}

// holdMatrixCall holds a consultation of the plans.
func holdMatrixCall(t *testing.T, p *testenv.Product, service *client, plans []simpeer.Plan) *matrixCall {
	t.Helper()
	people := []person{{Name: "Reference", Role: "clinician", Consent: true}}
	for i := range plans {
		people = append(people, person{Name: fmt.Sprintf("Plan %d", i+1), Role: "patient", Consent: true})
	}
	made := service.schedule("Sync matrix", "required", people...)
	call := &matrixCall{id: made.ID}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	zero := time.Now()
	for i, who := range made.Participants {
		plan := simpeer.Plan{Name: "reference"}
		if i > 0 {
			plan = plans[i-1]
		}
		// Nobody's beep falls on another's.
		tr := &trial{plan: plan, spec: small(i), who: who, began: zero.Add(time.Duration(i) * 150 * time.Millisecond)}
		if i == 0 {
			call.reference = tr
		} else {
			call.trials = append(call.trials, tr)
		}
	}
	var joining errgroup.Group
	for _, tr := range call.everybody() {
		options := tr.options(t, func(ctx context.Context, paused bool) error { return record(ctx, service, made.ID, paused) })
		token := tr.who.token(t)
		joining.Go(func() (err error) {
			if tr.peer, err = simpeer.JoinWebSocket(ctx, signalingURL(p), token, options); err == nil {
				tr.fastest = tr.peer.Fastest
			}
			return err
		})
	}
	if err := joining.Wait(); err != nil {
		t.Fatal(err)
	}
	playing, stop := errgroup.WithContext(ctx)
	for _, tr := range call.everybody() {
		t.Cleanup(tr.peer.Drop)
		playing.Go(func() error {
			if err := tr.peer.Play(stop); err != nil {
				return fmt.Errorf("%s: %w", tr.plan.Name, err)
			}
			return nil
		})
	}
	time.Sleep(time.Until(zero.Add(matrixLength))) // the length of the consultation, nothing is waited for
	if err := playing.Wait(); err != nil {
		t.Fatal(err)
	}
	service.end(call.id)
	call.end = time.Now()
	for _, tr := range call.everybody() {
		tr.peer.Drop()
		if late := tr.peer.Lateness(); late > 100*time.Millisecond {
			t.Logf("%s: up to %s late in sending: the machine is busy", tr.plan.Name, late.Round(time.Millisecond))
		}
	}
	return call
}

// options are those of the participant that plays the plan.
func (tr *trial) options(t *testing.T, recording func(context.Context, bool) error) simpeer.Options {
	t.Helper()
	o := simpeer.Options{Media: made(t, tr.spec), OnSend: tr.onSend, Recording: recording, Deaf: true, ConnectWithin: 30 * time.Second}
	for _, spec := range tr.plan.Specs(tr.spec)[1:] {
		o.Sizes = append(o.Sizes, made(t, spec))
	}
	o = tr.plan.Shape(o)
	o.Clocks.Began = tr.began
	return o
}

// record pauses a recording or lets it go on. It may be called from any goroutine.
func record(ctx context.Context, service *client, id string, paused bool) error {
	word := "resume"
	if paused {
		word = "pause"
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a := service.do("POST", "/api/v1/consultations/"+id+"/recording/"+word, "", nil); a.Status != 204 {
		return fmt.Errorf("%s: %d %s", word, a.Status, a.Body)
	}
	return nil
}

// grid is the places of n tiles: of one size, 16:9, as large as they go, rows in the middle.
func grid(n int) []image.Rectangle {
	var best []image.Rectangle
	for columns := 1; columns <= n; columns++ {
		rows := (n + columns - 1) / columns
		w, h := 1280/columns&^1, (1280/columns&^1*9/16+1)&^1
		if h > 720/rows {
			h = 720 / rows &^ 1
			w = (h*16/9 + 1) &^ 1
		}
		if len(best) > 0 && w*h < best[0].Dx()*best[0].Dy() {
			continue
		}
		best = nil
		for i := range n {
			row, inRow := i/columns, min(columns, n-i/columns*columns)
			at := image.Pt((1280-inRow*w)/2&^1+i%columns*w, (720-rows*h)/2&^1+row*h)
			best = append(best, image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))})
		}
	}
	return best
}

// places lists where the pictures of a call may be.
func (c *matrixCall) places() simpeer.Pictures {
	where := simpeer.Pictures{}
	all := c.everybody()
	for _, tr := range all {
		for n := len(all); n > 0; n-- {
			for _, tile := range grid(n) {
				for _, s := range tr.plan.Specs(tr.spec) {
					if r := simpeer.Fit(tile, s.Width, s.Height); !slices.Contains(where[tr.spec.Who], r) {
						where[tr.spec.Who] = append(where[tr.spec.Who], r)
					}
				}
			}
		}
	}
	return where
}

// holes are those that explain what is missing of a trial.
func (c *matrixCall) holes(of *trial) []simpeer.Hole {
	var all []simpeer.Hole
	for _, tr := range c.everybody() {
		for _, h := range tr.plan.Holes() {
			if tr == of {
				all = append(all, h)
			} else if h.Everybody {
				h.From += tr.began.Sub(of.began)
				h.To += tr.began.Sub(of.began)
				all = append(all, h)
			}
		}
	}
	return all
}

// matrixTable is what a person reads, and the one line that a program reads.
func matrixTable(all []verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-66s | %6s %6s | %6s | %6s %6s | %7s | %5s %6s | %5s | %s\n",
		"plan", "AV p95", "max", "cross", "fit", "max", "missing", "asked", "of 100", "holes", "")
	for _, v := range all {
		b.WriteString(v.row())
	}
	fmt.Fprintf(&b, "ms; missing: flashes and beeps that no hole explains; asked: how often for a lost packet; of 100 frames: recorded; holes: explained, not\n")
	w := worst(all)
	fmt.Fprintf(&b, "matrix_plans=%d matrix_av_offset_p95_ms=%.1f matrix_av_offset_max_ms=%.1f matrix_cross_offset_p95_ms=%.1f "+
		"matrix_fit_error_p95_ms=%.2f matrix_fit_error_max_ms=%.2f matrix_missing_flashes=%d matrix_missing_beeps=%d "+
		"matrix_recorded_min_percent=%.2f matrix_undecodable=%d matrix_asked_per_lost_max=%.2f matrix_unexplained_gaps=%d matrix_failed=%d\n",
		len(all), w.avP95, w.avMax, w.crossP95, w.fitP95, w.fitMax, w.missingFlashes, w.missingBeeps, w.recorded, w.undecodable, w.asked,
		w.unexplained, w.failed)
	return b.String()
}

// row is a line of the table.
func (v verdict) row() string {
	return fmt.Sprintf("%-66s | %6.1f %6.1f | %6.1f | %6.2f %6.2f | %3d %3d | %5.2f %6.2f | %2d %2d | %s\n", v.name,
		ms(simpeer.P95(v.av)), ms(largest(v.av)), ms(simpeer.P95(v.cross)), ms(simpeer.P95(v.fit)), ms(largest(v.fit)),
		v.missingFlashes, v.missingBeeps, v.asked, v.recorded, v.explained, len(v.unexplained), strings.Join(v.faults(), "; "))
}

// worstOf is the worst of each figure.
type worstOf struct {
	avP95, avMax, crossP95, fitP95, fitMax, recorded, asked float64
	missingFlashes, missingBeeps, undecodable, unexplained  int
	failed                                                  int
}

func worst(all []verdict) worstOf {
	w := worstOf{recorded: 100}
	for _, v := range all {
		w.avP95, w.avMax = max(w.avP95, ms(simpeer.P95(v.av))), max(w.avMax, ms(largest(v.av)))
		w.crossP95 = max(w.crossP95, ms(simpeer.P95(v.cross)))
		w.fitP95, w.fitMax = max(w.fitP95, ms(simpeer.P95(v.fit))), max(w.fitMax, ms(largest(v.fit)))
		w.recorded, w.asked = min(w.recorded, v.recorded), max(w.asked, v.asked)
		w.missingFlashes += v.missingFlashes
		w.missingBeeps += v.missingBeeps
		w.undecodable += v.undecodable
		w.unexplained += len(v.unexplained)
		if len(v.faults()) > 0 {
			w.failed++
		}
	}
	return w
}

func largest(offsets []time.Duration) time.Duration {
	var most time.Duration
	for _, o := range offsets {
		most = max(most, o.Abs())
	}
	return most
}

// kindOf is what a source sends.
func kindOf(s media.Source) media.Kind {
	if s == media.Microphone {
		return media.Audio
	}
	return media.Video
}
