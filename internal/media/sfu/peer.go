package sfu

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// Handlers tell what happens to one Peer. They are called in order from one goroutine of the peer, must not block, and
// must not call the peer's Close. Nil ones are left out. After Close has returned none is called any more.
type Handlers struct {
	// OnCandidate hands over an ICE candidate for the client; the zero Candidate says that there are no more.
	OnCandidate func(Candidate)
	// OnICEState tells ICE's state: checking, connected, completed, disconnected, failed, closed. Closed without Close
	// says that the client closed the connection.
	OnICEState func(state string)
	// OnPair tells over which pair of addresses media goes now.
	OnPair func(local, remote PairEnd)
	// OnCandidateIgnored tells that candidates of the client were not used: mdns, private, tcp, malformed, stale, limit, refused.
	OnCandidateIgnored func(reason string, count int)
	// OnRestarted tells that an offer with new ICE credentials was taken.
	OnRestarted func()
	// OnConnected tells that the keys are exchanged: media can flow. Once.
	OnConnected func()
	// OnFailed tells which phase cannot succeed any more: ice, dtls. An ICE restart can mend ice. The phase streams says
	// that the client sends more SSRCs than any browser does; FailedStreams.
	OnFailed func(phase string)
	// OnFirstMedia tells that the first packet of media has come, whether or not publishing is allowed. Once.
	OnFirstMedia func()
	// OnPublication tells that the first packet of a track has come while publishing was allowed. A track whose SSRC or
	// codec changes is a new Publication.
	OnPublication func(*Publication)
	// OnUnpublished tells that a publication has ended. Its subscribers get nothing any more.
	OnUnpublished func(*Publication)
	// OnNeedOffer asks for an offer with at least that many receiving m-lines that carry nothing yet.
	OnNeedOffer func(audio, video int)
}

// PeerConfig is what Room.NewPeer needs.
type PeerConfig struct {
	ID       string // opaque
	Handlers Handlers
}

// Candidate is one ICE candidate as browsers spell it.
type Candidate struct {
	Candidate     string
	SDPMid        *string
	SDPMLineIndex *uint16
}

// SendingTrack says which publication the server sends on an m-line of the client.
type SendingTrack struct {
	MID           string
	PublicationID string
}

// Peer is one PeerConnection of one participant, the server's side of it. All methods may be called from any goroutine.
type Peer struct {
	room     *Room
	id       string
	handlers Handlers
	api      *webrtc.API
	pc       *webrtc.PeerConnection
	events   *mailbox
	done     chan struct{} // closed when Close begins
	counts   traffic
	ssrc     uint32 // of this side, in what it asks for

	publishing atomic.Bool
	connected  atomic.Bool // the keys are exchanged: what is sent arrives
	firstMedia sync.Once

	// turn holds a token while a negotiation, or Close, is on its way.
	turn chan struct{}

	candidates candidates

	entering sync.Mutex // held while a publication enters the room; taken before every other lock

	mu            sync.Mutex // guards what follows; never held while calling out
	closed        bool
	publishOnly   bool
	offer         *offer // the newest that was answered
	answer        string // to it
	sources       map[string]media.Source
	subscriptions map[string]*subscription // by mid; only who holds the turn writes
	gathered      chan struct{}            // closed when gathering has ended
	asked         need                     // what OnNeedOffer asked for last
	askedAt       time.Time
	askTimer      *time.Timer
	goroutines    sync.WaitGroup // Add only while not closed
}

