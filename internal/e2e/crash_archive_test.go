package e2e

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"time"

	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/timeline"
)

// tilesFor are the places of n pictures of 16:9 in 1280 by 720, as docs/archive.md says: rows are centred, and the number of
// columns makes the tiles largest.
func tilesFor(n int) []image.Rectangle {
	const width, height = 1280, 720
	even := func(n int) int { return n &^ 1 }
	var best []image.Rectangle
	area := 0
	for columns := 1; columns <= n; columns++ {
		rows := (n + columns - 1) / columns
		w, h := even(width/columns), even(height/rows)
		if w*9 <= h*16 {
			h = min(h, (w*9/16+1)&^1)
		} else {
			w = min(w, (h*16/9+1)&^1)
		}
		if w*h < area {
			continue
		}
		area, best = w*h, nil
		top := even((height - rows*h) / 2)
		for i := range n {
			row := i / columns
			left := even((width - min(columns, n-row*columns)*w) / 2)
			at := image.Pt(left+(i%columns)*w, top+row*h)
			best = append(best, image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))})
		}
	}
	return best
}

// checkArchive wants the video to show what the timeline says, and nothing else: within a clip the participant's picture
// of that very moment, in a gap none.
func (w *ward) checkArchive(tl timeline.Timeline) {
	w.t.Helper()
	a := w.service.ready(w.c.ID, 1)
	if off := a.DurationMS - tl.DurationNS/1e6; off < -50 || off > 50 {
		w.t.Errorf("the archive lasts %d ms, the timeline %d ms", a.DurationMS, tl.DurationNS/1e6)
	}
	if m := w.service.manifest(w.c.ID, 1); len(m.Missing) > 0 || m.Checks.DecodeErrors > 0 {
		w.t.Errorf("the archive misses %v and found %d errors when decoding", m.Missing, m.Checks.DecodeErrors)
		for _, lost := range m.Missing {
			said, err := os.ReadFile(filepath.Join(w.p.Data, "blobs", "c", w.c.ID, "segments", lost.Segment+".json"))
			w.t.Logf("%s: %s%v", lost.Cause, said, err)
		}
	}
	where := simpeer.Pictures{}
	for _, g := range w.people {
		for n := 1; n <= len(w.people); n++ {
			for _, tile := range tilesFor(n) {
				where[g.n] = append(where[g.n], simpeer.Fit(tile, g.media.Spec.Width, g.media.Spec.Height))
			}
		}
	}
	shots, err := simpeer.ReadVideo(w.t.Context(), w.service.download(a.VideoURL), where)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, g := range w.people {
		shown, _ := coverage(tl, g.who.ID, media.Video)
		w.checkShots(tl, g, shown, shots[g.n])
	}
}

// checkShots compares the pictures of one guest in the archive with its clips.
func (w *ward) checkShots(tl timeline.Timeline, g *guest, shown []interval, shots []simpeer.Shot) {
	w.t.Helper()
	// Where a gap is shorter than half a second the picture before it may stand still (docs/archive.md).
	const hold, frame = 500 * time.Millisecond, time.Second / simpeer.FPS
	frames := g.media.Spec.Frames()
	shots = slices.DeleteFunc(shots, func(s simpeer.Shot) bool { return s.Number >= frames }) // a card that looked like a picture
	offPlace := w.offPlace()
	outside, wrong := 0, 0
	var firstOutside, firstWrong string
	for _, s := range shots {
		if !touches(shown, s.At-hold-frame, s.At+2*frame) {
			if outside++; outside == 1 {
				firstOutside = s.At.String()
			}
		}
		// The number of the picture says when it was captured.
		position := tl.StartTime.Add(s.At).Sub(g.began)
		late := time.Duration((int(position/frame)-s.Number+frames*3/2)%frames-frames/2) * frame
		if late < -offPlace-2*frame || late > hold+offPlace+2*frame {
			if wrong++; wrong == 1 {
				firstWrong = fmt.Sprintf("%s, %s late", s.At, late)
			}
		}
	}
	dark := 0
	var firstDark string
	for _, i := range shown {
		for at := i.from + 150*time.Millisecond; at < i.to-150*time.Millisecond; at += 100 * time.Millisecond {
			if !slices.ContainsFunc(shots, func(s simpeer.Shot) bool { return (s.At - at).Abs() < 150*time.Millisecond }) {
				if dark++; dark == 1 {
					firstDark = at.String()
				}
			}
		}
	}
	if wrong == 1 && outside+dark == 0 {
		// The bar has four bits to check: one reading in sixteen that is wrong passes for right. A picture of another moment
		// would stand for longer.
		w.t.Logf("archive, guest %d: one picture was misread (%s)", g.n, firstWrong)
		wrong = 0
	}
	if outside+wrong+dark > 0 || len(shots) == 0 && len(shown) > 0 {
		w.t.Errorf("archive, guest %d: of %d pictures %d where the timeline has none (first at %s), %d from another moment (first at %s); %d times none where it has one (first at %s)",
			g.n, len(shots), outside, firstOutside, wrong, firstWrong, dark, firstDark)
	}
}
