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

// Reasons of connection.closed beside those of participant.left and consultation.ended.
const (
	reasonReplaced = "replaced"    // a newer connection of the same participant
	reasonFailed   = "ice_failed"  // ICE gave up
	reasonDTLS     = "dtls_failed" // the keys could not be exchanged
	reasonClosed   = "closed"      // by the client
	reasonStreams  = "too_many_streams"
)

// connect makes a new connection for the seat and closes the one before.
func (c *Conference) connect(s *seat, via string, browser *events.Browser) error {
	c.disconnect(s, reasonReplaced)
	id := events.NewID()
	peer, err := c.room.NewPeer(sfu.PeerConfig{ID: id, Handlers: c.handlers(s, id)})
	if err != nil {
		return err
	}
	peer.AllowPublishing(c.state.MayPublish(s.participant))
	s.peer, s.connection, s.via, s.connected = peer, id, via, false
	s.lostAt = time.Time{}
	s.deadlines = deadlines{opened: c.m.deps.Now()}
	c.fact(s.participant, events.ConnectionOpened{Connection: id, Via: via, Browser: browser})
	return nil
}

// disconnect closes the seat's connection, if there is one, and with it its tracks.
func (c *Conference) disconnect(s *seat, reason string) {
	if s.peer == nil {
		return
	}
	for _, t := range c.tracksOf(s.participant) {
		c.endTrack(t, reason)
	}
	peer := s.peer
	s.peer, s.connected = nil, false
	c.fact(s.participant, events.ConnectionClosed{Connection: s.connection, Reason: reason})
	c.work(func() { peer.Close() })
	c.shown = true
}

// work runs f beside the loop; stop waits for it.
func (c *Conference) work(f func()) {
	c.workers.Go(f)
}

// handlers posts what the switch notices about one connection to the loop, where it counts only while the connection is
// still the seat's.
func (c *Conference) handlers(s *seat, connection string) sfu.Handlers {
	on := func(f func()) {
		c.box.post(func() {
			if s.connection == connection && s.peer != nil {
				f()
			}
		})
	}
	return sfu.Handlers{
		OnCandidate: func(candidate sfu.Candidate) {
			on(func() {
				if s.client != nil {
					s.client.Candidate(candidate)
				}
			})
		},
		OnICEState: func(state string) { on(func() { c.onICEState(s, state) }) },
		OnPair: func(local, remote sfu.PairEnd) {
			on(func() { c.onPair(s, local, remote) })
		},
		OnCandidateIgnored: func(reason string, count int) {
			on(func() {
				c.offer(s.participant, events.ConnectionCandidateIgnored{Connection: connection, Reason: reason, Count: count})
			})
		},
		OnRestarted: func() {
			on(func() { c.offer(s.participant, events.ConnectionRestarted{Connection: connection}) })
		},
		OnFailed:      func(phase string) { on(func() { c.onFailed(s, phase) }) },
		OnConnected:   func() { on(func() { c.onConnected(s) }) },
		OnPublication: func(p *sfu.Publication) { on(func() { c.onPublication(s, p) }) },
		OnUnpublished: func(p *sfu.Publication) { on(func() { c.onUnpublished(p) }) },
		OnNeedOffer: func(audio, video int) {
			on(func() {
				if s.client != nil {
					s.client.PleaseOffer(audio, video)
				}
			})
		},
	}
}

func (c *Conference) onICEState(s *seat, state string) {
	now := c.m.deps.Now()
	c.offer(s.participant, events.ConnectionICEChanged{Connection: s.connection, State: state})
	switch state {
	case "connected", "completed":
		if s.deadlines.ice.IsZero() {
			s.deadlines.ice = now
		}
		if !s.deadlines.keys.IsZero() {
			c.setConnected(s, true)
		}
	case "disconnected":
		c.setConnected(s, false)
	case "failed":
		c.lose(s, reasonFailed)
	case "closed": // by the other side: this side's end has no handler any more
		c.lose(s, reasonClosed)
	}
}

// lose gives a connection up that will not come back. Whoever has no screen open must connect again in time.
func (c *Conference) lose(s *seat, reason string) {
	c.disconnect(s, reason)
	if s.client == nil {
		s.lostAt = c.m.deps.Now()
	}
}

