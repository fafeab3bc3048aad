package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
	"consilium/internal/timeline"
)

// verdict is what was measured of a trial.
type verdict struct {
	name                         string
	av, cross, fit               []time.Duration
	missingFlashes, missingBeeps int
	recorded                     float64 // of 100 frames that a hole does not excuse
	undecodable                  int     // frames in files that give no picture, and files about which the decoder complains
	asked                        float64 // how often for a packet of pictures that the network lost
	explained                    int     // holes that the plan explains
	unexplained                  []string
}

// The bars.
const (
	barAV, barAVMax = 20 * time.Millisecond, 40 * time.Millisecond
	barCross        = 40 * time.Millisecond
	barFit          = 2 * time.Millisecond
	barRecorded     = 99.5
	barAsked        = 4
)

// faults lists the bars that were missed.
func (v verdict) faults() []string {
	var all []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(simpeer.P95(v.av) > barAV || largest(v.av) > barAVMax, "sound and picture are apart")
	add(simpeer.P95(v.cross) > barCross, "apart from the reference")
	add(largest(v.fit) > barFit, "placed wrong")
	add(len(v.av) < 5 || len(v.cross) < 5 || len(v.fit) < 100, "too little to measure: %d, %d, %d", len(v.av), len(v.cross), len(v.fit))
	add(v.missingFlashes+v.missingBeeps > 0, "flashes or beeps are missing")
	add(v.recorded < barRecorded, "frames are missing")
	add(v.undecodable > 0, "%d undecodable", v.undecodable)
	add(v.asked >= barAsked, "asked too often")
	add(len(v.unexplained) > 0, "%s", strings.Join(v.unexplained, ", "))
	return all
}

// record is what is there of a call after its end.
type recordOf struct {
	call   *matrixCall
	folder string // of its segments
	start  time.Time
	length time.Duration
	tl     *timeline.Timeline
	opened map[string]events.SegmentOpened
	sealed map[string]events.SegmentSealed
	rtt    map[string]time.Duration // least known, by participant
	shots  map[int][]simpeer.Shot
	beeps  map[int][]time.Duration
}

// measureMatrixCall waits for the archive of a call and measures its trials.
func measureMatrixCall(t *testing.T, p *testenv.Product, service *client, c *matrixCall) []verdict {
	t.Helper()
	a := service.awaitArchive(c.id, 1, 10*time.Minute)
	if a.State != "ready" {
		t.Fatalf("archive: %+v", a)
	}
	r := &recordOf{call: c, folder: filepath.Join(p.Data, "blobs", "c", c.id, "segments")}
	all := service.events(c.id)
	r.read(all)
	r.start, r.length = span(all)
	var err error
	if r.tl, err = timeline.Build(all, 0); err != nil {
		t.Fatal(err)
	}
	file := service.download(a.VideoURL)
	if r.shots, err = simpeer.ReadVideo(t.Context(), file, c.places()); err != nil {
		t.Fatal(err)
	}
	var tones []int
	for _, tr := range c.everybody() {
		tones = append(tones, tr.spec.Tone)
	}
	if r.beeps, err = simpeer.ReadBeeps(t.Context(), file, tones...); err != nil {
		t.Fatal(err)
	}
	var verdicts []verdict
	for _, tr := range c.trials {
		verdicts = append(verdicts, r.judge(t, tr))
	}
	return verdicts
}

// read gathers what the events say of segments.
func (r *recordOf) read(all []events.Stored) {
	r.opened, r.sealed, r.rtt = map[string]events.SegmentOpened{}, map[string]events.SegmentSealed{}, map[string]time.Duration{}
	for _, stored := range all {
		who := stored.Participant
		switch e := stored.Event.(type) {
		case events.SegmentOpened:
			r.opened[e.Segment] = e
		case events.SegmentSealed:
			r.sealed[e.Segment] = e
		case events.SegmentAnchored:
			for _, a := range e.Anchors {
				if rtt := time.Duration(a.RTTUS) * time.Microsecond; rtt > 0 && (r.rtt[who] == 0 || rtt < r.rtt[who]) {
					r.rtt[who] = rtt
				}
			}
		}
	}
}

