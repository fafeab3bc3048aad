package stitch

import (
	"context"
	"sync"
	"time"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
)

// Progress is how far a job is.
type Progress struct {
	Consultation string
	Version      int
	Stage        string
	Done, Total  int64 // of the whole job, in output frames; Done never goes back
	LeftMS       int64 // estimate of what is left; 0 = not known yet
}

// The stages, in order.
const (
	StageFetch   = "fetch"   // segments come from the blob store
	StageRender  = "render"  // chunks and sound are made
	StageMux     = "mux"     // they are put together
	StageInspect = "inspect" // the result is held against the plan and its pieces
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
	since time.Time     // when the first frame was made, or voice measured
	found int64         // frames that were found finished
	// Of voices that are measured before anything is drawn:
	listening bool
	heard     map[heardPiece]bool
	listened  int64 // samples
}

// heardPiece is a piece of a voice, which may be asked for more than once.
type heardPiece struct {
	participant string
	from        int64
}

// stage begins a stage.
func (m *meter) stage(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Stage = name
	if name != StageRender {
		m.p.LeftMS = 0
	}
}

// part says that so many frames of a chunk are done.
func (m *meter) part(chunk int, frames int64) {
	if chunk < 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		m.since, m.found = time.Now(), m.p.Done
	}
	m.parts[chunk] = frames
	m.sumLocked()
}

// finish says that the piece of an order is there. The sound counts for nothing: it is made beside the picture.
func (m *meter) finish(o *order) {
	if o.isSound() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, worked := m.parts[o.chunk]; !worked && !m.since.IsZero() {
		m.found += o.at.Frames // it was there already
	}
	delete(m.parts, o.chunk)
	m.whole += o.at.Frames
	m.sumLocked()
}

func (m *meter) sumLocked() {
	sum := m.whole + listenedFrames(m.listened)
	for _, n := range m.parts {
		sum += n
	}
	m.p.Done = min(max(m.p.Done, sum), m.p.Total)
	m.estimateLocked(time.Now())
}

// rest is how long what comes after rendering takes, as a share of the archive's length.
const rest = 0.01

// estimateLocked extrapolates from what was done since the first frame. What was found finished counts for nothing.
func (m *meter) estimateLocked(now time.Time) {
	if m.since.IsZero() {
		return
	}
	took, done := now.Sub(m.since), m.p.Done-m.found
	if took < tellEvery || done <= 0 {
		return
	}
	left := float64(took) * float64(m.p.Total-m.p.Done) / float64(done)
	left += rest * float64(m.p.Total) / render.Rate * float64(time.Second)
	m.p.LeftMS = time.Duration(left).Milliseconds()
}

// total says how many frames the archive has.
func (m *meter) total(frames int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Total = frames
}

// listen says how many frames the archive has, and that so many voices are measured from its begin to its end before anything is
// drawn.
func (m *meter) listen(frames int64, voices int, samples int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Total = frames + listenedFrames(int64(voices)*samples)
	m.listening, m.heard = true, map[heardPiece]bool{}
}

// hear says that a piece of a voice is measured; found says that nothing had to be done for it.
func (m *meter) hear(of heardPiece, samples int64, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.listening || m.heard[of] {
		return
	}
	before := m.p.Done
	m.heard[of] = true
	m.listened += samples
	if m.since.IsZero() && !found {
		m.since, m.found = time.Now(), before
	}
	m.sumLocked()
	if found && !m.since.IsZero() {
		m.found += m.p.Done - before
	}
}

// listeningShare is how many times as long it takes to draw a stretch of the archive as to measure a voice in it.
const listeningShare = 18

// listenedFrames is how many drawn frames take as long as measuring so many samples.
func listenedFrames(samples int64) int64 {
	return samples * render.Rate / ffmpeg.SampleRate / listeningShare
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
