package recorder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"consilium/internal/media"
	"consilium/internal/testenv"
)

// picture is one encoded frame, or one audio packet.
type picture struct {
	data []byte
	key  bool
}

// sent is a packet and when it comes, counted from the start of the recording.
type sent struct {
	at  time.Duration
	pkt *rtp.Packet
}

// sender makes the packets of a track.
type sender struct {
	codec media.Codec
	ssrc  uint32
	seq   uint16
	ts    uint32
	step  uint32 // RTP time from picture to picture
	pay   rtp.Payloader
}

func newSender(c media.Codec) *sender {
	s := &sender{codec: c, ssrc: 0x1234, seq: 1000, ts: 500_000, step: 3600}
	switch c {
	case media.VP8:
		s.pay = &codecs.VP8Payloader{EnablePictureID: true}
	case media.VP9:
		s.pay = &codecs.VP9Payloader{}
	case media.AV1:
		s.pay = &codecs.AV1Payloader{}
	case media.H264:
		s.pay = &codecs.H264Payloader{}
	case media.Opus:
		s.pay, s.step = &codecs.OpusPayloader{}, 960
	}
	return s
}

// interval is the time from picture to picture.
func (s *sender) interval() time.Duration {
	return media.RTPDuration(int64(s.step), s.codec.ClockRate())
}

// send makes the packets of pictures, the first of which comes at from.
func (s *sender) send(from time.Duration, pictures ...picture) []sent {
	var out []sent
	for i, p := range pictures {
		at := from + time.Duration(i)*s.interval()
		payloads := s.pay.Payload(1100, p.data)
		for n, payload := range payloads {
			out = append(out, sent{at: at, pkt: &rtp.Packet{
				Header: rtp.Header{
					Version: 2, SSRC: s.ssrc, SequenceNumber: s.seq, Timestamp: s.ts,
					Marker: n == len(payloads)-1 && s.codec != media.Opus,
				},
				Payload: payload,
			}})
			s.seq++
		}
		s.ts += s.step
	}
	return out
}

// lab is one recorder and all it said.
type lab struct {
	t       testing.TB
	dir     string
	rec     *Recorder
	began   time.Time
	mu      sync.Mutex // guards reports and asked
	reports []Report
	asked   []time.Duration
	onKey   func()       // called for each keyframe that is asked for
	onTell  func(Report) // called for each report, before it is kept
}

var testTrack = Track{Room: "room", Owner: "owner", ID: "track"}

// inLab runs script with a recorder on a clock of its own, closes the recorder, and checks that every file is what was
// reported.
func inLab(t *testing.T, cfg Config, track Track, script func(*lab)) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir()}
	cfg.Dir = l.dir
	synctest.Test(t, func(t *testing.T) {
		l.t, l.began = t, time.Now()
		var err error
		l.rec, err = New(cfg, track, l.ask, l.tell, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		script(l)
		l.rec.Close("ended")
	})
	l.t = t
	l.verify()
	return l
}

func (l *lab) ask() {
	l.mu.Lock()
	l.asked = append(l.asked, time.Since(l.began))
	l.mu.Unlock()
	if l.onKey != nil {
		l.onKey()
	}
}

