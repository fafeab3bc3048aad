package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// pageTimeout bounds every single step on a page. It is long because a loaded machine with two cores is slow, and costs
// nothing where a step succeeds.
const pageTimeout = 90 * time.Second

// Page is one tab of a browser as a person sees it. A step that fails, fails the test; so call the methods from the
// test's own goroutine. Both browsers have one, so that a story can be told once for both.
type Page struct {
	// Name is the browser, "chromium" or "firefox".
	Name string

	t      testing.TB
	driver driver
}

// driver is what a browser must be able to do; the two bodies speak CDP and WebDriver BiDi.
type driver interface {
	// navigate returns when the page has loaded.
	navigate(ctx context.Context, url string) error
	// evaluate returns the JSON of what the expression, or the promise that it is, comes to.
	evaluate(ctx context.Context, expression string) (json.RawMessage, error)
	// click presses the middle of the element that assistive technology knows by this role and name. It returns
	// errNoElement when there is none.
	click(ctx context.Context, role, name string) error
	screenshot(ctx context.Context) ([]byte, error)
	// console is what scripts wrote and threw so far, a line each.
	console() []string
}

// errNoElement says that the element is not there, or not yet.
var errNoElement = errors.New("no such element")

// Navigate opens url and waits until it has loaded.
func (p *Page) Navigate(url string) {
	p.t.Helper()
	ctx, cancel := p.context()
	defer cancel()
	if err := p.driver.navigate(ctx, url); err != nil {
		p.fatalf("open %s: %v", url, err)
	}
}

// Evaluate runs a JavaScript expression (await is allowed) and stores its value, as JSON has it, in into, which may be
// nil.
func (p *Page) Evaluate(expression string, into any) {
	p.t.Helper()
	ctx, cancel := p.context()
	defer cancel()
	raw, err := p.driver.evaluate(ctx, expression)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		p.fatalf("evaluate %s: %v", expression, err)
	}
}

// Click waits for the button with this accessible name and presses it, as a person with a pointer does: what lies over
// the button gets the press.
func (p *Page) Click(name string) { p.t.Helper(); p.ClickRole("button", name) }

// ClickRole is Click for another ARIA role: link, radio, checkbox, …
func (p *Page) ClickRole(role, name string) {
	p.t.Helper()
	var last error
	if !p.poll(func(ctx context.Context) bool {
		err := p.driver.click(ctx, role, name)
		if err == nil || last == nil || ctx.Err() == nil { // otherwise the last real answer says more
			last = err
		}
		return err == nil
	}) {
		p.fatalf("click the %s %q: %v", role, name, last)
	}
}

// WaitFor waits until a JavaScript expression (await is allowed) is true; what says in words what is waited for.
// Errors of the expression count as not yet: the page may be loading.
func (p *Page) WaitFor(what, expression string) {
	p.t.Helper()
	last := errors.New("it was never evaluated")
	if !p.poll(func(ctx context.Context) bool {
		raw, err := p.driver.evaluate(ctx, "Boolean(await ("+expression+"))")
		switch {
		case err == nil && string(raw) == "true":
			return true
		case err == nil:
			last = errors.New("it is false")
		case ctx.Err() == nil: // otherwise the last real answer says more
			last = err
		}
		return false
	}) {
		p.fatalf("waited in vain until %s, %s: %v", what, expression, last)
	}
}

// WaitText waits until the page shows this text somewhere.
func (p *Page) WaitText(text string) {
	p.t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		p.fatalf("quote %q: %v", text, err)
	}
	p.WaitFor(fmt.Sprintf("the page shows %q", text), "document.body.innerText.includes("+string(quoted)+")")
}

// Screenshot is the visible part of the page as PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	ctx, cancel := p.context()
	defer cancel()
	png, err := p.driver.screenshot(ctx)
	if err != nil {
		p.fatalf("take a screenshot: %v", err)
	}
	return png
}

// Console is what the page's scripts have written and thrown so far, a line each, errors first marked "error: ".
func (p *Page) Console() []string { return p.driver.console() }

// poll calls step again and again until it says true or pageTimeout is over.
func (p *Page) poll(step func(context.Context) bool) bool {
	ctx, cancel := p.context()
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		if step(ctx) {
			return true
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (p *Page) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), pageTimeout)
}

// fatalf fails the test and shows what the page itself complained about.
func (p *Page) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Logf("console of %s: %q", p.Name, p.driver.console())
	p.t.Fatalf(p.Name+": "+format, args...)
}

// consoleLog collects what scripts write.
type consoleLog struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (c *consoleLog) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

func (c *consoleLog) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}
