package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/failures"
	"consilium/internal/testenv"
)

var everyDevice = flag.Bool("every-device", false, "bring about every failure of a device, not three of eleven")

// hurt is one way to bring about a failure on a page: what the browser is made to do, and what the person does then.
type hurt struct {
	code   failures.Code
	script string // runs before the page does
	joins  bool   // it happens in the call; otherwise at the look at camera and microphone
	slow   bool   // it takes its time: it begins before the others
	often  bool   // it is in every run; the rest is like it
	after  func(*testenv.Page)
	healed func(*testenv.Page) // once it was read
	german bool
}

// refusing makes getUserMedia fail for some kinds, by the name of the error, as browsers do it. The rest is allowed.
func refusing(errors map[string]string) string {
	raw, err := json.Marshal(errors)
	if err != nil {
		panic(err)
	}
	return `(() => {
		const errors = ` + string(raw) + `, real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
		const fail = (name) => { throw new DOMException('no', name); };
		navigator.mediaDevices.getUserMedia = async (wanted) => {
			if (wanted.video && errors.camera) fail(errors.camera);
			if (wanted.audio && errors.microphone) fail(errors.microphone);
			return real(wanted);
		};
		navigator.permissions.query = async ({ name }) => ({ state: errors[name] ? 'denied' : 'granted' });
	})();`
}

// unreachable sends what a page tries over the relay of these ways to a port where nobody is.
func unreachable(ways string) string {
	return `(() => {
		const Real = RTCPeerConnection, lost = /` + ways + `/;
		window.RTCPeerConnection = function (c) {
			const at = (url) => lost.test(url) ? url.replace(/:\d+\?/, ':9?') : url;
			if (c?.iceTransportPolicy === 'relay') c = { ...c, iceServers: c.iceServers.map((s) => ({ ...s, urls: s.urls.map(at) })) };
			return new Real(c);
		};
		window.RTCPeerConnection.prototype = Real.prototype;
	})();`
}

// altering changes what the page sends and hears over its WebSocket, as texts.
func altering(out, in string) string {
	return `(() => {
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (text) { send.call(this, text` + out + `); };
		const handler = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
		Object.defineProperty(WebSocket.prototype, 'onmessage', { ...handler, set(f) {
			handler.set.call(this, (event) => f({ data: event.data` + in + ` }));
		} });
	})();`
}

// smallCamera spares the machine: what is sent matters to nobody here.
const smallCamera = `if (navigator.mediaDevices) (() => {
	const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
	navigator.mediaDevices.getUserMedia = (wanted) =>
		real({ ...wanted, ...(wanted.video ? { video: { width: 160, height: 120, frameRate: 10 } } : {}) });
})();`

const silentMicrophone = `(() => {
	const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
	navigator.mediaDevices.getUserMedia = async (wanted) => {
		const got = await real(wanted);
		if (!wanted.audio) return got;
		const zeros = new AudioContext().createMediaStreamDestination().stream.getAudioTracks();
		return new MediaStream([...got.getVideoTracks(), ...zeros]);
	};
})();`

// A list of m-lines that say that they send and have nothing to send.
const nothingToSend = `(() => {
	const add = RTCPeerConnection.prototype.addTransceiver;
	RTCPeerConnection.prototype.addTransceiver = function (what, init) {
		return add.call(this, typeof what === 'string' ? what : what.kind, init);
	};
})();`

// Every connection that the page makes is kept where the test finds it.
const keptConnections = `(() => {
	const Real = RTCPeerConnection;
	window.kept = [];
	window.RTCPeerConnection = function (c) { const pc = new Real(c); window.kept.push(pc); return pc; };
	window.RTCPeerConnection.prototype = Real.prototype;
})();`

const cuttableSocket = `(() => {
	const Real = WebSocket;
	window.cut = false;
	window.WebSocket = function (url, protocols) {
		if (window.cut) url = location.origin.replace(/^http/, 'ws') + '/nowhere';
		return (window.socket = new Real(url, protocols));
	};
	window.WebSocket.prototype = Real.prototype;
})();`

