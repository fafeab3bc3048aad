package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// keyboard is somebody who has no pointer.
type keyboard struct {
	t   *testing.T
	tab *testenv.Chromium
}

// press types keys, one after another.
func (k keyboard) press(keys string, modifiers ...chromedp.Modifier) {
	k.t.Helper()
	if err := chromedp.Do(k.tab.Context, chromedp.KeyEvent(keys, chromedp.KeyModifiers(modifiers...))); err != nil {
		k.t.Fatal(err)
	}
}

// reach presses Tab until what is looked for has the focus: e in a JavaScript condition.
func (k keyboard) reach(what, condition string, modifiers ...chromedp.Modifier) {
	k.t.Helper()
	passed := ""
	for range 60 {
		k.press(kb.Tab, modifiers...)
		var at struct {
			Found bool
			Name  string
		}
		k.tab.Evaluate(fmt.Sprintf(`((e) => ({ found: !!(%s), name: (e.ariaLabel || e.innerText || e.tagName).slice(0, 30) }))(document.activeElement)`,
			condition), &at)
		if at.Found {
			return
		}
		passed += " › " + at.Name
	}
	k.t.Fatalf("Tab does not lead to %s:%s", what, passed)
}

// button reaches a button by its name and presses it.
func (k keyboard) button(name string, modifiers ...chromedp.Modifier) {
	k.t.Helper()
	k.reach("the button "+name, fmt.Sprintf(`e.matches('button') && (e.ariaLabel || e.innerText.trim()) === %q`, name), modifiers...)
	k.press(kb.Enter)
}

// staffWithoutAPointer finds a consultation by four letters of a name, opens it, says for what, plays it, goes to an event,
// and takes the events out.
func staffWithoutAPointer(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	k := keyboard{t, tab}
	tab.Navigate(s.URL + "/consultations#token=" + s.Command("token", "--role", "compliance"))
	tab.WaitText("Goes on")
	k.reach("the search", `e.matches('label.search input')`) // where there is a mouse it has the focus already
	k.press("zden")
	tab.WaitFor("one is left after four letters", `document.querySelectorAll('[data-testid=consultation]').length === 1`)
	k.press(kb.ArrowDown)
	tab.WaitFor("the row has the focus", `document.activeElement?.matches('.consultations a')`)
	k.press(kb.Enter)
	tab.WaitFor("the question for what", fmt.Sprintf(`location.pathname.endsWith(%q) && !!document.querySelector('[data-testid=purpose]')`, s.held.ID))
	k.reach("the purposes", `e.matches('[type=radio][name=purpose]')`)
	k.press(" ")
	k.press(kb.ArrowDown)
	tab.WaitFor("the second purpose is chosen", `document.querySelectorAll('[name=purpose]')[1].checked`)
	k.button("Open the recording")
	tab.WaitFor("the video", `document.querySelector('video[data-testid=archive-video]')?.readyState >= 2`)
	tab.Evaluate(shortRecording, nil)
	k.button("Play")
	tab.WaitFor("it plays", `document.querySelector('video').currentTime > 0.3`)
	k.press(kb.Enter) // the same button stops it
	tab.WaitFor("it has stopped", `document.querySelector('video').paused`)

	k.reach("the events", `e.matches('.event')`)
	k.press(kb.Home)
	onMuted := `document.activeElement?.closest('[data-testid=event]')?.dataset.type === 'track.muted'`
	for range 40 {
		var there bool
		tab.Evaluate(onMuted, &there)
		if there {
			break
		}
		var before string
		tab.Evaluate(`document.activeElement.dataset.index`, &before)
		k.press(kb.ArrowDown)
		tab.WaitFor("the next event has the focus", fmt.Sprintf(`document.activeElement.matches('.event') && document.activeElement.dataset.index !== %q`, before))
	}
	tab.Evaluate(watchFrames, nil)
	k.press(kb.Enter)
	showsFrameAt(tab.Page, s.service.markerOf(s.held.ID, events.TypeTrackMuted, s.held.Participants[1].ID))
	k.button("Events as CSV", chromedp.ModifierShift)
	s.service.waitEvent(s.held.ID, events.TypeExportMade, "", 30*time.Second)
}

// shortRecording keeps a recording of a few seconds from being over before a slow machine gets to the next step.
const shortRecording = `document.querySelector('video').loop = true`

// watchFrames has the page remember the time of the newest frame that its video really showed.
const watchFrames = `(() => {
	const video = document.querySelector('video');
	const shown = (_, { mediaTime }) => {
		window.shown = mediaTime;
		video.requestVideoFrameCallback(shown);
	};
	video.requestVideoFrameCallback(shown);
})()`

// showsFrameAt waits until the video stands at a moment, and what it shows is the frame of that moment.
func showsFrameAt(page *testenv.Page, at time.Duration) {
	page.WaitFor("the video shows the frame of the event", fmt.Sprintf(`(() => {
		const video = document.querySelector('video');
		return !video.seeking && Math.abs(video.currentTime - %[1]f) < 1 / 30 && Math.abs(window.shown - %[1]f) <= 1 / 30 + 0.001;
	})()`, at.Seconds()))
}

// guestWithoutAPointer goes from the link through the check and the notice into the call, switches the microphone off, and leaves.
func guestWithoutAPointer(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	k := keyboard{t, tab}
	step := func(name string) {
		t.Helper()
		tab.WaitFor(name, fmt.Sprintf(`!!document.querySelector('[data-testid=%s]')`, name))
	}
	guest := s.running.Participants[2]
	tab.Navigate(guest.JoinURL)
	step("step-check")
	k.button("Continue")
	step("step-notice")
	k.button("I agree")
	step("step-ready")
	k.button("Join")
	step("call")
	s.service.waitEvent(s.running.ID, events.TypeTrackStarted, guest.ID, 60*time.Second)
	k.reach("the microphone", `e.matches('.toggle[aria-pressed=true]') && e.innerText.includes('Microphone')`)
	k.press(" ")
	s.service.waitEvent(s.running.ID, events.TypeTrackMuted, guest.ID, 60*time.Second)
	k.button("Leave")
	step("end-left")
}
