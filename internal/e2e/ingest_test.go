package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// accessUnits lets ffmpeg encode what the nth simulated participant's camera sees as an examination camera does:
// constrained baseline, a whole picture each second. A unit is one picture in Annex B.
func accessUnits(t testing.TB, spec simpeer.Spec) [][]byte {
	t.Helper()
	camera := filepath.Join(t.TempDir(), "camera.y4m")
	if err := spec.WriteY4M(camera); err != nil {
		t.Fatal(err)
	}
	raw, err := exec.Command(testenv.Require(t, "ffmpeg")["ffmpeg"], "-v", "error", "-i", camera, "-c:v", "libx264",
		"-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-g", fmt.Sprint(simpeer.FPS), "-b:v", "600k",
		"-x264-params", "aud=1", "-f", "h264", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	delimiter := []byte{0, 0, 0, 1, 9}
	var units [][]byte
	for _, unit := range bytes.Split(raw, delimiter)[1:] {
		units = append(units, append(bytes.Clone(delimiter), unit...))
	}
	return units
}

// publishesH264 brings a device in by WHIP that sends these pictures over and over until the test ends.
func publishesH264(t testing.TB, url, token string, units [][]byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e := webrtc.SettingEngine{}
	e.SetIncludeLoopbackCandidate(true)
	m := &webrtc.MediaEngine{}
	h264 := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}
	must(m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: h264, PayloadType: 96}, webrtc.RTPCodecTypeVideo))
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(e), webrtc.WithMediaEngine(m)).NewPeerConnection(webrtc.Configuration{})
	must(err)
	track, err := webrtc.NewTrackLocalStaticRTP(h264, "picture", "device")
	must(err)
	_, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	must(err)
	offer, err := pc.CreateOffer(nil)
	must(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	must(pc.SetLocalDescription(offer))
	<-gathered
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(pc.LocalDescription().SDP))
	must(err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/sdp")
	response, err := http.DefaultClient.Do(request)
	must(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(err)
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("a device with H.264 is answered %d: %s", response.StatusCode, answer)
	}
	must(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}))

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		sendPictures(track, units, stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
}

// sendPictures sends them at their rate until stop is closed. What cannot be sent is lost, as on any network.
func sendPictures(track *webrtc.TrackLocalStaticRTP, units [][]byte, stop <-chan struct{}) {
	var pay codecs.H264Payloader
	seq := uint16(65_000)
	began := time.Now()
	ticker := time.NewTicker(time.Second / simpeer.FPS)
	defer ticker.Stop()
	for n := 0; ; {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		for ; time.Since(began) >= time.Duration(n)*time.Second/simpeer.FPS; n++ {
			payloads := pay.Payload(1180, units[n%len(units)])
			for i, p := range payloads {
				seq++
				_ = track.WriteRTP(&rtp.Packet{
					Header: rtp.Header{
						Version: 2, SequenceNumber: seq, Timestamp: uint32(n * 90_000 / simpeer.FPS), Marker: i == len(payloads)-1,
					},
					Payload: p,
				})
			}
		}
	}
}

