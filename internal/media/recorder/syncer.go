package recorder

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Syncer makes durable what recorders have written: once in a while all files that grew since the last time, back to
// back, from one goroutine of its own. So a slow disk holds up no recorder, and a file system that commits all its files
// at once does it once for all of them. Any number of recorders share one.
type Syncer struct {
	every    time.Duration
	datasync func(*os.File) error
	round    func()        // is told of each time something was synced; nil for nobody
	wake     chan struct{} // holds a token when the first file grew; capacity 1
	quit     chan struct{}
	done     chan struct{} // closed when run has ended

	mu    sync.Mutex // guards grown; never held while calling out
	grown []*growing
}

// growing is the file of an open segment as the Syncer sees it.
type growing struct {
	file *os.File
	// synced is told from the Syncer's goroutine how much of the file is durable now. It must not block.
	synced func(length int64, took time.Duration, err error)
	queued atomic.Bool // it is in Syncer.grown, or is about to be
}

// NewSyncer starts a Syncer that syncs every so often; 0 means once a second. Close ends it.
func NewSyncer(every time.Duration) *Syncer {
	s := newSyncer(every, datasync)
	go s.run() // ends with Close
	return s
}

func newSyncer(every time.Duration, datasync func(*os.File) error) *Syncer {
	if every <= 0 {
		every = time.Second
	}
	return &Syncer{
		every: every, datasync: datasync, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// Close ends the goroutine and waits for it. What was not synced yet stays so: recorders sync what they seal themselves.
// It must be called once, and not before the last recorder that uses it has been closed.
func (s *Syncer) Close() {
	close(s.quit)
	<-s.done
}

// grew notes that a file was written to.
func (s *Syncer) grew(f *growing) {
	if f.queued.Swap(true) {
		return
	}
	s.mu.Lock()
	first := len(s.grown) == 0
	s.grown = append(s.grown, f)
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *Syncer) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-s.quit:
			return
		}
		for busy := true; busy; {
			timer.Reset(untilBeat(time.Now().Add(-settle), s.every))
			select {
			case <-timer.C:
				busy = s.sync()
			case <-s.quit:
				return
			}
		}
	}
}

// settle is how long after the recorders were woken together files are synced: what they have just written is in it, so
// that a sync leaves as little behind as it can.
const settle = 25 * time.Millisecond

// sync syncs what grew since the last time, and says whether anything did.
func (s *Syncer) sync() bool {
	s.mu.Lock()
	grown := s.grown
	s.grown = nil
	s.mu.Unlock()
	if s.round != nil && len(grown) > 0 {
		s.round()
	}
	for _, f := range grown {
		f.queued.Store(false) // what is written from now on counts for the next time
		began := time.Now()
		length, err := s.syncFile(f.file)
		f.synced(length, time.Since(began), err)
	}
	return len(grown) > 0
}

func (s *Syncer) syncFile(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), s.datasync(f)
}
