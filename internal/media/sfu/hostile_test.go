package sfu

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"consilium/internal/media"
)

// forger is the innermost interceptor of a client that makes something else of what it sends.
type forger struct {
	interceptor.NoOp
	forge  atomic.Pointer[func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte))]
	forged atomic.Int64 // packets of which it made something else
}

// NewInterceptor implements interceptor.Factory.
func (f *forger) NewInterceptor(string) (interceptor.Interceptor, error) { return f, nil }

// BindLocalStream implements interceptor.Interceptor.
func (f *forger) BindLocalStream(_ *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if forge := f.forge.Load(); forge != nil {
			defer f.forged.Add(1)
			header := h.Clone()
			(*forge)(&header, payload, func(h *rtp.Header, p []byte) { _, _ = next.Write(h, p, a) }) // who is gone gets nothing
			return len(payload), nil
		}
		return next.Write(h, payload, a)
	})
}

func (f *forger) do(forge func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte))) {
	f.forge.Store(&forge)
}

// hostile is a room with two peers who talk, and a third who will misbehave and behaves so far.
type hostile struct {
	sfu     *SFU
	room    *Room
	bad     *client
	forger  *forger
	camera  *outgoing
	honest  *client
	witness *client
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	s := newSFU(t)
	h := &hostile{sfu: s, room: s.NewRoom(), forger: &forger{}}
	var mic, cam *outgoing
	h.honest, mic, cam = publisher(t, h.room, "honest")
	mic.stream()
	cam.stream()
	h.bad = join(t, h.room, "bad", clientOptions{wire: h.forger})
	h.camera = h.bad.send(media.VP8, media.Camera)
	microphone := h.bad.send(media.Opus, media.Microphone)
	h.bad.name(map[*outgoing]media.Source{h.camera: media.Camera, microphone: media.Microphone})
	if err := h.bad.offer(); err != nil {
		t.Fatal(err)
	}
	h.bad.connected()
	h.witness = join(t, h.room, "witness", clientOptions{})
	h.witness.receive(media.Audio)
	h.witness.receive(media.Video)
	if err := h.witness.offer(); err != nil {
		t.Fatal(err)
	}
	h.sees(t, h.honest)
	return h
}

// sees waits until media of a client goes on coming to the witness.
func (h *hostile) sees(t *testing.T, of *client) {
	t.Helper()
	count := func() int {
		n := 0
		for _, pub := range of.publications() {
			_, packets := h.witness.receivedOf(pub)
			n += len(packets)
		}
		return n
	}
	before := count()
	eventually(t, "media of "+of.peer.ID(), func() bool { return count() >= before+50 })
}

func TestAThousandStreamsOnOneConnectionDisturbNobody(t *testing.T) {
	inFull(t)
	h := newHostile(t)
	var failed atomic.Bool
	h.bad.change(func() { h.bad.onFailed = func(phase string) { failed.Store(phase == FailedStreams) } })
	var heap [2]runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap[0])
	goroutines := runtime.NumGoroutine()
	h.forger.do(func(header *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) {
		own := header.SSRC
		for i := range uint32(20) { // a thousand streams within fifty packets, and then once more, and once more
			header.SSRC = own + 1 + (uint32(header.SequenceNumber)%50)*20 + i
			send(header, payload)
		}
		header.SSRC = own
		send(header, payload)
	})
	h.camera.stream()
	eventually(t, "that the flood is noticed", failed.Load)
	before := testutil.ToFloat64(h.sfu.metrics.received)
	h.sees(t, h.honest)
	h.sees(t, h.bad) // what it declared goes on
	if testutil.ToFloat64(h.sfu.metrics.received) == before {
		t.Error("nothing is taken in any more")
	}
	runtime.GC()
	runtime.ReadMemStats(&heap[1])
	if grown := int64(heap[1].HeapInuse) - int64(heap[0].HeapInuse); grown > 32<<20 {
		t.Errorf("a thousand streams take %d MB", grown>>20)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 400 {
		t.Errorf("a thousand streams take %d goroutines", n)
	}
	if n := len(h.bad.publications()); n > maxSending {
		t.Errorf("%d publications", n)
	}
	if n := testutil.ToFloat64(h.sfu.metrics.floods); n != 1 {
		t.Errorf("%f floods are counted", n)
	}
}

func TestHostilePacketsDisturbNobody(t *testing.T) {
	inFull(t)
	h := newHostile(t)
	h.camera.stream()
	h.sees(t, h.bad)
	garbage := make([]byte, 200)
	for i := range garbage {
		garbage[i] = byte(i * 37)
	}
	for _, tt := range []struct {
		name  string
		forge func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte))
	}{
		{"nothing but padding", func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) {
			h.Padding, h.PaddingSize = true, 200
			send(h, nil)
		}},
		{"no payload at all", func(h *rtp.Header, _ []byte, send func(*rtp.Header, []byte)) { send(h, nil) }},
		{"header extensions of garbage", func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) {
			for id := uint8(1); id < 15; id++ {
				_ = h.SetExtension(id, garbage[:1+id%16])
			}
			send(h, payload)
		}},
		{"long header extensions of garbage", func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) {
			h.Extension, h.ExtensionProfile = true, 0x1000
			for id := uint8(1); id < 15; id++ {
				_ = h.SetExtension(id*17, garbage[:60+id])
			}
			send(h, payload)
		}},
		{"another payload type with each packet", func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) {
			h.PayloadType = []uint8{96, 98, 45, 111, 0, 127}[h.SequenceNumber%6]
			send(h, payload)
		}},
		{"bytes of no codec", func(h *rtp.Header, _ []byte, send func(*rtp.Header, []byte)) { send(h, garbage) }},
		{"numbers and times at random", func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) {
			h.SequenceNumber, h.Timestamp = h.SequenceNumber*40503, uint32(h.SequenceNumber)*2654435761
			send(h, payload)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.forger.do(tt.forge)
			before := h.forger.forged.Load()
			eventually(t, "the packets", func() bool { return h.forger.forged.Load() > before+100 })
			h.sees(t, h.honest)
			if n := len(h.bad.publications()); n > 20 {
				t.Errorf("%d publications so far", n)
			}
		})
	}
	// And behind all of it the camera works.
	h.forger.do(func(h *rtp.Header, payload []byte, send func(*rtp.Header, []byte)) { send(h, payload) })
	eventually(t, "the camera's picture", func() bool {
		pubs := h.bad.publications()
		return time.Since(pubs[len(pubs)-1].LastPacket()) < time.Second
	})
}
