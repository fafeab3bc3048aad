package sfu

import (
	"io"
	"sync"
	"time"

	"github.com/pion/transport/v5/packetio"
)

// Limits of what one connection may bring. Each SSRC costs a buffer, a decryption context and goroutines, and whoever
// holds the keys of a connection can make up as many as there are numbers.
const (
	streamsKept  = 64               // at once; a browser has two for each of eight m-lines, with their reports
	streamsEvery = 10 * time.Second // one more is allowed after this time
	// Sizes of the buffers, in bytes, as pion has them.
	rtpBuffer, rtcpBuffer = 1000 * 1000, 100 * 1000
)

// FailedStreams is the phase of OnFailed when a client sends more SSRCs than any browser does.
const FailedStreams = "streams"

// streams gives out the buffers of a connection's incoming streams. What comes on one stream too many is thrown away.
type streams struct {
	flooded func() // called once, from pion's reading goroutine; nil for none

	mu   sync.Mutex // guards what follows
	used float64
	at   time.Time
	told bool
}

// buffer implements webrtc.SettingEngine.BufferFactory.
func (s *streams) buffer(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	if !s.take(time.Now()) {
		return newAbyss()
	}
	b := packetBuffer{packetio.NewBuffer()}
	if kind == packetio.RTPBufferPacket {
		b.SetLimitSize(rtpBuffer)
	} else {
		b.SetLimitSize(rtcpBuffer)
	}
	return b
}

func (s *streams) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = max(0, s.used-float64(now.Sub(s.at))/float64(streamsEvery))
	s.at = now
	if s.used <= streamsKept-1 {
		s.used++
		return true
	}
	if !s.told && s.flooded != nil {
		s.told = true
		s.flooded()
	}
	return false
}

// packetBuffer is pion's own buffer behind the methods that pion looks for.
type packetBuffer struct{ *packetio.Buffer }

// Read implements io.Reader.
func (b packetBuffer) Read(p []byte) (int, error) {
	n, _, err := b.Buffer.Read(p, nil)
	return n, err
}

// Write implements io.Writer.
func (b packetBuffer) Write(p []byte) (int, error) { return b.Buffer.Write(p, nil) }

// ReadWithAttributes lets pion read what it wrote with the packet.
func (b packetBuffer) ReadWithAttributes(p []byte, a packetio.Attributes) (int, packetio.Attributes, error) {
	return b.Buffer.Read(p, a)
}

// WriteWithAttributes is the other half of it.
func (b packetBuffer) WriteWithAttributes(p []byte, a packetio.Attributes) (int, error) {
	return b.Buffer.Write(p, a)
}

// abyss is a buffer that keeps nothing.
type abyss struct {
	once   sync.Once
	closed chan struct{}
}

func newAbyss() *abyss { return &abyss{closed: make(chan struct{})} }

// Write implements io.Writer.
func (*abyss) Write(p []byte) (int, error) { return len(p), nil }

// Read implements io.Reader: nothing comes until the end.
func (a *abyss) Read([]byte) (int, error) {
	<-a.closed
	return 0, io.EOF
}

// Close implements io.Closer.
func (a *abyss) Close() error {
	a.once.Do(func() { close(a.closed) })
	return nil
}