// hurts are all failures but those of links: the deadlines first, since they take their time while the others happen.
var hurts = []hurt{
	{code: failures.SignalingTimeout, joins: true, script: `RTCPeerConnection.prototype.createOffer = () => new Promise(() => {});`},
	{
		// Only relays are used, and there are none: no address is found, and none is told.
		code: failures.ICETimeout, joins: true,
		script: `(() => {
			const Real = RTCPeerConnection;
			window.RTCPeerConnection = function () { return new Real({ iceServers: [], iceTransportPolicy: 'relay' }); };
			window.RTCPeerConnection.prototype = Real.prototype;
		})();`,
	},
	{
		// Both sides wait for the other one to begin.
		code: failures.DTLSTimeout, joins: true,
		script: altering(`.replaceAll('a=setup:actpass', 'a=setup:active')`, `.replaceAll('a=setup:passive', 'a=setup:active')`),
	},
	{
		// The certificate is not the one that was promised.
		code: failures.DTLSFail, joins: true,
		script: altering(`.replace(/(a=fingerprint:sha-256 )[0-9A-F]{2}:[0-9A-F]{2}/g, '$100:00')`, ``),
	},
	{code: failures.MediaTimeout, joins: true, script: nothingToSend},
	{
		code: failures.MediaStall, joins: true, script: keptConnections,
		after: func(page *testenv.Page) {
			page.WaitFor("media is sent", `(async () => { for (const pc of kept) for (const s of (await pc.getStats()).values()) if (s.type === 'outbound-rtp' && s.packetsSent > 50) return true; return false; })()`)
			page.Evaluate(`Promise.all(kept.filter((pc) => pc.signalingState !== 'closed').flatMap((pc) => pc.getSenders()).map((s) => s.replaceTrack(null))).then(() => 0)`, nil)
		},
	},
	{
		code: failures.SignalingLost, joins: true, script: cuttableSocket,
		after: func(page *testenv.Page) {
			page.WaitFor("the call is on", `!!document.querySelector('[data-testid=call]')`)
			page.Evaluate(`(window.cut = true, window.socket.close(), 0)`, nil)
		},
		// It can tell when it is back.
		healed: func(page *testenv.Page) { page.Evaluate(`(window.cut = false, 0)`, nil) },
	},
	{code: failures.MicSilent, slow: true, script: silentMicrophone},
	{code: failures.NetUDPBlocked, slow: true, script: unreachable("transport=udp")},
	{code: failures.NetBlocked, slow: true, script: unreachable("^turn")},
	{code: failures.CamDenied, often: true, script: refusing(map[string]string{"camera": "NotAllowedError"})},
	{code: failures.MicDenied, script: refusing(map[string]string{"microphone": "NotAllowedError"})},
	{code: failures.CamBusy, often: true, script: refusing(map[string]string{"camera": "NotReadableError"}), german: true},
	{code: failures.MicBusy, script: refusing(map[string]string{"microphone": "NotReadableError"})},
	{code: failures.NoCamera, script: refusing(map[string]string{"camera": "NotFoundError"})},
	{code: failures.NoMicrophone, script: refusing(map[string]string{"microphone": "NotFoundError"})},
	{code: failures.NoDevice, often: true, script: refusing(map[string]string{"camera": "NotFoundError", "microphone": "NotFoundError"})},
	{code: failures.CamFailed, script: refusing(map[string]string{"camera": "UnknownError"})},
	{code: failures.MicFailed, script: refusing(map[string]string{"microphone": "UnknownError"})},
	{code: failures.PageInsecure, script: `Object.defineProperty(window, 'isSecureContext', { value: false });`},
	{code: failures.BrowserOld, script: `Object.defineProperty(navigator, 'mediaDevices', { value: undefined });`},
}

// links are the failures of links; linksSayWhy brings them about.
var links = []failures.Code{failures.TokenExpired, failures.TokenEarly, failures.TokenInvalid}