// NewPeer adds a connection to the room. It waits for the client's first offer (Answer).
func (r *Room) NewPeer(cfg PeerConfig) (*Peer, error) {
	incoming := &streams{}
	api, err := r.sfu.newAPI(incoming)
	if err != nil {
		return nil, fmt.Errorf("new connection %s: %w", cfg.ID, err)
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("new connection %s: %w", cfg.ID, err)
	}
	p := &Peer{
		room: r, id: cfg.ID, handlers: cfg.Handlers, api: api, pc: pc,
		ssrc: rand.Uint32(), events: newMailbox(), done: make(chan struct{}), turn: make(chan struct{}, 1),
		subscriptions: map[string]*subscription{}, gathered: make(chan struct{}),
	}
	p.publishing.Store(true)
	incoming.flooded = p.flooded
	p.listen()
	if err := r.enter(p); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// ID is the peer's id.
func (p *Peer) ID() string { return p.id }

// listen connects pion's callbacks.
func (p *Peer) listen() {
	dtls := p.pc.SCTP().Transport()
	p.pc.OnICECandidate(p.onCandidate)
	p.pc.OnICEConnectionStateChange(p.onICEState)
	dtls.ICETransport().OnSelectedCandidatePairChange(p.onPair)
	dtls.OnStateChange(p.onDTLSState)
	p.pc.OnTrack(p.onTrack)
}

func (p *Peer) onCandidate(c *webrtc.ICECandidate) {
	var candidate Candidate
	if c == nil {
		p.mu.Lock()
		closeOnce(p.gathered)
		p.mu.Unlock()
	} else {
		init := c.ToJSON()
		candidate = Candidate{Candidate: init.Candidate, SDPMid: init.SDPMid, SDPMLineIndex: init.SDPMLineIndex}
	}
	if f := p.handlers.OnCandidate; f != nil {
		p.events.post(func() { f(candidate) })
	}
}

func (p *Peer) onICEState(state webrtc.ICEConnectionState) {
	if f := p.handlers.OnICEState; f != nil {
		p.events.post(func() { f(state.String()) })
	}
	if state == webrtc.ICEConnectionStateFailed {
		p.fail("ice")
	}
}

// flooded tells that the client sends more streams than any browser does. The excess is thrown away already.
func (p *Peer) flooded() {
	p.room.sfu.metrics.floods.Inc()
	p.room.sfu.cfg.Logger.Warn("a client sends too many streams", "peer", p.id)
	p.fail(FailedStreams)
}

func (p *Peer) fail(phase string) {
	if f := p.handlers.OnFailed; f != nil {
		p.events.post(func() { f(phase) })
	}
}

func (p *Peer) onPair(pair *webrtc.ICECandidatePair) {
	f := p.handlers.OnPair
	if f == nil || pair == nil || pair.Local == nil || pair.Remote == nil {
		return
	}
	local, remote := pairEnd(pair.Local), pairEnd(pair.Remote)
	p.events.post(func() { f(local, remote) })
}

func (p *Peer) onDTLSState(state webrtc.DTLSTransportState) {
	switch state {
	case webrtc.DTLSTransportStateConnected:
		if f := p.handlers.OnConnected; f != nil {
			p.events.post(f)
		}
		// What was sent before is lost: begin with whole pictures.
		p.connected.Store(true)
		p.events.post(p.askForPictures)
	case webrtc.DTLSTransportStateFailed:
		p.fail("dtls")
	}
}

func (p *Peer) subscribed() []*subscription {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.subscriptionsLocked()
}

// askForPictures asks for the first whole picture of those that were not asked for one yet.
func (p *Peer) askForPictures() {
	for _, s := range p.subscribed() {
		if !s.asked.Swap(true) {
			s.publication.RequestKeyframe()
		}
	}
}

func (p *Peer) subscriptionsLocked() []*subscription {
	list := make([]*subscription, 0, len(p.subscriptions))
	for _, s := range p.subscriptions {
		list = append(list, s)
	}
	return list
}

// Sends tells whether the newest offer holds an m-line on which the client sends.
func (p *Peer) Sends() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offer != nil && p.offer.sends()
}

// AllowPublishing opens or closes the gate for what the client sends. While it is closed every packet is thrown away
// before any subscriber sees it. A new Peer's gate is open.
func (p *Peer) AllowPublishing(allowed bool) {
	if p.publishing.Swap(allowed) == allowed || !allowed {
		return
	}
	for _, pub := range p.room.Publications() {
		if pub.peer == p {
			pub.RequestKeyframe()
		}
	}
}

// run starts f in a goroutine that Close waits for; it does nothing when the peer is closed.
func (p *Peer) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.goroutines.Go(f)
	}
}

// Close ends the connection and waits until nothing of it is left. What it published ends, and the handlers hear of
// that before Close returns. Closing twice is harmless.
func (p *Peer) Close() {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()

	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.done)
	if p.askTimer != nil {
		p.askTimer.Stop()
	}
	subscriptions := p.subscriptionsLocked()
	p.mu.Unlock()

	p.room.leave(p)
	for _, s := range subscriptions {
		s.publication.Unsubscribe(s)
	}
	if err := p.pc.GracefulClose(); err != nil {
		p.room.sfu.cfg.Logger.Debug("connection closed with an error", "error", err)
	}
	p.goroutines.Wait()
	p.events.close()
}

// closeOnce closes c unless it is closed.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
