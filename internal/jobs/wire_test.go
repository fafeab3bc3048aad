package jobs_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// wire carries connections to a server until it is cut; those that are made afterwards hold.
type wire struct {
	url      string
	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu   sync.Mutex // guards ends
	ends []net.Conn
}

// between makes a wire to the server at url. It ends with the test.
func between(t testing.TB, url string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: "nats://" + listener.Addr().String(), server: strings.TrimPrefix(url, "nats://"), listener: listener}
	w.running.Go(w.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		w.cut()
		w.running.Wait()
	})
	return w
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.ends = append(w.ends, client, server)
		w.mu.Unlock()
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			w.running.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_, _ = way[0].Close(), way[1].Close()
			})
		}
	}
}

// cut ends the connections that there are.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		_ = c.Close()
	}
	w.ends = nil
}
