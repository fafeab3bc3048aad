package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// lane is the only direct way of a page to the server's media: a forwarder of UDP on loopback that can be shut, and opened
// again.
type lane struct {
	front   *net.UDPConn
	server  *net.UDPAddr
	shut    atomic.Bool
	forward sync.WaitGroup

	mu    sync.Mutex // guards backs
	backs map[string]*net.UDPConn
}

// newLane opens a lane to the server's media port; the test's end closes it.
func newLane(t testing.TB, server string) *lane {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &lane{front: front, server: to, backs: map[string]*net.UDPConn{}}
	l.forward.Go(l.out)
	t.Cleanup(func() {
		front.Close()
		l.mu.Lock()
		for _, back := range l.backs {
			back.Close()
		}
		l.mu.Unlock()
		l.forward.Wait()
	})
	return l
}

// out carries what pages send until the lane is closed.
func (l *lane) out() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := l.front.ReadFromUDP(buffer)
		if err != nil {
			return
		}
		back := l.back(from)
		if back != nil && !l.shut.Load() {
			_, _ = back.Write(buffer[:n]) // what a server does not take is lost, as on any network
		}
	}
}

// back is the socket on which the server sees the page.
func (l *lane) back(from *net.UDPAddr) *net.UDPConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if back := l.backs[from.String()]; back != nil {
		return back
	}
	back, err := net.DialUDP("udp4", nil, l.server)
	if err != nil {
		return nil
	}
	l.backs[from.String()] = back
	l.forward.Go(func() { // ends when the lane is closed
		buffer := make([]byte, 1<<16)
		for {
			n, err := back.Read(buffer)
			if err != nil {
				return
			}
			if !l.shut.Load() {
				_, _ = l.front.WriteToUDP(buffer[:n], from)
			}
		}
	})
	return back
}

// onlyBy is a page whose first connection can go directly over the lane and over nothing else: it names no address of its
// own, and every address of the server is the lane's. When it forces relays, those over TCP are there, or none if cut off.
// A second connection is free to go as it likes if cut off. The clock by which the page waits stands still while it has
// nothing to wait for, so that a slow machine is not taken for a dead way; go() lets it run.
func (l *lane) onlyBy(cutOff bool) string {
	port := l.front.LocalAddr().(*net.UDPAddr).Port
	return fmt.Sprintf(`(() => {
		const Real = RTCPeerConnection, relayed = (c) => c?.iceTransportPolicy === 'relay';
		const set = Real.prototype.setConfiguration, restart = Real.prototype.restartIce;
		const cutOff = %t, dead = cutOff ? /^turn/ : /transport=udp|^turns/;
		const clock = performance.now.bind(performance);
		let lost = 0, stopped;
		performance.now = () => (stopped ?? clock()) - lost;
		const stop = () => (stopped ??= clock());
		window.go = () => {
			if (stopped !== undefined) lost += clock() - stopped;
			stopped = undefined;
		};
		window.way = 'lane';
		window.steps = [];
		const step = (name) => window.steps.at(-1) === name || window.steps.push(name);
		window.RTCPeerConnection = function (c) {
			const pc = new Real(c);
			if (!relayed(c)) { // the others are the check before the call
				step('new');
				stop();
				window.pc = pc;
				if (window.steps.length > 1) window.way = 'free';
			}
			return pc;
		};
		window.RTCPeerConnection.prototype = Real.prototype;
		Real.prototype.setConfiguration = function (c) {
			if (relayed(c)) {
				step('relay');
				window.way = 'relay';
				if (!cutOff) stop();
				const at = (url) => dead.test(url) ? url.replace(/:\d+\?/, ':9?') : url;
				c = { ...c, iceServers: c.iceServers.map((s) => ({ ...s, urls: [s.urls].flat().map(at) })) };
			}
			return set.call(this, c);
		};
		Real.prototype.restartIce = function () {
			if (window.way === 'lane') step('restart');
			return restart.call(this);
		};
		window.own = (text) => window.way !== 'lane' ? text : text.replace(
			/(candidate:\S+ \d+ \w+ \d+ )\S+( \d+ typ )/g, '$1gone.local$2');
		window.theirs = (text) => window.way !== 'lane' ? text : text.replace(
			/(candidate:\S+ \d+ )(\w+)( \d+ )\S+ \d+( typ )/g, (_, a, by, b, c) => a + by + b + '127.0.0.1 ' + (by === 'udp' ? %d : 9) + c);
	})();`, cutOff, port) + altering(`.replace(/^[^]*$/, window.own)`, `.replace(/^[^]*$/, window.theirs)`)
}

// receiving counts what a page has decoded and heard on its newest connection.
const receiving = `(async () => {
	let frames = 0, packets = 0;
	for (const s of (await window.pc.getStats()).values()) if (s.type === 'inbound-rtp') {
		if (s.kind === 'video') frames += s.framesDecoded; else packets += s.packetsReceived;
	}
	return [frames, packets];
})()`

// getsMedia waits until pictures and sound go on coming to a page.
func getsMedia(page *testenv.Page, who string) {
	page.WaitFor(who+" gets sound and pictures", `(async () => {
		const [frames, packets] = await `+receiving+`;
		await new Promise((r) => setTimeout(r, 700));
		const [later, more] = await `+receiving+`;
		return later - frames >= 3 && more - packets >= 5;
	})()`)
}

