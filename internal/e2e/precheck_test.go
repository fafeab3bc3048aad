package e2e

import (
	"fmt"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// Before the call a patient tests devices and network on the real ways to this server; the doctor in the waiting room sees
// what came of it. Another one passes all of it by.
func theCheckBeforeTheCall(t *testing.T, service *client, chromium *testenv.Chromium) {
	c := service.schedule("Check", "forbidden",
		person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"}, person{Name: "Pat C", Role: "patient"})
	doctor, careful, hasty := c.Participants[0], c.Participants[1], c.Participants[2]

	page := chromium.Tab(t, smallCamera)
	page.Navigate(careful.JoinURL)
	page.WaitFor("the camera's picture", `!!document.querySelector('[data-testid=preview]')`)
	for _, way := range []string{"udp", "tcp"} {
		page.WaitFor(way+" reaches the server", fmt.Sprintf(`document.querySelector('[data-testid=way-%s]')?.dataset.result === 'ok'`, way))
	}
	page.WaitFor("all is there", `document.querySelector('[data-testid=network]')?.dataset.result === 'ok' && !!document.querySelector('.choices select')`)
	stays := standsStill(page, "Continue")
	page.Click("Play a sound")
	stays("a question")
	page.Click("I heard it")
	stays("an answer")
	page.WaitFor("the meter moves with the microphone", `document.querySelector('[data-testid=level]')?.value > 0`)
	page.Click("Continue")
	page.WaitFor("it goes on", `!!document.querySelector('[data-testid=step-ready]')`)
	e := service.waitEvent(c.ID, events.TypeParticipantChecked, careful.ID, 20*time.Second)
	got := e.Event.(events.ParticipantChecked)
	ways := map[string]string{}
	for _, w := range got.Ways {
		ways[w.Way] = w.Result
	}
	if got.Camera != "ok" || got.Microphone != "ok" || got.Speaker != "ok" || len(got.Codes) > 0 ||
		ways["udp"] != "ok" || ways["tcp"] != "ok" || ways["tls"] != "absent" {
		t.Errorf("the log says %+v", got)
	}
	if got.TookMS <= 0 || got.TookMS > 60_000 {
		t.Errorf("it took %d ms", got.TookMS)
	}

	impatient := chromium.Tab(t, smallCamera)
	impatient.Navigate(hasty.JoinURL)
	impatient.Click("Continue")
	impatient.WaitFor("it goes on", `!!document.querySelector('[data-testid=step-ready]')`)
	skipped := service.waitEvent(c.ID, events.TypeParticipantChecked, hasty.ID, 20*time.Second).Event.(events.ParticipantChecked)
	if skipped.Speaker != "skipped" {
		t.Errorf("of a check that was passed by the log says %+v", skipped)
	}

	host := chromium.Tab(t, smallCamera)
	host.Navigate(doctor.JoinURL)
	host.WaitFor("the doctor's devices", `!!document.querySelector('[data-testid=preview]')`)
	host.Click("Continue")
	for _, where := range []string{"before joining", "in the call"} {
		host.WaitFor("the doctor sees "+where+" who waits and what was tested", fmt.Sprintf(`(() => {
			const row = document.querySelector('[data-testid=waiting-room] [data-participant="%s"]');
			const results = [...(row?.querySelectorAll('[data-testid=checked] li') ?? [])].map((e) => e.dataset.result);
			return results.length === 5 && results.every((r) => r === 'ok') && row.innerText.includes('Pat B');
		})()`, careful.ID))
		if where == "before joining" {
			host.Click("Join")
			host.WaitFor("the call", `!!document.querySelector('[data-testid=call]')`)
			host.WaitFor("the waiting room leaves most of the page to the pictures",
				`document.querySelector('[data-testid=stage]').clientHeight > innerHeight / 2`)
		}
	}
	page.WaitFor("a patient is shown no waiting room", `!document.querySelector('[data-testid=waiting-room]')`)
	page.Click("Join")
	// A browser that could talk to the relay's port over UDP talks to the media's over UDP.
	await(t, 20*time.Second, func() string { return "media over UDP" }, func() bool {
		for _, e := range service.events(c.ID) {
			if pair, ok := e.Event.(events.ConnectionPairSelected); ok && e.Participant == careful.ID && pair.Remote.Transport == "udp" && pair.Remote.Kind != "relay" {
				return true
			}
		}
		return false
	})
	host.WaitFor("who has joined waits no more", fmt.Sprintf(
		`!document.querySelector('[data-testid=waiting-room] [data-participant="%s"]')`, careful.ID))
}

// standsStill remembers where a button is on the page, and how long the page is; what it gives fails the test when that has
// changed: whoever is about to press it would miss it.
func standsStill(page *testenv.Page, button string) func(after string) {
	where := fmt.Sprintf(`(() => {
		const it = [...document.querySelectorAll('button')].find((b) => b.innerText.trim() === %q);
		return [it.getBoundingClientRect().top + scrollY, document.documentElement.scrollHeight].map(Math.round);
	})()`, button)
	var before []int
	page.Evaluate(where, &before)
	return func(after string) {
		page.WaitFor(fmt.Sprintf("%s is where it was after %s", button, after), fmt.Sprintf("(%s).join() === '%d,%d'", where, before[0], before[1]))
	}
}
