package simpeer

import (
	"context"
	"image"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// mtu is the largest payload of a packet, in bytes.
const mtu = 1180

// sender sends a participant's media, each frame and packet when it is captured.
type sender struct {
	options Options
	log     *sentLog
	picture *Media // in the size that is sent now

	vp8       codecs.VP8Payloader
	wantWhole atomic.Bool

	mu           sync.Mutex // guards what follows
	video, audio *lane      // nil if not sent
	coming       *lane      // announced and not sent yet
	muted        map[media.Source]bool
}

func newSender(o Options, log *sentLog, muted map[media.Source]bool) *sender {
	s := &sender{options: o, log: log, picture: o.Media, muted: muted}
	s.vp8.EnablePictureID = true
	for _, a := range only(o.Actions, Resize) {
		if a.At < time.Since(o.Clocks.Began) { // it comes back with the size that it left with
			s.resize(a.Size)
		}
	}
	return s
}

// trackOutlet is an outgoing track of a connection.
type trackOutlet struct {
	track *webrtc.TrackLocalStaticRTP
	pc    *webrtc.PeerConnection
}

func (o trackOutlet) rtp(p *rtp.Packet) error { return o.track.WriteRTP(p) }

func (o trackOutlet) report(sr *rtcp.SenderReport) { _ = o.pc.WriteRTCP([]rtcp.Packet{sr}) }

// use begins to send a lane, in the place of the one of its kind that was sent before.
func (s *sender) use(l *lane, now time.Time) {
	late := s.options.VideoLate
	if l.kind == media.Audio {
		late = s.options.AudioLate
	}
	l.begin(now, late)
	s.wantWhole.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming = nil
	if l.kind == media.Audio {
		s.audio = l
	} else {
		s.video = l
	}
}

// prepare announces a lane that is not sent yet.
func (s *sender) prepare(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming = l
}

// announced are the lanes that an offer tells of.
func (s *sender) announced() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc([]*lane{s.video, s.audio, s.coming}, func(l *lane) bool { return l == nil })
}

// stop stops sending a kind and gives the lane; nil if there was none.
func (s *sender) stop(k media.Kind) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.video
	if k == media.Audio {
		l = &s.audio
	}
	stopped := *l
	*l = nil
	return stopped
}

// lanes are what is sent.
func (s *sender) lanes() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc([]*lane{s.video, s.audio}, func(l *lane) bool { return l == nil })
}

// earliest is the lane that has something to do first, nil if none is there.
func (s *sender) earliest() *lane {
	var first *lane
	for _, l := range s.lanes() {
		if first == nil || l.due().Before(first.due()) {
			first = l
		}
	}
	return first
}

// idle is how often a sender looks whether there is something to send again.
const idle = 5 * time.Millisecond

// run sends until ctx ends.
func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l, wait := s.earliest(), idle
		if l != nil {
			wait = time.Until(l.due())
		}
		timer.Reset(min(wait, 10*idle))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if now := time.Now(); l != nil && l == s.earliest() && !now.Before(l.due()) {
			s.step(l, now)
		}
	}
}

// step does what is due of a lane at now.
func (s *sender) step(l *lane, now time.Time) {
	if !now.Before(l.sr) {
		l.reportAt(now, s.options.wallError(now), s.options.Actions)
		return
	}
	s.log.lateBy(now.Sub(l.due()))
	was := l.next
	if a := l.obey(); a != nil {
		s.resize(a.Size)
	}
	if l.next != was {
		s.wantWhole.Store(s.wantWhole.Load() || l.kind == media.Video)
		return // nothing is sent for a while
	}
	l.clock.base -= uint32(l.frozen)
	l.frozen = 0
	if l.kind == media.Video {
		s.sendFrame(l)
	} else {
		s.sendSound(l)
	}
}

func (s *sender) resize(to image.Point) {
	for _, m := range append([]*Media{s.options.Media}, s.options.Sizes...) {
		if m.Spec.Width == to.X && m.Spec.Height == to.Y {
			s.picture = m
			s.wantWhole.Store(true)
		}
	}
}

// sendFrame sends a picture: black while the camera is off, as browsers do.
func (s *sender) sendFrame(l *lane) {
	n := l.next
	frame, off := s.picture.black, s.isMuted(l.source)
	if off {
		s.wantWhole.Store(true) // what follows cannot lean on a black picture
	} else {
		frame = s.picture.frame(n, s.wantWhole.Swap(false))
	}
	payloads := s.vp8.Payload(mtu, frame)
	before := l.packets
	for i, p := range payloads {
		l.write(p, i == len(payloads)-1)
	}
	s.tell(l, l.packets-before == uint32(len(payloads)))
	if n%FPS == 0 && !off {
		s.log.flash(Moment{Media: l.media(), At: l.captured()})
	}
	l.next++
}

// sendSound sends 20 ms of sound: silence while the microphone is off.
func (s *sender) sendSound(l *lane) {
	packet, off := s.options.Media.quiet, s.isMuted(l.source)
	if !off {
		packet = s.options.Media.packet(l.next)
	}
	leaves, sign := l.dozing(s.options.Actions)
	if sign {
		packet = packet[:1] // what a decoder does with it is up to the decoder (RFC 6716 §3.1)
	}
	if !leaves {
		before := l.packets
		l.write(packet, false)
		s.tell(l, l.packets > before)
	}
	if l.next%soundRate == 0 && !off {
		s.log.beep(sentBeep{Moment{Media: l.media(), At: l.captured()}, l.ssrc, l.seq})
	}
	l.next++
}

// tell says what was sent, unless the network was not there to take it.
func (s *sender) tell(l *lane, taken bool) {
	if s.options.OnSend == nil || !taken {
		return
	}
	s.options.OnSend(SentFrame{
		Source: l.source, SSRC: l.ssrc, RTP: l.clock.rtp(l.media()), Captured: l.captured(), At: time.Now(),
	})
}

func (s *sender) isMuted(source media.Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.muted[source]
}

func (s *sender) mute(source media.Source, muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted[source] = muted
}

// readFeedback answers requests for a whole picture until the track ends.
func (s *sender) readFeedback(l *lane) {
	for {
		packets, _, err := l.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				s.wantWhole.Store(true)
				s.log.asked()
			case *rtcp.TransportLayerNack:
				s.log.nacked(p)
			}
		}
	}
}
