package simpeer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// Options shape a participant. Media is required.
type Options struct {
	Media            *Media
	NoAudio, NoVideo bool
	// VideoSource and AudioSource are what the tracks are said to be. Default camera and microphone.
	VideoSource, AudioSource media.Source
	Clocks                   Clocks
	Network                  Network
	Reach                    Reach
	// AudioLate and VideoLate are how long after Clocks.Began a track is begun to be sent. Beeps and flashes stay where
	// they are.
	AudioLate, VideoLate time.Duration
	// FirstReport and ReportEvery are when sender reports are sent. Default 400 ms after the beginning, then each second.
	FirstReport, ReportEvery time.Duration
	// AudioReports and VideoReports say more of them; what is zero there is as above.
	AudioReports, VideoReports Reports
	// Actions are what happens on the way; Play does those of the person. Sizes holds the pictures for Resize, which differ
	// in nothing but size.
	Actions []Action
	Sizes   []*Media
	// Recording pauses the recording and lets it go on, for Pause.
	Recording func(ctx context.Context, paused bool) error
	// Deaf takes what the first two receiving m-lines carry and asks for no more: a crowd costs less then.
	Deaf bool
	// BeforeJoin is called when the server has said who the participant is, and before it joins: the place to consent.
	BeforeJoin func(ctx context.Context, w Welcome) error
	// OnSend is told of every frame and every packet of sound that was given to the network, from the goroutine that
	// sends, in order. It must not wait.
	OnSend func(SentFrame)
	// OnPacket is told of every packet of media when it is given to the network and when it came from there. It must not wait
	// and not keep the payload.
	OnPacket func(Packet)
	// OnMessage is told of every message of the WebSocket, as it came. It must not wait.
	OnMessage func(raw []byte)
	// ConnectWithin bounds the time until media can flow. Default 15 s.
	ConnectWithin time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.Media == nil {
		return o, errors.New("options without media")
	}
	if o.NoAudio && o.NoVideo {
		return o, errors.New("options without sound and picture")
	}
	if o.VideoSource == "" {
		o.VideoSource = media.Camera
	}
	if o.AudioSource == "" {
		o.AudioSource = media.Microphone
	}
	if o.Clocks.Began.IsZero() {
		o.Clocks.Began = time.Now()
	}
	if o.FirstReport <= 0 {
		o.FirstReport = 400 * time.Millisecond
	}
	if o.ReportEvery <= 0 {
		o.ReportEvery = time.Second
	}
	if o.ConnectWithin <= 0 {
		o.ConnectWithin = 15 * time.Second
	}
	for _, r := range []*Reports{&o.AudioReports, &o.VideoReports} {
		if r.First <= 0 {
			r.First = o.FirstReport
		}
		if r.Every <= 0 {
			r.Every = o.ReportEvery
		}
	}
	return o, Plan{Name: "options", Actions: o.Actions}.check()
}

// wallError is by how much the machine's time of day is ahead at a moment.
func (o Options) wallError(now time.Time) time.Duration {
	ahead := o.Clocks.WallError
	for _, a := range only(o.Actions, SetWall) {
		if now.Sub(o.Clocks.Began) >= a.At {
			ahead += a.By
		}
	}
	return ahead
}

// door is a way into a consultation.
type door interface {
	// enter brings the session in. When it returns without an error the answer has been applied.
	enter(ctx context.Context, s *session) error
	// renegotiate offers what the connection sends now.
	renegotiate(ctx context.Context) error
	// mute tells of a source that is off or on.
	mute(ctx context.Context, source media.Source, muted bool) error
	// leave says goodbye, after which nothing comes.
	leave(ctx context.Context) error
	// drop hangs up without a goodbye.
	drop()
}

// Participant is a simulated participant. Its capture runs from Clocks.Began on, whether it is connected or not.
type Participant struct {
	options Options
	open    func() door
	sent    sentLog
	got     receivedLog

	mu      sync.Mutex // guards what follows
	muted   map[media.Source]bool
	session *session // nil while the participant is away
	wire    *wire    // of the newest session
}

