package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"
)

// ChromiumOptions choose what the browser's camera and microphone show. The zero value is the browser's own picture (a
// green pie with a clock) and its beep.
type ChromiumOptions struct {
	Video string // file for the camera, .y4m or .mjpeg, played in a loop
	Audio string // file for the microphone, .wav, played in a loop; append %noloop to play it once
	// Deny refuses camera and microphone, as a person does who presses "Block".
	Deny bool
	// Width and Height of the window, 1280 by 800 when 0. Use chromedp.EmulateViewport for a phone.
	Width, Height int
	// Flags are further command line flags, without the dashes; value true is a flag without a value.
	Flags map[string]any
}

// Chromium is a running headless Chromium with one page.
type Chromium struct {
	*Page
	// Context is for chromedp: chromedp.Do(c.Context, …). It ends with the test.
	Context context.Context //nolint:containedctx // chromedp's handle on a browser is a context
}

// NewChromium starts a Chromium that ends with the test. It takes certificates of any issuer and reaches nothing but
// this machine.
func NewChromium(t testing.TB, o ChromiumOptions) *Chromium {
	t.Helper()
	path := Require(t, "chromium")["chromium"]
	if o.Width == 0 {
		o.Width, o.Height = 1280, 800
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), o.allocator(path, profile(t))...)
	ctx, cancel := chromedp.NewContext(allocator)
	c := &Chromium{Page: &Page{Name: "chromium", t: t}, Context: ctx}
	d := &chromiumDriver{ctx: ctx}
	c.driver = d
	t.Cleanup(func() {
		// A graceful end; cancelAllocator kills what is left and waits.
		end, done := context.WithTimeout(ctx, 5*time.Second)
		defer done()
		_ = chromedp.Cancel(end)
		cancel()
		cancelAllocator()
		d.reader.Wait()
	})
	// The first use of the context starts the browser, which must not end with a step's time limit: so no limit here.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	d.listen()
	return c
}

func (o ChromiumOptions) allocator(path, profile string) []chromedp.ExecAllocatorOption {
	opts := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	opts = append(opts, chromedp.ExecPath(path), chromedp.UserDataDir(profile),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.WindowSize(o.Width, o.Height))
	flags := map[string]any{
		"use-fake-device-for-media-stream": true,
		"use-fake-ui-for-media-stream":     true,
		"autoplay-policy":                  "no-user-gesture-required",
		"mute-audio":                       true,
		"disable-quic":                     true,
		"disable-component-update":         true,
		// Chromium asks for updates and accounts; a test must not talk to anybody.
		"host-resolver-rules": "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
	}
	if o.Video != "" {
		flags["use-file-for-fake-video-capture"] = o.Video
	}
	if o.Audio != "" {
		flags["use-file-for-fake-audio-capture"] = o.Audio
	}
	if o.Deny {
		flags["use-fake-ui-for-media-stream"] = "deny"
	}
	for name, value := range o.Flags {
		flags[name] = value
	}
	for name, value := range flags {
		opts = append(opts, chromedp.Flag(name, value))
	}
	return opts
}

// profile is a fresh folder for a browser's profile. Unlike t.TempDir it does not fail the test when a child of the
// browser writes a last file while the folder is being removed.
func profile(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "consilium-profile-")
	if err != nil {
		t.Fatalf("make a folder for the browser's profile: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Clean(dir)
}

// chromiumDriver speaks the Chrome DevTools Protocol to one tab.
type chromiumDriver struct {
	ctx    context.Context //nolint:containedctx // chromedp's handle on a tab is a context
	reader sync.WaitGroup  // the goroutine that fills lines
	lines  consoleLog
}

// listen gathers what scripts write until the tab is closed.
func (d *chromiumDriver) listen() {
	messages := chromedp.Console(d.ctx)
	d.reader.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			prefix := ""
			if m.IsException() || m.Type == "error" {
				prefix = "error: "
			}
			d.lines.add(prefix + m.String())
		}
	})
}

// with runs f on the tab, bounded by step.
func (d *chromiumDriver) with(step context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	defer context.AfterFunc(step, cancel)()
	err := f(ctx)
	if step.Err() != nil {
		return errors.Join(step.Err(), err)
	}
	return err
}

func (d *chromiumDriver) navigate(step context.Context, url string) error {
	return d.with(step, func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.Navigate(url)) })
}

func (d *chromiumDriver) evaluate(step context.Context, expression string) (raw json.RawMessage, err error) {
	err = d.with(step, func(ctx context.Context) error {
		var text string
		text, err = chromedp.Run(ctx, chromedp.Evaluate[string](asJSON(expression), chromedp.EvalAwaitPromise))
		raw = json.RawMessage(text)
		return err
	})
	return raw, err
}

// asJSON makes of an expression another one whose value is a promise of its value as JSON text.
func asJSON(expression string) string {
	return "(async () => JSON.stringify(await (" + expression + ")) ?? 'null')()"
}

func (d *chromiumDriver) click(step context.Context, role, name string) error {
	return d.with(step, func(ctx context.Context) error {
		document, err := chromedp.Call(ctx, dom.GetDocument, dom.GetDocumentParams{})
		if err != nil {
			return err
		}
		found, err := chromedp.Call(ctx, accessibility.QueryAXTree,
			accessibility.QueryAXTreeParams{NodeID: document.Root.NodeID, AccessibleName: name, Role: role})
		if err != nil {
			return err
		}
		for _, node := range found.Nodes {
			if node.Ignored || node.BackendDOMNodeID == 0 {
				continue
			}
			if isDisabled(node) {
				return errors.New("it is disabled")
			}
			if _, err := chromedp.Call(ctx, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: node.BackendDOMNodeID}); err != nil {
				return err
			}
			quads, err := chromedp.Call(ctx, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: node.BackendDOMNodeID})
			if err != nil {
				return err
			}
			if len(quads.Quads) == 0 {
				return errors.New("it has no place on the screen")
			}
			q := quads.Quads[0]
			return chromedp.Do(ctx, chromedp.MouseClickXY((q[0]+q[4])/2, (q[1]+q[5])/2))
		}
		return errNoElement
	})
}

// isDisabled tells whether assistive technology would call the element unavailable.
func isDisabled(node *accessibility.Node) bool {
	for _, property := range node.Properties {
		if property.Name == accessibility.PropertyNameDisabled {
			return fmt.Sprint(string(property.Value.Value)) == "true"
		}
	}
	return false
}

func (d *chromiumDriver) screenshot(step context.Context) (png []byte, err error) {
	err = d.with(step, func(ctx context.Context) error {
		png, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		return err
	})
	return png, err
}

func (d *chromiumDriver) console() []string { return d.lines.all() }