func (l *lab) tell(r Report) {
	if l.onTell != nil {
		l.onTell(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports = append(l.reports, r)
}

// askedAt is when keyframes were asked for so far.
func (l *lab) askedAt() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

// play hands packets over, each at its time; packets without order are sorted first.
func (l *lab) play(packets []sent) {
	packets = slices.Clone(packets)
	slices.SortStableFunc(packets, func(a, b sent) int { return int(a.at - b.at) })
	for _, p := range packets {
		l.until(p.at)
		l.rec.RTP(p.pkt, time.Now())
	}
}

// playAsArrived hands packets over in their order; those that say they arrived earlier than the one before come with it.
func (l *lab) playAsArrived(packets []sent) {
	for _, p := range packets {
		l.until(p.at)
		l.rec.RTP(p.pkt, l.began.Add(p.at))
	}
}

// until lets time pass.
func (l *lab) until(at time.Duration) {
	if d := at - time.Since(l.began); d > 0 {
		time.Sleep(d)
	}
}

func reportsOf[R Report](l *lab) []R {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []R
	for _, r := range l.reports {
		if r, ok := r.(R); ok {
			out = append(out, r)
		}
	}
	return out
}

// gaps lists the gaps as "cause from-to" in milliseconds from the start.
func (l *lab) gaps() []string {
	out := []string{}
	for _, g := range reportsOf[Gap](l) {
		out = append(out, fmt.Sprintf("%s %d-%d", g.Cause, g.From.Sub(l.began).Milliseconds(), g.To.Sub(l.began).Milliseconds()))
	}
	return out
}

// reasons lists the segments as "open-close".
func (l *lab) reasons() []string {
	out := []string{}
	for _, s := range reportsOf[Sealed](l) {
		out = append(out, s.OpenReason+"-"+s.CloseReason)
	}
	return out
}

// content is what the segments hold: frames of video, or packets of audio, with their unwrapped RTP time.
type content struct {
	rtp  int64
	data []byte
}

// contents reads the segments back.
func (l *lab) contents() [][]content {
	l.t.Helper()
	var out [][]content
	for _, s := range reportsOf[Sealed](l) {
		out = append(out, contentOf(l.t, s.Segment, s.Path))
	}
	return out
}

func contentOf(t testing.TB, s media.Segment, path string) []content {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []content
	if s.Codec == media.Opus {
		at := s.FirstRTP
		for _, p := range oggPackets(t, b) {
			n, err := media.OpusDuration(p)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, content{at, p})
			at += int64(n)
		}
		return out
	}
	scan, err := media.ScanIVF(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range scan.Frames {
		out = append(out, content{s.FirstRTP + f.PTS, b[f.Offset:f.End()]})
	}
	return out
}

// verify holds every file against what was reported of it.
func (l *lab) verify() {
	l.t.Helper()
	sealed := reportsOf[Sealed](l)
	opened := reportsOf[Opened](l)
	if len(opened) != len(sealed) {
		l.t.Errorf("%d segments opened, %d sealed", len(opened), len(sealed))
	}
	var want []string
	total := int64(0)
	for _, s := range sealed { // a disk that fails seals them in another order
		if i := slices.IndexFunc(opened, func(o Opened) bool { return o.ID == s.ID }); i < 0 {
			l.t.Errorf("segment %s was sealed and never opened", s.ID)
		} else {
			o := opened[i]
			if o.FirstRTP != s.FirstRTP || !o.Arrival.Equal(s.Arrival) || o.OpenReason != s.OpenReason || o.Frames == 0 {
				l.t.Errorf("segment was opened as\n%+v\nand sealed as\n%+v", o.Segment, s.Segment)
			}
		}
		checkSealed(l.t, l.dir, s.Segment, s.Path)
		want = append(want, filepath.Join("room", s.FileName()+".sealed"), filepath.Join("room", s.ID+".json"))
		total += s.Bytes
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, tree(l.t, l.dir)); diff != "" {
		l.t.Errorf("files on disk:\n%s", diff)
	}
	if l.rec.Bytes() != total {
		l.t.Errorf("Bytes says %d, the segments have %d", l.rec.Bytes(), total)
	}
}

// checkSealed holds one sealed segment against its file and sidecar.
func checkSealed(t testing.TB, dir string, s media.Segment, path string) {
	t.Helper()
	if want := filepath.Join(dir, s.Room, s.FileName()+media.SealedExtension); path != want {
		t.Errorf("path %s, want %s", path, want)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if s.Bytes != int64(len(b)) || s.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("segment %s: %d bytes %s reported, %d bytes %x in the file", s.ID, s.Bytes, s.SHA256, len(b), sum)
	}
	raw, err := os.ReadFile(filepath.Join(dir, s.Room, s.SidecarName()))
	if err != nil {
		t.Fatal(err)
	}
	var side media.Segment
	if err := json.Unmarshal(raw, &side); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, side); diff != "" {
		t.Errorf("report against sidecar:\n%s", diff)
	}
	if s.Codec == media.Opus {
		ogg, err := media.ScanOgg(bytes.NewReader(b))
		if err != nil || !ogg.Ended || ogg.Good != s.Bytes || ogg.Packets != s.Frames || ogg.Samples != s.EndRTP-s.FirstRTP {
			t.Errorf("segment %+v\nscans as %+v, error %v", s, ogg, err)
		}
		return
	}
	ivf, err := media.ScanIVF(bytes.NewReader(b))
	if err != nil || ivf.Good != s.Bytes || int64(len(ivf.Frames)) != s.Frames {
		t.Fatalf("segment %+v\nscans as %d frames, %d good bytes, error %v", s, len(ivf.Frames), ivf.Good, err)
	}
	wantHeader := media.IVFHeader{Codec: s.Codec, Width: s.Width, Height: s.Height, Den: 90000, Num: 1, Frames: uint32(s.Frames)}
	if diff := cmp.Diff(wantHeader, ivf.Header); diff != "" {
		t.Errorf("IVF header:\n%s", diff)
	}
	for i, f := range ivf.Frames {
		if i == 0 && (!f.Key || f.PTS != 0) {
			t.Errorf("segment %s begins with %+v", s.ID, f)
		}
		if f.Key && (f.Width != s.Width || f.Height != s.Height) {
			t.Errorf("segment %s is %dx%d and holds a keyframe of %dx%d", s.ID, s.Width, s.Height, f.Width, f.Height)
		}
	}
	if last := s.FirstRTP + ivf.Frames[len(ivf.Frames)-1].PTS; s.LastRTP != last || s.EndRTP != last {
		t.Errorf("segment %s: last RTP %d, end %d, want %d", s.ID, s.LastRTP, s.EndRTP, last)
	}
}

// tree lists the files below dir.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// want is what sent packets should read back as: whole pictures with their RTP time.
func want(first int64, step int64, pictures ...picture) []content {
	var out []content
	for i, p := range pictures {
		out = append(out, content{first + int64(i)*step, p.data})
	}
	return out
}

// sameContent compares quickly and reports briefly.
func sameContent(t testing.TB, want, got []content) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			t.Fatalf("%d frames or packets, want %d: the one at RTP %d is missing", len(got), len(want), want[i].rtp)
		case i >= len(want):
			t.Fatalf("%d frames or packets, want %d: the one at RTP %d is too much", len(got), len(want), got[i].rtp)
		case want[i].rtp != got[i].rtp || !bytes.Equal(want[i].data, got[i].data):
			t.Fatalf("number %d: %d bytes at RTP %d, want %d bytes at RTP %d", i,
				len(got[i].data), got[i].rtp, len(want[i].data), want[i].rtp)
		}
	}
}

