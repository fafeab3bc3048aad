package netlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// browser is a participant in a real Chromium, at the product's own page. It comes back by itself or not at all: nothing here
// helps it.
type browser struct {
	task task
	out  *json.Encoder
	tab  context.Context //nolint:containedctx // chromedp's handle on a tab is a context
}

// spying runs before the page does. It keeps the connections that the page makes, those apart that its check before the call
// makes over relays alone, counts what comes on them, and looks for addresses of others in all that the server says. The
// camera and the microphone are drawn and hummed: a page that may use real ones tells its addresses, and one that may not
// hides them behind .local names, as people's browsers do before they are asked.
const spying = `(() => {
	const lab = window.lab = { pcs: [], began: 0, connected: 0, leaked: '', steps: [], quiet: 0 };
	const Real = RTCPeerConnection;
	window.RTCPeerConnection = function (c) {
		const pc = new Real(c);
		if (c?.iceTransportPolicy === 'relay') return pc;
		if (lab.connected) lab.steps.push(['new connection', performance.now()]);
		lab.pcs.push({ pc, audio: 0, video: 0, way: '' });
		pc.addEventListener('connectionstatechange', () => {
			if (pc.connectionState === 'connected') lab.connected ||= performance.now() - lab.began;
		});
		const restart = pc.restartIce.bind(pc);
		pc.restartIce = () => {
			lab.steps.push([pc.getConfiguration().iceTransportPolicy === 'relay' ? 'restart over a relay' : 'restart', performance.now()]);
			restart();
		};
		return pc;
	};
	window.RTCPeerConnection.prototype = Real.prototype;
	const handler = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
	Object.defineProperty(WebSocket.prototype, 'onmessage', { ...handler, set(f) {
		handler.set.call(this, (event) => {
			for (const address of PRIVATE) if (String(event.data).includes(address)) lab.leaked = address + ' in ' + String(event.data).slice(0, 200);
			f(event);
		});
	} });
	if (DRAWN) navigator.mediaDevices.getUserMedia = async (wanted) => {
		const tracks = [];
		if (wanted.video) {
			const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
			const pen = canvas.getContext('2d');
			setInterval(() => { pen.fillStyle = 'hsl(' + performance.now() / 10 % 360 + ' 80% 50%)'; pen.fillRect(0, 0, 160, 120); }, 50);
			tracks.push(...canvas.captureStream(20).getVideoTracks());
		}
		if (wanted.audio) {
			const context = new AudioContext(), tone = context.createOscillator(), out = context.createMediaStreamDestination();
			tone.connect(out);
			tone.start();
			tracks.push(...out.stream.getAudioTracks());
		}
		return new MediaStream(tracks);
	};
	else {
		const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
		navigator.mediaDevices.getUserMedia = (wanted) =>
			real({ ...wanted, ...(wanted.video ? { video: { width: 160, height: 120, frameRate: 20 } } : {}) });
	}
	lab.look = async () => {
		for (const one of lab.pcs) {
			if (one.pc.signalingState === 'closed') continue;
			let audio = 0, video = 0;
			const report = await one.pc.getStats();
			for (const s of report.values()) {
				if (s.type === 'inbound-rtp' && s.kind === 'audio') audio += s.packetsReceived;
				if (s.type === 'inbound-rtp' && s.kind === 'video') video += s.framesDecoded;
				// Firefox has no report of the transport, and marks the pair.
				const pair = s.type === 'transport' ? report.get(s.selectedCandidatePairId) : s.selected && s;
				if (!pair) continue;
				const at = (id) => report.get(id) ?? {};
				const own = at(pair?.localCandidateId), other = at(pair?.remoteCandidateId);
				one.way = own.candidateType + '/' + (own.relayProtocol ?? own.protocol) + ' ' + other.candidateType + '/' + other.protocol;
			}
			one.audio = Math.max(one.audio, audio);
			one.video = Math.max(one.video, video);
		}
		const sum = (what) => lab.pcs.reduce((n, one) => n + one[what], 0), all = sum('audio') + sum('video'), now = performance.now();
		if (all !== lab.all) { lab.all = all; lab.moved = now; }
		return {
			connected: lab.connected, audio: sum('audio'), video: sum('video'), leaked: lab.leaked, way: lab.pcs.at(-1)?.way ?? '',
			idle: lab.moved ? now - lab.moved : 0, steps: lab.steps.map(([name]) => name),
		};
	};
})();`