// newParticipant makes a participant and brings it in.
func newParticipant(ctx context.Context, o Options, open func() door) (*Participant, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simulated participant: %w", err)
	}
	p := &Participant{options: o, open: open, muted: map[media.Source]bool{}}
	p.got.tracks = map[trackKey]*Received{}
	if err := p.Rejoin(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Rejoin brings a participant in again that left or was dropped. It returns when media can flow.
func (p *Participant) Rejoin(ctx context.Context) error {
	if p.present() != nil {
		return errors.New("simulated participant: it is in")
	}
	s, err := p.newSession(p.open())
	if err != nil {
		return fmt.Errorf("simulated participant: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.ConnectWithin)
	defer cancel()
	if err := s.door.enter(ctx, s); err != nil {
		s.end()
		return fmt.Errorf("simulated participant: %w", err)
	}
	select {
	case <-s.connected:
	case <-s.failed:
		s.end()
		return errors.New("simulated participant: the connection failed")
	case <-ctx.Done():
		s.end()
		return fmt.Errorf("simulated participant: connect: %w", ctx.Err())
	}
	s.start()
	p.mu.Lock()
	p.session, p.wire = s, s.wire
	p.mu.Unlock()
	return nil
}

func (p *Participant) present() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// away takes the session.
func (p *Participant) away() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.session
	p.session = nil
	return s
}

// Leave says goodbye and ends everything. It is harmless when the participant is away.
func (p *Participant) Leave(ctx context.Context) error {
	s := p.away()
	if s == nil {
		return nil
	}
	s.stopSending()
	err := s.door.leave(ctx)
	s.end()
	if err != nil {
		return fmt.Errorf("simulated participant: leave: %w", err)
	}
	return nil
}

// Drop cuts the participant off without a goodbye, as a phone that loses its signal. Rejoin brings it back.
func (p *Participant) Drop() {
	s := p.away()
	if s == nil {
		return
	}
	s.cable.cut()
	s.stopSending()
	s.door.drop()
	s.end()
}

// Mute switches a source off or on, as a person does: silence or black pictures are sent while it is off.
func (p *Participant) Mute(ctx context.Context, source media.Source, muted bool) error {
	p.mu.Lock()
	p.muted[source] = muted
	s := p.session
	p.mu.Unlock()
	if s == nil {
		return nil
	}
	s.sender.mute(source, muted)
	if err := s.door.mute(ctx, source, muted); err != nil {
		return fmt.Errorf("simulated participant: mute: %w", err)
	}
	return nil
}

// Sent tells what was captured and sent so far: every flash and beep, with the time of its capture.
func (p *Participant) Sent() Sent { return p.sent.sent(p.options.Media.Spec) }

// Lateness is the longest time that something was sent after it was captured and should have been. When it is long, the
// machine was too busy for the test to mean much.
func (p *Participant) Lateness() time.Duration {
	p.sent.mu.Lock()
	defer p.sent.mu.Unlock()
	return p.sent.latest
}

// PictureRequests is how often a whole picture was asked for.
func (p *Participant) PictureRequests() int {
	p.sent.mu.Lock()
	defer p.sent.mu.Unlock()
	return p.sent.requests
}

// Fastest is how long the way to the server took at least, on the connection that is there or was there last.
func (p *Participant) Fastest() Fastest {
	p.mu.Lock()
	w := p.wire
	p.mu.Unlock()
	if w == nil {
		return Fastest{}
	}
	return w.fastest()
}

// Received tells what came of the others' tracks so far, over all connections.
func (p *Participant) Received() []Received { return p.got.list() }

// session is one connection of a participant.
type session struct {
	p      *Participant
	door   door
	cable  *cable
	wire   *wire
	pc     *webrtc.PeerConnection
	sender *sender
	steps  steps
	stop   context.CancelFunc // of sending

	negotiating sync.Mutex // one offer at a time
	connected   chan struct{}
	failed      chan struct{}
	goroutines  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	carrying map[string]carried
}

// carried says what an m-line carries.
type carried struct {
	track, participant string
	source             media.Source
}

func (p *Participant) newSession(d door) (*session, error) {
	c, err := newCable(p.options.Reach.Net, p.options.Network.trip())
	if err != nil {
		return nil, err
	}
	s := &session{
		p: p, door: d, cable: c, stop: func() {},
		connected: make(chan struct{}), failed: make(chan struct{}), carrying: map[string]carried{},
	}
	o := p.options
	wire := newWire(newRoad(o.Network, o.Clocks.Began, o.Actions), &p.sent)
	wire.watch = o.OnPacket
	pc, err := newPeerConnection(c, wire, o.Reach)
	if err != nil {
		return nil, errors.Join(err, wire.Close())
	}
	s.pc, s.wire = pc, wire
	if err := s.addTracks(); err != nil {
		s.end()
		return nil, err
	}
	var connected, failed atomic.Bool
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			s.steps.first(&s.steps.Keys)
			if !connected.Swap(true) {
				close(s.connected)
			}
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			if !failed.Swap(true) {
				close(s.failed)
			}
		}
	})
	pc.OnICEConnectionStateChange(s.onICE)
	pc.OnTrack(s.receive)
	return s, nil
}