// oggPackets takes the packets out of the pages of an Ogg file, without the two headers.
func oggPackets(t testing.TB, b []byte) [][]byte {
	t.Helper()
	var packets [][]byte
	var open []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" {
			t.Fatalf("no page %d bytes before the end", len(b))
		}
		n := int(b[26])
		table, body := b[27:27+n], b[27+n:]
		for _, lace := range table {
			open = append(open, body[:lace]...)
			body = body[lace:]
			if lace < 255 {
				packets = append(packets, open)
				open = nil
			}
		}
		b = body
	}
	return packets[2:]
}

func runFFmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	path := testenv.Require(t, "ffmpeg")["ffmpeg"]
	cmd := exec.Command(path, append([]string{"-v", "error", "-nostdin", "-y"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// encoded keeps what was encoded once for all tests.
var encoded sync.Map

// pictures lets ffmpeg encode n frames of 25 a second with a keyframe every gop.
func pictures(t testing.TB, c media.Codec, size string, n, gop int) []picture {
	t.Helper()
	name := fmt.Sprint(c, size, n, gop)
	if p, ok := encoded.Load(name); ok {
		return p.([]picture)
	}
	encoder := map[media.Codec][]string{
		media.VP8:  {"libvpx", "-deadline", "good", "-cpu-used", "5", "-threads", "1", "-error-resilient", "1", "-auto-alt-ref", "0", "-f", "ivf"},
		media.VP9:  {"libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"},
		media.AV1:  {"libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-f", "ivf"},
		media.H264: {"libx264", "-preset", "ultrafast", "-bf", "0", "-x264-params", "aud=1", "-f", "h264"},
	}[c]
	args := []string{
		"-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=25", "-pix_fmt", "yuv420p",
		"-frames:v", fmt.Sprint(n), "-g", fmt.Sprint(gop), "-keyint_min", fmt.Sprint(gop), "-b:v", "300k", "-c:v",
	}
	raw := runFFmpeg(t, append(append(args, encoder...), "-")...)
	var out []picture
	if c == media.H264 {
		delimiter := []byte{0, 0, 0, 1, 9, 0xf0}
		for _, unit := range bytes.Split(raw, []byte{0, 0, 0, 1, 9})[1:] {
			unit = append(bytes.Clone(delimiter), unit[1:]...)
			key, _, _ := media.Keyframe(c, unit)
			out = append(out, picture{unit, key})
		}
	} else {
		scan, err := media.ScanIVF(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range scan.Frames {
			out = append(out, picture{raw[f.Offset:f.End()], f.Key})
		}
	}
	if len(out) != n {
		t.Fatalf("ffmpeg made %d frames of %s, want %d", len(out), c, n)
	}
	encoded.Store(name, out)
	return out
}

// sound lets ffmpeg encode a tone of that many packets of 20 ms.
func sound(t testing.TB, n int) []picture {
	t.Helper()
	name := fmt.Sprint("sound", n)
	if p, ok := encoded.Load(name); ok {
		return p.([]picture)
	}
	raw := runFFmpeg(t, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", fmt.Sprint(float64(n+1)/50), "-c:a", "libopus", "-b:a", "24k", "-f", "ogg", "-")
	var out []picture
	for _, p := range oggPackets(t, raw)[:n] {
		out = append(out, picture{p, true})
	}
	encoded.Store(name, out)
	return out
}

// repeat strings pictures together n times; the first must be a keyframe.
func repeat(n int, p []picture) []picture {
	var out []picture
	for range n {
		out = append(out, p...)
	}
	return out
}

// videoSums decodes files one after the other and returns a digest of every picture.
func videoSums(t testing.TB, paths ...string) []string {
	t.Helper()
	var sums []string
	for _, path := range paths {
		for line := range strings.Lines(string(runFFmpeg(t, "-f", "ivf", "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-"))) {
			if !strings.HasPrefix(line, "#") {
				sums = append(sums, strings.TrimSpace(line[strings.LastIndex(line, ",")+1:]))
			}
		}
	}
	return sums
}

// pcm decodes one Ogg file to mono samples.
func pcm(t testing.TB, path string) []int16 {
	t.Helper()
	raw := runFFmpeg(t, "-f", "ogg", "-i", path, "-ac", "1", "-f", "s16le", "-")
	out := make([]int16, len(raw)/2)
	for i := range out {
		out[i] = int16(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8)
	}
	return out
}

var discard = slog.New(slog.DiscardHandler)

// writeIVF writes pictures of one codec as they came from the encoder.
func writeIVF(t testing.TB, clip []picture, codec ...media.Codec) string {
	t.Helper()
	c := append(codec, media.VP8)[0]
	_, width, height := media.Keyframe(c, clip[0].data)
	b := media.AppendIVFHeader(nil, media.IVFHeader{Codec: c, Width: width, Height: height, Den: 90000, Num: 1, Frames: uint32(len(clip))})
	for i, p := range clip {
		b = append(media.AppendIVFFrameHeader(b, len(p.data), int64(i)*frameStep), p.data...)
	}
	path := filepath.Join(t.TempDir(), "clip.ivf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
