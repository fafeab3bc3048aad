package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// keepConnections runs before the page's own scripts. It lets a test take a track off its sender and put it back, as a
// page does that changes its microphone.
const keepConnections = `(() => {
	const all = [], PC = window.RTCPeerConnection;
	window.RTCPeerConnection = class extends PC { constructor(...args) { super(...args); all.push(this); } };
	const taken = {};
	window.detach = (kind) => {
		for (const pc of all) for (const sender of pc.getSenders())
			if (sender.track?.kind === kind) { taken[kind] = { sender, track: sender.track }; void sender.replaceTrack(null); }
		return kind in taken;
	};
	window.attach = (kind) => { void taken[kind].sender.replaceTrack(taken[kind].track); return true; };
})()`

// spell is something that a test did to a browser for a while.
type spell struct {
	what, kind, cause string // the cause that the gap must have, "" if there must be none
	from, to          time.Time
}

// hides says whether the flash or the beep of a second cannot be in the archive, or not yet again.
func (s spell) hides(at time.Time) bool {
	return at.After(s.from.Add(-500*time.Millisecond)) && at.Before(s.to.Add(1500*time.Millisecond))
}

// TestChromiumOnTheWay does to a real Chromium what people and pages do in mid-call: its microphone is taken off its
// sender for four seconds, which freezes the RTP time of its sound, its camera is switched off and on, and so is its
// microphone. Nothing before or after may be displaced.
func TestChromiumOnTheWay(t *testing.T) {
	if !*wholeMatrix {
		t.Skip("takes minutes: ./task measure:sync -- --matrix runs it; TestChromiumSync is the short form")
	}
	var spells []spell
	call := holdChromiumCall(t, func(c *testenv.Chromium) {
		during := func(what, kind, cause string, begin, end func()) {
			s := spell{what: what, kind: kind, cause: cause, from: time.Now()}
			begin()
			time.Sleep(4 * time.Second) // how long it lasts is what is measured
			end()
			s.to = time.Now()
			spells = append(spells, s)
			time.Sleep(6 * time.Second)
		}
		evaluate := func(script string) func() {
			return func() {
				var done bool
				if c.Evaluate(script, &done); !done {
					t.Fatalf("%s did nothing", script)
				}
			}
		}
		click := func(name string) func() { return func() { c.Click(name) } }
		time.Sleep(10 * time.Second) // a browser climbs to its full size first
		during("replaceTrack(null) of the sound", "audio", "stall", evaluate(`detach("audio")`), evaluate(`attach("audio")`))
		during("camera off", "video", "camera_off", click("Camera"), click("Camera"))
		during("microphone off", "audio", "", click("Microphone"), click("Microphone"))
	}, func(c *testenv.Chromium) error {
		_, err := chromedp.Call(c.Context, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: keepConnections})
		return err
	})
	spec := call.specs[0]
	shots, beeps := call.shots[spec.Who], call.beeps[spec.Tone]
	if len(shots) == 0 {
		t.Fatal("nothing in the archive can be read of Chromium's picture")
	}
	wanted := slices.DeleteFunc(seconds(call.saw.frames(t), call.saw.beeps(t, spec.Tone)), func(s second) bool {
		at := s.flash[0].At
		return at.Sub(call.start) < shots[0].At+500*time.Millisecond ||
			slices.ContainsFunc(spells, func(s spell) bool { return s.hides(at) })
	})
	found, dark, silent := place(wanted, call.start, shots, beeps)
	offsets := added(found)
	t.Logf("%s", chromiumTable(found, offsets))
	lost := map[string]time.Duration{}
	for _, s := range spells {
		if s.cause != "" {
			lost[s.what] = time.Duration(call.shown.lost(s.kind, s.cause))
		}
		t.Logf("%s from %s to %s: a gap %q of %s", s.what, s.from.Sub(call.start).Round(time.Millisecond), s.to.Sub(call.start).Round(time.Millisecond),
			s.cause, lost[s.what].Round(time.Millisecond))
	}
	t.Logf("captured and not in the archive: flashes at %v, beeps at %v", dark, silent)
	t.Logf("chromium_on_the_way_av_offset_p95_ms=%.1f chromium_on_the_way_seconds=%d", ms(simpeer.P95(offsets)), len(offsets))

	if got := simpeer.P95(offsets); got > chromiumBar {
		t.Errorf("sound and picture are %s apart (p95 of %d seconds), want at most %s", got, len(offsets), chromiumBar)
	}
	if len(dark) > len(wanted)/10 || len(silent) > 0 || len(found) < 12 {
		t.Errorf("of %d seconds %d were measured; not in the archive: flashes at %v (one in ten may be missing), beeps at %v (none may)",
			len(wanted), len(found), dark, silent)
	}
	for _, s := range spells {
		if length := s.to.Sub(s.from); s.cause != "" && (lost[s.what]-length).Abs() > time.Second {
			t.Errorf("%s lasted %s, its gap %s", s.what, length, lost[s.what])
		}
	}
	for _, track := range call.shown.Tracks {
		for _, g := range track.Gaps {
			if !slices.ContainsFunc(spells, func(s spell) bool { return s.kind == track.Kind && s.covers(g, call.start) }) {
				t.Errorf("gap %s of %s from %s to %s has no reason", g.Cause, track.Kind, time.Duration(g.StartNS), time.Duration(g.EndNS))
			}
		}
	}
}

// covers says whether a gap is of the spell, or of the whole picture that has to come behind it.
func (s spell) covers(g timelineStretch, start time.Time) bool {
	from, to := start.Add(time.Duration(g.StartNS)), start.Add(time.Duration(g.EndNS))
	settling := g.Cause == "loss" && from.After(s.to.Add(-time.Second))
	return (g.Cause == s.cause || settling) && from.After(s.from.Add(-time.Second)) && to.Before(s.to.Add(1500*time.Millisecond))
}