// press presses the button with this name once it is there.
const press = `(async (name) => {
	for (;;) {
		const found = [...document.querySelectorAll('button')].find((b) => b.innerText.trim() === name);
		if (found) return name === 'Join' && (lab.began = performance.now()), found.click(), true;
		await new Promise((r) => setTimeout(r, 20));
	}
})`

// seen is what lab.look gives; times are in milliseconds.
type seen struct {
	Connected, Idle float64
	Audio, Video    int
	Leaked, Way     string
	Steps           []string
}

func (b *browser) report(s state) error { return b.out.Encode(s) }

// run opens the page, joins, and reports until it is told to leave.
func (b *browser) run(ctx context.Context, in io.Reader) (err error) {
	defer func() {
		if err != nil {
			err = b.report(state{Error: err.Error(), Gone: true})
		}
	}()
	profile, err := os.MkdirTemp("", "consilium-netlab-profile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(profile)
	allocator, end := chromedp.NewExecAllocator(ctx, b.flags(profile)...)
	defer end()
	tab, stop := chromedp.NewContext(allocator)
	defer stop()
	b.tab = tab
	if err := chromedp.Do(tab); err != nil {
		return fmt.Errorf("start chromium: %w", err)
	}
	if err := b.join(); err != nil {
		return err
	}
	orders := make(chan order)
	go readOrders(in, orders)
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case o, more := <-orders:
			if !more || o.Do == "leave" {
				return b.report(state{Gone: true})
			}
		case <-ticker.C:
			s, err := b.look()
			if err != nil {
				return err
			}
			if b.report(s) != nil {
				return nil // nobody listens any more
			}
		}
	}
}

func (b *browser) flags(profile string) []chromedp.ExecAllocatorOption {
	o := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	o = append(o, chromedp.ExecPath(b.task.Chromium), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.IgnoreCertErrors)
	flags := map[string]any{
		"use-fake-device-for-media-stream": true, "use-fake-ui-for-media-stream": true,
		"autoplay-policy": "no-user-gesture-required", "mute-audio": true, "disable-quic": true, "disable-component-update": true,
		"lang": "en",
	}
	if b.task.Reach.Proxy != "" {
		flags["proxy-server"] = b.task.Reach.Proxy
	}
	for name, value := range flags {
		o = append(o, chromedp.Flag(name, value))
	}
	return o
}

// script is spying for a task.
func (t task) script() (string, error) {
	private, err := json.Marshal(append([]string{}, t.Private...))
	if err != nil {
		return "", err
	}
	return strings.NewReplacer("PRIVATE", string(private), "DRAWN", fmt.Sprint(t.Reach.Hidden)).Replace(spying), nil
}

// link opens the participant's page.
func (t task) link() string {
	return strings.TrimSuffix(t.URL, "/api/v1/signaling") + "/join#token=" + t.Token
}

// join walks from the link into the call.
func (b *browser) join() error {
	script, err := b.task.script()
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(b.tab, b.task.Within+30*time.Second)
	defer cancel()
	params := page.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	if _, err := chromedp.Call(limit, page.AddScriptToEvaluateOnNewDocument, params); err != nil {
		return err
	}
	if err := chromedp.Do(limit, chromedp.Navigate(b.task.link())); err != nil {
		return fmt.Errorf("open the page: %w", err)
	}
	for _, name := range []string{"Continue", "Join"} {
		if _, err := chromedp.Run(limit, chromedp.Evaluate[bool](fmt.Sprintf("%s(%q)", press, name), chromedp.EvalAwaitPromise)); err != nil {
			return fmt.Errorf("press %s: %w", name, err)
		}
	}
	return nil
}

func (b *browser) look() (state, error) {
	limit, cancel := context.WithTimeout(b.tab, 10*time.Second)
	defer cancel()
	s, err := chromedp.Run(limit, chromedp.Evaluate[seen]("lab.look()", chromedp.EvalAwaitPromise))
	if err != nil {
		return state{}, errors.Join(errors.New("look at the page"), err)
	}
	return s.state(), nil
}

func (s seen) state() state {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	return state{
		At: time.Now(), Connected: ms(s.Connected), Idle: ms(s.Idle), Audio: s.Audio, Video: s.Video, Leaked: s.Leaked, Way: s.Way, Healed: s.Steps,
	}
}
