package sfu

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/transport/v5/test"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// limit bounds whatever a test waits for.
const limit = 10 * time.Second

// newSFU opens a media port on loopback and closes it with the test, after which no goroutine may be left.
func newSFU(t *testing.T) *SFU {
	t.Helper()
	t.Cleanup(test.CheckRoutines(t))
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("SFU_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := New(Config{MediaListen: "127.0.0.1:0", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client is a participant with a real PeerConnection, as a browser would have it: it offers, and sends on m-lines of its
// own.
type client struct {
	t    *testing.T
	pc   *webrtc.PeerConnection
	net  *clientNet
	peer *Peer

	offering sync.Mutex // one offer at a time
	sources  map[string]media.Source

	mu        sync.Mutex // guards what follows
	got       map[string]*received
	sending   []SendingTrack
	published []*Publication
	ended     []*Publication
	ignored   map[string]int
	states    []string
	pairs     []PairEnd
	needs     int
	onFailed  func(phase string)
	changed   chan struct{} // closed and replaced when something above changes
}

// received is what a client got of one publication.
type received struct {
	mid     string
	packets []*rtp.Packet
	reports []*rtcp.SenderReport
	ended   bool
}

// clientOptions shape a client.
type clientOptions struct {
	drop   func(p *rtp.Header) bool // incoming packets that the network loses
	noNeed bool                     // do not offer again when asked
	layers bool                     // negotiate what several layers need
	noH264 bool                     // know VP8 and Opus only
	red    bool                     // offer redundant audio, as Chromium does: behind Opus
	wire   interceptor.Factory      // the network that the client sends over, if not a perfect one
}

// join adds a client to a room, not connected yet.
func join(t *testing.T, r *Room, id string, options clientOptions) *client {
	t.Helper()
	c := &client{
		t: t, sources: map[string]media.Source{}, got: map[string]*received{}, ignored: map[string]int{},
		changed: make(chan struct{}),
	}
	c.net = newClientNet(t)
	c.pc = newClientConnection(t, c.net, options)
	c.pc.OnTrack(c.onTrack)
	peer, err := r.NewPeer(PeerConfig{ID: id, Handlers: Handlers{
		OnCandidate:        c.onServerCandidate,
		OnICEState:         func(state string) { c.change(func() { c.states = append(c.states, state) }) },
		OnPair:             func(local, remote PairEnd) { c.change(func() { c.pairs = append(c.pairs, local, remote) }) },
		OnConnected:        func() { c.change(func() { c.states = append(c.states, "keys") }) },
		OnRestarted:        func() { c.change(func() { c.states = append(c.states, "restarted") }) },
		OnFirstMedia:       func() { c.change(func() { c.states = append(c.states, "media") }) },
		OnCandidateIgnored: func(reason string, n int) { c.change(func() { c.ignored[reason] += n }) },
		OnPublication:      func(p *Publication) { c.change(func() { c.published = append(c.published, p) }) },
		OnUnpublished:      func(p *Publication) { c.change(func() { c.ended = append(c.ended, p) }) },
		OnFailed: func(phase string) {
			c.change(func() {
				if c.onFailed != nil {
					c.onFailed(phase)
				}
			})
		},
		OnNeedOffer: func(audio, video int) {
			c.change(func() { c.needs++ })
			if !options.noNeed {
				go c.offerMore(audio, video)
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.peer = peer
	c.pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate != nil {
			init := candidate.ToJSON()
			peer.AddCandidate(Candidate{Candidate: init.Candidate, SDPMid: init.SDPMid, SDPMLineIndex: init.SDPMLineIndex})
		}
	})
	t.Cleanup(c.close)
	return c
}

func newClientConnection(t *testing.T, n *clientNet, options clientOptions) *webrtc.PeerConnection {
	t.Helper()
	m := &webrtc.MediaEngine{}
	if options.noH264 {
		for _, c := range codecs[:2] {
			if err := m.RegisterCodec(c.params, codecType(c.codec.Kind())); err != nil {
				t.Fatal(err)
			}
		}
	} else if err := m.RegisterDefaultCodecs(); err != nil { // with RTX, as browsers offer it
		t.Fatal(err)
	}
	if options.red {
		if err := m.RegisterCodec(red, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	if options.layers {
		if err := webrtc.ConfigureSimulcastExtensionHeaders(m); err != nil {
			t.Fatal(err)
		}
		mid := webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI}
		if err := m.RegisterHeaderExtension(mid, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	registry := &interceptor.Registry{}
	if options.wire != nil {
		registry.Add(options.wire) // first, so that it is the last that packets pass
	}
	if options.drop != nil {
		registry.Add(dropFactory{drop: options.drop}) // first, so that the NACK generator misses what is lost
	}
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(20 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := report.NewReceiverInterceptor(report.ReceiverInterval(100 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	registry.Add(generator)
	registry.Add(receiver)
	registry.Add(responder)
	e := webrtc.SettingEngine{LoggerFactory: logFactory{slog.New(slog.DiscardHandler)}}
	// Losses are made behind the decryption, which would take what comes again for an attack.
	e.DisableSRTPReplayProtection(options.drop != nil)
	e.SetNet(n)
	e.SetIncludeLoopbackCandidate(true)
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(e))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

// dropFactory makes interceptors that lose incoming packets.
type dropFactory struct{ drop func(*rtp.Header) bool }

func (f dropFactory) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &dropper{drop: f.drop}, nil
}

type dropper struct {
	interceptor.NoOp
	drop func(*rtp.Header) bool
}

func (d *dropper) BindRemoteStream(_ *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		for {
			n, attributes, err := r.Read(b, a)
			if err != nil {
				return n, attributes, err
			}
			var h rtp.Header
			if _, err := h.Unmarshal(b[:n]); err != nil || !d.drop(&h) {
				return n, attributes, nil
			}
		}
	})
}

// change alters what a test can see and wakes whoever waits for it.
func (c *client) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until what holds, which is called with the lock held.
func (c *client) await(what string, holds func() bool) {
	c.t.Helper()
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		ok, changed := holds(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t.Fatalf("%s: waited in vain for: %s (states %v, sending %v, published %d, ignored %v)",
				c.peer.ID(), what, c.states, c.sending, len(c.published), c.ignored)
		}
	}
}

// publications lists what the server says that the client publishes.
func (c *client) publications() []*Publication {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.published)
}

// sendingTracks is what the newest answer said.
func (c *client) sendingTracks() []SendingTrack {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sending)
}

// receivedOf gives what came of a publication, on which m-line.
func (c *client) receivedOf(pub *Publication) (mid string, packets []*rtp.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got[pub.ID()]
	if got == nil {
		return "", nil
	}
	return got.mid, slices.Clone(got.packets)
}

// packetCounts says how many packets of each track came.
func (c *client) packetCounts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := map[string]int{}
	for id, got := range c.got {
		counts[id] = len(got.packets)
	}
	return counts
}

func (c *client) onServerCandidate(candidate Candidate) {
	if candidate.Candidate != "" {
		// It fails before the answer has been applied; the answer holds all candidates by then.
		_ = c.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: candidate.Candidate, SDPMid: candidate.SDPMid, SDPMLineIndex: candidate.SDPMLineIndex})
	}
}

func (c *client) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	r := &received{mid: receiver.RTPTransceiver().Mid()}
	id := remote.ID()
	c.change(func() { c.got[id] = r })
	go func() {
		for {
			packets, _, err := receiver.ReadRTCP()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				return
			}
			for _, p := range packets {
				if sr, ok := p.(*rtcp.SenderReport); ok {
					c.change(func() { r.reports = append(r.reports, sr) })
				}
			}
		}
	}()
	for {
		p, _, err := remote.ReadRTP()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			c.change(func() { r.ended = true })
			return
		}
		if err == nil {
			c.change(func() { r.packets = append(r.packets, p) })
		}
	}
}