// Each failure is brought about in a real browser, read on its page, and found in the log under the same code.
func everyFailureSaysWhy(t *testing.T, service *client, chromium *testenv.Chromium) {
	covered := map[failures.Code]bool{}
	for _, code := range links {
		covered[code] = true
	}
	// Those that take their time begin first, and go on while the others come and go.
	var waiting []func()
	for _, h := range hurts {
		covered[h.code] = true
		if h.joins || h.slow {
			waiting = append(waiting, h.begin(t, chromium, service))
		}
	}
	for _, row := range failures.Table {
		if !covered[row.Code] {
			t.Errorf("no test brings %s about", row.Code)
		}
	}
	for _, h := range hurts {
		if !h.joins && !h.slow && (h.often || *everyDevice) {
			t.Run(string(h.code), func(t *testing.T) { h.begin(t, chromium, service.in(t))() })
		}
	}
	for _, end := range waiting {
		end()
	}
}

// begin brings the failure about, and gives what waits until it is told of.
func (h hurt) begin(t *testing.T, chromium *testenv.Chromium, service *client) func() {
	t.Helper()
	// Each is alone in a consultation, so that nobody is sent to anybody, and its picture is small.
	c := service.schedule("Alone", "forbidden", person{Name: "Pat", Role: "patient"})
	script := smallCamera + h.script
	if h.german {
		script += `Object.defineProperty(navigator, 'languages', { value: ['de'] });`
	}
	page := chromium.Tab(t, script)
	page.Navigate(c.Participants[0].JoinURL)
	page.WaitFor("the page has asked for its devices",
		`!!document.querySelector("[data-testid=preview], [data-testid=device-problem]")`)
	if h.joins {
		press(page, "Continue")
		press(page, "Join")
	}
	if h.after != nil {
		h.after(page)
	}
	return func() {
		t.Helper()
		h.reads(page)
		if h.healed != nil {
			h.healed(page)
		}
		row, _ := failures.Of(h.code)
		service.carries(c, row)
		if h.code == failures.CamDenied {
			press(page, "Continue")
			press(page, "Join")
			e := service.waitEvent(c.ID, events.TypeTrackStarted, c.Participants[0].ID, 20*time.Second)
			if started := e.Event.(events.TrackStarted); started.Kind != "audio" {
				t.Errorf("a patient with a refused camera joined by %+v", started)
			}
			h.reads(page)
		}
	}
}

// press presses a button without a pointer: of ten tabs that begin at once each is so slow that a button may move while a
// pointer is on its way. The other tests click as people do.
func press(page *testenv.Page, name string) {
	page.WaitFor(fmt.Sprintf("there is a button %q", name), fmt.Sprintf(`(() => {
		const button = [...document.querySelectorAll('button')].find((b) => b.innerText.trim() === %q && !b.disabled);
		button?.click();
		return button !== undefined;
	})()`, name))
}

// reads waits until the page shows the sentence of the failure, and its code.
func (h hurt) reads(page *testenv.Page) {
	row, _ := failures.Of(h.code)
	sentence := row.Patient["en"]
	if h.german {
		sentence = row.Patient["de"]
	}
	quoted, _ := json.Marshal(sentence)
	page.WaitFor(fmt.Sprintf("it says %s", h.code), fmt.Sprintf(
		`[...document.querySelectorAll('[data-code=%q]')].some((e) => !e.hidden && e.innerText.includes(%s) && e.innerText.includes(%q))`,
		h.code, quoted, h.code))
}

// carries waits for the event that the table names, with the code.
func (c *client) carries(of consultation, row failures.Failure) {
	c.t.Helper()
	await(c.t, 20*time.Second, func() string { return fmt.Sprintf("an event %s with %s", row.Event, row.Code) }, func() bool {
		for _, e := range c.events(of.ID) {
			if string(e.Type) == row.Event && e.Participant == of.Participants[0].ID && strings.Contains(string(e.Raw), `"code":"`+string(row.Code)+`"`) {
				return true
			}
		}
		return false
	})
}
