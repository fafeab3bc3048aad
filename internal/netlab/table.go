package netlab

import (
	"fmt"
	"strings"
	"time"
)

// total is how many kinds there are to be; what is not built or did not run counts as not connected.
const total = 27

// table shows results, one a line, and ends with the line that counts.
func table(results []Result) string {
	var b strings.Builder
	b.WriteString("| # | network | limit s | connected s | way | back limit s | back s | machine | result |\n|---|---|---|---|---|---|---|---|---|\n")
	good, promised, ran, browsers, goodBrowsers := 0, 0, 0, 0, 0
	for _, r := range results {
		verdict := "ok"
		if r.Err != nil {
			verdict = "FAIL: " + strings.ReplaceAll(strings.ReplaceAll(r.Err.Error(), "\n", "; "), "|", "/")
		}
		if r.Kind.Chromium == "" {
			ran++
			good += counted(r.Err == nil)
			promised += counted(r.Err == nil && r.Tries < 2 && r.Connected <= r.Kind.Limit && r.Back <= r.Kind.Back)
		} else {
			browsers++
			goodBrowsers += counted(r.Err == nil)
		}
		if r.Connected > time.Second && r.Entry != "" {
			verdict += " [" + r.Entry + "]"
		}
		if len(r.Steps) > 0 {
			verdict += " (" + strings.Join(r.Steps, ", ") + ")"
		}
		if r.Tries > 1 {
			verdict += fmt.Sprintf(" {run %d}", r.Tries)
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s | %.1f | %s |\n", r.Kind.Number, r.Kind.label(), seconds(r.Kind.Limit),
			seconds(r.Connected), r.Way, seconds(r.Kind.Back), seconds(r.Back), r.Machine, verdict)
	}
	if n := total - ran; n > 0 {
		fmt.Fprintf(&b, "\n%d of %d kinds did not run.\n", n, total)
	}
	if n := totalBrowsers() - browsers; n > 0 {
		fmt.Fprintf(&b, "\n%d of %d kinds did not run with Chromium.\n", n, totalBrowsers())
	}
	fmt.Fprintf(&b, "\nchromium_connected=%d/%d\n", goodBrowsers, totalBrowsers())
	fmt.Fprintf(&b, "\nwithin_bare_limits=%d/%d\n", promised, total)
	fmt.Fprintf(&b, "\nconnected=%d/%d\n", good, total)
	return b.String()
}

// totalBrowsers is how many kinds a browser is to connect over.
func totalBrowsers() int {
	n := 0
	for _, k := range Kinds {
		n += counted(k.Browser)
	}
	return n
}

func counted(b bool) int {
	if b {
		return 1
	}
	return 0
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", d.Seconds()), "0"), ".")
}
