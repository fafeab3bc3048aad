package e2e

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// watchCapture runs before the page's own scripts. It reads a copy of what getUserMedia gives: of each frame it keeps
// the time and a small grey picture in which a cell of simpeer's bar is 4 by 4 points, of the sound the times and the
// samples. A frame's time counts from the start of the machine and that of sound from the start of the page, so for the
// first pictures it asks a video element too, which knows the time of capture on the page's clock.
const watchCapture = `(() => {
	const W = 52, H = 48, devices = navigator.mediaDevices;
	if (!devices) return;
	let asked = 0;
	const errors = [], frames = [], sounds = [], shown = [];
	const failed = (error) => errors.push(String(error));
	const watch = async (track, maxBufferSize, read) => {
		const reader = new MediaStreamTrackProcessor({ track, maxBufferSize }).readable.getReader();
		for (;;) {
			const { value, done } = await reader.read();
			if (done) return;
			try { await read(value, performance.now()); } finally { value.close(); }
		}
	};
	let pixels = new Uint8Array(0);
	const onFrame = async (frame, now) => {
		if (frame.allocationSize() > pixels.length) pixels = new Uint8Array(frame.allocationSize());
		const [{ offset, stride }] = await frame.copyTo(pixels); // the first plane is the brightness
		const { width, height } = frame.visibleRect, small = new Uint8Array(W * H);
		for (let y = 0; y < H; y++) {
			const line = offset + Math.floor((y + 0.5) * height / H) * stride;
			for (let x = 0; x < W; x++) small[y * W + x] = pixels[line + Math.floor((x + 0.5) * width / W)];
		}
		frames.push({ at: frame.timestamp, now, small });
	};
	const onSound = async (data, now) => {
		const samples = new Float32Array(data.numberOfFrames);
		data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
		sounds.push({ at: data.timestamp, now, rate: data.sampleRate, samples: Int16Array.from(samples, (v) => v * 32767) });
	};
	const show = async (track) => {
		const video = document.createElement("video");
		video.muted = true;
		video.srcObject = new MediaStream([track]);
		const onShown = (now, { captureTime }) => {
			shown.push(captureTime);
			if (shown.length < 50) video.requestVideoFrameCallback(onShown);
			else { video.srcObject = null; track.stop(); }
		};
		video.requestVideoFrameCallback(onShown);
		await video.play();
	};
	const ask = devices.getUserMedia.bind(devices);
	devices.getUserMedia = async (constraints) => {
		const stream = await ask(constraints);
		asked++;
		for (const track of stream.getAudioTracks()) watch(track.clone(), 1000, onSound).catch(failed);
		for (const track of stream.getVideoTracks()) {
			watch(track.clone(), 100, onFrame).catch(failed);
			show(track.clone()).catch(failed);
		}
		return stream;
	};
	const base64 = (arrays) => {
		let text = "";
		for (const a of arrays) text += String.fromCharCode(...new Uint8Array(a.buffer));
		return btoa(text);
	};
	window.capturedSoFar = () => ({
		asked, errors, shown, originMs: performance.timeOrigin,
		rates: [...new Set(sounds.map((s) => s.rate))],
		frameUs: frames.map((f) => f.at), frameNowMs: frames.map((f) => f.now), pictures: base64(frames.map((f) => f.small)),
		soundUs: sounds.map((s) => s.at), soundNowMs: sounds.map((s) => s.now),
		soundLengths: sounds.map((s) => s.samples.length), samples: base64(sounds.map((s) => s.samples)),
	});
})()`

// captured is what the page says of its own capture. Times in ms count from OriginMs.
type captured struct {
	Asked        int       `json:"asked"` // how often the page asked for devices
	Errors       []string  `json:"errors"`
	Shown        []float64 `json:"shown"` // when pictures were captured, ms
	OriginMs     float64   `json:"originMs"`
	Rates        []int     `json:"rates"` // all sample rates
	FrameUs      []float64 `json:"frameUs"`
	FrameNowMs   []float64 `json:"frameNowMs"` // when the frame was read
	Pictures     []byte    `json:"pictures"`   // 52 by 48 points each
	SoundUs      []float64 `json:"soundUs"`
	SoundNowMs   []float64 `json:"soundNowMs"`
	SoundLengths []int     `json:"soundLengths"`
	Samples      []byte    `json:"samples"` // 16 bits, little endian
}