// What real senders send arrives: a Chromium sends redundant audio and the time of capture, and an examination camera
// H.264. All of it is in the recording, and the camera's picture in the archive.
func TestABrowserAndAnExaminationCameraAreRecordedAsTheySend(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Ultrasound", "required",
		person{Name: "Dr A", Role: "clinician"}, person{Name: "Probe", Role: "device", Consent: true})
	doctor, device := c.Participants[0], c.Participants[1]
	units := accessUnits(t, small(1))

	chromium := testenv.NewChromium(t, testenv.ChromiumOptions{})
	enter(chromium.Page, doctor.JoinURL)
	service.waitEvent(c.ID, events.TypeSegmentOpened, doctor.ID, 20*time.Second)
	publishesH264(t, whipURL(p, c.ID), device.token(t), units)
	service.waitEvent(c.ID, events.TypeSegmentOpened, device.ID, 20*time.Second)

	// The doctor sees the camera, or reads why not: that depends on how the browser was built.
	var decodes bool
	chromium.Evaluate(`RTCRtpReceiver.getCapabilities("video").codecs.some((c) => c.mimeType === "video/H264")`, &decodes)
	if decodes {
		chromium.WaitFor("the doctor sees the camera's picture move", fmt.Sprintf(`await (async () => {
			const v = document.querySelector('video[data-participant="%s"]');
			if (!v) return false;
			let frames = 0;
			const count = () => { frames++; v.requestVideoFrameCallback(count); };
			v.requestVideoFrameCallback(count);
			await new Promise((r) => setTimeout(r, 700));
			return frames >= 3;
		})()`, device.ID))
	} else {
		chromium.WaitText("This browser cannot show this picture.")
	}
	t.Logf("this Chromium decodes H.264: %v", decodes)

	time.Sleep(8 * time.Second) // the length of the consultation, nothing is waited for
	metrics := scrape(t, p.URL+"/metrics")
	if n := counted(t, metrics, "consilium_sfu_packets_redundant_total"); n < 300 {
		t.Errorf("Chromium sent %d packets of redundant audio, want most of those of more than 8 s", n)
	}
	service.end(c.ID)
	a := service.ready(c.ID, 1)
	if n := pictures(t, service.download(a.VideoURL), 2, 1)[1]; n < 4*simpeer.FPS {
		t.Errorf("the camera is seen in %d frames of the archive, want more than 4 s of it", n)
	}
	wantRecorded(t, service.events(c.ID), doctor.ID, device.ID)
}

// wantRecorded holds the log against what was sent.
func wantRecorded(t *testing.T, all []events.Stored, doctor, device string) {
	t.Helper()
	codecOf := map[string]media.Codec{}            // track → codec
	opened := map[string]events.SegmentOpened{}    // track → its first segment
	anchored := map[string]map[string]int{}        // track → kind → how many
	firstAct := map[string]time.Time{}             // track → arrival of its first capture time
	frames, lasted := map[string]int64{}, int64(0) // of the doctor's audio
	for _, e := range all {
		switch e := e.Event.(type) {
		case events.TrackStarted:
			codecOf[e.Track] = media.Codec(e.Codec)
		case events.SegmentOpened:
			if _, ok := opened[e.Track]; !ok {
				opened[e.Track] = e
			}
		case events.SegmentAnchored:
			if anchored[e.Track] == nil {
				anchored[e.Track] = map[string]int{}
			}
			for _, a := range e.Anchors {
				anchored[e.Track][a.Kind]++
				if a.Kind == media.AnchorACT && firstAct[e.Track].IsZero() {
					firstAct[e.Track] = a.Arrival
				}
			}
		case events.SegmentSealed:
			frames[e.Segment] = e.Frames
		}
	}
	for _, e := range all {
		started, ok := e.Event.(events.TrackStarted)
		if !ok {
			continue
		}
		first := opened[started.Track]
		switch {
		case e.Participant == device:
			if started.Codec != string(media.H264) || first.Codec != string(media.H264) || frames[first.Segment] < 4*simpeer.FPS {
				t.Errorf("the camera's track is %s, its first segment %s with %d frames", started.Codec, first.Codec, frames[first.Segment])
			}
		case e.Participant == doctor:
			kinds := anchored[started.Track]
			if kinds[media.AnchorSR] == 0 || kinds[media.AnchorACT] == 0 {
				t.Errorf("the doctor's %s has anchors %v, want sender reports and capture times", started.Kind, kinds)
			}
			if late := firstAct[started.Track].Sub(first.Arrival); late > 2*time.Second {
				t.Errorf("the first capture time of the doctor's %s came %v behind the first segment's begin", started.Kind, late)
			}
			if started.Kind == string(media.Audio) {
				lasted = frames[first.Segment]
			}
		}
	}
	if lasted < 300 {
		t.Errorf("the doctor's sound has %d packets in its first segment, want more than 6 s of them", lasted)
	}
}

// counted reads a counter without labels of what /metrics says.
func counted(t *testing.T, metrics, name string) int {
	t.Helper()
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
