package stitch

import (
	"context"
	"sync"
	"time"
)

// Progress is how far a job is.
type Progress struct {
	Consultation string
	Version      int
	Stage        string
	Done, Total  int64 // of the whole job, in output frames; Done never goes back
}

// The stages, in order.
const (
	StageFetch   = "fetch"   // segments come from the blob store
	StageRender  = "render"  // chunks and sound are made
	StageMux     = "mux"     // they are put together
	StageInspect = "inspect" // the result is decoded and checked
	StageStore   = "store"   // it goes into the blob store
)

// tellEvery is the rhythm of progress reports.
const tellEvery = 500 * time.Millisecond

// meter collects progress. Its methods may be called from anywhere.
type meter struct {
	mu    sync.Mutex // guards what follows
	p     Progress
	parts map[int]int64 // frames done of chunks in work, by number
	whole int64         // frames of finished chunks
}

// stage begins a stage.
func (m *meter) stage(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Stage = name
}

// part says that so many frames of a chunk are done.
func (m *meter) part(chunk int, frames int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[chunk] = frames
	m.sumLocked()
}

// finish says that a chunk of that many frames is done.
func (m *meter) finish(chunk int, frames int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.parts, chunk)
	m.whole += frames
	m.sumLocked()
}

func (m *meter) sumLocked() {
	sum := m.whole
	for _, n := range m.parts {
		sum += n
	}
	m.p.Done = min(max(m.p.Done, sum), m.p.Total)
}

func (m *meter) total(frames int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Total = frames
}

func (m *meter) now() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p
}

// tell reports until ctx ends.
func (m *meter) tell(ctx context.Context, report func(context.Context, Progress)) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		report(ctx, m.now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
