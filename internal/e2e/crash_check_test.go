package e2e

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/spool"
	"consilium/internal/testenv"
	"consilium/internal/timeline"
)

// What the tests of crashes hold everything against.
const (
	// mayLose is how much of a track may be lost before a cut, from what was sent last to what is on the disk last.
	mayLose = time.Second
)

// edge is how far a clip may reach into a hole, or stay away from what is on the disk: timeline closes holes of this
// length at the end of a track, and says so. A guest who sends late on a busy machine is placed late where only arrivals
// are known.
func (w *ward) edge() time.Duration { return 300*time.Millisecond + w.lateness() }

// offPlace is how far from its true moment the timeline may place a frame. After a crash the newest reports of a clock are
// gone with the process, and arrivals have to do.
func (w *ward) offPlace() time.Duration { return 120*time.Millisecond + w.lateness() }

// lateness is the longest time that something was sent after it was captured: how busy the machine was.
func (w *ward) lateness() time.Duration {
	worst := time.Duration(0)
	for _, g := range w.people {
		g.mu.Lock()
		for _, f := range g.sent {
			worst = max(worst, f.At.Sub(f.Captured))
		}
		g.mu.Unlock()
	}
	return worst
}

// toll is what a number of cuts has cost.
type toll struct {
	cuts, segments, frames, events, archives int
	lost                                     []time.Duration // of each track that was being recorded, at each kill
}

func (t *toll) add(o toll) {
	t.cuts, t.segments, t.frames, t.events, t.archives = t.cuts+o.cuts, t.segments+o.segments, t.frames+o.frames, t.events+o.events, t.archives+o.archives
	t.lost = append(t.lost, o.lost...)
}

// String is one line of figures.
func (t toll) String() string {
	slices.Sort(t.lost)
	at := func(share float64) time.Duration {
		if len(t.lost) == 0 {
			return 0
		}
		return t.lost[min(int(share*float64(len(t.lost))), len(t.lost)-1)].Round(time.Millisecond)
	}
	return fmt.Sprintf("cuts=%d events=%d segments=%d frames=%d archives=%d tracks_cut=%d lost_p50=%s lost_p95=%s lost_max=%s",
		t.cuts, t.events, t.segments, t.frames, t.archives, len(t.lost), at(0.5), at(0.95), at(1))
}

// kept is one stored segment as it is on the disk.
type kept struct {
	media.Segment
	times []int64 // RTP time of each frame or packet that was received, unwrapped
}

// at is when in the file a frame is shown.
func (k kept) at(rtp int64) time.Duration { return media.RTPDuration(rtp-k.FirstRTP, k.ClockRate) }

// examine holds a completed consultation against all that was sent and said, its archive too.
func (w *ward) examine(all []events.Stored) toll {
	w.t.Helper()
	w.checkSpool()
	result, _ := w.examineFiles(all)
	w.checkArchive(w.timeline())
	result.archives++
	w.t.Logf("%s", result)
	return result
}

// examineFiles is examine without the archive.
func (w *ward) examineFiles(all []events.Stored) (toll, []kept) {
	w.t.Helper()
	w.checkHistory()
	w.checkPromises(all)
	files := w.checkFiles(all)
	w.checkSent(files)
	result := toll{cuts: len(w.cuts), segments: len(files), events: len(all), lost: w.checkLost(files)}
	for _, f := range files {
		result.frames += len(f.times)
	}
	tl := w.timeline()
	w.checkShown(tl, files)
	w.checkAccounts(tl, all)
	return result, files
}

// timeline is what the archive has to show.
func (w *ward) timeline() (tl timeline.Timeline) {
	w.t.Helper()
	w.service.call("GET", "/consultations/"+w.c.ID+"/timeline", nil, 200, &tl)
	return tl
}

