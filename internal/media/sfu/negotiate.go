package sfu

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// Answer takes an SDP offer of the client and answers it. Sources says where the tracks on the client's sending m-lines
// come from; a mid that is not in it has no source. Every publication of the room that the client does not get yet is
// put on a receiving m-line that is free; sending lists all m-lines that carry something now. The server's candidates come
// by OnCandidate, and as a rule stand in the answer too.
//
// An offer that is refused (ErrBadSDP and the like) changes nothing. After any other error but ctx's the connection is
// of no more use.
func (p *Peer) Answer(ctx context.Context, sdp string, sources map[string]media.Source) (answer string, sending []SendingTrack, err error) {
	if err := p.takeTurn(ctx); err != nil {
		return "", nil, err
	}
	defer p.giveTurn()
	o, err := p.negotiate(sdp, sources, false)
	if err != nil {
		return "", nil, fmt.Errorf("answer offer: %w", err)
	}
	p.awaitCandidates(ctx, gatherMoment)
	answer, err = p.finalAnswer(o)
	if err != nil {
		return "", nil, fmt.Errorf("answer offer: %w", err)
	}
	p.checkNeed()
	if p.connected.Load() { // otherwise it is for later: what comes before the keys is lost
		p.run(p.askWhenTaken)
	}
	return answer, p.sending(o), nil
}

// takenAfter is how long a browser takes to follow an answer. What comes before that is lost to it.
const takenAfter = 40 * time.Millisecond

// askWhenTaken asks for first pictures so that they come when the client has followed the answer that it is being sent.
func (p *Peer) askWhenTaken() {
	select {
	case <-time.After(takenAfter):
		p.askForPictures()
	case <-p.done:
	}
}

// AnswerComplete answers a client that only publishes and takes no candidates later: the answer holds all of them.
func (p *Peer) AnswerComplete(ctx context.Context, sdp string) (string, error) {
	if err := p.takeTurn(ctx); err != nil {
		return "", err
	}
	defer p.giveTurn()
	o, err := p.negotiate(sdp, nil, true)
	if err != nil {
		return "", fmt.Errorf("answer offer: %w", err)
	}
	p.awaitCandidates(ctx, time.Minute)
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("answer offer: gather candidates: %w", err)
	}
	return p.finalAnswer(o)
}

// gatherMoment is how long an answer waits for candidates. There are only those of this machine, so they are found in a
// few milliseconds, and a client that finds them in the answer need not wait for a message each.
const gatherMoment = 50 * time.Millisecond

// awaitCandidates waits until this side has found its candidates, but no longer than atMost.
func (p *Peer) awaitCandidates(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	p.mu.Lock()
	gathered := p.gathered
	p.mu.Unlock()
	select {
	case <-gathered:
	case <-ctx.Done():
	}
}

// takeTurn waits until no other negotiation is on its way.
func (p *Peer) takeTurn(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
	case <-p.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.done:
		p.giveTurn()
		return ErrClosed
	default:
		return nil
	}
}

func (p *Peer) giveTurn() { <-p.turn }

// negotiate brings the connection to what the offer wants. Who calls it holds the turn.
func (p *Peer) negotiate(raw string, sources map[string]media.Source, publishOnly bool) (*offer, error) {
	o, err := parseOffer(raw)
	if err != nil {
		return nil, err
	}
	simple, err := o.desc.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	restarted := p.begin(o, sources, publishOnly)
	p.dropUnwanted(o)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(simple)}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	p.startCandidates(o.ufrag, o.candidates)
	if !publishOnly {
		if err := p.subscribe(o); err != nil {
			return nil, err
		}
	}
	answer, err := p.pc.CreateAnswer(&webrtc.AnswerOptions{OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: !publishOnly}})
	if err != nil {
		return nil, fmt.Errorf("make answer: %w", err)
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return nil, fmt.Errorf("apply answer: %w", err)
	}
	if f := p.handlers.OnRestarted; restarted && f != nil {
		p.events.post(f)
	}
	return o, nil
}

// begin notes what the offer says, and tells whether it restarts ICE.
func (p *Peer) begin(o *offer, sources map[string]media.Source, publishOnly bool) (restarted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	restarted = p.offer != nil && p.offer.ufrag != o.ufrag
	if restarted {
		p.gathered = make(chan struct{})
	}
	p.offer, p.sources, p.publishOnly = o, sources, publishOnly
	return restarted
}

// dropUnwanted takes subscriptions away whose publication has ended, or whose m-line takes nothing any more.
func (p *Peer) dropUnwanted(o *offer) {
	p.mu.Lock()
	var unwanted []*subscription
	for mid, s := range p.subscriptions {
		l, ok := o.line(mid)
		if ok && l.receives && !s.publication.hasEnded() {
			continue
		}
		unwanted = append(unwanted, s)
		delete(p.subscriptions, mid)
	}
	p.mu.Unlock()
	for _, s := range unwanted {
		s.publication.Unsubscribe(s)
		// The error says that the m-line was stopped already.
		_ = p.pc.RemoveTrack(s.sender)
	}
}

