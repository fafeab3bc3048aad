package testenv

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// firefoxPrefs make camera and microphone out of nothing, answer every question with yes and keep Firefox from talking
// to anybody. media.peerconnection.ice.loopback stays off: real people's Firefox does not use loopback either.
var firefoxPrefs = map[string]any{
	"media.navigator.streams.fake":               true,
	"media.navigator.permission.disabled":        true,
	"media.autoplay.default":                     0,
	"media.autoplay.blocking_policy":             0,
	"media.volume_scale":                         "0.0",
	"media.gmp-manager.updateEnabled":            false,
	"app.update.disabledForTesting":              true,
	"browser.aboutwelcome.enabled":               false,
	"browser.safebrowsing.blockedURIs.enabled":   false,
	"browser.safebrowsing.downloads.enabled":     false,
	"browser.safebrowsing.malware.enabled":       false,
	"browser.safebrowsing.phishing.enabled":      false,
	"browser.shell.checkDefaultBrowser":          false,
	"browser.startup.homepage_override.mstone":   "ignore",
	"datareporting.policy.dataSubmissionEnabled": false,
	"extensions.systemAddon.update.enabled":      false,
	"extensions.update.enabled":                  false,
	"network.captive-portal-service.enabled":     false,
	"network.connectivity-service.enabled":       false,
	"services.settings.server":                   "data:,#remote-settings-dummy/v1",
	"toolkit.telemetry.server":                   "",
	"browser.region.network.url":                 "",
}

// NewFirefox starts a headless Firefox with a made-up camera and microphone; it ends with the test. It takes
// certificates of any issuer.
func NewFirefox(t testing.TB) *Page {
	t.Helper()
	path := Require(t, "firefox")["firefox"]
	dir := profile(t)
	var prefs strings.Builder
	for name, value := range firefoxPrefs {
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatalf("write preference %s of firefox: %v", name, err)
		}
		fmt.Fprintf(&prefs, "user_pref(%q, %s);\n", name, quoted)
	}
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(prefs.String()), 0o600); err != nil {
		t.Fatalf("write the preferences of firefox: %v", err)
	}

	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", dir, "--remote-debugging-port", "0", "about:blank")
	// Without its own HOME Firefox shares caches and locks with the person whose machine this is.
	cmd.Env = append(os.Environ(), "HOME="+dir, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DISABLE_AUTO_SAFE_MODE=1")
	process := StartProcess(t, "firefox", cmd)

	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	address, err := process.waitOutput(ctx, "WebDriver BiDi listening on ")
	if err != nil {
		t.Fatal(err)
	}
	d := &firefoxDriver{}
	d.bidi, err = dialBidi(ctx, address+"/session", d.event)
	if err != nil {
		t.Fatalf("connect to firefox: %v", err)
	}
	t.Cleanup(func() {
		end, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		_ = d.bidi.call(end, "browser.close", struct{}{}, nil) // process.Kill follows
		d.bidi.close()
	})
	if err := d.open(ctx); err != nil {
		t.Fatalf("open a page in firefox: %v", err)
	}
	return &Page{Name: "firefox", t: t, driver: d}
}

// NewFirefoxWith is NewFirefox with a script that runs before each page does.
func NewFirefoxWith(t testing.TB, script string) *Page {
	t.Helper()
	p := NewFirefox(t)
	ctx, cancel := p.context()
	defer cancel()
	params := map[string]any{"functionDeclaration": "() => {" + script + "}"}
	if err := p.driver.(*firefoxDriver).bidi.call(ctx, "script.addPreloadScript", params, nil); err != nil {
		t.Fatalf("prepare firefox: %v", err)
	}
	return p
}

// firefoxDriver speaks WebDriver BiDi (https://w3c.github.io/webdriver-bidi/) about one tab.
type firefoxDriver struct {
	bidi  *bidi
	tab   string // browsing context
	lines consoleLog
}