// connected waits until the client can send.
func (c *client) connected() {
	c.t.Helper()
	eventually(c.t, "a connection", func() bool { return c.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
}

// offer makes an offer and applies the answer.
func (c *client) offer() error {
	c.offering.Lock()
	defer c.offering.Unlock()
	return c.offerLocked(nil)
}

func (c *client) offerLocked(options *webrtc.OfferOptions) error {
	answer, err := c.ask(options)
	if err != nil {
		return err
	}
	return c.answered(answer)
}

// unanswered makes an offer and keeps the answer to itself.
func (c *client) unanswered() (answer string) {
	c.t.Helper()
	c.offering.Lock()
	defer c.offering.Unlock()
	answer, err := c.ask(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer
}

func (c *client) ask(options *webrtc.OfferOptions) (answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	offer, err := c.pc.CreateOffer(options)
	if err != nil {
		return "", err
	}
	if err := c.pc.SetLocalDescription(offer); err != nil {
		return "", err
	}
	answer, sending, err := c.peer.Answer(ctx, offer.SDP, c.sources)
	if err != nil {
		return "", err
	}
	c.change(func() { c.sending = sending })
	return answer, nil
}

// publishOnly offers as a device does: all candidates at once, and nothing to receive.
func (c *client) publishOnly() {
	c.t.Helper()
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(offer); err != nil {
		c.t.Fatal(err)
	}
	<-gathered
	answer, err := c.peer.AnswerComplete(c.t.Context(), c.pc.LocalDescription().SDP)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.answered(answer); err != nil {
		c.t.Fatal(err)
	}
}

// answered applies an answer.
func (c *client) answered(answer string) error {
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return err
	}
	for _, m := range ssrcLine.FindAllStringSubmatch(answer, -1) {
		c.net.announced.Store(ssrcOf(m[1]), true)
	}
	return nil
}

var ssrcLine = regexp.MustCompile(`a=ssrc:(\d+) `)

// clientNet keeps media of SSRCs back that no answer has announced yet, as browsers do: pion reads such packets from two
// goroutines at once when the answer comes.
type clientNet struct {
	*stdnet.Net
	announced sync.Map // ssrc → true
}

func newClientNet(t *testing.T) *clientNet {
	t.Helper()
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return &clientNet{Net: n}
}

// ListenUDP implements transport.Net.
func (n *clientNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	return &clientSocket{UDPConn: conn, net: n}, nil
}

type clientSocket struct {
	transport.UDPConn
	net *clientNet
}

// ReadFrom implements net.PacketConn.
func (s *clientSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.UDPConn.ReadFrom(b)
		if err != nil || n < 12 || b[0]>>6 != 2 || b[1]&0x7f >= 64 && b[1]&0x7f < 96 { // STUN, DTLS, RTCP (RFC 7983, RFC 5761)
			return n, from, err
		}
		if _, ok := s.net.announced.Load(binary.BigEndian.Uint32(b[8:])); ok {
			return n, from, nil
		}
	}
}

// offerMore does what a browser does when it is asked for receiving m-lines: it adds those that it has not free.
func (c *client) offerMore(audio, video int) {
	c.offering.Lock()
	defer c.offering.Unlock()
	if c.pc.ConnectionState() == webrtc.PeerConnectionStateClosed {
		return
	}
	for kind, n := range map[media.Kind]int{media.Audio: audio, media.Video: video} {
		for range max(0, n-c.free(kind)) {
			c.receive(kind)
		}
	}
	if err := c.offerLocked(nil); err != nil && !errors.Is(err, ErrClosed) && c.pc.ConnectionState() != webrtc.PeerConnectionStateClosed {
		c.t.Errorf("%s: offer again: %v", c.peer.ID(), err)
	}
}

// free counts the receiving m-lines of a kind that carry nothing, or something that has ended.
func (c *client) free(kind media.Kind) int {
	living := map[string]bool{}
	for _, pub := range c.peer.room.Publications() {
		living[pub.ID()] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, t := range c.pc.GetTransceivers() {
		if t.Direction() == webrtc.RTPTransceiverDirectionRecvonly && t.Kind() == codecType(kind) &&
			!slices.ContainsFunc(c.sending, func(s SendingTrack) bool { return s.MID == t.Mid() && living[s.PublicationID] }) {
			n++
		}
	}
	return n
}

// receive adds a receiving m-line.
func (c *client) receive(kind media.Kind) {
	_, err := c.pc.AddTransceiverFromKind(codecType(kind), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		c.t.Errorf("%s: %v", c.peer.ID(), err)
	}
}

// lines counts the m-lines of the connection.
func (c *client) lines() int { return len(c.pc.GetTransceivers()) }

// outgoing is a track that a client sends.
type outgoing struct {
	c           *client
	track       *webrtc.TrackLocalStaticRTP
	transceiver *webrtc.RTPTransceiver
	seq         uint16
	time        uint32
	keyframes   chan struct{} // gets a token when one was asked for
}

// send adds a track on an m-line of its own. The source is told with the next offer.
func (c *client) send(codec media.Codec, source media.Source) *outgoing {
	c.t.Helper()
	capability := webrtc.RTPCodecCapability{MimeType: string(codec.Kind()) + "/" + string(codec), ClockRate: codec.ClockRate()}
	if codec == media.Opus {
		capability.Channels = 2
	}
	return c.sendAs(capability, source)
}

// sendAs adds a track of any codec.
func (c *client) sendAs(capability webrtc.RTPCodecCapability, source media.Source) *outgoing {
	c.t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(capability, string(source)+"-"+strings.ReplaceAll(capability.MimeType, "/", "-"), c.peer.ID())
	if err != nil {
		c.t.Fatal(err)
	}
	tr, err := c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		c.t.Fatal(err)
	}
	o := &outgoing{c: c, track: track, transceiver: tr, seq: 65_500, time: 1_000, keyframes: make(chan struct{}, 100)}
	sender := tr.Sender()
	go func() {
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if _, ok := p.(*rtcp.PictureLossIndication); ok {
					o.keyframes <- struct{}{}
				}
			}
		}
	}()
	return o
}