func (r *recordOf) judge(t *testing.T, tr *trial) verdict {
	t.Helper()
	v := verdict{name: tr.plan.Name}
	holes := r.call.holes(tr)
	sent := before(tr.peer.Sent().Outside(tr.began, holes), r.start.Add(r.length))
	found := simpeer.Measure(r.start, []simpeer.Sent{sent}, r.shots, r.beeps)
	v.av, v.missingFlashes, v.missingBeeps = found.AV, len(found.MissingFlashes), len(found.MissingBeeps)
	for _, m := range found.MissingFlashes {
		t.Logf("%s: no flash of %s in the archive at %s", tr.plan.Name, m.Media, m.At.Sub(r.start))
	}
	for _, m := range found.MissingBeeps {
		t.Logf("%s: no beep of %s in the archive at %s", tr.plan.Name, m.Media, m.At.Sub(r.start))
	}
	reference := before(r.call.reference.peer.Sent(), r.start.Add(r.length))
	late := r.unknowable(tr, media.Video, timeline.QualitySR) - r.unknowable(r.call.reference, media.Video, timeline.QualitySR)
	for _, c := range simpeer.Measure(r.start, []simpeer.Sent{reference, sent}, r.shots, r.beeps).Cross {
		v.cross = append(v.cross, c-late)
	}
	who := r.participant(t, tr)
	for _, track := range who.Tracks {
		for _, c := range track.Clips {
			v.fit = append(v.fit, r.fit(t, tr, track, c)...)
		}
	}
	r.judgeGaps(&v, tr, who, holes)
	r.judgeFiles(t, &v, tr, who, holes)
	if lost, asked := tr.peer.Repairs(); lost > 0 {
		v.asked = float64(asked) / float64(lost)
	}
	return v
}

func (r *recordOf) participant(t *testing.T, tr *trial) timeline.Participant {
	t.Helper()
	for _, p := range r.tl.Participants {
		if p.ID == tr.who.ID {
			return p
		}
	}
	t.Fatalf("%s is not in the timeline", tr.plan.Name)
	return timeline.Participant{}
}

// unknowable is by how much media are placed late because nobody can know how long the way to the server is: what it
// took at least, less half of the round trip. Where reports are believed it is the fastest report or packet of both tracks
// that counts; where only arrivals count, the fastest packet of the track itself.
func (r *recordOf) unknowable(tr *trial, k media.Kind, q timeline.Quality) time.Duration {
	fastest := tr.fastest()
	least := fastest.Packet[k]
	if q != timeline.QualityArrival {
		for _, took := range []map[media.Kind]time.Duration{fastest.Report, fastest.Packet} {
			for _, d := range took {
				least = min(least, d)
			}
		}
	}
	return least - r.rtt[tr.who.ID]/2
}

// fit compares where the timeline puts each frame of a clip with when it was captured.
func (r *recordOf) fit(t *testing.T, tr *trial, track timeline.Track, c timeline.Clip) []time.Duration {
	t.Helper()
	opened, sealed := r.opened[c.Segment], r.sealed[c.Segment]
	late := r.unknowable(tr, track.Kind, c.Quality)
	if c.Codec == media.Opus {
		late -= media.OpusLookAhead * time.Second / 48000
	}
	best := map[int64]time.Duration{} // by RTP time: the same ones come again when a clock is set back
	for _, f := range tr.frames {
		rtp := opened.FirstRTP + int64(int32(f.RTP-uint32(opened.FirstRTP)))
		if f.SSRC != opened.SSRC || rtp < opened.FirstRTP || rtp > sealed.LastRTP || f.At.Before(opened.Arrival.Add(-2*time.Second)) {
			continue
		}
		file := float64(rtp-opened.FirstRTP) / float64(c.ClockRate) * 1e9
		at := c.StartNS + int64((file-float64(c.FileStartNS))/c.Rate)
		if at < c.StartNS || at >= c.EndNS {
			continue
		}
		e := r.start.Add(time.Duration(at)).Sub(f.Captured) - late
		if other, ok := best[rtp]; !ok || e.Abs() < other.Abs() {
			best[rtp] = e
		}
	}
	var errs []time.Duration
	for _, rtp := range slices.Sorted(maps.Keys(best)) {
		errs = append(errs, best[rtp])
	}
	if len(errs) > 0 && largest(errs) > barFit {
		t.Logf("%s: %s clip at %s, %s long, by %s, %s from %s: off by %s at first, %s at last", tr.plan.Name, track.Kind,
			time.Duration(c.StartNS).Round(time.Millisecond), time.Duration(c.EndNS-c.StartNS).Round(time.Millisecond), c.Quality, opened.Reason,
			time.Duration(c.FileStartNS), errs[0].Round(10*time.Microsecond), errs[len(errs)-1].Round(10*time.Microsecond))
	}
	return errs
}

