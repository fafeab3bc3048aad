package simpeer

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// Received is what came of one kind of media of one other participant.
type Received struct {
	Participant string // as the server names it
	Source      media.Source
	Packets     int
	Frames      int // video: packets that end one
	Keyframes   int
	Last        time.Time // arrival of the newest packet
}

type trackKey struct {
	participant string
	source      media.Source
}

type receivedLog struct {
	mu     sync.Mutex // guards tracks
	tracks map[trackKey]*Received
}

func (l *receivedLog) list() []Received {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Received, 0, len(l.tracks))
	for _, r := range l.tracks {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Received) int {
		return cmp.Or(cmp.Compare(a.Participant, b.Participant), cmp.Compare(a.Source, b.Source))
	})
	return list
}

func (l *receivedLog) add(key trackKey, frame, keyframe bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.tracks[key]
	if r == nil {
		r = &Received{Participant: key.participant, Source: key.source}
		l.tracks[key] = r
	}
	r.Packets++
	r.Last = time.Now()
	if frame {
		r.Frames++
	}
	if keyframe {
		r.Keyframes++
	}
}

// receive counts what comes on a track until it ends. pion calls it in a goroutine of its own.
func (s *session) receive(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	mid := receiver.RTPTransceiver().Mid()
	video := remote.Kind() == webrtc.RTPCodecTypeVideo
	var first wholePicture
	for {
		p, _, err := remote.ReadRTP()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		if err != nil {
			continue
		}
		if video && first.add(p) {
			s.steps.first(&s.steps.Picture)
		}
		c, known := s.carried(mid)
		if !known {
			continue
		}
		s.p.got.add(trackKey{c.participant, c.source}, video && p.Marker, video && beginsKeyframe(p.Payload))
	}
}

// carried says whose track an m-line carries, as the newest answer has it.
func (s *session) carried(mid string) (carried, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.carrying[mid]
	return c, ok
}

func (s *session) setCarrying(lines map[string]carried) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carrying = lines
}

func beginsKeyframe(payload []byte) bool {
	var p codecs.VP8Packet
	frame, err := p.Unmarshal(payload)
	return err == nil && p.S == 1 && p.PID == 0 && isKeyframe(frame)
}
