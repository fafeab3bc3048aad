package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/testenv"
)

// scene is what staff find: a consultation whose video is ready, and one that goes on.
type scene struct {
	*testenv.Product
	service *client
	held    consultation
	running consultation
}

// newScene holds a consultation with receipts, whose title and names are of the kind that pages must not believe.
func newScene(t *testing.T) *scene {
	t.Helper()
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_RECEIPTS=true"}})
	s := &scene{Product: p, service: as(t, p, "service")}
	s.service.call("POST", "/consultations", map[string]any{
		"title": markup + " Knee", "externalRef": markup, "recording": "required",
		"participants": []person{{Name: "Dr " + markup, Role: "clinician"}, {Name: "Zdenka Weiss", Role: "patient"}},
	}, 201, &s.held)
	for _, who := range s.held.Participants {
		s.service.answer(s.held.ID, who, "given")
	}
	doctor, patient := enters(t, p, s.held.Participants[0], 0), enters(t, p, s.held.Participants[1], 1)
	sees(t, doctor, s.held.Participants[1])
	sees(t, patient, s.held.Participants[0])
	ctx, cancel := within20()
	defer cancel()
	if err := patient.Mute(ctx, media.Camera, true); err != nil {
		t.Fatal(err)
	}
	s.service.waitEvent(s.held.ID, events.TypeTrackMuted, s.held.Participants[1].ID, 20*time.Second)
	sees(t, patient, s.held.Participants[0]) // a moment that the camera is off
	leaves(t, patient)
	leaves(t, doctor)
	s.service.end(s.held.ID)
	s.service.ready(s.held.ID, 1)

	s.running = s.service.schedule("Goes on "+markup, "required", person{Name: "Dr " + markup, Role: "clinician"}, person{Name: "Pat C", Role: "patient"},
		person{Name: "Pat D", Role: "patient"})
	s.service.answer(s.running.ID, s.running.Participants[0], "given")
	sit(t, p, s.running.Participants[0])
	s.service.waitEvent(s.running.ID, events.TypeParticipantJoined, s.running.Participants[0].ID, 20*time.Second)
	return s
}

// markup is what a page must show as it stands.
const markup = `<img src=x onerror="window.injected=1">`

// Every page can be used with a screen reader, in the dark, on a phone and at 400 %; and by a keyboard alone, in the other
// browser, and on paper.
func TestThePagesAreForEverybody(t *testing.T) {
	s := newScene(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *scene)
	}{
		{"axe finds nothing on the pages of guests", axeOnPagesOfGuests},
		{"axe finds nothing on the pages of staff", axeOnPagesOfStaff},
		{"staff need no pointer", staffWithoutAPointer},
		{"a guest needs no pointer", guestWithoutAPointer},
		{"two officers and a hold need no pointer", holdWithoutAPointer},
		{"Firefox plays and seeks", firefoxWatches},
		{"paper holds every event and the digest of them", paperHoldsEveryEvent},
		{"the state at any moment is the fold of the events", stateIsTheFold},
	} {
		t.Run(part.name, func(t *testing.T) {
			s.In(t)
			part.run(t, s)
		})
	}
}

// inspector holds pages against the rules of axe-core.
type inspector struct {
	t   *testing.T
	tab *testenv.Chromium
	axe string // the source of axe-core
}

func newInspector(t *testing.T, tab *testenv.Chromium) *inspector {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("axe-core is not there; ./task web installs it: %v", err)
	}
	return &inspector{t: t, tab: tab, axe: string(source)}
}

// view is how somebody looks at a page.
type view struct {
	t   *testing.T
	tab *testenv.Chromium
}

// at makes the window so many pixels wide and high and the colours those of the scheme, and waits until the page has followed.
func (v view) at(width, height int64, scheme string) {
	v.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	if _, err := chromedp.Call(v.tab.Context, emulation.SetEmulatedMedia, media); err != nil {
		v.t.Fatal(err)
	}
	if err := chromedp.Do(v.tab.Context, chromedp.EmulateViewport(width, height)); err != nil {
		v.t.Fatal(err)
	}
	v.tab.WaitFor(fmt.Sprintf("the page is %d pixels wide and %s", width, scheme), fmt.Sprintf(`innerWidth === %d
		&& matchMedia('(prefers-color-scheme: %s)').matches
		&& await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`, width, scheme))
}

// broken is one rule that a page breaks.
type broken struct {
	ID    string
	Help  string
	Nodes []struct {
		HTML           string
		FailureSummary string
	}
}

// inspect wants no broken rule on the page that the tab shows, nothing on it that somebody has smuggled in, light and dark, on a phone and on a desk, and that nothing has
// to be scrolled sideways on a screen of 1280 pixels at 400 %.
func (i *inspector) inspect(page string) {
	i.t.Helper()
	i.tab.Evaluate("(() => {"+i.axe+"\n})()", nil)
	var injected bool
	i.tab.Evaluate(`'injected' in window || !!document.querySelector('img[src=x]')`, &injected)
	if injected {
		i.t.Errorf("%s: what somebody has typed became a part of the page", page)
	}
	look := view{i.t, i.tab}
	for _, width := range []int64{390, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			look.at(width, 844, scheme)
			var found struct {
				Broken []broken
				Passes int
			}
			i.tab.Evaluate(`axe.run(document, { resultTypes: ['violations'] })
				.then(({ violations, passes }) => ({ broken: violations, passes: passes.length }))`, &found)
			if found.Passes < 10 {
				i.t.Errorf("%s, %d px, %s: only %d rules had something to look at", page, width, scheme, found.Passes)
			}
			for _, rule := range found.Broken {
				for _, node := range rule.Nodes {
					i.t.Errorf("%s, %d px, %s: %s (%s): %s\n%s", page, width, scheme, rule.ID, rule.Help, node.HTML, node.FailureSummary)
				}
			}
		}
	}
	look.at(320, 256, "light")
	var wide []string
	i.tab.Evaluate(`document.scrollingElement.scrollWidth <= 320 ? [] : [...document.querySelectorAll('body *')]
		.filter((e) => e.getBoundingClientRect().right > 321 && !e.closest('.scroll')).map((e) => e.outerHTML.slice(0, 120))`, &wide)
	if len(wide) > 0 {
		i.t.Errorf("%s has to be scrolled sideways at 400 %%:\n%s", page, strings.Join(wide[:min(len(wide), 6)], "\n"))
	}
	look.at(1280, 844, "light")
}