// frameSeen is a frame that the camera gave. At is on the wall clock.
type frameSeen struct {
	Number int
	At     time.Time
}

// wall makes of milliseconds on the page's clock a time.
func (c *captured) wall(ms float64) time.Time {
	return time.UnixMicro(int64(c.OriginMs * 1000)).Add(time.Duration(ms * float64(time.Millisecond)))
}

// soonest is the least time between what a time stamp says and when its frame or sound was read.
func soonest(us, nowMs []float64) float64 {
	least := math.Inf(1)
	for i, now := range nowMs {
		least = min(least, now-us[i]/1000)
	}
	return least
}

// frameClock finds what to add to a frame's time stamp, in ms, to have it on the page's clock: the picture that the
// video element says was captured then is the nearest one that was read no sooner.
func (c *captured) frameClock(t *testing.T) float64 {
	t.Helper()
	rough := soonest(c.FrameUs, c.FrameNowMs)
	var exact []float64
	for _, shown := range c.Shown {
		best := math.Inf(1)
		for _, us := range c.FrameUs {
			if off := shown - us/1000; math.Abs(off-rough) < math.Abs(best-rough) {
				best = off
			}
		}
		exact = append(exact, best)
	}
	slices.Sort(exact)
	if len(exact) < 20 {
		t.Fatalf("the page showed %d pictures with a time of capture", len(exact))
	}
	// Both are the same times, rounded to 0.1 ms; a few pictures at the beginning may have been read by one alone.
	low, high := exact[len(exact)/10], exact[len(exact)*9/10]
	if high-low > 1 || math.Abs(low-rough) > 10 {
		t.Fatalf("the clock of frames is %.2f to %.2f ms from that of the page, by the time of reading at most %.2f", low, high, rough)
	}
	return exact[len(exact)/2]
}

// frames reads the frames that the camera gave.
func (c *captured) frames(t *testing.T) []frameSeen {
	t.Helper()
	const width, height = 52, 48
	add := c.frameClock(t)
	var all []frameSeen
	for i, us := range c.FrameUs {
		img := &image.Gray{Pix: c.Pictures[i*width*height:][:width*height], Stride: width, Rect: image.Rect(0, 0, width, height)}
		r, ok := simpeer.ReadFrame(img, img.Rect)
		if !ok {
			t.Fatalf("frame %d of the camera cannot be read", i)
		}
		all = append(all, frameSeen{Number: r.Number, At: c.wall(us/1000 + add)})
	}
	return all
}

// beeps finds the beeps that the microphone gave. The time of a sample is taken from the pieces around it: a single
// time stamp is late when the machine is busy.
func (c *captured) beeps(t *testing.T, tone int) []time.Time {
	t.Helper()
	if !slices.Equal(c.Rates, []int{48000}) {
		t.Fatalf("the microphone has sample rates %v", c.Rates)
	}
	if off := soonest(c.SoundUs, c.SoundNowMs); off < 0 || off > 10 {
		t.Fatalf("sound is read %.2f ms after its time at the soonest: its clock is not that of the page", off)
	}
	samples := make([]float64, len(c.Samples)/2)
	for i := range samples {
		samples[i] = float64(int16(binary.LittleEndian.Uint16(c.Samples[2*i:]))) / math.MaxInt16
	}
	begins := make([]int, len(c.SoundUs)) // the first sample of each piece
	late := make([]time.Duration, len(c.SoundUs))
	for i, n := 0, 0; i < len(begins); i++ {
		begins[i] = n
		late[i] = time.Duration(c.SoundUs[i]*1000) - time.Duration(n)*time.Second/48000
		n += c.SoundLengths[i]
	}
	var all []time.Time
	for _, b := range simpeer.FindBeeps(samples, tone)[tone] {
		i, _ := slices.BinarySearch(begins, int(b.Seconds()*48000))
		near := late[max(i-50, 0):min(i+50, len(late))]
		all = append(all, c.wall(ms(simpeer.Median(near)+b)))
	}
	return all
}