// onFailed reports a phase that cannot succeed any more at once, without waiting for its deadline.
func (c *Conference) onFailed(s *seat, phase string) {
	if phase == sfu.FailedStreams {
		c.lose(s, reasonStreams)
		return
	}
	if phase != events.PhaseDTLS || s.deadlines.reported == phase {
		return // a failed ICE is told by its state
	}
	s.deadlines.reported, s.hindered.failed = phase, codeDTLS
	c.fact(s.participant, events.ConnectionTimedOut{
		Connection: s.connection, Phase: phase, AfterMS: c.m.deps.Now().Sub(s.deadlines.opened).Milliseconds(), Code: codeDTLS,
	})
	c.lose(s, reasonDTLS)
}

func (c *Conference) onConnected(s *seat) {
	s.deadlines.keys, s.hindered.failed = c.m.deps.Now(), ""
	c.setConnected(s, true)
}

func (c *Conference) setConnected(s *seat, connected bool) {
	if s.connected != connected {
		s.connected = connected
		c.shown = true
	}
}

func (c *Conference) onPair(s *seat, local, remote sfu.PairEnd) {
	pair := events.ConnectionPairSelected{
		Connection: s.connection,
		Local:      events.Candidate{Kind: local.Kind, Transport: local.Transport, Net: local.Net},
		Remote:     events.Candidate{Kind: remote.Kind, Transport: remote.Transport, Net: remote.Net},
	}
	if s.pair == pair {
		return
	}
	s.pair = pair
	c.offer(s.participant, pair)
}

// Publish takes in an offer that a device posted (WHIP, RFC 9725): the participant joins if it has not, and the answer
// holds all of the server's candidates. The id names the connection for Unpublish.
func (c *Conference) Publish(ctx context.Context, v Visitor, sdp string) (id, answer string, err error) {
	if err := sfu.CheckOffer(sdp); err != nil {
		return "", "", err // before anybody joins because of it
	}
	join := consultation.Join{Participant: v.Participant, Claimed: v.Claimed, Publishing: true, For: v.For}
	if err := c.command(ctx, v.Participant, join); err != nil {
		return "", "", err
	}
	var peer *sfu.Peer
	err = c.do(ctx, func() error {
		if !c.state.MayPublish(v.Participant) {
			return consultation.ErrConsentNeeded
		}
		s := c.seat(v.Participant)
		if err := c.connect(s, viaWHIP, v.Browser); err != nil {
			return err
		}
		peer, id = s.peer, s.connection
		return nil
	})
	if err != nil {
		return "", "", err
	}
	answer, err = peer.AnswerComplete(ctx, sdp)
	if err != nil {
		c.withdrawOffer(v.Participant, id)
		return "", "", err
	}
	return id, answer, nil
}

// sourceOf names the source of a track that no signaling names.
func sourceOf(role string, kind media.Kind) media.Source {
	switch {
	case role == events.RoleDevice:
		return media.Device
	case kind == media.Audio:
		return media.Microphone
	default:
		return media.Camera
	}
}

// withdrawOffer forgets a connection whose offer could not be answered; the participant leaves with it.
func (c *Conference) withdrawOffer(participant, connection string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), 5*time.Second)
	defer cancel()
	if err := c.Unpublish(ctx, participant, connection); err != nil {
		c.log.Warn("a refused offer could not be withdrawn", "error", err)
	}
}

// ErrNoConnection says that there is no such connection (any more).
var ErrNoConnection = errors.New("there is no such connection")

// Connection finds a participant's living connection by id, for trickled candidates and ICE restarts of a device.
func (c *Conference) Connection(ctx context.Context, participant, connection string) (*sfu.Peer, error) {
	var peer *sfu.Peer
	err := c.do(ctx, func() error {
		s := c.seats[participant]
		if s == nil || s.peer == nil || s.connection != connection {
			return ErrNoConnection
		}
		peer = s.peer
		return nil
	})
	return peer, err
}

// Unpublish ends a device's connection and presence.
func (c *Conference) Unpublish(ctx context.Context, participant, connection string) error {
	if _, err := c.Connection(ctx, participant, connection); err != nil {
		return err
	}
	return c.command(ctx, participant, consultation.Leave{Participant: participant, Reason: events.LeftLeft})
}
