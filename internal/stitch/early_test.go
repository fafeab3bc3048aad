package stitch

import (
	"slices"
	"testing"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// chunkNames are the keys of the chunks of a version, by the frame with which they begin.
func (w *world) chunkNames(version int) (names map[int64]string, ends map[int64]int64) {
	w.t.Helper()
	names, ends = map[int64]string{}, map[int64]int64{}
	for _, o := range w.ordersOf(w.worker(ffmpeg.Config{}, nil), version) {
		if !o.isSound() {
			names[o.at.Start], ends[o.at.Start] = o.key, o.at.Start+o.at.Frames
		}
	}
	return names, ends
}

// A chunk that is planned while the call goes on, from the events that there are by then, is the chunk that is planned when
// it is over, once it lies thirty seconds back: so it may be made early, and nothing that is made early can be wrong, because
// its name says all that it is made of.
func TestAChunkPlannedDuringTheCallIsTheOneAfterwards(t *testing.T) {
	if testing.Short() {
		t.Skip("encodes half a minute")
	}
	t.Parallel() // most of the time one processor is enough
	face := camera(t, "red", "160x90", 10, 300)
	face.reason = "rotation"
	w := newWorld(t)
	a := w.join(0, "A")
	track := a.track(0, media.VP8, media.Camera, 1)
	b := w.join(40_000, "B")
	other := b.track(40_000, media.VP8, media.Camera, 2)

	planned := map[int64]string{} // by first frame, when it lay thirty seconds back
	for ms := int64(0); ms < 150_000; ms += 30_000 {
		a.record(ms, track, 1, face)
		if ms >= 60_000 {
			b.record(ms-20_000, other, 2, face)
		}
		now := ms + 30_000
		if now < 60_000 {
			continue
		}
		names, ends := w.chunkNames(w.request("fast"))
		for start, name := range names {
			if ends[start]*1000/30 > now-30_000 {
				continue
			}
			if was, ok := planned[start]; ok && was != name {
				t.Errorf("at %d ms the chunk at frame %d is another one", now, start)
			}
			planned[start] = name
		}
	}
	w.say(150_000, "", events.ConsultationEnded{Reason: events.EndedClosed})
	names, _ := w.chunkNames(w.request("fast"))
	var early []int64
	for start, name := range planned {
		if names[start] != name {
			t.Errorf("the chunk at frame %d was planned as another one", start)
		}
		early = append(early, start)
	}
	slices.Sort(early)
	t.Logf("%d of %d chunks are made by the end: at frames %v", len(early), len(names), early)
	if len(early) < 3 {
		t.Errorf("only %d of %d chunks were settled during the call", len(early), len(names))
	}
}