// second is one second of the camera and the microphone, which begins with a flash and a beep.
type second struct {
	flash []frameSeen // the white frames that the camera gave; it may leave some out
	beep  time.Time
}

// seconds pairs flashes with beeps. A second is left out when the camera gave none of its white frames or the microphone
// no beep.
func seconds(frames []frameSeen, beeps []time.Time) []second {
	var all []second
	white := -1 // the second of the frame before, if it was white
	for _, f := range frames {
		switch this := f.Number / simpeer.FPS; {
		case f.Number%simpeer.FPS >= 3: // as simpeer draws it
			white = -1
		case this == white:
			last := &all[len(all)-1]
			last.flash = append(last.flash, f)
		default:
			white = this
			all = append(all, second{flash: []frameSeen{f}})
		}
	}
	for i := range all {
		all[i].beep, _ = closest(beeps, all[i].flash[0].At)
	}
	return slices.DeleteFunc(all, func(s second) bool { return s.beep.IsZero() })
}

// sameSecond is how far from its place a flash or a beep may be and still be taken for itself.
const sameSecond = 400 * time.Millisecond

func closest(times []time.Time, to time.Time) (best time.Time, ok bool) {
	for _, at := range times {
		if d := at.Sub(to).Abs(); d < sameSecond && (!ok || d < best.Sub(to).Abs()) {
			best, ok = at, true
		}
	}
	return best, ok
}

// placedSecond compares a second in the archive with its capture. The offsets say how late the beep is against the flash.
type placedSecond struct {
	Number              int           // of the first frame that both have
	Flash               time.Duration // where in the archive
	FlashLate, BeepLate time.Duration // in the archive, by the clocks of the page and of the server
	Captured, Archived  time.Duration
}

// off is what recording and stitching added to what the browser's own capture is off.
func (s placedSecond) off() time.Duration { return s.Archived - s.Captured }

// place finds in the archive, whose time 0 is start, the seconds that were captured, and says which are not there
// because their flash or their beep is not: where it should be.
func place(all []second, start time.Time, shots []simpeer.Shot, beeps []time.Duration) (found []placedSecond, dark, silent []time.Duration) {
	var heard []time.Time
	for _, b := range beeps {
		heard = append(heard, start.Add(b))
	}
	for _, s := range all {
		shot, frame, ok := firstSeen(s.flash, start, shots)
		if !ok {
			dark = append(dark, s.flash[0].At.Sub(start))
			continue
		}
		beep, ok := closest(heard, s.beep)
		if !ok {
			silent = append(silent, s.beep.Sub(start))
			continue
		}
		found = append(found, placedSecond{
			Number: frame.Number, Flash: shot, FlashLate: start.Add(shot).Sub(frame.At), BeepLate: beep.Sub(s.beep),
			Captured: s.beep.Sub(frame.At), Archived: beep.Sub(start.Add(shot)),
		})
	}
	return found, dark, silent
}

// firstSeen finds the first white frame of a flash that the archive shows. The same frame is compared with itself: a
// flash that begins with its second frame, there or here, is not early or late.
func firstSeen(flash []frameSeen, start time.Time, shots []simpeer.Shot) (time.Duration, frameSeen, bool) {
	for _, f := range flash {
		for _, shot := range shots {
			if shot.Flash && shot.Number == f.Number && start.Add(shot.At).Sub(f.At).Abs() < sameSecond {
				return shot.At, f, true
			}
		}
	}
	return 0, frameSeen{}, false
}

// chromiumBar is by how much sound and picture of a browser may be apart in an archive.
const chromiumBar = 40 * time.Millisecond

// chromiumCall is a consultation of a Chromium with a simulated participant, and what its archive shows.
type chromiumCall struct {
	specs   [2]simpeer.Spec // Chromium's, and that of the other one
	saw     captured
	other   simpeer.Sent
	start   time.Time     // 0 in the archive
	opening time.Duration // when Chromium's first segment was opened
	shots   map[int][]simpeer.Shot
	beeps   map[int][]time.Duration
	shown   timelineParticipant // Chromium, in the timeline
}

