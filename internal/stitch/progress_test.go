package stitch

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// The time that is told to be left is the time that is left: however much was found finished, however chunks are mixed.
func TestTheTimeLeftIsTold(t *testing.T) {
	const frames, chunks = 900, 20
	for name, found := range map[string]int{"nothing is there": 0, "half of it is there": 10, "all but one is there": 19} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meter{parts: map[int]int64{}}
				m.total(frames * chunks)
				m.stage(StageRender)
				piece := func(i int) *order { return &order{chunk: i, at: render.Chunk{Frames: frames}} }
				if m.part(-1, 500); m.now().LeftMS != 0 || m.now().Done != 0 {
					t.Errorf("the sound counts: %+v", m.now())
				}
				for i := range found {
					m.finish(piece(i))
				}
				const each = 10 * time.Second // for a chunk, one after the other
				for i := found; i < chunks; i++ {
					for part := int64(1); part <= 4; part++ {
						m.part(i, part*frames/4-100)
						time.Sleep(each / 4)
						m.part(i, part*frames/4)
						p := m.now()
						want := each * time.Duration(frames*chunks-p.Done) / frames
						got := time.Duration(p.LeftMS)*time.Millisecond - rest*chunks*frames/render.Rate*time.Second
						if d := (got - want).Abs(); d > want/5+3*time.Second {
							t.Errorf("with %d of %d frames done %s are left, told is %s", p.Done, p.Total, want, got)
						}
					}
					m.finish(piece(i))
				}
				if p := m.now(); p.Done != p.Total {
					t.Errorf("at the end: %+v", p)
				}
				if m.stage(StageMux); m.now().LeftMS != 0 {
					t.Error("time is left for rendering when that is over")
				}
			})
		})
	}
}

// Voices that are measured before anything is drawn count too, and what is left is told from then on: for a layout that follows the
// speaker the bar would stand for minutes otherwise.
func TestTheTimeLeftIsToldWhileVoicesAreMeasured(t *testing.T) {
	const pieces, voices = 60, 2
	const frames = pieces * pieceSamples * render.Rate / ffmpeg.SampleRate
	for name, found := range map[string]int{"nothing is measured": 0, "half of it is": pieces / 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meter{parts: map[int]int64{}}
				m.listen(frames, voices, pieces*pieceSamples)
				const drawing = 10 * time.Minute
				each := drawing / pieces / listeningShare
				end := time.Now().Add(drawing + time.Duration(voices*(pieces-found))*each)
				before := int64(-1)
				for i := range voices * pieces {
					of := heardPiece{[]string{"a", "b"}[i%voices], int64(i / voices)}
					if i/voices >= found {
						time.Sleep(each)
					}
					m.hear(of, pieceSamples, i/voices < found)
					m.hear(of, pieceSamples, true) // it is asked for twice
					p := m.now()
					if p.Done <= before || p.Done > p.Total {
						t.Fatalf("after %d pieces: %+v", i, p)
					}
					before = p.Done
					if i < voices*found+5 {
						continue // of little nothing is known
					}
					left, got := time.Until(end), time.Duration(p.LeftMS)*time.Millisecond-time.Duration(rest*frames/render.Rate*float64(time.Second))
					if d := (got - left).Abs(); d > left/4 {
						t.Errorf("after %d pieces %s are left, told is %s", i, left, got)
					}
				}
				if p := m.now(); p.Total-p.Done != frames {
					t.Errorf("when all is measured %d frames are left, want %d", p.Total-p.Done, frames)
				}
			})
		})
	}
}

// Only layouts that follow the speaker wait for all voices.
func TestWhatIsMeasuredBeforeDrawing(t *testing.T) {
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.Opus, media.Microphone, 1), 1, microphone(t, 440, 100)[0])
	w.say(2000, "", events.ConsultationEnded{Reason: events.EndedClosed})
	for layout, listened := range map[string]int64{"grid": 0, "speaker": 60 / listeningShare} {
		worker := w.worker(ffmpeg.Config{}, nil)
		j := worker.jobOf(w.bundle(w.order(events.ArchiveRequested{Layout: layout, Profile: "fast"})))
		if _, err := worker.preview(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		j.closeSegments()
		if p := j.meter.now(); p.Done != listened || p.Total != 60+listened {
			t.Errorf("%s: %+v", layout, p)
		}
	}
}

// What takes longest is begun first: long chunks, then short ones, then the sound, which takes an eighth of the time.
func TestTheLongestIsMadeFirst(t *testing.T) {
	w := newWorld(t)
	w.join(0, "A")
	w.join(1000, "B")
	w.join(4000, "C")
	w.join(6000, "D")
	orders := w.ordersOf(w.worker(ffmpeg.Config{}, nil), w.end(7000, "fast"))
	var got []int64
	for _, o := range orders[:len(orders)-1] {
		got = append(got, o.at.Frames)
	}
	last := orders[len(orders)-1]
	if want := []int64{90, 60, 30, 30}; !last.isSound() || !slices.Equal(got, want) {
		t.Errorf("%v frames, want %v; then the sound: %v", got, want, last.isSound())
	}
}

// A chunk that is begun once more, by another worker, does not take back what was told.
func TestProgressNeverGoesBack(t *testing.T) {
	m := &meter{parts: map[int]int64{}}
	m.total(200)
	for _, step := range []struct {
		chunk        int
		frames, want int64
	}{{0, 40, 40}, {1, 30, 70}, {0, 10, 70}, {0, 90, 120}, {1, 500, 200}} {
		if m.part(step.chunk, step.frames); m.now().Done != step.want {
			t.Errorf("%d frames of chunk %d: %d are done, want %d", step.frames, step.chunk, m.now().Done, step.want)
		}
	}
}
