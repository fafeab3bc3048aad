package netlab

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"consilium/internal/testenv"
)

// TestBeingFirefox is no test but an agent in a namespace: a participant in a real Firefox, at the product's own page. Without
// a task it has nothing to do.
func TestBeingFirefox(t *testing.T) {
	raw := os.Getenv(agentSetting)
	if raw == "" {
		return
	}
	var do task
	if err := json.Unmarshal([]byte(raw), &do); err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	report := func(s state) bool { return out.Encode(s) == nil }
	t.Cleanup(func() {
		last := state{Gone: true}
		if t.Failed() {
			last.Error = "firefox could not go on"
		}
		report(last)
	})
	script, err := do.script()
	if err != nil {
		t.Fatal(err)
	}
	page := testenv.NewFirefoxWith(t, script)
	page.Navigate(do.link())
	for _, name := range []string{"Continue", "Join"} {
		page.Evaluate(fmt.Sprintf("%s(%q)", press, name), nil)
	}
	orders := make(chan order)
	go readOrders(os.Stdin, orders)
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case o, more := <-orders:
			if !more || o.Do == "leave" {
				return
			}
		case <-ticker.C:
			var s seen
			page.Evaluate("lab.look()", &s)
			if !report(s.state()) {
				return // nobody listens any more
			}
		}
	}
}
