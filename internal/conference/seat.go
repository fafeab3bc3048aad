package conference

import (
	"context"
	"errors"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/media/sfu"
)

// Client is the screen of one participant. Its methods are called from the conference's loop and must not block.
type Client interface {
	// Show replaces what the participant sees of the consultation.
	Show(View)
	// Candidate hands over one ICE candidate of the server.
	Candidate(sfu.Candidate)
	// PleaseOffer asks for a new offer with that many more receiving m-lines.
	PleaseOffer(audio, video int)
	// Ended says that this participant's part is over. Nothing is called afterwards.
	Ended(reason string)
}

// Reasons of Client.Ended beside those of events.ConsultationEnded and events.ParticipantLeft.
const (
	endedReplaced = "replaced" // the participant came in from somewhere else
	endedShutdown = "shutdown" // the server is stopping; come back
)

// Doors through which a connection is made.
const (
	viaWebSocket = "websocket"
	viaWHIP      = "whip"
)

// seat is one participant's place at the running conference. The loop owns it.
type seat struct {
	participant string
	client      Client    // nil while no WebSocket is open, and always for a device
	lostAt      time.Time // since when neither client nor connection is here; zero while one is
	peer        *sfu.Peer // nil while there is no connection
	connection  string    // id of the connection
	via         string
	connected   bool // media flows: ICE and DTLS are up
	muted       map[media.Source]bool
	deadlines   deadlines
	pair        events.ConnectionPairSelected // the newest, to report changes only
	silentSince time.Time                     // since when a joined screen is open without an offer; zero while it is not so
	silenceTold bool                          // and that this was reported
	hindered    hindrances
	checkedAt   time.Time // when the newest check before the call came
}

// Visitor says who comes and from where.
type Visitor struct {
	Participant string
	Claimed     *events.Consent // the consent that the token asserts, if it does
	For         []string        // whose consent the token asks for, of a device
	Browser     *events.Browser
}

// Attendance is what a participant holds while its screen is open.
type Attendance struct {
	c       *Conference
	visitor Visitor
	client  Client
}

// ErrNotJoined says that a participant must join first.
var ErrNotJoined = errors.New("the participant has not joined")