// axeOnPagesOfGuests goes along links that lead nowhere, and a patient's way from the link to the end.
func axeOnPagesOfGuests(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	i := newInspector(t, tab)
	shows := func(page string) {
		t.Helper()
		tab.WaitFor("the page "+page, fmt.Sprintf(`!!document.querySelector('[data-testid=%s]')`, page))
		i.inspect(page)
	}
	tab.Navigate(s.URL + "/jion")
	tab.WaitFor("that there is no such page", `document.querySelector('h1')?.innerText === 'There is no such page'`)
	i.inspect("no page")
	tab.Navigate(s.URL + "/join")
	shows("end-missing")
	tab.Navigate(s.URL + "/join#token=of.somebody.else")
	shows("end-foreign")
	tab.Navigate(s.running.Participants[1].JoinURL)
	tab.WaitFor("the camera's picture", `!!document.querySelector('[data-testid=preview]')`)
	shows("step-check")
	tab.Click("Continue")
	shows("step-notice")
	tab.Click("Do not record me")
	shows("step-refused")
	tab.Click("Read the notice again")
	tab.Click("I agree")
	shows("step-ready")
	tab.Click("Join")
	tab.WaitFor("the doctor's tile", `document.querySelector('[data-testid=stage] figure')?.innerText.includes('<img')`)
	shows("call")
	tab.Click("Leave")
	shows("end-left")
}

// axeOnPagesOfStaff looks at the list, at a consultation as those see it who may watch and who may not, and at what runs now.
func axeOnPagesOfStaff(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	i := newInspector(t, tab)
	tab.Navigate(s.URL + "/consultations")
	tab.WaitFor("how to get in", `!!document.querySelector('[data-testid=signin]')`)
	i.inspect("sign in")
	tab.Navigate(s.URL + "/consultations#token=" + s.Command("token", "--role", "compliance"))
	s.service.call("POST", "/consultations/"+s.held.ID+"/holds", map[string]string{"reason": "litigation", "reference": markup}, 201, new(any))
	tab.WaitText("Knee")
	tab.WaitText(s.held.Title)
	tab.WaitFor("what is held is marked, without being asked for", `!!document.querySelector('[data-testid=held]')`)
	i.inspect("list")
	tab.Evaluate(`(() => {
		const search = document.querySelector('label.search input');
		search.value = 'nothing like it '+`+fmt.Sprintf("%q", markup)+`;
		search.dispatchEvent(new Event('input', { bubbles: true }));
	})()`, nil)
	tab.WaitFor("that nothing is like it", `document.querySelector('[data-testid=count]').innerText.includes('<img')`)
	i.inspect("list of nothing")
	tab.Navigate(s.URL + "/consultations/" + s.held.ID)
	tab.WaitFor("the question for what", `[...document.querySelectorAll('button')].some((b) => b.innerText === 'Open the recording')`)
	i.inspect("consultation before it is opened")
	tab.ClickRole("radio", "Complaint")
	tab.Click("Open the recording")
	tab.WaitFor("the video", `document.querySelector('video[data-testid=archive-video]')?.readyState >= 2`)
	clickEvent(tab.Page, events.TypeTrackMuted)
	tab.WaitFor("the receipt among the accesses", `!!document.querySelector('[data-testid=accesses]')`)
	tab.Evaluate(`document.querySelectorAll('details').forEach((d) => { d.open = true; })`, nil)
	tab.WaitFor("the lanes as a table", `!!document.querySelector('[data-testid=lanes-table] td')`)
	tab.WaitFor("the hold", `document.querySelector('[data-testid=hold]')?.innerText.includes('<img')`)
	i.inspect("consultation")
	tab.Click("Place a hold")
	tab.WaitFor("the dialog", `!!document.querySelector('dialog[open] [name=reference]')`)
	i.inspect("placing a hold")
	tab.WaitText(s.held.Title)
	tab.Navigate(s.URL + "/consultations/" + s.running.ID)
	tab.WaitFor("the lanes", `Number(document.querySelector('.plot')?.ariaValueMax) >= 0`)
	i.inspect("consultation that goes on")
	tab.Navigate(s.URL + "/live")
	tab.WaitFor("what runs", `document.querySelector('[data-testid=room]')?.innerText.includes('<img')`)
	i.inspect("live")
	tab.Navigate(s.URL + "/consultations/" + strings.Repeat("0", 8) + s.held.ID[8:])
	tab.WaitFor("that there is none", `!!document.querySelector('[data-testid=missing]')`)
	i.inspect("no consultation")
	tab.Navigate(s.URL + "/consultations/" + s.held.ID + "#token=" + s.Command("token", "--role", "auditor"))
	tab.WaitFor("that there are no pictures", `!!document.querySelector('[data-testid=no-media]')`)
	i.inspect("consultation without pictures")
}
