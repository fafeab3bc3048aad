package netlab

import (
	"net"
	"testing"
	"time"
)

func TestSlowness(t *testing.T) {
	began := time.Now()
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	samples := []sample{{at(0), 4 * reference}, {at(1), 2 * reference}, {at(2), 6 * reference}, {at(3), reference / 2}, {at(4), 1000 * reference}}
	for _, test := range []struct {
		name     string
		samples  []sample
		from, to time.Time
		want     float64
	}{
		{"the mean of what was done meanwhile", samples, at(0.9), at(2.5), 4},
		{"what was done last when nothing was done meanwhile", samples, at(1.8), at(1.9), 2},
		{"a machine that is better than the reference is as good", samples, at(3), at(3.5), 1},
		{"limits do not grow for ever", samples, at(4), at(40), slowest},
		{"work that is under way counts with what it took so far", []sample{{at(0), 0}}, at(0), at(0).Add(3 * reference), 3},
		{"nothing measured yet", nil, at(0), at(1), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := slowness(test.samples, test.from, test.to); got != test.want {
				t.Errorf("slowness %v, want %v", got, test.want)
			}
		})
	}
}

// Shows what the constant reference is to be, when nothing else runs.
func BenchmarkComputer(b *testing.B) {
	cert, err := newCertificate(b.TempDir(), nil, net.ParseIP("127.0.0.1"))
	if err != nil {
		b.Fatal(err)
	}
	c, err := newComputer(cert)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			b.Error(err)
		}
	}()
	for b.Loop() {
		if err := c.work(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