// Attend connects a participant's screen. A screen that was open before is told that it was replaced. The view is
// sent from now on.
func (c *Conference) Attend(ctx context.Context, v Visitor, client Client) (*Attendance, error) {
	err := c.do(ctx, func() error {
		p, ok := c.state.Participant(v.Participant)
		switch {
		case c.state.Phase != consultation.Scheduled && c.state.Phase != consultation.Open:
			return consultation.ErrEnded
		case !ok:
			return consultation.ErrUnknownParticipant
		case p.Kicked:
			return consultation.ErrKicked
		}
		s := c.seat(v.Participant)
		if s.client != nil {
			s.client.Ended(endedReplaced)
		}
		s.client, s.lostAt, s.hindered.told = client, time.Time{}, nil
		c.shown = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Attendance{c: c, visitor: v, client: client}, nil
}

// seat finds or makes the participant's seat.
func (c *Conference) seat(participant string) *seat {
	s := c.seats[participant]
	if s == nil {
		s = &seat{participant: participant}
		c.seats[participant] = s
	}
	if s.muted == nil {
		s.muted = map[media.Source]bool{}
	}
	return s
}

// Overview is what a participant sees before joining.
type Overview struct {
	Policy   events.Policy
	Language string
	Consent  consultation.Answer
	Role     string
	View     View
}

// Overview gives the present state for the attending participant.
func (a *Attendance) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	err := a.c.do(ctx, func() error {
		p, _ := a.c.state.Participant(a.visitor.Participant)
		o = Overview{
			Policy: a.c.state.Policy, Language: a.c.state.Language, Consent: p.Consent, Role: p.Role,
			View: a.c.view(p.ID),
		}
		return nil
	})
	return o, err
}

// stillHere refuses what a screen says that was replaced by another one.
func (a *Attendance) stillHere(ctx context.Context) error {
	return a.c.do(ctx, func() error {
		if s := a.c.seats[a.visitor.Participant]; s == nil || s.client != a.client {
			return ErrNotJoined
		}
		return nil
	})
}

// Join makes the participant present.
func (a *Attendance) Join(ctx context.Context) error {
	if err := a.stillHere(ctx); err != nil {
		return err
	}
	return a.c.command(ctx, a.visitor.Participant, consultation.Join{Participant: a.visitor.Participant, Claimed: a.visitor.Claimed})
}

// Leave ends the participant's presence.
func (a *Attendance) Leave(ctx context.Context) error {
	if err := a.stillHere(ctx); err != nil {
		return err
	}
	return a.c.command(ctx, a.visitor.Participant, consultation.Leave{Participant: a.visitor.Participant, Reason: events.LeftLeft})
}

// End ends the consultation for everybody; consultation.IsHost says who may.
func (a *Attendance) End(ctx context.Context) error {
	if err := a.stillHere(ctx); err != nil {
		return err
	}
	return a.c.command(ctx, a.visitor.Participant, consultation.End{Reason: events.EndedClosed})
}

// OfferedTrack says what a sending m-line of an offer carries.
type OfferedTrack struct {
	MID    string
	Source media.Source
	Muted  bool
}

// SentTrack says whose track the server sends on an m-line.
type SentTrack struct {
	MID, Participant, Track string
	Source                  media.Source
}

// Offer answers an SDP offer. With fresh set, or when there is none, it belongs to a new connection.
func (a *Attendance) Offer(ctx context.Context, sdp string, offered []OfferedTrack, fresh bool) (string, []SentTrack, error) {
	sources := make(map[string]media.Source, len(offered))
	for _, o := range offered {
		sources[o.MID] = o.Source
	}
	var peer *sfu.Peer
	err := a.c.do(ctx, func() error {
		s := a.c.seats[a.visitor.Participant]
		if s == nil || s.client != a.client || !a.c.present(a.visitor.Participant) {
			return ErrNotJoined
		}
		if err := sfu.CheckOffer(sdp); err != nil {
			return err // before a connection that works is given up for it
		}
		for _, o := range offered {
			s.muted[o.Source] = o.Muted
		}
		if s.peer == nil || fresh {
			if err := a.c.connect(s, viaWebSocket, a.visitor.Browser); err != nil {
				return err
			}
		}
		peer = s.peer
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	answer, sending, err := peer.Answer(ctx, sdp, sources)
	if err != nil {
		return "", nil, err
	}
	sent, err := a.c.sentTracks(ctx, sending)
	return answer, sent, err
}

// namedWithin is how long an answer waits for the names of what it sends: the switch may send a track a moment before
// this conference has heard of it. What has ended in between stays without a name.
const namedWithin = 500 * time.Millisecond

// sentTracks names the participants and sources of what the switch sends.
func (c *Conference) sentTracks(ctx context.Context, sending []sfu.SendingTrack) ([]SentTrack, error) {
	again := time.NewTicker(namedWithin / 20)
	defer again.Stop()
	for deadline := time.Now().Add(namedWithin); ; {
		var sent []SentTrack
		err := c.do(ctx, func() error {
			sent = c.namesOf(sending)
			return nil
		})
		if err != nil || len(sent) == len(sending) || time.Now().After(deadline) {
			return sent, err
		}
		<-again.C
	}
}

func (c *Conference) namesOf(sending []sfu.SendingTrack) []SentTrack {
	sent := []SentTrack{}
	for _, s := range sending {
		if t := c.tracks[s.PublicationID]; t != nil {
			sent = append(sent, SentTrack{MID: s.MID, Participant: t.owner, Track: t.id, Source: t.source})
		}
	}
	return sent
}

// Candidate takes one ICE candidate of the client; an unusable one is an event, never an error.
func (a *Attendance) Candidate(ctx context.Context, candidate sfu.Candidate) error {
	var peer *sfu.Peer
	err := a.c.do(ctx, func() error {
		if s := a.c.seats[a.visitor.Participant]; s != nil && s.client == a.client {
			peer = s.peer
		}
		return nil
	})
	if peer != nil {
		peer.AddCandidate(candidate)
	}
	return err
}

// Mute tells that the participant switched a source off or on.
func (a *Attendance) Mute(ctx context.Context, source media.Source, muted bool) error {
	return a.c.do(ctx, func() error {
		s := a.c.seats[a.visitor.Participant]
		if s == nil || s.client != a.client {
			return ErrNotJoined
		}
		s.muted[source] = muted
		for _, t := range a.c.tracksOf(s.participant) {
			if t.source == source {
				a.c.mute(t, muted)
			}
		}
		return nil
	})
}

// Close says that the screen is gone. The participant stays present for Config.Grace.
func (a *Attendance) Close() {
	a.c.box.post(func() {
		s := a.c.seats[a.visitor.Participant]
		if s == nil || s.client != a.client {
			return
		}
		s.client, s.lostAt = nil, a.c.m.deps.Now()
		if !a.c.present(s.participant) {
			a.c.leaveSeat(s, reasonClosed)
		}
	})
}

// left follows a participant.left.
func (c *Conference) left(participant, reason string) {
	s := c.seats[participant]
	if s == nil {
		return
	}
	if s.client != nil {
		s.client.Ended(reason)
		s.client = nil
	}
	c.leaveSeat(s, reason)
}

// leaveSeat closes the connection and forgets the seat.
func (c *Conference) leaveSeat(s *seat, reason string) {
	c.disconnect(s, reason)
	delete(c.seats, s.participant)
	c.shown = true
	if gone := c.m.deps.Gone; gone != nil {
		gone(s.participant)
	}
}

// sendHome ends everybody's part.
func (c *Conference) sendHome(reason string) {
	for _, s := range c.seats {
		if s.client != nil {
			s.client.Ended(reason)
			s.client = nil
		}
		c.leaveSeat(s, reason)
	}
}