// name says which mid carries which source. Mids exist once an offer was made, so this makes one.
func (c *client) name(tracks map[*outgoing]media.Source) {
	c.t.Helper()
	if _, err := c.pc.CreateOffer(nil); err != nil {
		c.t.Fatal(err)
	}
	for o, source := range tracks {
		c.sources[o.transceiver.Mid()] = source
	}
}

// packet sends one packet whose payload says which one it is.
func (o *outgoing) packet() []byte {
	o.seq++
	o.time += 960
	return o.write(o.seq, payload(uint64(o.seq)))
}

func (o *outgoing) write(seq uint16, payload []byte) []byte {
	err := o.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: o.time, Marker: true}, Payload: payload})
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		o.c.t.Errorf("write packet: %v", err)
	}
	return payload
}

// payload makes a payload that can be told from all others; its first byte begins a VP8 frame.
func payload(n uint64) []byte {
	p := make([]byte, 100)
	p[0] = 0x10
	binary.BigEndian.PutUint64(p[4:], n)
	return p
}

// stream sends a packet every 5 ms until stop is called, which waits for the end.
func (o *outgoing) stream() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				o.packet()
			}
		}
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() { close(quit) })
		<-done
	}
	o.c.t.Cleanup(stop)
	return stop
}

// report sends a sender report.
func (o *outgoing) report(ntp time.Time, rtpTime uint32) {
	ssrc := uint32(o.transceiver.Sender().GetParameters().Encodings[0].SSRC)
	err := o.c.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrc, NTPTime: toNTP(ntp), RTPTime: rtpTime}})
	if err != nil {
		o.c.t.Errorf("write sender report: %v", err)
	}
}