// holdChromiumCall holds and records the consultation: from the first segment of Chromium on what talk does, which takes
// as long as it takes. What prepares is done before the page is opened.
func holdChromiumCall(t *testing.T, talk func(*testenv.Chromium), prepare ...func(*testenv.Chromium) error) chromiumCall {
	t.Helper()
	call := chromiumCall{specs: [2]simpeer.Spec{simpeer.Someone(0), simpeer.Someone(1)}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	camera, microphone := filepath.Join(dir, "camera.y4m"), filepath.Join(dir, "microphone.wav")
	must(call.specs[0].WriteY4M(camera))
	must(call.specs[0].WriteWAV(microphone))
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Sync of a browser", "required",
		person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient", Consent: true})
	doctor, patient := c.Participants[0], c.Participants[1]
	simulated, err := simpeer.JoinWebSocket(t.Context(), signalingURL(p), patient.token(t), simpeer.Options{Media: made(t, call.specs[1])})
	must(err)

	chromium := testenv.NewChromium(t, testenv.ChromiumOptions{Video: camera, Audio: microphone})
	_, err = chromedp.Call(chromium.Context, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchCapture})
	must(err)
	for _, p := range prepare {
		must(p(chromium))
	}
	enter(chromium.Page, doctor.JoinURL)
	opened := service.waitEvent(c.ID, events.TypeSegmentOpened, doctor.ID, 20*time.Second)
	talk(chromium)
	chromium.Evaluate("capturedSoFar()", &call.saw)
	service.end(c.ID)
	if call.saw.Asked != 1 || len(call.saw.Errors) > 0 {
		t.Fatalf("the page asked for devices %d times, want once; errors %q", call.saw.Asked, call.saw.Errors)
	}

	a := service.awaitArchive(c.ID, 1, 5*time.Minute)
	if a.State != "ready" {
		t.Fatalf("archive: %+v", a)
	}
	call.shown = service.timeline(c.ID).of(t, doctor.ID)
	file := service.download(a.VideoURL)
	start, length := span(service.events(c.ID))
	call.start, call.opening, call.other = start, opened.Time.Sub(start), before(simulated.Sent(), start.Add(length))
	call.shots, err = simpeer.ReadVideo(t.Context(), file, everywhere(2, call.specs[:]...))
	must(err)
	call.beeps, err = simpeer.ReadBeeps(t.Context(), file, call.specs[0].Tone, call.specs[1].Tone)
	must(err)
	return call
}

