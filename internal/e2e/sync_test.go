package e2e

import (
	"context"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// tiles are the places of the grid, 1280 by 720, by how many are shown.
var tiles = map[int][]image.Rectangle{
	1: {image.Rect(0, 0, 1280, 720)},
	2: {image.Rect(0, 180, 640, 540), image.Rect(640, 180, 1280, 540)},
	3: {image.Rect(0, 0, 640, 360), image.Rect(640, 0, 1280, 360), image.Rect(320, 360, 960, 720)},
}

// everywhere lists every place in which a participant's picture may be while up to n are shown.
func everywhere(n int, specs ...simpeer.Spec) simpeer.Pictures {
	where := simpeer.Pictures{}
	for _, s := range specs {
		for shown := 1; shown <= n; shown++ {
			for _, tile := range tiles[shown] {
				where[s.Who] = append(where[s.Who], simpeer.Fit(tile, s.Width, s.Height))
			}
		}
	}
	return where
}

// made is a participant's media, made once and kept.
func made(t testing.TB, spec simpeer.Spec) *simpeer.Media {
	t.Helper()
	testenv.Require(t, "ffmpeg")
	m, err := simpeer.Make(t.Context(), "", spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// whipURL is where a participant of the consultation publishes.
func whipURL(p *testenv.Product, id string) string {
	return p.URL + "/api/v1/consultations/" + id + "/whip"
}

// signalingURL is the WebSocket's address.
func signalingURL(p *testenv.Product) string { return p.URL + "/api/v1/signaling" }

// download keeps an archive's video in a file.
func (c *client) download(url string) string {
	c.t.Helper()
	a := c.do("GET", url, "", nil)
	if a.Status != 200 {
		c.t.Fatalf("GET %s: %d %s", url, a.Status, a.Body)
	}
	file := filepath.Join(c.t.TempDir(), "archive.mp4")
	if err := os.WriteFile(file, a.Body, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// span is the length of the consultation: from the first join to the end, or to the last leave before it.
func span(all []events.Stored) (start time.Time, length time.Duration) {
	var end, left time.Time
	for _, e := range all {
		switch e.Type {
		case events.TypeParticipantJoined:
			if start.IsZero() {
				start = e.Time
			}
		case events.TypeParticipantLeft:
			left = e.Time
		case events.TypeConsultationEnded:
			end = e.Time
		}
	}
	if left.Before(end) {
		end = left
	}
	return start, end.Sub(start)
}

// doctorsPlan is what happens to the doctor of TestMeasureSync: the RTP time of the sound stands still for a while.
var doctorsPlan = simpeer.Plan{
	Name:    "a microphone off its sender, jitter and loss",
	Network: simpeer.Network{VideoDelay: 100 * time.Millisecond, AudioDelay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01},
	Actions: []simpeer.Action{{At: 9500 * time.Millisecond, Do: simpeer.Detach, Kind: media.Audio, For: 2 * time.Second}},
}

// TestMeasureSync holds a consultation of three simulated participants whose clocks are known and wrong, one of whom
// drops out and comes back, and measures in the decoded archive how well everything fits together. Part of what lies
// between two participants is the rhythm of the pictures: each is shown up to half of 1/30 s before or after its time,
// and its sound with it. TestSyncMatrix is the long form.
func TestMeasureSync(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Sync", "required",
		person{Name: "Dr A", Role: "clinician", Consent: true}, person{Name: "Pat B", Role: "patient", Consent: true},
		person{Name: "Camera", Role: "device", For: []string{"Pat B"}, Consent: true})
	specs := []simpeer.Spec{simpeer.Someone(0), simpeer.Someone(1).Portrait(), simpeer.Someone(2)}
	began := time.Now()
	options := []simpeer.Options{
		doctorsPlan.Shape(simpeer.Options{Media: made(t, specs[0])}),
		{
			Media: made(t, specs[1]), Clocks: simpeer.Clocks{WallError: 700 * time.Millisecond, AudioPPM: 100, VideoPPM: -50},
			Network: simpeer.Network{VideoDelay: 20 * time.Millisecond, AudioDelay: 20 * time.Millisecond, Duplicate: 0.02, Reorder: 0.02},
		},
		{Media: made(t, specs[2]), Clocks: simpeer.Clocks{WallError: -1300 * time.Millisecond}},
	}
	options[0].Clocks.Began = began
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	people := make([]*simpeer.Participant, 3)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	people[0], err = simpeer.JoinWebSocket(ctx, signalingURL(p), c.Participants[0].token(t), options[0])
	must(err)
	time.Sleep(2 * time.Second) // how long who is here alone is what the archive shows
	people[1], err = simpeer.JoinWebSocket(ctx, signalingURL(p), c.Participants[1].token(t), options[1])
	must(err)
	time.Sleep(3 * time.Second)
	people[2], err = simpeer.PublishWHIP(ctx, whipURL(p, c.ID), c.Participants[2].token(t), options[2])
	must(err)
	// Half a second more than whole ones: nobody goes away in the middle of a beep.
	time.Sleep(10500 * time.Millisecond)
	people[1].Drop()
	time.Sleep(2 * time.Second)
	must(people[1].Rejoin(ctx))
	time.Sleep(9 * time.Second)
	must(people[2].Leave(ctx))
	must(people[1].Leave(ctx))
	time.Sleep(time.Second)
	service.end(c.ID)
	for i, one := range people {
		if late := one.Lateness(); late > 100*time.Millisecond {
			t.Logf("participant %d was up to %s late in sending: the machine is busy", i, late)
		}
	}

	a := service.awaitArchive(c.ID, 1, 5*time.Minute)
	if a.State != "ready" {
		t.Fatalf("archive: %+v", a)
	}
	file := service.download(a.VideoURL)
	start, length := span(service.events(c.ID))
	shots, err := simpeer.ReadVideo(ctx, file, everywhere(3, specs...))
	must(err)
	beeps, err := simpeer.ReadBeeps(ctx, file, specs[0].Tone, specs[1].Tone, specs[2].Tone)
	must(err)
	var sent []simpeer.Sent
	for _, one := range people {
		sent = append(sent, before(one.Sent(), start.Add(length)))
	}
	sent[0] = sent[0].Outside(began, doctorsPlan.Holes())
	r := simpeer.Measure(start, sent, shots, beeps)
	t.Logf("%s", table(r, sent, a, length))
	for i := range sent {
		one := simpeer.Measure(start, sent[i:i+1], shots, beeps)
		t.Logf("participant %d is shown %.1f ms late (median of %d flashes)", i, ms(simpeer.Median(one.Placement)), len(one.Placement))
	}

	if got := simpeer.P95(r.AV); got > 20*time.Millisecond || len(r.AV) < 50 {
		t.Errorf("sound and picture of one participant are %s apart (p95 of %d), want at most 20ms", got, len(r.AV))
	}
	if got := simpeer.P95(r.Cross); got > 40*time.Millisecond || len(r.Cross) < 40 {
		t.Errorf("participants are %s apart (p95 of %d), want at most 40ms", got, len(r.Cross))
	}
	if len(r.MissingFlashes)+len(r.MissingBeeps) > 0 {
		t.Errorf("missing flashes %v, missing beeps %v", r.MissingFlashes, r.MissingBeeps)
	}
	if off := math.Abs(float64(a.DurationMS) - float64(length.Milliseconds())); off > 50 {
		t.Errorf("the archive is %d ms long, the consultation %s", a.DurationMS, length)
	}
}

// before leaves out what was captured when the consultation had ended: a participant notices that a moment later.
func before(s simpeer.Sent, end time.Time) simpeer.Sent {
	late := func(m simpeer.Moment) bool { return m.At.Add(200 * time.Millisecond).After(end) }
	s.Flashes, s.Beeps = slices.DeleteFunc(s.Flashes, late), slices.DeleteFunc(s.Beeps, late)
	return s
}

// table is what a person reads, and the one line that a program reads.
func table(r simpeer.Report, sent []simpeer.Sent, a archive, length time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-34s %9s %9s %6s\n", "", "p95 ms", "median ms", "n")
	for _, row := range []struct {
		name    string
		offsets []time.Duration
	}{
		{"beep after flash, one participant", r.AV}, {"flash against flash, between two", r.Cross}, {"flash after its true time", r.Placement},
	} {
		fmt.Fprintf(&b, "%-34s %9.1f %9.1f %6d\n", row.name, ms(simpeer.P95(row.offsets)), ms(simpeer.Median(row.offsets)), len(row.offsets))
	}
	flashes, beeps := 0, 0
	for _, s := range sent {
		flashes, beeps = flashes+len(s.Flashes), beeps+len(s.Beeps)
	}
	fmt.Fprintf(&b, "%d flashes and %d beeps were sent; archive %d ms, consultation %d ms\n", flashes, beeps, a.DurationMS, length.Milliseconds())
	fmt.Fprintf(&b, "%s\n", r)
	return b.String()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