// close ends both sides.
func (c *client) close() {
	c.peer.Close()
	c.offering.Lock()
	defer c.offering.Unlock()
	if err := c.pc.GracefulClose(); err != nil {
		c.t.Error(err)
	}
}

// publisher joins with microphone and camera, and connects.
func publisher(t *testing.T, r *Room, id string) (c *client, microphone, camera *outgoing) {
	t.Helper()
	c = join(t, r, id, clientOptions{})
	microphone, camera = c.send(media.Opus, media.Microphone), c.send(media.VP8, media.Camera)
	c.name(map[*outgoing]media.Source{microphone: media.Microphone, camera: media.Camera})
	if err := c.offer(); err != nil {
		t.Fatal(err)
	}
	return c, microphone, camera
}

// tap is a subscriber that remembers.
type tap struct {
	mu      sync.Mutex // guards what follows
	packets []*rtp.Packet
	reports []media.SenderReport
}

func (s *tap) RTP(p *rtp.Packet, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, p)
}

func (s *tap) SenderReport(sr media.SenderReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, sr)
}

func (s *tap) count() (packets, reports int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.packets), len(s.reports)
}

// eventually polls for what no callback tells.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func contains(list []SendingTrack, want SendingTrack) bool {
	for _, s := range list {
		if s.MID == want.MID && (want.PublicationID == "" || s.PublicationID == want.PublicationID) {
			return true
		}
	}
	return false
}

// sendPLI asks for a whole picture of a track, as a decoder that lost its way does.
func (c *client) sendPLI(id string) {
	for _, receiver := range c.pc.GetReceivers() {
		for _, track := range receiver.Tracks() {
			if track.ID() == id {
				if err := c.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}}); err != nil {
					c.t.Error(err)
				}
			}
		}
	}
}

func drain(c chan struct{}) {
	for {
		select {
		case <-c:
		default:
			return
		}
	}
}

func waitKeyframe(t *testing.T, o *outgoing) {
	t.Helper()
	select {
	case <-o.keyframes:
	case <-time.After(limit):
		t.Fatal("nobody asked the publisher for a whole picture")
	}
}

func has(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// inFull leaves a test out of the quick run: it takes seconds.
func inFull(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}
