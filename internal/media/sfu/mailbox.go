package sfu

import "sync"

// mailbox calls functions one after the other, in the order in which they were posted, from one goroutine. It has no
// bound of its own: what is posted are the few facts of one connection's life, never packets.
type mailbox struct {
	mu     sync.Mutex // guards queue and closed
	queue  []func()
	closed bool

	wake chan struct{} // holds one token while there is something to look at
	done chan struct{} // closed when run has ended
}

func newMailbox() *mailbox {
	m := &mailbox{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go m.run() // ends with close
	return m
}

// post queues f. It never blocks; after close it does nothing.
func (m *mailbox) post(f func()) {
	m.mu.Lock()
	if !m.closed {
		m.queue = append(m.queue, f)
	}
	m.mu.Unlock()
	m.ring()
}

func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// close lets what is queued be called, waits for it and ends the goroutine. It must not be called from a posted function.
func (m *mailbox) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.ring()
	<-m.done
}

func (m *mailbox) run() {
	defer close(m.done)
	for range m.wake {
		m.mu.Lock()
		batch, closed := m.queue, m.closed
		m.queue = nil
		m.mu.Unlock()
		for _, f := range batch {
			f()
		}
		if closed {
			return
		}
	}
}
