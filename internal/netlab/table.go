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
	b.WriteString("| # | network | limit s | connected s | way | back s | result |\n|---|---|---|---|---|---|---|\n")
	good := 0
	for _, r := range results {
		verdict := "ok"
		if r.Err != nil {
			verdict = "FAIL: " + strings.ReplaceAll(strings.ReplaceAll(r.Err.Error(), "\n", "; "), "|", "/")
		} else {
			good++
		}
		if len(r.Steps) > 0 {
			verdict += " (" + strings.Join(r.Steps, ", ") + ")"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s |\n", r.Kind.Number, r.Kind.Name, seconds(r.Kind.Limit),
			seconds(r.Connected), r.Way, seconds(r.Back), verdict)
	}
	if n := total - len(results); n > 0 {
		fmt.Fprintf(&b, "\n%d of %d kinds did not run.\n", n, total)
	}
	fmt.Fprintf(&b, "\nconnected=%d/%d\n", good, total)
	return b.String()
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", d.Seconds()), "0"), ".")
}