// checkHistory wants every event that anybody outside has seen to be there, byte for byte, in one unbroken chain.
func (w *ward) checkHistory() {
	w.t.Helper()
	seen := w.witness.all()
	all := w.service.events(w.c.ID) // afterwards: the stitcher goes on
	prev := strings.Repeat("0", 64)
	for i, e := range all {
		if e.Seq != uint64(i+1) || e.PrevHash != prev {
			w.t.Fatalf("event %d has number %d and follows %.12s…, want %.12s…", i+1, e.Seq, e.PrevHash, prev)
		}
		sum := sha256.Sum256(e.Raw)
		prev = hex.EncodeToString(sum[:])
	}
	for _, e := range seen {
		if e.Seq > uint64(len(all)) || !bytes.Equal(all[e.Seq-1].Raw, e.Raw) {
			w.t.Errorf("event %d was seen and is not there any more: %s", e.Seq, e.Raw)
		}
	}
	if len(seen) < len(all)/2 {
		w.t.Errorf("only %d of %d events were watched", len(seen), len(all))
	}
}

// checkPromises wants every command to be in the log that was answered with yes.
func (w *ward) checkPromises(all []events.Stored) {
	w.t.Helper()
	last := map[events.Type]uint64{}
	for _, e := range all {
		last[e.Type] = e.Seq
	}
	for _, p := range w.promise {
		switch {
		case p.at.IsZero():
		case p.want == events.TypeRecordingResumed: // who resumes what goes on already changes nothing
			if last[events.TypeRecordingPaused] > last[events.TypeRecordingResumed] {
				w.t.Error("the end of a pause was answered with yes, and the recording is paused")
			}
		case last[p.want] == 0:
			w.t.Errorf("a command was answered with yes and there is no %s", p.want)
		}
	}
}

// checkFiles wants every segment that was ever opened to be in the blob store, as it was said to be, and to be readable, or
// to be named as missing.
func (w *ward) checkFiles(all []events.Stored) []kept {
	w.t.Helper()
	opened, stored := map[string]bool{}, map[string]events.SegmentStored{}
	sealed := map[string]string{}
	for _, e := range all {
		switch ev := e.Event.(type) {
		case events.SegmentOpened:
			opened[ev.Segment] = true
		case events.SegmentSealed:
			sealed[ev.Segment] = ev.SHA256
		case events.SegmentRecovered:
			sealed[ev.Segment] = ev.SHA256
		case events.SegmentStored:
			stored[ev.Segment] = ev
		case events.ConsultationCompleted:
			for _, m := range ev.Missing {
				w.t.Errorf("segment %s is missing: %s", m.Segment, m.Cause)
			}
		}
	}
	for id := range opened {
		if _, ok := stored[id]; !ok {
			w.t.Errorf("segment %s was opened and never stored", id)
		}
	}
	var files []kept
	for id, s := range stored {
		if sealed[id] != s.SHA256 {
			w.t.Errorf("segment %s is sealed with digest %.12s and stored with %.12s", id, sealed[id], s.SHA256)
		}
		if f, err := readBlob(filepath.Join(w.p.Data, "blobs"), s); err != nil {
			w.t.Errorf("segment %s: %v", id, err)
		} else {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b kept) int { return cmp.Compare(a.ID, b.ID) })
	decodeAll(w.t, filepath.Join(w.p.Data, "blobs"), files)
	return files
}

// checkSpool wants nothing to be left on its way.
func (w *ward) checkSpool() {
	w.t.Helper()
	var left []string
	await(w.t, 10*time.Second, func() string { return fmt.Sprint("the spool is empty: ", left) }, func() (empty bool) {
		var err error
		left, err = filepath.Glob(filepath.Join(w.p.Data, "spool", w.c.ID, "*"))
		return err == nil && len(left) == 0
	})
}

// readBlob reads a stored segment and holds it against what the log says of it.
func readBlob(dir string, s events.SegmentStored) (kept, error) {
	path := filepath.Join(dir, filepath.FromSlash(s.Key))
	raw, err := os.ReadFile(path)
	if err != nil {
		return kept{}, err
	}
	sum := sha256.Sum256(raw)
	if int64(len(raw)) != s.Bytes || hex.EncodeToString(sum[:]) != s.SHA256 {
		return kept{}, fmt.Errorf("%d bytes with digest %x, the log says %d with %.12s", len(raw), sum[:6], s.Bytes, s.SHA256)
	}
	return readSegment(strings.TrimSuffix(path, filepath.Ext(path))+media.SidecarExtension, raw)
}

