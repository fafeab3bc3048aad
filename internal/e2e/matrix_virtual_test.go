package e2e

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/timeline"
)

// TestPlansFasterThanTime plays all plans of the matrix that need no person and no server through real recorders and the
// real timeline, on a clock of their own. Nothing is decoded and nothing is sent again, but every figure is exact,
// whatever else the machine does.
func TestPlansFasterThanTime(t *testing.T) {
	for _, plans := range matrix {
		for _, plan := range plans {
			if slices.ContainsFunc(plan.Actions, func(a simpeer.Action) bool {
				return slices.Contains([]simpeer.Verb{simpeer.Mute, simpeer.Away, simpeer.Pause}, a.Do)
			}) {
				continue
			}
			t.Run(plan.Name, func(t *testing.T) { playFasterThanTime(t, plan) })
		}
	}
}

func playFasterThanTime(t *testing.T, plan simpeer.Plan) {
	t.Helper()
	tr := &trial{plan: plan, spec: small(0)}
	l := newLongTest(t, matrixLength, tr.options(t, nil))
	synctest.Test(t, l.talk)
	if t.Failed() {
		return
	}
	all := l.read(t)
	tl, err := timeline.Build(all, 0)
	if err != nil {
		t.Fatal(err)
	}
	tr.who.ID, tr.began, tr.fastest = l.who, l.zero, l.tape.Fastest
	r := &recordOf{start: l.zero, length: l.length, tl: tl, folder: filepath.Join(l.dir, l.consultation)}
	r.read(all)
	who := r.participant(t, tr)
	v := verdict{name: plan.Name}
	holes := tr.plan.Holes()
	for _, k := range []media.Kind{media.Audio, media.Video} {
		late := plan.AudioLate
		if k == media.Video {
			late = plan.VideoLate
		}
		// Here a track is announced with the joining, and ends with what is on its way.
		begin := simpeer.Hole{Kind: k, To: late, Causes: []timeline.Cause{timeline.Stall, timeline.Loss}, Gaps: true}
		end := simpeer.Hole{Kind: k, From: l.length - 500*time.Millisecond, To: l.length, Causes: []timeline.Cause{timeline.Loss}, Gaps: true}
		holes = append(holes, begin, end)
	}
	if plan.Network.Loss > 0 { // nothing is asked for again
		holes = append(holes, simpeer.Hole{Kind: media.Video, To: l.length, Causes: []timeline.Cause{timeline.Loss}, Gaps: true})
	}
	for _, track := range who.Tracks {
		for _, c := range track.Clips {
			v.fit = append(v.fit, r.fit(t, tr, track, c)...)
		}
	}
	r.judgeGaps(&v, tr, who, holes)
	if worst := largest(v.fit); worst > barFit || len(v.fit) < 500 {
		t.Errorf("of %d frames the worst is placed %s wrong", len(v.fit), worst)
	}
	if len(v.unexplained) > 0 {
		t.Errorf("gaps: %v", v.unexplained)
	}
	if lost := r.unrecorded(t, tr, holes); lost > 0 && plan.Network.Loss == 0 {
		t.Errorf("%d frames are in no file", lost)
	}
}

// unrecorded counts the frames that were sent outside of all holes and are in no file.
func (r *recordOf) unrecorded(t *testing.T, tr *trial, holes []simpeer.Hole) int {
	t.Helper()
	type frame struct {
		ssrc, rtp uint32
	}
	kept := map[frame]bool{}
	for id, opened := range r.opened {
		if opened.Codec == string(media.VP8) {
			for _, pts := range ivfTimes(t, filepath.Join(r.folder, id+".ivf.sealed")) {
				kept[frame{opened.SSRC, uint32(opened.FirstRTP + pts)}] = true
			}
		}
	}
	lost := 0
	for _, f := range tr.frames {
		at := f.Captured.Sub(tr.began)
		late := f.Captured.Add(500 * time.Millisecond).After(r.start.Add(r.length))
		excused := slices.ContainsFunc(holes, func(h simpeer.Hole) bool { return !h.Gaps && h.Covers(media.Video, at, at) })
		if kindOf(f.Source) == media.Video && !late && !excused && !kept[frame{f.SSRC, f.RTP}] {
			lost++
		}
	}
	return lost
}
