package e2e

import (
	"fmt"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// newestConnection keeps the connection of the call that a page has made last where the test finds it, and counts them.
const newestConnection = `(() => {
	const Real = RTCPeerConnection;
	window.connections = 0;
	window.RTCPeerConnection = function (c) {
		const pc = new Real(c);
		if (c?.iceTransportPolicy !== 'relay') { // the others are the check before the call
			window.pc = pc;
			window.connections++;
		}
		return pc;
	};
	window.RTCPeerConnection.prototype = Real.prototype;
})();`

// Live is stopped and started, and killed and started, in the middle of a call: both pages come back by themselves, as the same
// participants, and nobody is asked again. How long it takes is printed; ten seconds are promised, and a machine that runs
// tests beside this one gets a minute.
func TestPagesComeBackAfterARestartOfTheServer(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("Restart", "required", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	chromium := testenv.NewChromium(t, testenv.ChromiumOptions{})
	var pages []*testenv.Page
	for _, who := range c.Participants {
		page := chromium.Tab(t, smallCamera+newestConnection)
		page.Navigate(who.JoinURL)
		press(page, "Continue")
		press(page, "I agree")
		press(page, "Join")
		pages = append(pages, page)
	}
	for i, who := range c.Participants {
		getsMedia(pages[i], who.Name)
	}
	for _, end := range []struct {
		name string
		do   func()
	}{
		{"stop", func() { p.Live.Stop(t) }},
		{"kill", func() { p.Live.Kill() }},
	} {
		for _, page := range pages {
			page.Evaluate(`(window.before = window.connections, 0)`, nil)
		}
		began := time.Now()
		end.do()
		ended := time.Since(began)
		p.StartLive()
		ready := time.Since(began)
		back := make([]time.Duration, len(pages))
		await(t, time.Minute, func() string { return fmt.Sprintf("both have pictures after a %s: %v", end.name, back) }, func() bool {
			all := true
			for i, page := range pages {
				var got bool
				page.Evaluate(`(async () => window.connections > window.before && (await `+receiving+`)[0] > 0)()`, &got)
				if got && back[i] == 0 {
					back[i] = time.Since(began)
				}
				all = all && back[i] > 0
			}
			return all
		})
		t.Logf("back_after_%s_ms=%d of these ending=%d and starting=%d", end.name,
			max(back[0], back[1]).Milliseconds(), ended.Milliseconds(), (ready - ended).Milliseconds())
		for i, who := range c.Participants {
			getsMedia(pages[i], who.Name+" after a "+end.name)
		}
	}
	for i, who := range c.Participants {
		count := map[events.Type]int{}
		for _, e := range service.events(c.ID) {
			if e.Participant == who.ID {
				count[e.Type]++
			}
		}
		t.Logf("connections_of_page_%d=%d", i, count[events.TypeConnectionOpened]) // three: one, and one after each end
		if count[events.TypeParticipantJoined] != 1 || count[events.TypeConsentGiven] != 1 || count[events.TypeParticipantLeft] != 0 {
			t.Errorf("%s joined %d times, left %d times and agreed %d times, want once, never and once",
				who.Name, count[events.TypeParticipantJoined], count[events.TypeParticipantLeft], count[events.TypeConsentGiven])
		}
	}
}
