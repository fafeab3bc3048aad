package stitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/render"
)

// A thumbnail is what is seen for the longest time while its cue lasts, in whatever order the chunks are finished.
func TestAThumbnailIsWhatIsSeenLongest(t *testing.T) {
	keys := func(frames ...int64) (all []keyframe) {
		for _, f := range frames {
			all = append(all, keyframe{Frame: f, Small: []byte{1}})
		}
		return all
	}
	type chunk struct {
		start, frames int64
		keys          []keyframe
	}
	for _, test := range []struct {
		name   string
		length time.Duration
		chunks []chunk
		want   []int64 // frames of the archive
	}{
		{"a keyframe every two seconds", 6 * time.Second, []chunk{{0, 180, keys(0, 60, 120)}}, []int64{0, 60, 120}},
		{"a card that flashes up is not it", 4 * time.Second, []chunk{{0, 2, keys(0)}, {2, 118, keys(0, 60)}}, []int64{2, 62}},
		{"the one before goes on", 4 * time.Second, []chunk{{0, 55, keys(0)}, {55, 60, keys(0)}, {115, 5, keys(0)}}, []int64{0, 55}},
		{"of two that are seen equally long the first one", 2 * time.Second, []chunk{{0, 30, keys(0)}, {30, 30, keys(0)}}, []int64{0}},
		{"an archive of a second", time.Second, []chunk{{0, 30, keys(0)}}, []int64{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			board := storyboard{test.length, 2 * time.Second}
			for range 2 { // forwards and backwards
				var r result
				for _, c := range test.chunks {
					r.offer(board, render.Chunk{Start: c.start, Frames: c.frames}, c.keys)
				}
				var got []int64
				for _, c := range r.thumbnails {
					got = append(got, c.frame)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("frames (-want +got):\n%s", diff)
				}
				for i, j := 0, len(test.chunks)-1; i < j; i, j = i+1, j-1 {
					test.chunks[i], test.chunks[j] = test.chunks[j], test.chunks[i]
				}
			}
		})
	}
}

// A long archive has about 360 thumbnails, however long it is.
func TestThumbnailsDoNotBecomeMoreWithTheLength(t *testing.T) {
	for length, want := range map[time.Duration]string{
		time.Second: "1 every 2s", 10 * time.Minute: "300 every 2s", 12 * time.Minute: "360 every 2s",
		time.Hour: "360 every 10s", time.Hour + time.Second: "328 every 11s", 24 * time.Hour: "360 every 4m0s",
	} {
		j := &job{plan: &render.Plan{Frames: int64(length/time.Second) * render.Rate}}
		if s := j.storyboard(); fmt.Sprintf("%d every %s", s.count(), s.every) != want {
			t.Errorf("%s: %d every %s, want %s", length, s.count(), s.every, want)
		}
	}
}
