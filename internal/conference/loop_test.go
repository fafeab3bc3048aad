package conference_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/logtest"
	"consilium/internal/jobs"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
	"consilium/internal/spool"
)

// TestMain lets more tests run beside each other than there are processors: most of the time they wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// limit bounds whatever a test waits for.
const limit = 60 * time.Second

// house is a Manager with all that it works with: a real switch, recorders and a spool on a folder of the test, and the
// log in memory.
type house struct {
	t       *testing.T
	log     *logtest.Memory
	door    *door  // through which everything is appended to it
	blobs   string // folder of the blob store
	spool   string // folder of the recorders
	manager *conference.Manager
	early   chan jobs.Early // the first question that nobody has taken out
}

// names is a directory that knows nobody.
type names struct{}

func (names) Names(context.Context, string) (map[string]string, error) { return nil, nil }

func (names) SheetOf(_ context.Context, id string, roles map[string]string) ([]byte, error) {
	return json.Marshal(map[string]any{"consultation": id, "roles": roles})
}

// open starts a house; shape changes its configuration.
func open(t *testing.T, shape func(*conference.Config)) *house {
	t.Helper()
	h := &house{t: t, early: make(chan jobs.Early, 1), log: logtest.NewMemory(), door: &door{}, blobs: filepath.Join(t.TempDir(), "blobs"), spool: filepath.Join(t.TempDir(), "spool")}
	began := time.Now()
	wall := began.Round(0).UTC()
	h.door.Log = h.log
	now := func() time.Time { return wall.Add(time.Since(began)) }
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("CONFERENCE_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	blobs, err := blob.Open(t.Context(), "file://"+h.blobs)
	if err != nil {
		t.Fatal(err)
	}
	sw, err := sfu.New(sfu.Config{MediaListen: "127.0.0.1:0", Now: now, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	sp := spool.New(spool.Config{Dir: h.spool, Retry: 50 * time.Millisecond, RetryMax: 200 * time.Millisecond}, blobs,
		func(ctx context.Context, s media.Segment, key string) error {
			return h.manager.SegmentStored(ctx, s, key)
		}, logger)
	cfg := conference.Config{Node: "n", QualityDir: t.TempDir(), Recorder: recorder.Config{Dir: h.spool, Now: now}}
	if shape != nil {
		shape(&cfg)
	}
	h.manager, err = conference.New(cfg, conference.Deps{
		Log: h.log, Appender: appender.New(h.door, logger, nil), SFU: sw, Spool: sp, Blobs: blobs, Directory: names{},
		Now: now, Logger: logger,
		Early: func(_ context.Context, e jobs.Early) error {
			select {
			case h.early <- e:
			default: // most tests do not look
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.manager.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	spooling, stop := context.WithCancel(context.Background())
	var carrying sync.WaitGroup
	carrying.Go(func() {
		if err := sp.Run(spooling); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		stop()
		carrying.Wait()
		if err := errors.Join(sw.Close(), blobs.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// meeting is one consultation in a house.
type meeting struct {
	*house
	id     string
	people []string
}

// schedule makes a consultation with as many people; the first one is the clinician.
func (h *house) schedule(policy events.Policy, people int) *meeting {
	h.t.Helper()
	m := &meeting{house: h, id: events.NewID()}
	cmd := consultation.Schedule{Policy: policy, Layout: "grid", Language: "en"}
	for i := range people {
		role := events.RolePatient
		if i == 0 {
			role = events.RoleClinician
		}
		m.people = append(m.people, events.NewID())
		cmd.Participants = append(cmd.Participants, consultation.Invite{ID: m.people[i], Role: role})
	}
	m.wish(cmd)
	return m
}

// wish appends a command.
func (m *meeting) wish(cmd consultation.Command) {
	m.t.Helper()
	if _, err := m.manager.Command(m.t.Context(), m.id, "", cmd); err != nil {
		m.t.Fatalf("%T: %v", cmd, err)
	}
}

func (m *meeting) answer(who string, answer consultation.Answer) {
	m.t.Helper()
	m.wish(consultation.AnswerConsent{Participant: who, Answer: answer, Consent: events.Consent{
		TextSHA256: events.NoHash, Language: "en", By: events.BySelf,
	}})
}

// history is all that the log says.
func (m *meeting) history() []events.Stored {
	m.t.Helper()
	all, err := events.ReadAll(context.Background(), m.log, m.id)
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// await waits until the log has an event that fits, and gives it.
func await[E events.Event](m *meeting, what string, fits func(events.Stored, E) bool) (events.Stored, E) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for s, err := range m.log.Follow(ctx, 0, events.Filter{Consultation: m.id}) {
		if err != nil {
			m.t.Fatal(err)
		}
		if e, ok := s.Event.(E); ok && fits(s, e) {
			return s, e
		}
	}
	var types []string
	for _, s := range m.history() {
		types = append(types, string(s.Type))
	}
	m.t.Fatalf("%s did not come to pass; the log has %s", what, strings.Join(types, " "))
	panic("unreachable")
}

func whatever[E events.Event](events.Stored, E) bool { return true }

// onDisk is how many bytes of the consultation's media files are on the disk, in the spool and in the blob store, by
// the track that the files' sidecars name.
func (m *meeting) onDisk() map[string]int64 {
	m.t.Helper()
	all := map[string]int64{}
	for _, dir := range []string{filepath.Join(m.spool, m.id), filepath.Join(m.blobs, "c", m.id, "segments")} {
		files, _ := os.ReadDir(dir) // nothing was written yet, or the folder went with its last file
		for _, f := range files {
			id, ext, _ := strings.Cut(f.Name(), ".")
			info, err := f.Info()
			if err != nil || ext == "json" || strings.HasSuffix(ext, "tmp") {
				continue
			}
			all[id] = max(all[id], info.Size())
		}
	}
	return all
}

func (m *meeting) total() int64 {
	sum := int64(0)
	for _, n := range m.onDisk() {
		sum += n
	}
	return sum
}

// screen is a participant's page: what it is shown, and its real PeerConnection.
type screen struct {
	m   *meeting
	who string
	att *conference.Attendance
	pc  *webrtc.PeerConnection

	mu      sync.Mutex // guards what follows
	view    conference.View
	changed chan struct{} // closed and replaced when view is
	ended   string
	early   []webrtc.ICECandidateInit // before the answer
	ready   bool
}

// Show implements conference.Client, as what follows.
func (s *screen) Show(v conference.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *screen) Candidate(c sfu.Candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	init := webrtc.ICECandidateInit{Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex}
	if !s.ready {
		s.early = append(s.early, init)
	} else if c.Candidate != "" {
		_ = s.pc.AddICECandidate(init) // one that does not fit is not missed
	}
}

func (s *screen) PleaseOffer(int, int) {} // nobody looks at what the others send

func (s *screen) Ended(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = reason
}

// attend opens a participant's screen and joins.
func (m *meeting) attend(i int) *screen {
	m.t.Helper()
	s := &screen{m: m, who: m.people[i], changed: make(chan struct{})}
	c, err := m.manager.Host(m.t.Context(), m.id)
	if err != nil {
		m.t.Fatal(err)
	}
	s.att, err = c.Attend(m.t.Context(), conference.Visitor{Participant: s.who}, s)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := s.att.Join(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	return s
}

// sees waits until what the screen says of a participant is that, and gives how long it took.
func (s *screen) sees(who, recorded string, within time.Duration) time.Duration {
	s.m.t.Helper()
	began := time.Now()
	late := time.After(within)
	for {
		s.mu.Lock()
		word, changed := "", s.changed
		for _, p := range s.view.Participants {
			if p.ID == who {
				word = p.Recorded
			}
		}
		s.mu.Unlock()
		if word == recorded {
			return time.Since(began)
		}
		select {
		case <-changed:
		case <-late:
			s.m.t.Fatalf("the screen says %q of %s and not %q within %v", word, who, recorded, within)
		}
	}
}

// records waits until files of that many tracks have begun. The screen says "yes" of a participant with the first of them.
func (m *meeting) records(tracks int) {
	m.t.Helper()
	begun := map[string]bool{}
	await(m, fmt.Sprintf("the recording of %d tracks", tracks), func(_ events.Stored, e events.SegmentOpened) bool {
		begun[e.Track] = true
		return len(begun) == tracks
	})
}

// sending is what a participant sends until it is told to be silent.
type sending struct {
	mu     sync.Mutex // guards silent
	silent bool
}

func (s *sending) hush(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

func (s *sending) hushed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent
}

// publish connects and sends a camera and a microphone until the test ends.
func (s *screen) publish() *sending {
	t := s.m.t
	t.Helper()
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	var err error
	if s.pc, err = webrtc.NewAPI(webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{}); err != nil {
		t.Fatal(err)
	}
	video := s.line(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "camera")
	audio := s.line(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "microphone")
	s.offer()
	out := &sending{}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { send(out, stop, video, 40*time.Millisecond, 3600, picture) })
	running.Go(func() { send(out, stop, audio, 20*time.Millisecond, 960, sound) })
	t.Cleanup(func() {
		close(stop)
		running.Wait()
		if err := s.pc.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}

func (s *screen) line(c webrtc.RTPCodecCapability, id string) *webrtc.TrackLocalStaticRTP {
	s.m.t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(c, id, s.who)
	if err != nil {
		s.m.t.Fatal(err)
	}
	if _, err := s.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		s.m.t.Fatal(err)
	}
	return track
}

// offer makes an offer with all candidates, and applies the answer.
func (s *screen) offer() {
	t := s.m.t
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(s.pc)
	o, err := s.pc.CreateOffer(nil)
	if err == nil {
		err = s.pc.SetLocalDescription(o)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-gathered
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	answer, _, err := s.att.Offer(ctx, s.pc.LocalDescription().SDP, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	early := s.early
	s.ready = true
	s.mu.Unlock()
	for _, c := range early {
		if c.Candidate != "" {
			_ = s.pc.AddICECandidate(c)
		}
	}
}

// send writes a packet every so often. Its RTP time goes on while it is silent, as that of a real sender does.
func send(out *sending, stop <-chan struct{}, track *webrtc.TrackLocalStaticRTP, every time.Duration, ticks uint32, payload func(n int) []byte) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	seq, last := uint16(1), time.Duration(-1)
	began := time.Now()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-clock.C:
		}
		if out.hushed() {
			continue
		}
		last = max(last+1, time.Since(began)/every) // a late tick and the one behind it are two frames all the same
		p := &rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: true, SequenceNumber: seq, Timestamp: uint32(last) * ticks},
			Payload: payload(n),
		}
		seq++
		_ = track.WriteRTP(p) // before and after the connection there is nobody to write to
	}
}

// picture is a VP8 frame in one packet, every fifth of them a keyframe of 320x180. Nobody decodes it.
func picture(n int) []byte {
	frame := make([]byte, 600)
	frame[0] = 0x10 // begins partition 0 (RFC 7741 §4.2)
	if n%5 > 0 {
		frame[1] = 0x11 // a shown interframe (RFC 6386 §9.1)
		return frame
	}
	copy(frame[1:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 320 & 0xff, 320 >> 8, 180, 0})
	return frame
}

// sound is an Opus packet of 20 ms.
func sound(int) []byte {
	return slices.Concat([]byte{0xf8}, make([]byte, 80))
}

// settle is how long writing may go on after it must not: the promise of pauses and withdrawals.
const settle = 2 * time.Second

// still asserts that nothing is written to the files that keep selects, from settle after began on, for a second.
func (m *meeting) still(began time.Time, keep func(segment string) bool) {
	m.t.Helper()
	sum := func() (n int64) {
		for id, size := range m.onDisk() {
			if keep(id) {
				n += size
			}
		}
		return n
	}
	<-time.After(time.Until(began.Add(settle)))
	before := sum()
	<-time.After(time.Second) // of proof, nothing is waited for
	if after := sum(); after != before {
		m.t.Errorf("%d bytes were written later than %v after it had to stop", after-before, settle)
	}
}

func all(string) bool { return true }

// of selects the segments of one participant.
func (m *meeting) of(who string) func(string) bool {
	owner := map[string]string{}
	for _, s := range m.history() {
		if e, ok := s.Event.(events.SegmentOpened); ok {
			owner[e.Segment] = s.Participant
		}
	}
	return func(id string) bool { return owner[id] == who }
}

func TestNothingIsWrittenBeforeConsentAndMuchSoonAfter(t *testing.T) {
	t.Parallel()
	m := open(t, nil).schedule(events.PolicyOptional, 1)
	s := m.attend(0)
	s.publish()
	await(m, "the camera", func(_ events.Stored, e events.TrackStarted) bool { return e.Kind == "video" })
	<-time.After(1500 * time.Millisecond) // of sending without an answer
	if n := m.total(); n > 0 {
		t.Fatalf("%d bytes are on the disk and nobody agreed", n)
	}
	s.sees(s.who, "no", time.Second)
	m.answer(s.who, consultation.Given)
	took := s.sees(s.who, "yes", limit)
	t.Logf("bytes reached the disk %v after the answer", took.Round(10*time.Millisecond))
	given, _ := await(m, "the consent", whatever[events.ConsentGiven])
	for _, e := range m.history() {
		if o, ok := e.Event.(events.SegmentOpened); ok && (e.Seq < given.Seq || o.Arrival.Before(given.Time)) {
			t.Errorf("segment %s begins before the consent", o.Segment)
		}
	}
}

func TestAPauseStopsAllWritingAndAResumptionStartsIt(t *testing.T) {
	slow(t)
	m := open(t, nil).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	m.records(2)
	m.wish(consultation.Pause{Reason: "examination"})
	paused, _ := await(m, "the pause", whatever[events.RecordingPaused])
	s.sees(s.who, "no", limit)
	m.still(paused.Time, all)
	m.wish(consultation.Resume{Reason: "examination"})
	s.sees(s.who, "yes", limit)
	before := m.total()
	await(m, "a file after the pause", func(_ events.Stored, e events.SegmentOpened) bool { return e.Reason == "resumed" })
	eventually(t, "more bytes", func() bool { return m.total() > before })
	checkAccounts(t, m.finish(), func(a events.TrackAccount) error {
		if a.GapsMS["paused"] < 2900 {
			return fmt.Errorf("the pause of three seconds is not in %v", a.GapsMS)
		}
		return nil
	})
}

func TestAWithdrawalStopsTheWritingOfOneAndOfNobodyElse(t *testing.T) {
	slow(t)
	m := open(t, nil).schedule(events.PolicyOptional, 2)
	m.answer(m.people[0], consultation.Given)
	m.answer(m.people[1], consultation.Given)
	doctor, patient := m.attend(0), m.attend(1)
	doctor.publish()
	patient.publish()
	doctor.sees(m.people[0], "yes", limit)
	doctor.sees(m.people[1], "yes", limit)
	m.records(4)
	m.answer(m.people[1], consultation.Withdrawn)
	withdrawn, _ := await(m, "the withdrawal", whatever[events.ConsentWithdrawn])
	doctor.sees(m.people[1], "no", limit)
	before := m.total()
	m.still(withdrawn.Time, m.of(m.people[1]))
	doctor.sees(m.people[0], "yes", time.Second)
	if m.total() == before {
		t.Error("nobody was written any more")
	}
	checkAccounts(t, m.finish(), nil)
}

// The screen knows before it offers whether this process has a connection of its own: after a restart it makes one and not
// two. And it knows who is neither seen nor heard for want of a consent.
func TestTheScreenKnowsOfItsConnectionAndOfWhoIsSilenced(t *testing.T) {
	m := open(t, nil).schedule(events.PolicyRequired, 2)
	m.answer(m.people[0], consultation.Given)
	m.answer(m.people[1], consultation.Given)
	doctor, patient := m.attend(0), m.attend(1)
	patient.publish()
	for _, s := range []*screen{doctor, patient} {
		o, err := s.att.Overview(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := s == patient; o.View.HasConnection != want {
			t.Errorf("the view says %v of a connection, want %v", o.View.HasConnection, want)
		}
	}
	silenced := func() string {
		o, err := doctor.att.Overview(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, p := range o.View.Participants {
			if p.Silenced {
				all += p.ID
			}
		}
		return all
	}
	if got := silenced(); got != "" {
		t.Errorf("%s is silenced, and everybody has agreed", got)
	}
	m.answer(m.people[1], consultation.Withdrawn)
	doctor.sees(m.people[1], "no", limit)
	if got := silenced(); got != m.people[1] {
		t.Errorf("silenced is %q, want the patient %s", got, m.people[1])
	}
}

func TestASilentTrackStallsAndResumes(t *testing.T) {
	slow(t)
	m := open(t, func(c *conference.Config) { c.Stall = time.Second }).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	out := s.publish()
	s.sees(s.who, "yes", limit)
	m.records(2)
	out.hush(true)
	_, stalled := await(m, "a stall", whatever[events.TrackStalled])
	if stalled.AfterMS < 1000 || stalled.AfterMS > 4000 {
		t.Errorf("the stall was noticed after %d ms", stalled.AfterMS)
	}
	s.sees(s.who, "yes", time.Second) // nothing comes, so nothing is lost
	ended := 0
	await(m, "the end of both files", func(_ events.Stored, e events.SegmentSealed) bool {
		if e.Reason == "silence" {
			ended++
		}
		return ended == 2
	})
	out.hush(false)
	await(m, "the end of the stall", whatever[events.TrackResumed])
	await(m, "a new file", func(_ events.Stored, e events.SegmentOpened) bool { return e.Reason == "silence" })
	_, anchored := await(m, "a report", func(_ events.Stored, e events.SegmentAnchored) bool { return len(e.Anchors) > 1 })
	for _, a := range anchored.Anchors {
		if a.RTTUS <= 0 {
			t.Errorf("an observation of kind %s comes without a round trip", a.Kind)
		}
	}
	checkAccounts(t, m.finish(), func(a events.TrackAccount) error {
		if a.GapsMS["stall"] < 1500 {
			return fmt.Errorf("the stall is not in %v", a.GapsMS)
		}
		return nil
	})
}

// finish ends the consultation and gives its completion.
func (m *meeting) finish() events.ConsultationCompleted {
	m.t.Helper()
	m.wish(consultation.End{Reason: events.EndedClosed})
	_, completed := await(m, "the completion", whatever[events.ConsultationCompleted])
	await(m, "the order of the archive", func(_ events.Stored, e events.ArchiveRequested) bool { return e.Version == 1 })
	return completed
}

// checkAccounts asserts that the account of every track closes and passes more.
func checkAccounts(t *testing.T, c events.ConsultationCompleted, more func(events.TrackAccount) error) {
	t.Helper()
	if len(c.Tracks) == 0 {
		t.Error("there are no accounts")
	}
	for _, a := range c.Tracks {
		sum := a.RecordedMS
		for _, ms := range a.GapsMS {
			sum += ms
		}
		if sum != a.ExpectedMS || a.RecordedMS <= 0 || a.Frames <= 0 || a.Bytes <= 0 {
			t.Errorf("account %+v: recorded and gaps are %d", a, sum)
		}
		if more == nil {
			continue
		}
		if err := more(a); err != nil {
			t.Errorf("track %s: %v", a.Track, err)
		}
	}
}

// slow leaves a test out of the quick run.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(limit); !holds(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: did not come to pass", what)
		}
	}
}

// block puts a file in the place of a folder, so that nothing can be made in it, whoever tries. It gives the way back.
func block(t *testing.T, dir string) (free func()) {
	t.Helper()
	aside := dir + ".aside"
	if err := errors.Join(os.Rename(dir, aside), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(dir), os.Rename(aside, dir)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheScreenIsRedWithinFiveSecondsWhenNothingReachesTheDisk(t *testing.T) {
	slow(t)
	// Files are cut often: a file that is open can be written to whatever becomes of its folder.
	m := open(t, func(c *conference.Config) {
		c.Recorder.Rotate, c.Recorder.KeyframeAt, c.Recorder.HardCut = time.Second, time.Second, 2*time.Second
		c.GiveUp = 2 * time.Second // a file that could not be sealed is found again at the next start only
	}).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	free := block(t, m.spool)
	took := s.sees(s.who, "failed", 8*time.Second) // the files of the moment go on for as long as they are cut
	t.Logf("red after %v", took.Round(10*time.Millisecond))
	free()
	s.sees(s.who, "yes", limit)
	await(m, "the gap", func(_ events.Stored, e events.SegmentGap) bool { return e.Cause == "overrun" })
	overrun := int64(0)
	completed := m.finish()
	checkAccounts(t, completed, func(a events.TrackAccount) error {
		overrun = max(overrun, a.GapsMS["overrun"])
		return nil
	})
	if overrun < 3000 { // of one track at least: a busy machine may add troubles of its own
		t.Errorf("the time without a disk is not in %+v", completed.Tracks)
	}
}

func TestABlobStoreThatIsAwayIsNoReasonForRed(t *testing.T) {
	slow(t)
	m := open(t, func(c *conference.Config) { c.Recorder.Rotate = 500 * time.Millisecond }).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	free := block(t, m.blobs)
	sealed, _ := await(m, "a file", whatever[events.SegmentSealed])
	ahead := sealed.Time.Add(5500 * time.Millisecond)
	await(m, "more files", func(e events.Stored, _ events.SegmentSealed) bool { return e.Time.After(ahead) })
	s.sees(s.who, "yes", time.Second)
	free()
	if c := m.finish(); len(c.Missing) > 0 {
		t.Errorf("%d segments are missing", len(c.Missing))
	}
}

// TestADamagedFileIsNamedAndNotWaitedFor damages a sealed file on its way to the blob store.
func TestADamagedFileIsNamedAndNotWaitedFor(t *testing.T) {
	slow(t)
	m := open(t, nil).schedule(events.PolicyRequired, 1)
	m.answer(m.people[0], consultation.Given)
	s := m.attend(0)
	s.publish()
	s.sees(s.who, "yes", limit)
	free := block(t, m.blobs)
	m.wish(consultation.End{Reason: events.EndedClosed})
	var victim string
	eventually(t, "a sealed picture", func() bool {
		files, _ := filepath.Glob(filepath.Join(m.spool, m.id, "*.ivf.sealed"))
		if len(files) > 0 {
			victim = files[0]
		}
		return len(files) > 0
	})
	raw, err := os.ReadFile(victim)
	if err == nil {
		raw[len(raw)/2] ^= 1
		err = os.WriteFile(victim, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	free()
	_, completed := await(m, "the completion", whatever[events.ConsultationCompleted])
	id, _, _ := strings.Cut(filepath.Base(victim), ".")
	if want := []events.MissingSegment{{Segment: id, Cause: "corrupt"}}; !slices.Equal(completed.Missing, want) {
		t.Errorf("missing are %v, want %v", completed.Missing, want)
	}
	corrupt := 0
	for _, a := range completed.Tracks {
		if a.GapsMS["corrupt"] > 0 {
			corrupt++
		}
	}
	if corrupt != 1 {
		t.Errorf("the accounts %+v do not name what is damaged", completed.Tracks)
	}
}

// TestWhatACrashTookIsNamed takes over a consultation whose process had begun a file that nobody finds.
func TestWhatACrashTookIsNamed(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *conference.Config) { c.Search = 300 * time.Millisecond })
	m := &meeting{house: h, id: events.NewID(), people: []string{events.NewID()}}
	track, segment := events.NewID(), events.NewID()
	var drafts []events.Draft
	for _, e := range []events.Event{
		events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "en"},
		events.ParticipantInvited{Role: events.RolePatient},
		events.ConsentGiven{Consent: events.Consent{By: events.BySelf}},
		events.ConferenceHosted{Epoch: 1, Node: "n"},
		events.ConsultationOpened{Policy: events.PolicyRequired, Layout: "grid", Language: "en"},
		events.ParticipantJoined{Role: events.RolePatient},
		events.TrackStarted{Connection: events.NewID(), Track: track, Kind: "video", Source: "camera", Codec: "VP8", SSRC: 1},
		events.SegmentOpened{Segment: segment, Track: track, SSRC: 1, Codec: "VP8", ClockRate: 90000, Arrival: time.Now(), Reason: "started"},
	} {
		d := events.NewDraft("/live/n", time.Now(), e)
		d.Participant = m.people[0]
		drafts = append(drafts, d)
	}
	if _, err := m.log.Append(t.Context(), m.id, events.Version{}, drafts...); err != nil {
		t.Fatal(err)
	}
	await(m, "the take-over", func(_ events.Stored, e events.ConferenceHosted) bool { return e.Epoch == 2 })
	completed := m.finish()
	if want := []events.MissingSegment{{Segment: segment, Cause: "crash"}}; !slices.Equal(completed.Missing, want) {
		t.Errorf("missing are %v, want %v", completed.Missing, want)
	}
	if len(completed.Tracks) != 1 || completed.Tracks[0].GapsMS["crash"] != completed.Tracks[0].ExpectedMS {
		t.Errorf("the accounts %+v do not name the crash", completed.Tracks)
	}
}

func TestAScreenThatNeverOffersIsTimedOut(t *testing.T) {
	t.Parallel()
	m := open(t, func(c *conference.Config) { c.Signaling = 500 * time.Millisecond }).schedule(events.PolicyRequired, 2)
	m.answer(m.people[0], consultation.Given)
	m.answer(m.people[1], consultation.Given)
	m.attend(0)
	m.attend(1).publish()
	s, e := await(m, "the time-out", whatever[events.ConnectionTimedOut])
	want := events.ConnectionTimedOut{Phase: "signaling", AfterMS: e.AfterMS, Code: "SIGNALING-TIMEOUT"}
	if e != want || s.Participant != m.people[0] || e.AfterMS < 500 || e.AfterMS > 5000 {
		t.Errorf("got %+v of %s", e, s.Participant)
	}
	await(m, "the other's picture", whatever[events.SegmentOpened])
	for _, other := range m.history() {
		if _, ok := other.Event.(events.ConnectionTimedOut); ok && other.Seq != s.Seq {
			t.Errorf("it was said twice, of %s", other.Participant)
		}
	}
}
