package appender

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"consilium/internal/events"
)

const (
	// offerLimit is how many offered facts of one Writer may wait.
	offerLimit = 256
	// batchFrom is how many facts must wait before several go into one append: a batch costs the log more than a
	// single event, and pays when the log is slow or was away.
	batchFrom = 4
	// batchLimit is how many facts go into one append.
	batchLimit = 64
)

// Writer is the ordered queue of the process that hosts a consultation. Facts are stored in the order in which they
// were given, each once, with one append and no read as long as nobody else writes.
//
// One goroutine stores them; it ends with Close, or when the writer is fenced.
type Writer struct {
	a      *Appender
	tail   tail
	cancel context.CancelFunc // ends the attempts of run
	wake   chan struct{}      // capacity 1: the queue or closed has changed
	fenced chan struct{}      // closed when another process hosts the consultation
	done   chan struct{}      // closed when run has ended

	mu      sync.Mutex // guards what follows; never held while calling out
	queue   []queued
	offered int // how many of queue may be dropped
	given   int // facts that were ever queued
	settled int // facts of given that are stored
	grown   chan struct{}
	closed  bool
}

type queued struct {
	draft   events.Draft
	offered bool
}

// Writer makes the queue of the process that has claimed the consultation with this epoch (conference.hosted, 1 or
// more). The caller closes it.
func (a *Appender) Writer(consultation string, epoch int) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{
		a:      a,
		tail:   tail{a: a, consultation: consultation, epoch: epoch, logger: a.logger.With("consultation", consultation)},
		cancel: cancel,
		wake:   make(chan struct{}, 1),
		fenced: make(chan struct{}),
		done:   make(chan struct{}),
		grown:  make(chan struct{}),
	}
	go w.run(ctx)
	return w
}

// Fact queues a fact that must be kept. It never blocks, and the queue has no limit: as long as the log is away, what
// must be kept is kept in memory. Not queued, but counted, is what comes after Close or after the writer was fenced,
// and a draft that could never be stored, which is a fault in the program and logged as an error.
func (w *Writer) Fact(d events.Draft) {
	w.put(queued{draft: d})
}

// Offer queues a fact that may be dropped. It says whether there was room.
func (w *Writer) Offer(d events.Draft) bool {
	return w.put(queued{draft: d, offered: true})
}

func (w *Writer) put(q queued) bool {
	if _, _, err := events.Seal(w.tail.consultation, events.Version{}, q.draft); err != nil {
		w.a.metrics.dropped.WithLabelValues(droppedBad).Inc()
		w.tail.logger.Error("a fact cannot be stored", "error", err)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if reason := w.refusalLocked(q); reason != "" {
		w.a.metrics.dropped.WithLabelValues(reason).Inc()
		return false
	}
	w.queue = append(w.queue, q)
	w.given++
	if q.offered {
		w.offered++
	}
	w.a.metrics.waiting.Inc()
	w.signal()
	return true
}

func (w *Writer) refusalLocked(q queued) string {
	switch {
	case w.isFenced():
		return droppedFenced
	case w.closed:
		return droppedClosed
	case q.offered && w.offered >= offerLimit:
		return droppedFull
	}
	return ""
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // run looks at the queue anyway
	}
}

// Fenced is closed when the writer has seen that another process hosts the consultation. What was queued is dropped.
func (w *Writer) Fenced() <-chan struct{} {
	return w.fenced
}

func (w *Writer) isFenced() bool {
	select {
	case <-w.fenced:
		return true
	default:
		return false
	}
}

// Flush waits until everything that was queued before the call is stored. It returns ErrFenced when that will not
// happen any more.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	target := w.given
	w.mu.Unlock()
	for {
		w.mu.Lock()
		settled, grown := w.settled, w.grown
		w.mu.Unlock()
		if settled >= target {
			return nil
		}
		select {
		case <-grown:
		case <-w.fenced:
			return ErrFenced
		case <-w.done:
			return w.leftover()
		case <-ctx.Done():
			return fmt.Errorf("flush %d facts of %s: %w", target-settled, w.tail.consultation, ctx.Err())
		}
	}
}

// Close takes no more facts, waits until the queued ones are stored or ctx ends, and ends the goroutine. The error says
// how many facts are left behind, or that the writer is fenced.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.done:
	case <-ctx.Done():
		w.cancel()
		<-w.done
	}
	w.cancel()
	return w.leftover()
}

// leftover says what run has left when it ended.
func (w *Writer) leftover() error {
	if w.isFenced() {
		return ErrFenced
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.given - w.settled; n > 0 {
		return fmt.Errorf("%d facts of %s are not stored", n, w.tail.consultation)
	}
	return nil
}

// run stores what is queued until the queue is closed and empty, ctx ends or the writer is fenced.
func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	for {
		batch := w.next(ctx)
		if len(batch) == 0 {
			break
		}
		if _, err := w.tail.store(ctx, batch); err != nil {
			if errors.Is(err, ErrFenced) {
				w.fence(err)
			}
			break
		}
		w.settle(len(batch))
	}
	w.discard()
}

// next waits for facts and gives those that go into one append. It gives none when there will be no more.
func (w *Writer) next(ctx context.Context) []events.Draft {
	for {
		w.mu.Lock()
		batch, closed := w.batchLocked(), w.closed
		w.mu.Unlock()
		if len(batch) > 0 {
			return batch
		}
		if closed {
			return nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Writer) batchLocked() []events.Draft {
	n := min(len(w.queue), 1)
	if len(w.queue) >= batchFrom {
		n = min(len(w.queue), batchLimit)
	}
	var batch []events.Draft
	for _, q := range w.queue[:n] {
		batch = append(batch, q.draft)
	}
	return batch
}

// settle takes the first n facts from the queue: they are stored.
func (w *Writer) settle(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.queue[:n] {
		if q.offered {
			w.offered--
		}
	}
	clear(w.queue[:n]) // lets go of the drafts
	w.queue = w.queue[n:]
	w.settled += n
	w.a.metrics.waiting.Sub(float64(n))
	close(w.grown)
	w.grown = make(chan struct{})
}

func (w *Writer) fence(err error) {
	w.mu.Lock()
	close(w.fenced)
	n := len(w.queue)
	w.mu.Unlock()
	w.tail.logger.Warn("stopped to write", "error", err, "dropped", n)
}

// discard counts what is left in the queue when run ends.
func (w *Writer) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	reason := droppedClosed
	if w.isFenced() {
		reason = droppedFenced
	}
	w.a.metrics.dropped.WithLabelValues(reason).Add(float64(len(w.queue)))
	w.a.metrics.waiting.Sub(float64(len(w.queue)))
	w.queue = nil
}
