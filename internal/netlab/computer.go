package netlab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// What the machine itself costs is measured by a piece of work of the same sort as joining a call, in which neither the product
// nor a network of the lab has a part: so many TLS handshakes, one after the other, over loopback.
const (
	handshakes = 24
	workEvery  = 500 * time.Millisecond
	// reference is how long that takes on the machine where the limits were set, when it does nothing else.
	reference = 22 * time.Millisecond
	// slowest is by how much limits grow at most.
	slowest = 10
)

// computer measures how slow the machine is on which everything runs, again and again until close. Limits are promises about
// networks, so they grow by what the machine takes longer.
type computer struct {
	trust    *tls.Config
	patience float64 // by how much limits are longer still; set before the first call
	listener net.Listener
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	samples []sample   // in order
	err     error      // the first; nothing is measured any more
}

// sample is one piece of work.
type sample struct {
	began time.Time
	took  time.Duration // 0 while it is under way
}

func newComputer(cert certificate) (*computer, error) {
	pair, err := tls.LoadX509KeyPair(cert.cert, cert.key)
	if err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	c := &computer{trust: cert.trust(), patience: 1}
	c.listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.running.Go(c.answer)
	c.running.Go(func() { c.run(ctx) })
	return c, nil
}

// close ends the measuring and waits for it.
func (c *computer) close() error {
	c.stop()
	err := c.listener.Close()
	c.running.Wait()
	return errors.Join(err, c.err)
}

// answer is the other side of the handshakes.
func (c *computer) answer() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		_ = conn.(*tls.Conn).Handshake() // the caller sees whether it worked
		conn.Close()
	}
}

func (c *computer) run(ctx context.Context) {
	ticker := time.NewTicker(workEvery)
	defer ticker.Stop()
	for {
		began := time.Now()
		c.mu.Lock()
		c.samples = append(c.samples, sample{began: began})
		c.mu.Unlock()
		err := c.work(ctx)
		c.mu.Lock()
		c.samples[len(c.samples)-1].took = time.Since(began)
		if err != nil && ctx.Err() == nil {
			c.err = fmt.Errorf("measure the machine: %w", err)
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err != nil {
			return
		}
	}
}

func (c *computer) work(ctx context.Context) error {
	dialer := tls.Dialer{Config: c.trust}
	for range handshakes {
		conn, err := dialer.DialContext(ctx, "tcp", c.listener.Addr().String())
		if err != nil {
			return err
		}
		conn.Close()
	}
	return nil
}

// slowness is how many times as long as on the reference machine the work took between two moments, on average: 1 of a
// machine that is as good or better, and slowest at most.
func (c *computer) slowness(from, to time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slowness(c.samples, from, to)
}

func slowness(samples []sample, from, to time.Time) float64 {
	var sum time.Duration
	n := 0
	for _, s := range slices.Backward(samples) {
		took := s.took
		if took == 0 {
			took = max(to.Sub(s.began), 0) // so much at least
		}
		switch {
		case s.began.After(to):
			continue
		case s.began.Add(took).Before(from) && n > 0:
			return bounded(sum, n)
		}
		sum, n = sum+took, n+1 // without one in between, the one before
	}
	return bounded(sum, n)
}

func bounded(sum time.Duration, n int) float64 {
	if n == 0 {
		return 1
	}
	return min(max(1, float64(sum)/float64(n)/float64(reference)), slowest)
}

// scaled is a limit on a machine that is so slow.
func (c *computer) scaled(limit time.Duration, slowness float64) time.Duration {
	return time.Duration(float64(limit) * slowness * c.patience)
}
