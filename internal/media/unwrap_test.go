package media

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestUnwrapperCountsOn(t *testing.T) {
	tests := []struct {
		name string
		in   []uint16
		want []int64
	}{
		{name: "the first value keeps its number", in: []uint16{4711}, want: []int64{4711}},
		{name: "it counts on over the wrap", in: []uint16{65534, 65535, 0, 1}, want: []int64{65534, 65535, 65536, 65537}},
		{name: "a late value before the wrap stays before it", in: []uint16{65535, 1, 0, 65534, 2}, want: []int64{65535, 65537, 65536, 65534, 65538}},
		{name: "a value before a first one that had just wrapped is negative", in: []uint16{1, 65535}, want: []int64{1, -1}},
		{name: "half the range ahead is behind", in: []uint16{0, 32768, 32767}, want: []int64{0, -32768, 32767}},
		{name: "a second wrap adds the range again", in: []uint16{60000, 20000, 50000, 10000}, want: []int64{60000, 85536, 115536, 141072}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var u Unwrapper[uint16]
			for i, v := range tt.in {
				if got := u.Unwrap(v); got != tt.want[i] {
					t.Errorf("value %d (%d) became %d, want %d", i, v, got, tt.want[i])
				}
			}
		})
	}
}

func TestUnwrapperFollowsAnyReorderingBelowHalfTheRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var u Unwrapper[uint32]
	start := int64(1)<<32 - 5_000_000
	u.Unwrap(uint32(start))
	newest := start
	for range 20_000 {
		newest += rng.Int64N(3_000_000)
		for _, want := range []int64{newest, newest - rng.Int64N(1<<30)} {
			if got := u.Unwrap(uint32(want)); got != want {
				t.Fatalf("%d became %d", want, got)
			}
		}
	}
	if newest < 3<<32 {
		t.Fatalf("the counter wrapped too rarely to mean anything: %d", newest)
	}
}

func TestUnwrapperNearDoesNotMoveOn(t *testing.T) {
	var u Unwrapper[uint32]
	u.Unwrap(1 << 31)
	if got := u.Near(1<<31 + 1<<30); got != 1<<31+1<<30 {
		t.Errorf("Near gave %d", got)
	}
	if got := u.Unwrap(0); got != 0 {
		t.Errorf("0 became %d after Near, want 0: Near moved the counter", got)
	}
}

func TestUnwrapperRestartGoesBack(t *testing.T) {
	var u Unwrapper[uint16]
	u.Unwrap(30000)
	if got := u.Restart(100); got != 100 {
		t.Fatalf("Restart gave %d, want 100", got)
	}
	if got := u.Unwrap(65000); got != -536 {
		t.Errorf("65000 after a restart at 100 became %d, want -536", got)
	}
}

func TestRTPDurationIsExact(t *testing.T) {
	for _, tt := range []struct {
		ticks int64
		rate  uint32
		want  time.Duration
	}{
		{90000, 90000, time.Second},
		{-960, 48000, -20 * time.Millisecond},
		{1, 90000, 11111},
		{90000 * 3600 * 24 * 365, 90000, 365 * 24 * time.Hour},
	} {
		if got := RTPDuration(tt.ticks, tt.rate); got != tt.want {
			t.Errorf("%d ticks at %d Hz are %v, want %v", tt.ticks, tt.rate, got, tt.want)
		}
	}
}
