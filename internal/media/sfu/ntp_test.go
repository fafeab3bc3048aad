package sfu

import (
	"testing"
	"time"
)

func TestNTP(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(2026, 3, 4, 5, 6, 7, 123_456_789, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 15, 999_999_999, time.UTC), // the last second of an era
		time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC),
		time.Date(2040, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Unix(0, 0).UTC(), // a device whose clock was never set
	} {
		if got := fromNTP(toNTP(at)); !got.Equal(at) {
			t.Errorf("%v became %v", at, got)
		}
	}
	if got := toNTP(time.Unix(0, 500_000_000)); got != ntpEpoch<<32+1<<31 {
		t.Errorf("half a second past 1970 is %x", got)
	}
}
