package conference

import "sync"

// mailbox is an unbounded queue of actions for one loop. Media handlers post to it, and they must never wait; what they
// post is rare (a change of state, not a packet), so the queue needs no bound.
type mailbox struct {
	mu      sync.Mutex // guards actions and closed; never held while an action runs
	actions []func()
	closed  bool
	signal  chan struct{} // one slot: there is something to take
}

func newMailbox() *mailbox {
	return &mailbox{signal: make(chan struct{}, 1)}
}

// post queues an action; false says that the loop has ended and the action will never run.
func (b *mailbox) post(action func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.actions = append(b.actions, action)
	select {
	case b.signal <- struct{}{}:
	default:
	}
	return true
}

// take empties the queue.
func (b *mailbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	actions := b.actions
	b.actions = nil
	return actions
}

// close refuses further actions and forgets those that were not taken.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.actions = nil
}