// judgeGaps holds the gaps of a participant against what its plan explains.
func (r *recordOf) judgeGaps(v *verdict, tr *trial, who timeline.Participant, holes []simpeer.Hole) {
	since := func(ns int64) time.Duration { return r.start.Add(time.Duration(ns)).Sub(tr.began) }
	for _, h := range holes {
		for _, other := range holes { // what is a hole for two reasons is called by one
			if other.From < h.To && other.To > h.From {
				h.Causes = append(slices.Clone(h.Causes), other.Causes...)
			}
		}
		for _, k := range []media.Kind{media.Audio, media.Video} {
			if h.Certain && (h.Kind == "" || h.Kind == k) && r.gapTime(who, k, h, since) < (h.To-h.From)/2 {
				v.unexplained = append(v.unexplained, fmt.Sprintf("%s from %s to %s is no gap %v", k, h.From, h.To, h.Causes))
			}
		}
	}
	for _, track := range who.Tracks {
		for _, g := range track.Gaps {
			from, to := since(g.StartNS), since(g.EndNS)
			if slices.ContainsFunc(holes, func(h simpeer.Hole) bool {
				return h.Explains(track.Kind, from, to, g.Cause)
			}) || underWay(tr.plan.Network, who, track.Kind, g) {
				v.explained++
				continue
			}
			v.unexplained = append(v.unexplained, fmt.Sprintf("gap %s of %s from %.3f to %.3f", g.Cause, track.Kind, from.Seconds(), to.Seconds()))
		}
	}
}

// underWay says whether a gap is what had been sent when somebody left: that is heard of at once, and media take longer.
func underWay(n simpeer.Network, who timeline.Participant, k media.Kind, g timeline.Gap) bool {
	takes := n.VideoDelay
	if k == media.Audio {
		takes = n.AudioDelay
	}
	leaves := slices.ContainsFunc(who.Present, func(p timeline.Interval) bool { return p.EndNS == g.EndNS })
	return leaves && g.Cause == timeline.Loss && time.Duration(g.EndNS-g.StartNS) <= takes+50*time.Millisecond
}

// gapTime is how much of a hole is a gap with one of its causes, or a stretch in which no track is there to have one.
func (r *recordOf) gapTime(who timeline.Participant, k media.Kind, h simpeer.Hole, since func(int64) time.Duration) time.Duration {
	left := h.To - h.From
	for _, track := range who.Tracks {
		if track.Kind != k {
			continue
		}
		for _, c := range track.Clips {
			left -= max(0, min(h.To, since(c.EndNS))-max(h.From, since(c.StartNS)))
		}
		for _, g := range track.Gaps {
			if !slices.Contains(h.Causes, g.Cause) {
				left -= max(0, min(h.To, since(g.EndNS))-max(h.From, since(g.StartNS)))
			}
		}
	}
	return left
}

// judgeFiles decodes every file of a participant and looks for every frame that was sent.
func (r *recordOf) judgeFiles(t *testing.T, v *verdict, tr *trial, who timeline.Participant, holes []simpeer.Hole) {
	t.Helper()
	type frame struct {
		ssrc, rtp uint32
	}
	kept := map[frame]bool{}
	for _, track := range who.Tracks {
		for _, c := range track.Clips {
			path := filepath.Join(r.folder, c.Segment+c.Codec.Extension())
			undecodable, complaint := decode(t, path, c)
			v.undecodable += undecodable
			if complaint != "" {
				t.Logf("%s: %s of %s: %s", tr.plan.Name, track.Kind, r.opened[c.Segment].Reason, complaint)
			}
			if track.Kind == media.Video {
				for _, pts := range ivfTimes(t, path) {
					kept[frame{r.opened[c.Segment].SSRC, uint32(r.opened[c.Segment].FirstRTP + pts)}] = true
				}
			}
		}
	}
	sent, missing := 0, []string{}
	for _, f := range tr.frames {
		at := f.Captured.Sub(tr.began)
		excused := slices.ContainsFunc(holes, func(h simpeer.Hole) bool { return !h.Gaps && h.Covers(media.Video, at, at) })
		if kindOf(f.Source) != media.Video || excused || f.Captured.Add(500*time.Millisecond).After(r.start.Add(r.length)) {
			continue
		}
		sent++
		if !kept[frame{f.SSRC, f.RTP}] {
			missing = append(missing, fmt.Sprintf("%.2f", at.Seconds()))
		}
	}
	if len(missing) > 0 {
		t.Logf("%s: %d of %d frames are in no file: captured at %v", tr.plan.Name, len(missing), sent, missing[:min(len(missing), 20)])
	}
	v.recorded = 100 * float64(sent-len(missing)) / float64(max(sent, 1))
}

// decode lets ffmpeg decode a whole file, and says how many of its frames gave no picture, and what it complained about.
func decode(t *testing.T, path string, c timeline.Clip) (undecodable int, complaint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return int(c.Frames), err.Error()
	}
	if c.Codec != media.Opus {
		n, _ := strconv.Atoi(strings.Trim(strings.TrimSpace(string(out)), ","))
		undecodable = int(c.Frames) - n
	}
	complaint = strings.TrimSpace(stderr.String())
	if complaint != "" && undecodable == 0 {
		undecodable = 1
	}
	return undecodable, complaint
}

// ivfTimes are the pts of a file.
func ivfTimes(t *testing.T, path string) []int64 {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scan, err := media.ScanIVF(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var all []int64
	for _, f := range scan.Frames {
		all = append(all, f.PTS)
	}
	return all
}