// TestChromiumSync records a real Chromium beside a simulated participant, and measures in the decoded archive how well
// its sound and its picture fit together. A browser's fake devices are no clock: the camera leaves frames out, and the
// two are not captured at the same time. So the page's own capture is measured too, and what it is off in a second is
// subtracted from what the archive is off in that second.
func TestChromiumSync(t *testing.T) {
	call := holdChromiumCall(t, func(*testenv.Chromium) {
		time.Sleep(20 * time.Second) // the length of the consultation, nothing is waited for
	})
	spec := call.specs[0]
	shots, beeps := call.shots[spec.Who], call.beeps[spec.Tone]
	if len(shots) == 0 {
		t.Fatal("nothing in the archive can be read of Chromium's picture")
	}
	// At the beginning Chromium sends a small picture, in which the bar may not be readable, and before that none: what
	// it captured until half a second after the first picture that can be read is left out. That must come soon.
	readable := shots[0].At
	if late := readable - call.opening; late > 6*time.Second {
		t.Errorf("Chromium's picture can be read %s after its recording began", late)
	}
	frames := call.saw.frames(t)
	all := seconds(frames, call.saw.beeps(t, spec.Tone))
	wanted := slices.DeleteFunc(slices.Clone(all), func(s second) bool {
		return s.flash[0].At.Sub(call.start) < readable+500*time.Millisecond
	})
	if len(wanted) == 0 {
		t.Fatal("no second was captured that the archive should show")
	}
	found, dark, silent := place(wanted, call.start, shots, beeps)
	offsets := added(found)
	other := simpeer.Measure(call.start, []simpeer.Sent{call.other}, call.shots, call.beeps)
	t.Logf("%s", chromiumTable(found, offsets))
	t.Logf("the recording began at %s and the picture can be read from %s: %d of %d seconds left out before that",
		call.opening.Round(time.Millisecond), readable.Round(time.Millisecond), len(all)-len(wanted), len(all))
	t.Logf("the camera gave %d frames and left out %d; %d of %d seconds were captured with flash and beep",
		len(frames), leftOut(frames, spec.Frames()), len(wanted), 1+int(wanted[len(wanted)-1].beep.Sub(wanted[0].beep).Round(time.Second)/time.Second))
	t.Logf("captured and not in the archive: flashes at %v, beeps at %v", dark, silent)
	t.Logf("the simulated participant beside it: beep after flash p95 %.1f ms", ms(simpeer.P95(other.AV)))

	if got := simpeer.P95(offsets); got > chromiumBar {
		t.Errorf("Chromium's sound and picture are %s apart (p95 of %d seconds), want at most %s", got, len(offsets), chromiumBar)
	}
	late, _, _ := place(wanted, call.start, shots, shifted(beeps, 100*time.Millisecond))
	if got := simpeer.P95(added(late)); got <= chromiumBar {
		t.Errorf("with sound that is 100ms late the same is %s: this measure sees nothing", got)
	}
	// Where the machine is busy Chromium does not encode every frame, and a flash of two frames may be lost to that.
	if len(dark) > len(wanted)/10 || len(silent) > 0 {
		t.Errorf("captured and not in the archive: flashes at %v (one in ten may be missing), beeps at %v (none may)", dark, silent)
	}
	if len(found) < 10 {
		t.Errorf("%d seconds were measured, want at least 10", len(found))
	}
	if len(other.MissingFlashes)+len(other.MissingBeeps) > 0 {
		t.Errorf("of the simulated participant there are missing: flashes %v, beeps %v", other.MissingFlashes, other.MissingBeeps)
	}
	for i := 1; i < len(shots); i++ {
		if step := (shots[i].Number - shots[i-1].Number + spec.Frames()) % spec.Frames(); step > spec.Frames()/2 {
			t.Errorf("at %s the picture goes back from frame %d to %d", shots[i].At, shots[i-1].Number, shots[i].Number)
		}
	}
}

// added is what recording and stitching added, in each second.
func added(found []placedSecond) []time.Duration {
	var offsets []time.Duration
	for _, s := range found {
		offsets = append(offsets, s.off())
	}
	return offsets
}

// shifted is the times, each later by d.
func shifted(times []time.Duration, d time.Duration) []time.Duration {
	moved := slices.Clone(times)
	for i := range moved {
		moved[i] += d
	}
	return moved
}

// leftOut counts the frame numbers that the camera did not give.
func leftOut(frames []frameSeen, period int) int {
	n := 0
	for i := 1; i < len(frames); i++ {
		n += max((frames[i].Number-frames[i-1].Number+period)%period-1, 0)
	}
	return n
}

// chromiumTable is what a person reads, and the one line that a program reads.
func chromiumTable(found []placedSecond, offsets []time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%10s %6s | %10s %9s | %9s %9s %9s   (ms; offset: the beep after the flash)\n",
		"archive at", "frame", "flash late", "beep late", "captured", "archived", "added")
	for _, s := range found {
		fmt.Fprintf(&b, "%10.3f %6d | %10.1f %9.1f | %9.1f %9.1f %9.1f\n",
			s.Flash.Seconds(), s.Number, ms(s.FlashLate), ms(s.BeepLate), ms(s.Captured), ms(s.Archived), ms(s.off()))
	}
	fmt.Fprintf(&b, "chromium_av_offset_p95_ms=%.1f median_ms=%.1f flashes=%d\n", ms(simpeer.P95(offsets)), ms(simpeer.Median(offsets)), len(offsets))
	return b.String()
}