// subscribe puts the publications that the client lacks on free m-lines, oldest first.
func (p *Peer) subscribe(o *offer) error {
	for _, pub := range p.lacking() {
		for _, l := range o.lines {
			if p.carries(l.mid) || !l.takes(pub.kind, pub.codec) {
				continue
			}
			if err := p.put(pub, l.mid); err != nil {
				return fmt.Errorf("send publication %s: %w", pub.id, err)
			}
			break
		}
	}
	return nil
}

// put sends a publication on an m-line. The sender is made here and not by pion's AddTrack, which looks for an m-line of
// its own choice and passes over one that carried something a moment ago. And it is made from the peer's API, whose
// interceptors do nothing: those of the connection are for what comes in.
func (p *Peer) put(pub *Publication, mid string) error {
	transceiver := p.transceiver(mid)
	if transceiver == nil {
		return fmt.Errorf("no transceiver for m-line %q", mid)
	}
	s := &subscription{publication: pub, peer: p, mid: mid}
	sender, err := p.api.NewRTPSender(s, p.pc.SCTP().Transport())
	if err != nil {
		return fmt.Errorf("new sender: %w", err)
	}
	s.sender = sender
	if err := transceiver.SetSender(sender, s); err != nil {
		return fmt.Errorf("set sender of m-line %q: %w", mid, err)
	}
	p.mu.Lock()
	p.subscriptions[mid] = s
	p.mu.Unlock()
	p.run(s.readFeedback)
	pub.add(s)
	return nil
}

func (p *Peer) transceiver(mid string) *webrtc.RTPTransceiver {
	for _, t := range p.pc.GetTransceivers() {
		if t.Mid() == mid {
			return t
		}
	}
	return nil
}

// carries tells whether a publication is sent on an m-line.
func (p *Peer) carries(mid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.subscriptions[mid] != nil
}

// finalAnswer is the newest answer with the candidates found so far.
func (p *Peer) finalAnswer(o *offer) (string, error) {
	local := p.pc.CurrentLocalDescription()
	if local == nil {
		return "", ErrClosed
	}
	p.mu.Lock()
	publishOnly := p.publishOnly
	p.mu.Unlock()
	answer, err := o.finish(local.SDP, p.carries, publishOnly)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
	return answer, nil
}

// sending lists what is sent, in the order of the m-lines.
func (p *Peer) sending(o *offer) []SendingTrack {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []SendingTrack{}
	for _, l := range o.lines {
		if s := p.subscriptions[l.mid]; s != nil {
			list = append(list, SendingTrack{MID: l.mid, PublicationID: s.publication.id})
		}
	}
	return list
}

// lacking lists the others' publications that the client could be sent and is not.
func (p *Peer) lacking() []*Publication {
	all := p.room.Publications()
	p.mu.Lock()
	defer p.mu.Unlock()
	has := map[*Publication]bool{}
	for _, s := range p.subscriptions {
		has[s.publication] = true
	}
	var list []*Publication
	for _, pub := range all {
		if pub.peer != p && !has[pub] && p.offer != nil && p.offer.takes(pub.kind, pub.codec) {
			list = append(list, pub)
		}
	}
	return list
}

// need is what a client lacks, and how many receiving m-lines it had when that was found out.
type need struct {
	publications         string // ids
	receivesA, receivesV int
}

const (
	// askAfter lets the tracks of somebody who comes in be asked for together.
	askAfter = 30 * time.Millisecond
	// askDistance is the shortest time between two questions.
	askDistance = 250 * time.Millisecond
)

// checkNeed soon looks whether the client lacks publications, and asks it for an offer if so.
func (p *Peer) checkNeed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.publishOnly || p.offer == nil || p.askTimer != nil {
		return
	}
	p.askTimer = time.AfterFunc(max(askAfter, askDistance-time.Since(p.askedAt)), p.ask)
}

func (p *Peer) ask() {
	var n need
	var audio, video int
	for _, pub := range p.lacking() {
		n.publications += pub.id + " "
		if pub.kind == media.Audio {
			audio++
		} else {
			video++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.askTimer = nil
	n.receivesA, n.receivesV = p.offer.receiving(media.Audio), p.offer.receiving(media.Video)
	if p.closed || n == p.asked {
		return // the client was asked for exactly that and has not brought one m-line more
	}
	p.asked = n
	if audio+video == 0 {
		return
	}
	p.askedAt = time.Now()
	if f := p.handlers.OnNeedOffer; f != nil {
		p.events.post(func() { f(audio, video) })
	}
}
