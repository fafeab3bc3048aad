package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// enter walks a page from its link into the call, as a person would.
func enter(page *testenv.Page, link string) {
	page.Navigate(link)
	page.Click("Continue")
	page.Click("I agree")
	page.Click("Join")
}

// seesAndHears waits until media of the other participant is really decoded: frames and sound packets that keep coming.
// The element's own clock proves nothing, since it runs on over a dead stream.
func seesAndHears(page *testenv.Page, who, other string) {
	page.WaitFor(fmt.Sprintf("%s sees %s move", who, other), fmt.Sprintf(`await (async () => {
		const v = document.querySelector('video[data-participant="%s"]');
		const a = document.querySelector('audio[data-participant="%s"]');
		if (!v || !a || !a.srcObject) return false;
		let frames = 0;
		const count = () => { frames++; v.requestVideoFrameCallback(count); };
		v.requestVideoFrameCallback(count);
		const at = a.currentTime;
		await new Promise((r) => setTimeout(r, 700));
		return frames >= 3 && a.currentTime > at;
	})()`, other, other))
}

// shot keeps a picture of the page where CONSILIUM_SHOTS names a folder, for people to look at.
func shot(t *testing.T, page *testenv.Page, name string) {
	t.Helper()
	dir := os.Getenv("CONSILIUM_SHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), page.Screenshot(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Firefox takes part as Chromium does: both see and hear each other, and both are recorded.
func TestFirefoxTakesPart(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("Two kinds of browsers", "required",
		person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	doctor, patient := c.Participants[0], c.Participants[1]
	chromium := testenv.NewChromium(t, testenv.ChromiumOptions{})
	enter(chromium.Page, doctor.JoinURL)
	firefox := testenv.NewFirefox(t)
	enter(firefox, patient.JoinURL)
	seesAndHears(chromium.Page, "Chromium", patient.ID)
	seesAndHears(firefox, "Firefox", doctor.ID)
	for _, who := range []participant{doctor, patient} {
		service.waitEvent(c.ID, events.TypeSegmentOpened, who.ID, 20*time.Second)
	}
	for _, e := range service.events(c.ID) {
		if opened, ok := e.Event.(events.ConnectionOpened); ok && e.Participant == patient.ID {
			if opened.Browser == nil || opened.Browser.Family != "Firefox" || opened.Browser.Major < 100 {
				t.Errorf("the log says that the patient's browser is %+v", opened.Browser)
			}
		}
	}
	service.end(c.ID)
	firefox.WaitFor("the patient is told that it is over", `!!document.querySelector('[data-testid^=end-]')`)
}

// The main job as a newcomer meets it: two browsers hold a recorded consultation, and its archive plays in the page.
func TestTwoBrowsersHoldAConsultation(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Knee, second visit", "required",
		person{Name: "Dr Ada Novak", Role: "clinician"}, person{Name: "Pat Maly", Role: "patient"})
	doctor, patient := c.Participants[0], c.Participants[1]

	doctorPage := testenv.NewChromium(t, testenv.ChromiumOptions{})
	enter(doctorPage.Page, doctor.JoinURL)
	patientPage := testenv.NewChromium(t, testenv.ChromiumOptions{Width: 390, Height: 844})
	patientPage.Navigate(patient.JoinURL)
	patientPage.WaitText("This is how others will see you.")
	shot(t, patientPage.Page, "join")
	patientPage.Click("Continue")
	patientPage.Click("I agree")
	patientPage.Click("Join")

	seesAndHears(doctorPage.Page, "the doctor", patient.ID)
	seesAndHears(patientPage.Page, "the patient", doctor.ID)
	doctorPage.WaitFor("the recording is said to be on", `document.querySelector('[data-testid=recording]')?.dataset.recording === 'on'`)
	time.Sleep(5 * time.Second) // the length of the consultation, nothing is waited for
	shot(t, doctorPage.Page, "call")

	// The patient's tab is reloaded in the middle: the same participant, no second consent.
	patientPage.Evaluate("location.reload()", nil)
	seesAndHears(doctorPage.Page, "the doctor, after the patient's reload,", patient.ID)
	time.Sleep(2 * time.Second)
	patientPage.Click("Leave")
	service.waitEvent(c.ID, events.TypeParticipantLeft, patient.ID, 20*time.Second)
	time.Sleep(time.Second)
	doctorPage.Click("End consultation")
	doctorPage.Click("End for everybody")
	service.waitEvent(c.ID, events.TypeConsultationEnded, "", 20*time.Second)

	library := testenv.NewChromium(t, testenv.ChromiumOptions{})
	library.Navigate(p.URL + "/consultations#token=" + p.Command("token", "--role", "compliance"))
	library.WaitText("Knee, second visit")
	shot(t, library.Page, "library")
	got := service.awaitArchive(c.ID, 1, 2*time.Minute)
	if got.State != "ready" {
		t.Fatalf("archive: %+v", got)
	}
	library.ClickRole("link", "Knee, second visit")
	library.WaitFor("the archive can be played", `document.querySelector('video[data-testid=archive-video]')?.readyState >= 2`)
	left := service.markerOf(c.ID, events.TypeParticipantLeft, patient.ID)
	clickEvent(library.Page, events.TypeParticipantLeft)
	library.WaitFor("a click on an event seeks the video", fmt.Sprintf(`(() => {
		const v = document.querySelector('video[data-testid=archive-video]');
		return !v.seeking && v.readyState >= 2 && Math.abs(v.currentTime - %f) < 0.1;
	})()`, left.Seconds()))
	clickEvent(library.Page, events.TypeTrackStarted)
	library.WaitFor("and so does a click on another one", fmt.Sprintf(`(() => {
		const v = document.querySelector('video[data-testid=archive-video]');
		return !v.seeking && v.readyState >= 2 && v.currentTime < %f;
	})()`, left.Seconds()-1))
	library.Evaluate(`document.querySelector('video[data-testid=archive-video]').currentTime = 8`, nil)
	library.WaitFor("the picture is there", `(() => { const v = document.querySelector('video[data-testid=archive-video]'); return !v.seeking && v.readyState >= 2; })()`)
	if err := chromedp.Do(library.Context, chromedp.EmulateViewport(1280, 1080)); err != nil { // the lanes too
		t.Fatal(err)
	}
	library.WaitFor("the lanes are drawn again", `document.querySelector('.plot canvas')?.width > 0`)
	shot(t, library.Page, "consultation")
	file := service.do("GET", got.VideoURL, "", nil, "Range", "bytes=4-7")
	if file.Status != 206 || string(file.Body) != "ftyp" {
		t.Errorf("a range of the archive: got %d %q, want 206 and ftyp", file.Status, file.Body)
	}

	given := 0
	for _, e := range service.events(c.ID) {
		if e.Type == events.TypeConsentGiven {
			given++
		}
	}
	if given != 2 {
		t.Errorf("consent was asked %d times, want once of each", given)
	}
}
