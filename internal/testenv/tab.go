package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Tab opens one more tab of the same browser for t, with a script that runs before each of its pages does; it ends with t.
func (c *Chromium) Tab(t testing.TB, script string) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(c.Context)
	d := &chromiumDriver{ctx: ctx}
	t.Cleanup(func() {
		end, done := context.WithTimeout(ctx, 5*time.Second)
		defer done()
		_ = chromedp.Cancel(end)
		cancel()
		d.reader.Wait()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	if script != "" {
		params := page.AddScriptToEvaluateOnNewDocumentParams{Source: script}
		if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, params); err != nil {
			t.Fatalf("prepare a tab: %v", err)
		}
	}
	d.listen()
	return &Page{Name: "chromium", t: t, driver: d}
}