// readSegment reads a segment's description and finds its frames.
func readSegment(sidecar string, raw []byte) (kept, error) {
	said, err := os.ReadFile(sidecar)
	if err != nil {
		return kept{}, err
	}
	var k kept
	if err := json.Unmarshal(said, &k.Segment); err != nil {
		return kept{}, fmt.Errorf("sidecar: %w", err)
	}
	if k.Codec == media.Opus {
		k.times, err = oggTimes(raw, k.FirstRTP)
		return k, err
	}
	scan, err := media.ScanIVF(bytes.NewReader(raw))
	if err == nil && (scan.Good != int64(len(raw)) || int64(len(scan.Frames)) != k.Frames) {
		err = fmt.Errorf("%d whole frames in %d of %d bytes, want %d", len(scan.Frames), scan.Good, len(raw), k.Frames)
	}
	for _, f := range scan.Frames {
		k.times = append(k.times, k.FirstRTP+f.PTS)
	}
	return k, err
}

// oggTimes finds the packets that were received: filled silence has three bytes, what a simulated participant sends more.
func oggTimes(raw []byte, first int64) ([]int64, error) {
	scan, err := media.ScanOgg(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if scan.Good != int64(len(raw)) || !scan.Ended {
		return nil, fmt.Errorf("whole pages are %d of %d bytes, ended: %v", scan.Good, len(raw), scan.Ended)
	}
	var times []int64
	at := first
	for _, page := range scan.Pages {
		b := raw[page.Offset : page.Offset+int64(page.Length)]
		table := b[27 : 27+int(b[26])]
		body := b[27+len(table):]
		size := 0
		for _, n := range table {
			if size += int(n); n == 255 {
				continue
			}
			packet := body[:size]
			body, size = body[size:], 0
			samples, err := media.OpusDuration(packet)
			if err != nil {
				return nil, err
			}
			if len(packet) > 3 {
				times = append(times, at)
			}
			at += int64(samples)
		}
	}
	return times, nil
}

// decodeAll wants ffmpeg to read every stored segment.
func decodeAll(t testing.TB, dir string, files []kept) {
	t.Helper()
	var paths []string
	for _, f := range files {
		paths = append(paths, filepath.Join(dir, filepath.FromSlash(spool.Key(f.Segment))))
	}
	decodes(t, paths...)
}

// decodes wants ffmpeg to read every file to its end without a word. One ffmpeg reads many.
func decodes(t testing.TB, paths ...string) {
	t.Helper()
	ffmpeg := testenv.Require(t, "ffmpeg")["ffmpeg"]
	for some := range slices.Chunk(paths, 24) {
		args := []string{"-nostdin", "-v", "warning", "-xerror"}
		var outputs []string
		for i, path := range some {
			args = append(args, "-i", path)
			outputs = append(outputs, "-map", fmt.Sprint(i, ":0"), "-fps_mode", "passthrough", "-f", "null", "-")
		}
		if out, err := exec.Command(ffmpeg, append(args, outputs...)...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("files cannot be read: %v: %s", err, out)
		}
	}
}

// stretch is what one guest sent over one connection on one track.
type stretch struct {
	guest *guest
	ssrc  uint32
	sent  []simpeer.SentFrame // in order
	files []kept              // in order
	held  map[uint32]bool     // RTP times, 32 bit, that are in a file
}

func (s *stretch) kind() media.Kind {
	if s.sent[0].Source == media.Microphone {
		return media.Audio
	}
	return media.Video
}

// stretches puts together what was sent and what is on the disk.
func (w *ward) stretches(files []kept) []*stretch {
	var all []*stretch
	found := map[uint32]*stretch{}
	for _, g := range w.people {
		g.mu.Lock()
		for _, f := range g.sent {
			s := found[f.SSRC]
			if s == nil {
				s = &stretch{guest: g, ssrc: f.SSRC, held: map[uint32]bool{}}
				found[f.SSRC], all = s, append(all, s)
			}
			s.sent = append(s.sent, f)
		}
		g.mu.Unlock()
	}
	for _, f := range files {
		if s := found[f.SSRC]; s != nil {
			s.files = append(s.files, f)
			for _, at := range f.times {
				s.held[uint32(at)] = true
			}
		}
	}
	return all
}

// checkSent wants nothing to be on the disk that was not sent, nothing twice, and nothing that was sent while somebody
// could rely on nothing being recorded.
func (w *ward) checkSent(files []kept) {
	w.t.Helper()
	sent := map[uint32]map[uint32]simpeer.SentFrame{}
	for _, s := range w.stretches(nil) {
		sent[s.ssrc] = map[uint32]simpeer.SentFrame{}
		for _, f := range s.sent {
			sent[s.ssrc][f.RTP] = f
		}
	}
	private := w.private()
	type frame struct {
		ssrc uint32
		rtp  int64
	}
	once := map[frame]string{}
	for _, f := range files {
		for _, at := range f.times {
			was, ok := sent[f.SSRC][uint32(at)]
			if !ok {
				w.t.Errorf("segment %s has a frame with time %d that nobody sent", f.ID, at)
				break
			}
			if other := once[frame{f.SSRC, at}]; other != "" {
				w.t.Errorf("segments %s and %s have the same frame", f.ID, other)
				break
			}
			once[frame{f.SSRC, at}] = f.ID
			if p := slices.IndexFunc(private, func(p pause) bool { return was.At.After(p.from) && was.At.Before(p.to) }); p >= 0 {
				w.t.Errorf("segment %s has a frame that was sent %s after the recording was paused", f.ID, was.At.Sub(private[p].from))
				break
			}
		}
	}
}

// pause is a stretch in which nothing may be recorded.
type pause struct{ from, to time.Time }

// private are the stretches from the answer to a pause to the asking for its end.
func (w *ward) private() []pause {
	var all []pause
	for _, p := range w.promise {
		switch p.want {
		case events.TypeRecordingPaused:
			if !p.at.IsZero() {
				all = append(all, pause{from: p.at})
			}
		case events.TypeRecordingResumed:
			if n := len(all); n > 0 && all[n-1].to.IsZero() {
				all[n-1].to = p.asked
			}
		}
	}
	return all
}

// pausing are the stretches in which it is nobody's fault that nothing is recorded: from the asking for a pause until
// whole pictures come again after its end.
func (w *ward) pausing(t time.Time) bool {
	var since time.Time
	for _, p := range w.promise {
		switch p.want {
		case events.TypeRecordingPaused:
			if since.IsZero() {
				since = p.asked
			}
		case events.TypeRecordingResumed:
			if p.at.IsZero() {
				continue
			}
			if !since.IsZero() && t.After(since.Add(-50*time.Millisecond)) && t.Before(p.at.Add(time.Second)) {
				return true
			}
			since = time.Time{}
		}
	}
	return !since.IsZero() && t.After(since)
}

// checkLost measures how much of each track that was being recorded is lost before each kill.
func (w *ward) checkLost(files []kept) []time.Duration {
	w.t.Helper()
	var all []time.Duration
	for _, s := range w.stretches(files) {
		for _, c := range w.cuts {
			if !c.killed {
				continue
			}
			if lost, counts := w.lost(s, c.at); counts {
				all = append(all, lost)
				if lost > mayLose {
					w.t.Errorf("%s of %s %d are lost that were sent before the kill while %s", lost.Round(time.Millisecond), s.kind(), s.guest.n, c.what)
				}
			}
		}
	}
	return all
}

// lost is the time from the last frame on the disk to the last one that was sent before a cut. It does not count for a
// track that was not being sent at the time, or was begun less than half a second before, or was not to be recorded.
func (w *ward) lost(s *stretch, at time.Time) (time.Duration, bool) {
	first, last := s.sent[0].At, time.Time{}
	held := first.Add(500 * time.Millisecond) // what it takes until recording begins is not lost
	for _, f := range s.sent {
		if f.At.After(at) {
			break
		}
		last = f.At
		if s.held[f.RTP] {
			held = f.At
		}
	}
	if last.IsZero() || at.Sub(last) > 200*time.Millisecond || last.Before(held) && at.Sub(first) < 500*time.Millisecond || w.pausing(at) || w.endAsked(at) {
		return 0, false
	}
	for _, left := range s.guest.away {
		if left.After(at.Add(-time.Second)) && left.Before(at) {
			return 0, false
		}
	}
	return max(last.Sub(held), 0), true
}

// endAsked says whether somebody had asked for the end before a moment.
func (w *ward) endAsked(at time.Time) bool {
	return slices.ContainsFunc(w.promise, func(p promise) bool {
		return p.want == events.TypeConsultationEnded && p.asked.Before(at)
	})
}

// checkShown holds the timeline against what was sent and what is on the disk: what is there is shown, at the moment at
// which it was captured; where nothing is there nothing is shown, and the hole has a name.
func (w *ward) checkShown(tl timeline.Timeline, files []kept) {
	w.t.Helper()
	byID := map[string]kept{}
	for _, f := range files {
		byID[f.ID] = f
	}
	captured := map[uint32]map[uint32]time.Time{}
	for _, s := range w.stretches(nil) {
		captured[s.ssrc] = map[uint32]time.Time{}
		for _, f := range s.sent {
			captured[s.ssrc][f.RTP] = f.Captured
		}
	}
	worst, offPlace := time.Duration(0), w.offPlace()
	for _, p := range tl.Participants {
		for _, track := range p.Tracks {
			for _, clip := range track.Clips {
				f := byID[clip.Segment]
				for _, rtp := range f.times {
					at := clip.StartNS + int64(float64(int64(f.at(rtp))-clip.FileStartNS)/clip.Rate)
					if at < clip.StartNS || at >= clip.EndNS {
						continue
					}
					off := tl.StartTime.Add(time.Duration(at)).Sub(captured[f.SSRC][uint32(rtp)])
					if worst = max(worst, off.Abs()); off.Abs() > offPlace {
						w.t.Errorf("segment %s is shown %s late (%s)", f.ID, off, clip.Quality)
						break
					}
				}
			}
		}
	}
	w.t.Logf("placed within %s; sent up to %s late", worst.Round(time.Millisecond), w.lateness().Round(time.Millisecond))
	edge := w.edge()
	for _, s := range w.stretches(files) {
		w.checkStretch(tl, s, edge)
	}
}

// checkStretch compares what the timeline shows of one connection's track with what is on the disk of it.
func (w *ward) checkStretch(tl timeline.Timeline, s *stretch, edge time.Duration) {
	w.t.Helper()
	shown, named := coverage(tl, s.guest.who.ID, s.kind())
	hidden, invented, nameless := 0, 0, 0
	var firstInvented, firstHidden, firstNameless time.Duration
	for i, f := range s.sent {
		at := f.Captured.Sub(tl.StartTime)
		if at < edge || at > time.Duration(tl.DurationNS)-edge {
			continue
		}
		if s.held[f.RTP] {
			if !touches(shown, at-edge, at+edge) {
				if hidden++; hidden == 1 {
					firstHidden = at
				}
			}
			continue
		}
		if !s.hole(i, edge) {
			continue
		}
		if touches(shown, at, at+1) && !w.elsewhere(s, f, edge) {
			if invented++; invented == 1 {
				firstInvented = at
			}
		}
		if !touches(named, at, at+1) && !touches(shown, at, at+1) && w.expected(s, f, edge) {
			if nameless++; nameless == 1 {
				firstNameless = at
			}
		}
	}
	if hidden+invented+nameless > 0 {
		w.t.Errorf("%s of guest %d (%s): %d frames are on the disk and not shown (first at %s); %d are not there and something is shown (first at %s); %d are not there and nothing says why (first at %s)",
			s.kind(), s.guest.n, s.guest.who.ID, hidden, firstHidden, invented, firstInvented, nameless, firstNameless)
	}
}

// hole says whether the i-th frame lies in a hole that is too long to be overlooked.
func (s *stretch) hole(i int, edge time.Duration) bool {
	for j := i; j >= 0 && s.sent[i].Captured.Sub(s.sent[j].Captured) <= edge; j-- {
		if s.held[s.sent[j].RTP] {
			return false
		}
	}
	for j := i; j < len(s.sent) && s.sent[j].Captured.Sub(s.sent[i].Captured) <= edge; j++ {
		if s.held[s.sent[j].RTP] {
			return false
		}
	}
	return true
}

// elsewhere says whether the guest sent over another connection at the time, as right after a restart: then that is what
// is shown.
func (w *ward) elsewhere(s *stretch, f simpeer.SentFrame, edge time.Duration) bool {
	s.guest.mu.Lock()
	defer s.guest.mu.Unlock()
	for _, other := range s.guest.sent {
		if other.SSRC != s.ssrc && other.Source == f.Source && other.Captured.Sub(f.Captured).Abs() < edge {
			return true
		}
	}
	return false
}

// expected says whether a frame that is not on the disk has to have a named gap in its place: not when its connection had
// not been noticed yet, or its sender was on the way out.
func (w *ward) expected(s *stretch, f simpeer.SentFrame, edge time.Duration) bool {
	if f.At.Sub(s.sent[0].At) < time.Second || len(s.files) == 0 {
		return false
	}
	for _, left := range s.guest.away {
		if f.At.After(left.Add(-edge)) && f.At.Sub(left) < 2*time.Second {
			return false
		}
	}
	return true
}

// interval is a stretch of archive time.
type interval struct{ from, to time.Duration }

// coverage lists where the timeline shows media of a participant, and where it names gaps, over all tracks of a kind.
func coverage(tl timeline.Timeline, participant string, kind media.Kind) (shown, named []interval) {
	for _, p := range tl.Participants {
		if p.ID != participant {
			continue
		}
		for _, track := range p.Tracks {
			if track.Kind != kind {
				continue
			}
			for _, c := range track.Clips {
				shown = append(shown, interval{time.Duration(c.StartNS), time.Duration(c.EndNS)})
			}
			for _, g := range track.Gaps {
				named = append(named, interval{time.Duration(g.StartNS), time.Duration(g.EndNS)})
			}
		}
	}
	return shown, named
}

func touches(all []interval, from, to time.Duration) bool {
	return slices.ContainsFunc(all, func(i interval) bool { return i.from < to && from < i.to })
}

// checkAccounts wants the ledger to close: for each track what was expected is what was recorded and the gaps.
func (w *ward) checkAccounts(tl timeline.Timeline, all []events.Stored) {
	w.t.Helper()
	var done *events.ConsultationCompleted
	for _, e := range all {
		if c, ok := e.Event.(events.ConsultationCompleted); ok {
			done = &c
		}
	}
	if done == nil {
		w.t.Error("the consultation was never completed")
		return
	}
	accounts := map[string]events.TrackAccount{}
	for _, a := range done.Tracks {
		accounts[a.Track] = a
		sum := a.RecordedMS
		for _, ms := range a.GapsMS {
			sum += ms
		}
		if sum != a.ExpectedMS {
			w.t.Errorf("track %s: %d ms expected, %d recorded and gaps %v", a.Track, a.ExpectedMS, a.RecordedMS, a.GapsMS)
		}
	}
	tracks := 0
	for _, p := range tl.Participants {
		for _, track := range p.Tracks {
			tracks++
			a, ok := accounts[track.ID]
			clips := int64(0)
			for _, c := range track.Clips {
				clips += c.EndNS - c.StartNS
			}
			if off := a.RecordedMS - clips/1e6; !ok || off < -5 || off > 5 {
				w.t.Errorf("track %s: the ledger says %d ms recorded (%v), its clips are %d ms", track.ID, a.RecordedMS, ok, clips/1e6)
			}
		}
	}
	if tracks != len(done.Tracks) {
		w.t.Errorf("the ledger has %d tracks, the timeline %d", len(done.Tracks), tracks)
	}
}
