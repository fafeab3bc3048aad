package simpeer

import (
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Steps are when a participant's newest way in came how far; zero what has not happened. Only a participant that came by
// WebSocket has those before Connected.
type Steps struct {
	Dialed   time.Time // the WebSocket began to be opened
	Opened   time.Time
	Welcomed time.Time // the server has said who the participant is
	Joined   time.Time
	Answered time.Time // the first offer was
	Way      time.Time // ICE has found one, the newest time
	Keys     time.Time // media can flow
	Picture  time.Time // the first whole picture of somebody else that can be decoded by itself is there, to its last packet
}

// steps are written by several goroutines.
type steps struct {
	mu sync.Mutex // guards Steps
	Steps
}

// first notes when something happened for the first time.
func (s *steps) first(step *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if step.IsZero() {
		*step = time.Now()
	}
}

// onICE notes that ICE has found a way, again after a restart.
func (s *session) onICE(state webrtc.ICEConnectionState) {
	if state != webrtc.ICEConnectionStateConnected {
		return
	}
	s.steps.mu.Lock()
	defer s.steps.mu.Unlock()
	s.steps.Way = time.Now()
}

func (s *steps) all() Steps {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Steps
}

// Steps tells how the newest way in went so far. It is empty while the participant is away.
func (p *Participant) Steps() Steps {
	if s := p.present(); s != nil {
		return s.steps.all()
	}
	return Steps{}
}

// wholePicture finds the first picture of a VP8 stream that can be decoded by itself and of which every packet came, in order.
// The zero value is ready.
type wholePicture struct {
	found   bool
	begun   bool
	next    uint16 // sequence number of the packet that is to come
	picture uint32 // its RTP time
}

// add takes the next packet and says whether it completes the picture.
func (w *wholePicture) add(p *rtp.Packet) bool {
	switch {
	case w.found:
		return false
	case beginsKeyframe(p.Payload):
		w.begun, w.picture = true, p.Timestamp
	case w.begun && (p.SequenceNumber != w.next || p.Timestamp != w.picture):
		w.begun = false
	}
	w.next = p.SequenceNumber + 1
	w.found = w.begun && p.Marker
	return w.found
}
