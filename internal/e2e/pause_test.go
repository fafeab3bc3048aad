package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// The clinician pauses the recording for an examination: everybody sees it, nothing is written, and the archive has one
// dated card over that stretch, without a sound.
func TestTheRecordingIsPausedOnTheScreen(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	var c consultation
	service.call("POST", "/consultations", map[string]any{
		"title": "Untersuchung", "language": "de", "timeZone": "Europe/Berlin",
		"participants": []person{{Name: "Dr Ada Novak", Role: "clinician"}, {Name: "Pat Maly", Role: "patient"}},
	}, 201, &c)
	doctor, patient := c.Participants[0], c.Participants[1]
	doctorPage := testenv.NewChromium(t, testenv.ChromiumOptions{})
	enter(doctorPage.Page, doctor.JoinURL)
	patientPage := testenv.NewChromium(t, testenv.ChromiumOptions{Width: 390, Height: 844})
	enter(patientPage.Page, patient.JoinURL)
	seesAndHears(doctorPage.Page, "the doctor", patient.ID)
	seesAndHears(patientPage.Page, "the patient", doctor.ID)
	w := watch(t, p, c.ID)
	w.hasFiles(service, c.ID, doctor.ID)
	w.hasFiles(service, c.ID, patient.ID)
	time.Sleep(2 * time.Second) // the length of what is recorded before the pause

	var switches int
	patientPage.Evaluate(`document.querySelectorAll('[data-testid=pause]').length`, &switches)
	if switches != 0 {
		t.Error("the patient could pause the recording")
	}
	doctorPage.Click("Pause recording")
	doctorPage.WaitText("Pause the recording?")
	shot(t, doctorPage.Page, "pause-dialog")
	doctorPage.Click("Intimate examination")
	for who, page := range map[string]*testenv.Page{"doctor": doctorPage.Page, "patient": patientPage.Page} {
		page.WaitFor("the "+who+" is told that nothing is recorded", `(() => {
			const news = document.querySelector('[data-testid=recording-news]');
			return news?.dataset.news === 'paused' && news.getAttribute('role') === 'status'
				&& news.innerText.includes('The recording is paused') && news.getBoundingClientRect().height > 20
				&& document.querySelector('[data-testid=recording]')?.dataset.recording === 'paused';
		})()`)
		shot(t, page, "paused-"+who)
	}
	paused := service.waitEvent(c.ID, events.TypeRecordingPaused, "", 10*time.Second)
	if e, ok := paused.Event.(events.RecordingPaused); !ok || e.Reason != "examination" || paused.Actor != doctor.ID {
		t.Errorf("the log says %s", paused.Raw)
	}
	seesAndHears(patientPage.Page, "the patient, while the recording is paused,", doctor.ID) // the call goes on
	time.Sleep(4 * time.Second)                                                              // the length of the pause
	for name, f := range w.all() {
		if filepath.Ext(name) != ".part" {
			continue // what was closed may still be on its way to the blob store
		}
		if late := f.grew.Sub(paused.Time); late > 2*time.Second {
			t.Errorf("%s grew %s after the pause began", name, late)
		}
	}

	doctorPage.Click("Resume recording")
	for who, page := range map[string]*testenv.Page{"doctor": doctorPage.Page, "patient": patientPage.Page} {
		page.WaitFor("the "+who+" is told that the recording goes on", `(() => {
			const news = document.querySelector('[data-testid=recording-news]');
			return news?.dataset.news === 'resumed' && news.innerText.includes('The recording goes on')
				&& document.querySelector('[data-testid=recording]')?.dataset.recording === 'on';
		})()`)
		shot(t, page, "resumed-"+who)
	}
	resumed := service.waitEvent(c.ID, events.TypeRecordingResumed, "", 10*time.Second)
	for _, who := range []participant{doctor, patient} {
		await(t, 20*time.Second, func() string { return "new files of the " + who.Role }, func() bool {
			for _, e := range service.events(c.ID) {
				if e.Type == events.TypeSegmentOpened && e.Participant == who.ID && e.Seq > resumed.Seq {
					return true
				}
			}
			return false
		})
	}
	time.Sleep(3 * time.Second) // the length of what is recorded after the pause
	doctorPage.Click("End consultation")
	doctorPage.Click("End for everybody")

	a := service.ready(c.ID, 1)
	video := service.download(a.VideoURL)
	from, to := service.markerOf(c.ID, events.TypeRecordingPaused, ""), service.markerOf(c.ID, events.TypeRecordingResumed, "")
	middle := (from + to) / 2
	frame := pictureAt(t, video, middle)
	keep(t, frame, "pause-card")
	keep(t, pictureAt(t, video, from-time.Second), "before-pause")
	if share := ink(t, video, middle); share < 0.003 || share > 0.2 {
		t.Errorf("the card differs from its ground in %.4f of its pixels", share)
	}
	if loud := loudness(t, video, from+200*time.Millisecond, to-200*time.Millisecond); loud != 0 {
		t.Errorf("in the pause there is sound of up to %d", loud)
	}
	if loud := loudness(t, video, 0, from); loud == 0 {
		t.Error("before the pause there is no sound")
	}
	for _, who := range []participant{doctor, patient} {
		wantGap(t, service.manifest(c.ID, 1).Timeline, who.ID, "paused")
	}
}

// pictureAt is the picture of a video at the moment, as PNG.
func pictureAt(t *testing.T, video string, at time.Duration) []byte {
	t.Helper()
	out, err := exec.Command(testenv.Require(t, "ffmpeg")["ffmpeg"], "-v", "error", "-ss", fmt.Sprint(at.Seconds()), "-i", video,
		"-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-").Output()
	if err != nil {
		t.Fatalf("picture at %s: %v", at, err)
	}
	return out
}

// keep writes a picture where CONSILIUM_SHOTS names a folder, for people to look at.
func keep(t *testing.T, png []byte, name string) {
	t.Helper()
	if dir := os.Getenv("CONSILIUM_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// loudness is the largest sample between two moments of a video.
func loudness(t *testing.T, video string, from, to time.Duration) int {
	t.Helper()
	raw, err := exec.Command(testenv.Require(t, "ffmpeg")["ffmpeg"], "-v", "error", "-i", video, "-ss", fmt.Sprint(from.Seconds()),
		"-to", fmt.Sprint(to.Seconds()), "-vn", "-ac", "1", "-f", "s16le", "-").Output()
	if err != nil || len(raw) == 0 {
		t.Fatalf("sound from %s to %s: %v", from, to, err)
	}
	loudest := 0
	for in := bytes.NewReader(raw); ; {
		var sample int16
		if binary.Read(in, binary.LittleEndian, &sample) != nil {
			return loudest
		}
		loudest = max(loudest, int(sample), -int(sample))
	}
}
