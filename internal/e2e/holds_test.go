package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// holdWithoutAPointer: an officer places a hold on a consultation that goes on and requests its release; another one finds it in the
// list, and releases it. Neither has a pointer, and the page offers to each only what that person may do.
func holdWithoutAPointer(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	k := keyboard{t, tab}
	token := func(subject string) string {
		return "#token=" + s.Command("token", "--role", "compliance", "--subject", subject, "--name", "Officer "+subject+" "+markup)
	}
	dialog := func(what string) {
		t.Helper()
		tab.WaitFor("the dialog "+what, `document.querySelector('dialog[open]')?.contains(document.activeElement)`)
	}
	shown := func(what, text string) {
		t.Helper()
		tab.WaitFor(what, fmt.Sprintf(`!document.querySelector('dialog[open]') && document.querySelector('[data-testid=hold]')?.innerText.includes(%q)`, text))
		tab.WaitFor("the focus is where the holds are", `document.activeElement?.matches('.holds summary')`)
	}

	tab.Navigate(s.URL + "/consultations/" + s.running.ID + token("ann"))
	tab.WaitFor("the holds", `!!document.querySelector('[data-testid=holds]')`)
	k.reach("the holds", `e.matches('.holds summary')`)
	k.press(kb.Enter)
	tab.WaitFor("the holds are open", `document.querySelector('[data-testid=holds]').open`)
	k.button("Place a hold")
	dialog("asks why")
	k.press(kb.Enter)
	tab.WaitFor("that a reason is missing", `document.querySelector('dialog [role=alert]')?.innerText === 'Please choose a reason first.'`)
	k.press(" ")
	k.press(kb.ArrowDown)
	tab.WaitFor("the second reason is chosen", `document.querySelectorAll('[name=hold-reason]')[1].checked`)
	shot(t, tab.Page, "hold-dialog")
	k.reach("the case", `e.matches('[name=reference]')`)
	k.press("Az 7 O 12/26 " + markup)
	k.press(kb.Enter)
	shown("the hold with its case", "Az 7 O 12/26 "+markup)
	tab.WaitFor("it is marked as held, and a lane shows it", `document.querySelector('[data-testid=held]')?.innerText === 'Held'
		&& [...document.querySelectorAll('.lane-name')].some((name) => name.innerText === 'Hold')`)
	k.button("Request release")
	dialog("asks why again")
	k.press(" ")
	k.button("Request the release")
	shown("who has requested it may take that back, and no more", "Take the request back")
	tab.WaitFor("no way to approve", `![...document.querySelectorAll('[data-testid=hold] button')].some((button) => button.innerText.includes('Approve'))`)

	tab.Navigate(s.URL + "/consultations?held=release_requested" + token("ben"))
	tab.WaitFor("the one that waits for somebody else", `document.querySelectorAll('[data-testid=consultation]').length === 1
		&& document.querySelector('[data-testid=consultation] [data-testid=held]')?.innerText === 'Held, release requested'`)
	shot(t, tab.Page, "hold-list")
	k.reach("the row", `e.matches('.consultations a')`)
	k.press(kb.Enter)
	tab.WaitFor("the hold", `!!document.querySelector('[data-testid=hold]')`)
	shot(t, tab.Page, "hold-page")
	k.button("Approve release")
	dialog("says who has requested it")
	tab.WaitFor("by name", `document.querySelector('dialog').innerText.includes('Officer ann <img')`)
	k.button("Release the hold")
	shown("it is over", "Released on")
	tab.WaitFor("it is marked as held no more", `!document.querySelector('[data-testid=held]')`)

	requested := s.service.waitEvent(s.running.ID, events.TypeHoldReleaseRequested, "", 20*time.Second)
	released := s.service.waitEvent(s.running.ID, events.TypeHoldReleased, "", 20*time.Second)
	if requested.Actor == "" || requested.Actor == released.Actor {
		t.Errorf("requested by %q, released by %q", requested.Actor, released.Actor)
	}
}
