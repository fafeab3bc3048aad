package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
	"consilium/internal/timeline"
)

// clipStarts reads where every segment of a consultation is shown.
func (c *client) clipStarts(id string) map[string]time.Duration {
	c.t.Helper()
	var tl timeline.Timeline
	if err := json.Unmarshal(c.do("GET", "/api/v1/consultations/"+id+"/timeline", "", nil).Body, &tl); err != nil {
		c.t.Fatal(err)
	}
	starts := map[string]time.Duration{}
	for _, p := range tl.Participants {
		for _, tr := range p.Tracks {
			for _, clip := range tr.Clips {
				if _, ok := starts[clip.Segment]; !ok {
					starts[clip.Segment] = time.Duration(clip.StartNS - clip.FileStartNS)
				}
			}
		}
	}
	return starts
}

// The event log is thrown away. What the files tell is enough for the same archive, and the names are still there.
func TestTheLogIsLost(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c, _, _ := twoTalk(t, p, service, "Lost")
	time.Sleep(4 * time.Second) // of recording, nothing is waited for
	service.end(c.ID)
	service.ready(c.ID, 1)
	before, count := service.clipStarts(c.ID), typesOf(service.chained(c.ID))

	terminate(t, p.Stitcher, "the stitcher")
	terminate(t, p.Live, "live")
	if err := os.RemoveAll(filepath.Join(p.Data, "nats")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"reindex", "--dry-run"}, []string{c.ID + " would be rebuilt", "1 consultations to be rebuilt, 0 that the log knows left alone", "0 problems"}},
		{[]string{"reindex"}, []string{c.ID + " rebuilt", "participants 2, tracks 4", "archive 2", "1 consultations rebuilt", "0 problems"}},
		{[]string{"reindex"}, []string{"0 consultations rebuilt, 1 that the log knows left alone"}},
	} {
		out := p.Command(tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("live %s says %q, and not %q", strings.Join(tt.args, " "), out, want)
			}
		}
	}

	p.StartLive()
	p.StartStitcher()
	a := service.ready(c.ID, 2)
	all := service.chained(c.ID)
	n := typesOf(all)
	if all[0].Type != events.TypeConsultationReindexed || n[events.TypeConsentGiven] != 0 || n[events.TypeSegmentStored] != count[events.TypeSegmentStored] {
		t.Errorf("the first event is %s; events: %v, were %v", all[0].Type, n, count)
	}
	after := service.clipStarts(c.ID)
	var first, last time.Duration
	for id, at := range before {
		now, ok := after[id]
		if !ok {
			t.Fatalf("segment %s is not shown any more", id)
		}
		if shift := now - at; first == 0 {
			first, last = shift, shift
		} else {
			first, last = min(first, shift), max(last, shift)
		}
	}
	t.Logf("%d segments lie where they did, relative to each other, but for %v", len(before), last-first)
	if last-first > 50*time.Millisecond || len(after) != len(before) {
		t.Errorf("the segments lie %v further apart than they did", last-first)
	}
	video := service.download(a.VideoURL)
	half := duration(t, video) / 2
	bothParts(t, video, 2, 0, half)
	bothParts(t, video, 2, 1, half)
	var again consultation
	service.call("GET", "/consultations/"+c.ID, nil, 200, &again)
	if again.State != "archived" || again.Title != "Lost" || again.Participants[0].Name == "" {
		t.Errorf("the library shows %+v", again)
	}
}
