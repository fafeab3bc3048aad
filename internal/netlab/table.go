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
	good, promised, ran := 0, 0, 0
	browsers, goodBrowsers := map[With]int{}, map[With]int{}
	for _, r := range results {
		verdict := "ok"
		if r.Err != nil {
			verdict = "FAIL: " + strings.ReplaceAll(strings.ReplaceAll(r.Err.Error(), "\n", "; "), "|", "/")
		}
		if r.Kind.With == "" {
			ran++
			good += counted(r.Err == nil)
			promised += counted(r.Err == nil && r.Tries < 2 && r.Connected <= r.Kind.Limit && r.Back <= r.Kind.Back)
		} else {
			browsers[r.Kind.With]++
			goodBrowsers[r.Kind.With] += counted(r.Err == nil)
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
	for _, with := range []With{Chromium, Firefox} {
		marked := totalWith(with)
		if n := marked - browsers[with]; n > 0 {
			fmt.Fprintf(&b, "\n%d of %d kinds did not run with %s.\n", n, marked, with)
		}
		fmt.Fprintf(&b, "\n%s_connected=%d/%d\n", strings.ToLower(string(with)), goodBrowsers[with], marked)
	}
	fmt.Fprintf(&b, "\nwithin_bare_limits=%d/%d\n", promised, total)
	fmt.Fprintf(&b, "\nconnected=%d/%d\n", good, total)
	return b.String()
}

// totalWith is how many kinds a browser is to connect over.
func totalWith(with With) int {
	n := 0
	for _, k := range Kinds {
		n += counted(with == Chromium && k.Browser || with == Firefox && k.Firefox)
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
