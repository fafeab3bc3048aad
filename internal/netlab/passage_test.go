package netlab

import (
	"testing"
	"time"
)

func TestWhatComesFasterThanTheRateIsDropped(t *testing.T) {
	p := &passage{link: Link{Rate: 100_000}}
	began := time.Now()
	passed := 0
	for at := time.Duration(0); at < 10*time.Second; at += 5 * time.Millisecond { // twice the rate
		if p.afford(1000, began.Add(at)) {
			passed++
		}
	}
	// Ten seconds at the rate, and the half second that the bucket held at first.
	if want := 1050; passed < want-2 || passed > want+2 {
		t.Errorf("%d kbit passed, want %d", passed, want)
	}
}