// newPeerConnection makes what a browser would: with retransmission, feedback and receiver reports, and with sender
// reports of our own.
func newPeerConnection(c *cable, w *wire, r Reach) (*webrtc.PeerConnection, error) {
	engine := &webrtc.MediaEngine{}
	video := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}},
		},
		PayloadType: 96,
	}
	audio := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
		},
		PayloadType: 111,
	}
	if err := errors.Join(engine.RegisterCodec(video, webrtc.RTPCodecTypeVideo), engine.RegisterCodec(audio, webrtc.RTPCodecTypeAudio)); err != nil {
		return nil, fmt.Errorf("register codecs: %w", err)
	}
	registry, err := newInterceptors(w)
	if err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}}
	settings.SetNet(c)
	settings.SetSRTPReplayProtectionWindow(1024) // what comes again may come late
	settings.SetICETimeouts(5*time.Second, 20*time.Second, 2*time.Second)
	settings.SetDTLSRetransmissionInterval(200 * time.Millisecond) // a second is pion's; browsers take twice the round trip
	if err := r.shape(&settings); err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("new connection: %w", err)
	}
	return pc, nil
}

// newInterceptors registers what stands between the tracks and the network.
func newInterceptors(w *wire) (*interceptor.Registry, error) {
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(20*time.Millisecond), nack.GeneratorMaxNacksPerPacket(10))
	if err != nil {
		return nil, fmt.Errorf("nack generator: %w", err)
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("nack responder: %w", err)
	}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, fmt.Errorf("receiver reports: %w", err)
	}
	registry := &interceptor.Registry{}
	registry.Add(wireFactory{w}) // first: nearest to the network
	registry.Add(responder)
	registry.Add(generator)
	registry.Add(reports)
	return registry, nil
}

// addTracks gives the connection what the participant sends.
func (s *session) addTracks() error {
	o := s.p.options
	s.p.mu.Lock()
	muted := maps.Clone(s.p.muted)
	s.p.mu.Unlock()
	s.sender = newSender(o, &s.p.sent, muted)
	dice := rand.New(rand.NewPCG(o.Network.Seed, rand.Uint64()))
	for _, k := range []media.Kind{media.Audio, media.Video} {
		if k == media.Audio && o.NoAudio || k == media.Video && o.NoVideo {
			continue
		}
		l, err := s.addTrack(k, dice)
		if err != nil {
			return err
		}
		s.sender.use(l, time.Now())
	}
	return nil
}

// addTrack adds an m-line and the lane that is to be sent on it.
func (s *session) addTrack(k media.Kind, dice *rand.Rand) (*lane, error) {
	source, codec := s.p.options.VideoSource, webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	if k == media.Audio {
		source = s.p.options.AudioSource
		codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	}
	track, err := webrtc.NewTrackLocalStaticRTP(codec, string(source)+"-"+codec.MimeType[:5], "simulated")
	if err != nil {
		return nil, fmt.Errorf("new track: %w", err)
	}
	tr, err := s.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, fmt.Errorf("add track: %w", err)
	}
	l := newLane(source, k, s.p.options, dice)
	l.out, l.sender, l.ssrc = trackOutlet{track, s.pc}, tr.Sender(), uint32(tr.Sender().GetParameters().Encodings[0].SSRC)
	s.goroutines.Go(func() { s.sender.readFeedback(l) }) // ends with the connection
	return l, nil
}

// renew sends a track on as a new one: with another SSRC, on another m-line.
func (s *session) renew(ctx context.Context, k media.Kind) error {
	old := s.sender.stop(k)
	if old == nil {
		return nil
	}
	if err := s.pc.RemoveTrack(old.sender); err != nil {
		return fmt.Errorf("remove track: %w", err)
	}
	l, err := s.addTrack(k, rand.New(rand.NewPCG(s.p.options.Network.Seed, rand.Uint64())))
	if err != nil {
		return err
	}
	// What is sent before the server knows of the SSRC is lost.
	s.sender.prepare(l)
	if err := s.door.renegotiate(ctx); err != nil {
		return err
	}
	s.sender.use(l, time.Now())
	return nil
}

// start begins to send.
func (s *session) start() {
	for _, l := range s.sender.lanes() {
		s.sender.use(l, time.Now())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		s.sender.run(ctx)
	}()
	s.stop = func() { cancel(); <-done }
}

func (s *session) stopSending() { s.stop() }

// end closes the connection and waits for what belongs to it.
func (s *session) end() {
	s.stop()
	s.door.drop()
	_ = s.pc.GracefulClose() // the other side may be gone long since
	s.goroutines.Wait()
}
