package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/testenv"
)

// An officer says for what a recording is opened, goes through it by its events and by the keyboard, and what was watched
// stands in the log. An auditor sees the same without pictures.
func TestTheReplayOfAConsultation(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_RECEIPTS=true"}})
	service := as(t, p, "service")
	c, doctor, patient := twoTalk(t, p, service, "Replay")
	ctx, cancel := within20()
	defer cancel()
	if err := patient.Mute(ctx, media.Camera, true); err != nil {
		t.Fatal(err)
	}
	service.waitEvent(c.ID, events.TypeTrackMuted, c.Participants[1].ID, 20*time.Second)
	sees(t, patient, c.Participants[0]) // a moment that the camera is off
	leaves(t, patient)
	leaves(t, doctor)
	service.end(c.ID)
	service.ready(c.ID, 1)
	muted := service.waitEvent(c.ID, events.TypeTrackMuted, c.Participants[1].ID, time.Second)
	at := service.markerOf(c.ID, events.TypeTrackMuted, c.Participants[1].ID)

	tab := testenv.NewChromium(t, testenv.ChromiumOptions{Height: 1000, Width: 1280})
	tab.Navigate(p.URL + "/consultations/" + c.ID + "#token=" + p.Command("token", "--role", "compliance"))
	tab.Click("Open the recording")
	tab.WaitText("Please choose one first.")
	tab.ClickRole("radio", "Complaint")
	tab.Click("Open the recording")
	tab.WaitFor("the archive can be played", `document.querySelector('video[data-testid=archive-video]')?.readyState >= 2`)
	tab.WaitFor("the picture says who watches", `document.querySelector('[data-testid=overlay]')?.innerText.startsWith('compliance · ')`)

	// One cursor: an event moves the video, the state and the address.
	clickEvent(tab.Page, events.TypeTrackMuted)
	tab.WaitFor("the video shows the frame of the event", fmt.Sprintf(`(() => {
		const v = document.querySelector('video');
		return !v.seeking && v.readyState >= 2 && Math.abs(v.currentTime - %f) < 1 / 30;
	})()`, at.Seconds()))
	tab.WaitFor("the state says that the camera is off", fmt.Sprintf(`(() => {
		const person = document.querySelector('[data-testid=person-at][data-id="%s"]');
		return person.dataset.present === 'true' && !!person.querySelector('[title="Camera: Off"]')
			&& !!person.querySelector('[title="Microphone: On"]') && person.innerText.includes('hears Dr A');
	})()`, c.Participants[1].ID))
	var hash string
	tab.Evaluate(`location.hash`, &hash)
	if want := fmt.Sprintf("#e=%d&t=", muted.Seq); len(hash) < len(want) || hash[:len(want)] != want {
		t.Errorf("the address ends with %q, want %s…", hash, want)
	}
	shot(t, tab.Page, "replay")

	// By keyboard: a picture forward, the event before, the beginning, and play.
	press := func(keys string) {
		t.Helper()
		if err := chromedp.Do(tab.Context, chromedp.KeyEvent(keys)); err != nil {
			t.Fatal(err)
		}
	}
	tab.WaitFor("the lanes", `(() => { const lanes = document.querySelector('.plot'); lanes?.focus(); return !!lanes; })()`)
	var before, after float64
	tab.Evaluate(`document.querySelector('video').currentTime`, &before)
	press(".")
	tab.WaitFor("the video has moved", fmt.Sprintf(`!document.querySelector('video').seeking && document.querySelector('video').currentTime !== %f`, before))
	tab.Evaluate(`document.querySelector('video').currentTime`, &after)
	if frames := (after - before) * 30; frames <= 0 || frames > 1.1 {
		t.Errorf("one step moved the video by %.2f frames", frames)
	}
	press("k")
	tab.WaitFor("the event before is picked", fmt.Sprintf(`Number(document.querySelector('[data-testid=event-detail]')?.dataset.seq) < %d`, muted.Seq))
	press(kb.Home)
	tab.WaitFor("the video is at its beginning", `document.querySelector('video').currentTime < 0.05`)
	tab.Evaluate(shortRecording, nil)
	press(" ")
	tab.WaitFor("it plays", `document.querySelector('video').currentTime > 0.8`)
	press(" ")
	tab.WaitFor("it has stopped", `document.querySelector('video').paused`)
	tab.Evaluate(`document.querySelector('.seek').dispatchEvent(new PointerEvent('pointermove', { bubbles: true,
		clientX: document.querySelector('.seek').getBoundingClientRect().left + 200 }))`, nil)
	tab.WaitFor("the seek bar shows a picture", `getComputedStyle(document.querySelector('[data-testid=thumbnail]')).backgroundImage.includes('receipt=')`)
	shot(t, tab.Page, "replay-thumbnail")

	// What was watched is in the log, and nobody was told of more.
	var accesses struct {
		Receipts []struct {
			Purpose   string
			WatchedMS float64 `json:"watchedMs"`
		}
	}
	await(t, 20*time.Second, func() string { return fmt.Sprintf("what was watched: %+v", accesses) }, func() bool {
		as(t, p, "auditor").call("GET", "/consultations/"+c.ID+"/accesses", nil, 200, &accesses)
		return len(accesses.Receipts) == 1 && accesses.Receipts[0].WatchedMS > 400
	})
	if r := accesses.Receipts[0]; r.Purpose != "complaint" || r.WatchedMS > 4000 {
		t.Errorf("the log says that %+v was watched", r)
	}

	// The same page for an auditor, by the link to the event.
	tab.Navigate(p.URL + "/consultations/" + c.ID + "#token=" + p.Command("token", "--role", "auditor"))
	tab.WaitFor("there are no pictures", `!!document.querySelector('[data-testid=no-media]') && !document.querySelector('video')`)
	tab.Evaluate(fmt.Sprintf(`location.hash = '%s'`, hash), nil)
	tab.WaitFor("the event of the link is picked", fmt.Sprintf(`document.querySelector('[data-testid=event-detail]')?.dataset.seq === '%d'`, muted.Seq))
	tab.WaitFor("the table of the lanes", `(() => {
		const summary = document.querySelector('[data-testid=lanes-table] summary');
		summary?.click();
		return !!summary;
	})()`)
	tab.WaitFor("the table says the same", `[...document.querySelectorAll('[data-testid=lanes-table] tr')].some((row) =>
		row.innerText.includes('Pat B') && row.innerText.includes('Camera') && row.innerText.includes('Off'))`)
	shot(t, tab.Page, "replay-auditor")

	// Whoever looks at what runs now gets to a consultation whose lanes grow.
	open := service.schedule("Goes on", "optional", person{Name: "Dr A", Role: "clinician"})
	service.answer(open.ID, open.Participants[0], "given")
	sit(t, p, open.Participants[0])
	service.waitEvent(open.ID, events.TypeParticipantJoined, open.Participants[0].ID, 20*time.Second)
	growsWhileItRuns(p, tab, open)
	service.end(open.ID)
}

// growsWhileItRuns goes from what runs now to the consultation, whose lanes grow without anybody loading the page again.
func growsWhileItRuns(p *testenv.Product, tab *testenv.Chromium, c consultation) {
	tab.Navigate(p.URL + "/live")
	tab.WaitFor("the consultation runs, and one is there", fmt.Sprintf(`document.querySelector('[data-testid=room][data-id="%s"]')
		?.innerText.includes('Dr A') && document.querySelector('[data-testid=live-joins]').innerText.includes('2 / ')`, c.ID))
	tab.ClickRole("link", c.Title)
	tab.WaitFor("its lanes are there", `Number(document.querySelector('.plot')?.ariaValueMax) >= 0`)
	tab.WaitFor("they grow, and the cursor stays at their end", `await (async () => {
		const plot = document.querySelector('.plot');
		const before = Number(plot.ariaValueMax);
		await new Promise((done) => setTimeout(done, 2500));
		return Number(plot.ariaValueMax) >= before + 2 && Number(plot.ariaValueNow) >= Number(plot.ariaValueMax) - 1;
	})()`)
}