// open starts the session and takes over the first tab.
func (d *firefoxDriver) open(ctx context.Context) error {
	capabilities := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}
	if err := d.bidi.call(ctx, "session.new", capabilities, nil); err != nil {
		return err
	}
	if err := d.bidi.call(ctx, "session.subscribe", map[string]any{"events": []string{"log.entryAdded"}}, nil); err != nil {
		return err
	}
	var tree struct {
		Contexts []struct{ Context string }
	}
	if err := d.bidi.call(ctx, "browsingContext.getTree", struct{}{}, &tree); err != nil {
		return err
	}
	if len(tree.Contexts) == 0 {
		return errors.New("firefox has no tab")
	}
	d.tab = tree.Contexts[0].Context
	return nil
}

func (d *firefoxDriver) event(method string, params json.RawMessage) {
	var entry struct{ Level, Text string }
	if method != "log.entryAdded" || json.Unmarshal(params, &entry) != nil {
		return
	}
	prefix := ""
	if entry.Level == "error" {
		prefix = "error: "
	}
	d.lines.add(prefix + entry.Text)
}

func (d *firefoxDriver) navigate(ctx context.Context, url string) error {
	return d.bidi.call(ctx, "browsingContext.navigate", map[string]any{"context": d.tab, "url": url, "wait": "complete"}, nil)
}

func (d *firefoxDriver) evaluate(ctx context.Context, expression string) (json.RawMessage, error) {
	var answer struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err := d.bidi.call(ctx, "script.evaluate", map[string]any{
		"expression":     asJSON(expression),
		"target":         map[string]any{"context": d.tab},
		"awaitPromise":   true,
		"userActivation": true,
	}, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Type != "success" {
		return nil, errors.New(answer.ExceptionDetails.Text)
	}
	return json.RawMessage(answer.Result.Value), nil
}

func (d *firefoxDriver) click(ctx context.Context, role, name string) error {
	var found struct {
		Nodes []struct{ SharedID string }
	}
	err := d.bidi.call(ctx, "browsingContext.locateNodes", map[string]any{
		"context": d.tab,
		"locator": map[string]any{"type": "accessibility", "value": map[string]any{"role": role, "name": name}},
	}, &found)
	if err != nil {
		return err
	}
	if len(found.Nodes) == 0 {
		return errNoElement
	}
	element := map[string]any{"sharedId": found.Nodes[0].SharedID}
	if err := d.ready(ctx, element); err != nil {
		return err
	}
	return d.bidi.call(ctx, "input.performActions", map[string]any{
		"context": d.tab,
		"actions": []any{map[string]any{
			"type": "pointer", "id": "mouse", "parameters": map[string]any{"pointerType": "mouse"},
			"actions": []any{
				map[string]any{"type": "pointerMove", "x": 0, "y": 0, "origin": map[string]any{"type": "element", "element": element}},
				map[string]any{"type": "pointerDown", "button": 0},
				map[string]any{"type": "pointerUp", "button": 0},
			},
		}},
	}, nil)
}

// ready scrolls the element into view and refuses a disabled one.
func (d *firefoxDriver) ready(ctx context.Context, element map[string]any) error {
	var answer struct {
		Type   string
		Result struct{ Value bool }
	}
	err := d.bidi.call(ctx, "script.callFunction", map[string]any{
		"functionDeclaration": "e => { e.scrollIntoView({block: 'center', behavior: 'instant'}); return !e.disabled && e.ariaDisabled !== 'true' }",
		"arguments":           []any{element},
		"target":              map[string]any{"context": d.tab},
		"awaitPromise":        false,
	}, &answer)
	if err != nil {
		return err
	}
	if !answer.Result.Value {
		return errors.New("it is disabled")
	}
	return nil
}

func (d *firefoxDriver) screenshot(ctx context.Context) ([]byte, error) {
	var shot struct{ Data string }
	if err := d.bidi.call(ctx, "browsingContext.captureScreenshot", map[string]any{"context": d.tab}, &shot); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(shot.Data)
}

func (d *firefoxDriver) console() []string { return d.lines.all() }