// The direct way of two patients dies in mid-call. One finds back over a relay, which is what is tried when a restart has
// not helped; to the other one no relay answers either, and it makes a new connection. Both stay who they are, nobody is asked
// again, and their recordings go on. It takes half a minute, most of it waiting; it is begun here, and what it gives ends it.
func theLadderIsClimbed(t *testing.T, p *testenv.Product, service *client, chromium *testenv.Chromium) (end func()) {
	c := service.schedule("Ladder", "required", person{Name: "Dr A", Role: "clinician", Consent: true},
		person{Name: "Pat B", Role: "patient"}, person{Name: "Pat C", Role: "patient"})
	host, relayed, alone := c.Participants[0], c.Participants[1], c.Participants[2]
	var direct *lane
	ctx, cancel := within20()
	defer cancel()
	doctor, err := simpeer.JoinWebSocket(ctx, signalingURL(p), host.token(t), simpeer.Options{
		Media: made(t, small(0)),
		BeforeJoin: func(_ context.Context, w simpeer.Welcome) error {
			direct = newLane(t, mediaAddress(t, w))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(doctor.Drop)
	pages := map[string]*testenv.Page{}
	for _, who := range []participant{relayed, alone} {
		page := chromium.Tab(t, smallCamera+direct.onlyBy(who == alone))
		page.Navigate(who.JoinURL)
		press(page, "Continue")
		press(page, "I agree")
		press(page, "Join")
		pages[who.ID] = page
	}
	for _, who := range []participant{relayed, alone} {
		getsMedia(pages[who.ID], who.Name)
		sees(t, doctor, who)
	}
	direct.shut.Store(true)
	for _, page := range pages {
		page.Evaluate("(window.go(), 0)", nil)
	}
	return func() {
		t.Helper()
		pages[relayed.ID].WaitFor("relays are forced when a restart has not helped", `window.steps.join() === 'new,restart,relay'`)
		pages[alone.ID].WaitFor("and a new connection is made when that has not", `window.steps.join() === 'new,restart,relay,new'`)
		for _, who := range []participant{relayed, alone} {
			getsMedia(pages[who.ID], who.Name+" after the way died")
			sees(t, doctor, who)
		}
		pages[relayed.ID].WaitFor("media goes over the relay", `(async () => {
			const stats = await window.pc.getStats(), all = [...stats.values()];
			const pair = stats.get(all.find((s) => s.type === 'transport')?.selectedCandidatePairId);
			return stats.get(pair?.localCandidateId)?.candidateType === 'relay';
		})()`)
		service.end(c.ID)
		service.waitEvent(c.ID, events.TypeConsultationCompleted, "", time.Minute)
		if t.Failed() {
			return
		}
		all, tl := service.events(c.ID), service.timeline(c.ID)
		staysOne(t, all, tl, relayed, 1)
		staysOne(t, all, tl, alone, 2)
	}
}

// mediaAddress is the server's media port, where its relay over UDP is too.
func mediaAddress(t testing.TB, w simpeer.Welcome) string {
	t.Helper()
	for _, s := range w.ICEServers {
		i := slices.IndexFunc(s.URLs, func(u string) bool { return strings.HasPrefix(u, "turn:") && strings.HasSuffix(u, "udp") })
		if i >= 0 {
			at, _, _ := strings.Cut(strings.TrimPrefix(s.URLs[i], "turn:"), "?")
			return at
		}
	}
	t.Fatalf("no relay over UDP in %v", w.ICEServers)
	return ""
}

// staysOne wants a participant to have come once and agreed once, over so many connections, and its recording to go on
// behind a gap that has a cause.
func staysOne(t *testing.T, all []events.Stored, tl timelineJSON, who participant, connections int) {
	t.Helper()
	count := map[events.Type]int{}
	for _, e := range all {
		if e.Participant == who.ID {
			count[e.Type]++
		}
	}
	for kind, want := range map[events.Type]int{
		events.TypeConnectionOpened: connections, events.TypeParticipantJoined: 1, events.TypeConsentGiven: 1,
		events.TypeParticipantLeft: 1, // by the end
	} {
		if count[kind] != want {
			t.Errorf("%s has %d events %s, want %d", who.Name, count[kind], kind, want)
		}
	}
	if count[events.TypeConnectionRestarted] == 0 {
		t.Errorf("the log knows of no restart of %s", who.Name)
	}
	of := tl.of(t, who.ID)
	if len(of.Present) != 1 {
		t.Errorf("%s was present %d times: %+v", who.Name, len(of.Present), of.Present)
	}
	for _, kind := range []string{"audio", "video"} {
		if n := len(tracksOf(of, kind)); n != connections {
			t.Errorf("%s has %d tracks of %s, want %d", who.Name, n, kind, connections)
		}
		if !goesOn(of, kind) {
			t.Errorf("%s of %s does not go on behind a gap of seconds: %+v", kind, who.Name, of.Tracks)
		}
	}
}

func tracksOf(p timelineParticipant, kind string) (tracks []timelineTrack) {
	for _, track := range p.Tracks {
		if track.Kind == kind {
			tracks = append(tracks, track)
		}
	}
	return tracks
}

// goesOn tells whether there are seconds without media that are accounted for, with media before and behind them. Between the
// tracks of two connections there may be a moment that belongs to neither.
func goesOn(p timelineParticipant, kind string) bool {
	var clips []timelineClip
	var gaps []timelineStretch
	for _, track := range tracksOf(p, kind) {
		clips, gaps = append(clips, track.Clips...), append(gaps, track.Gaps...)
	}
	slices.SortFunc(clips, func(a, b timelineClip) int { return cmp.Compare(a.StartNS, b.StartNS) })
	for i := 1; i < len(clips); i++ {
		from, to := clips[i-1].EndNS, clips[i].StartNS
		var known int64
		for _, g := range gaps {
			if g.Cause != "" {
				known += max(0, min(g.EndNS, to)-max(g.StartNS, from))
			}
		}
		if time.Duration(known) > 3*time.Second {
			return true
		}
	}
	return false
}
