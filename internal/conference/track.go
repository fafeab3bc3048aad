package conference

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"consilium/internal/events"
	"consilium/internal/failures"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
)

// track is one publication of a participant and its recorder. The loop owns it.
type track struct {
	id         string
	owner      string // participant
	pub        *sfu.Publication
	source     media.Source
	connection string // that it came over
	muted      bool
	stalled    time.Time // since when no packet comes, zero while packets come
	unwanted   time.Time // when packets were last not wanted: the switch was off, or a consent was missing
	rec        *recorder.Recorder
	held       string // why the recorder writes nothing, "" while it writes

	health health
}

// Reasons why a recorder is held, as segment.sealed spells them.
const (
	heldPaused  = "paused"
	heldConsent = "consent"
	heldMuted   = "muted"
)

// tracksOf lists a participant's tracks in the order in which they started.
func (c *Conference) tracksOf(participant string) []*track {
	var own []*track
	for _, t := range c.tracks {
		if t.owner == participant {
			own = append(own, t)
		}
	}
	slices.SortFunc(own, func(a, b *track) int { return cmp.Compare(a.id, b.id) })
	return own
}

func (c *Conference) onPublication(s *seat, p *sfu.Publication) {
	now := c.m.deps.Now()
	if s.deadlines.media.IsZero() {
		s.deadlines.media = now
	}
	t := &track{id: events.NewID(), owner: s.participant, pub: p, source: p.Source(), connection: s.connection}
	if t.source == "" {
		participant, _ := c.state.Participant(s.participant)
		t.source = sourceOf(participant.Role, p.Kind())
	}
	t.muted = s.muted[t.source]
	c.tracks[p.ID()] = t
	c.fact(t.owner, events.TrackStarted{
		Connection: s.connection, Track: t.id, Kind: string(p.Kind()), Source: string(t.source),
		Codec: string(p.Codec()), SSRC: p.SSRC(), RID: plainRID(p.RID()),
	})
	if t.muted {
		c.fact(t.owner, events.TrackMuted{Track: t.id})
	}
	c.applyGateTo(t)
	c.shown = true
}

// ridForm is what layers are called by browsers; anything else would be text of the client's choice in the log.
var ridForm = regexp.MustCompile(`^[A-Za-z0-9]{1,8}$`)

func plainRID(rid string) string {
	if ridForm.MatchString(rid) {
		return rid
	}
	return ""
}

func (c *Conference) onUnpublished(p *sfu.Publication) {
	if t := c.tracks[p.ID()]; t != nil {
		c.endTrack(t, reasonClosed)
	}
}

// endTrack seals what was recorded of a track and says that it ended.
func (c *Conference) endTrack(t *track, reason string) {
	delete(c.tracks, t.pub.ID())
	c.shown = true
	ended := c.draft(t.owner, events.TrackEnded{Track: t.id, Reason: reason})
	if t.rec == nil {
		c.writer.Fact(ended)
		return
	}
	t.pub.Unsubscribe(t.rec)
	c.sealing++
	c.work(func() {
		t.rec.Close(reason)
		c.writer.Fact(ended)
		c.box.post(func() { c.sealing-- })
	})
}

// mute follows the participant's own switch.
func (c *Conference) mute(t *track, muted bool) {
	if t.muted == muted {
		return
	}
	t.muted = muted
	if muted {
		c.fact(t.owner, events.TrackMuted{Track: t.id})
	} else {
		c.fact(t.owner, events.TrackUnmuted{Track: t.id})
	}
	c.applyGateTo(t)
	c.shown = true
}

// applyGate opens or closes what the log's newest word on consent and pause opens or closes.
func (c *Conference) applyGate() {
	for _, s := range c.seats {
		if s.peer != nil {
			s.peer.AllowPublishing(c.state.MayPublish(s.participant))
			if s.deadlines.media.IsZero() && !s.deadlines.keys.IsZero() {
				s.deadlines.keys = c.m.deps.Now() // the first packet counts from the opening of the gate
			}
		}
	}
	for _, t := range c.tracks {
		c.applyGateTo(t)
	}
}

// applyGateTo starts, holds or frees the recorder of one track. A recorder is made when the first byte may be written
// and lives as long as the track, so that its unwrapped RTP time never starts anew.
func (c *Conference) applyGateTo(t *track) {
	held := c.heldBy(t)
	if t.rec == nil {
		if held == "" {
			c.record(t)
		}
		return
	}
	switch {
	case held == t.held:
	case held == "":
		t.rec.Resume(resumeReason(t.held))
	default:
		t.rec.Pause(held)
	}
	t.held = held
}

// heldBy says why nothing of the track may be written now, "" if it may. The audio of a muted microphone is written: it
// is silence, and nobody may wonder whether it was not.
func (c *Conference) heldBy(t *track) string {
	switch {
	case c.state.MayRecord(t.owner):
		if t.muted && t.pub.Kind() == media.Video {
			return heldMuted
		}
		return ""
	case c.state.Paused:
		return heldPaused
	default:
		return heldConsent
	}
}

func resumeReason(held string) string {
	if held == heldMuted {
		return "unmuted"
	}
	return "resumed"
}

// record makes the track's recorder and lets packets flow to it.
func (c *Conference) record(t *track) {
	r, err := recorder.New(c.m.cfg.Recorder,
		recorder.Track{
			Room: c.id, Owner: t.owner, ID: t.id, Connection: t.connection, Source: t.source,
			Codec: t.pub.Codec(), CaptureTimeID: t.pub.CaptureTimeExtension(),
			Since: c.state.RecordableSince(t.owner),
		},
		t.pub.RequestKeyframe,
		func(report recorder.Report) { c.onReport(t, report) },
		c.log)
	if err != nil {
		c.log.Error("recorder cannot start", "track", t.id, "error", err)
		t.health.dead = true
		return
	}
	t.rec = r
	t.pub.SubscribeSince(r, c.state.RecordableSince(t.owner))
}

// onReport turns what a recorder did into facts. It is called from the recorder's goroutine, in order.
func (c *Conference) onReport(t *track, report recorder.Report) {
	if a, ok := report.(recorder.Anchored); ok {
		report = withRTT(a, t.pub.RTT())
	}
	for _, e := range FactsOf(report) {
		c.fact(t.owner, e)
	}
	switch r := report.(type) {
	case recorder.Sealed:
		c.m.deps.Spool.Add(r.Segment)
	case recorder.Gap:
		if r.Cause == recorder.CauseOverrun {
			now := c.m.deps.Now()
			c.box.post(func() { t.health.lostAt = now })
		}
	}
}

// withRTT adds the round trip to the observations that come without: who sends no reports is placed by arrivals, and half of
// the way there is known all the same.
func withRTT(a recorder.Anchored, rtt time.Duration) recorder.Anchored {
	a.Anchors = slices.Clone(a.Anchors)
	for i := range a.Anchors {
		if a.Anchors[i].RTT == 0 {
			a.Anchors[i].RTT = rtt
		}
	}
	return a
}

// FactsOf names the events for one report. Tests that run a recorder without a conference write the same log with it.
func FactsOf(report recorder.Report) []events.Event {
	switch r := report.(type) {
	case recorder.Opened:
		return []events.Event{openedFact(r.Segment)}
	case recorder.Sealed:
		return []events.Event{sealedFact(r.Segment)}
	case recorder.Anchored:
		return []events.Event{events.SegmentAnchored{Track: r.Track, SSRC: r.SSRC, Anchors: anchorFacts(r.Anchors)}}
	case recorder.Gap:
		return []events.Event{events.SegmentGap{Track: r.Track, From: r.From.UTC(), To: r.To.UTC(), Cause: r.Cause}}
	case recorder.Discontinuity:
		return []events.Event{events.SegmentDiscontinuity{
			Track: r.Track, RTPBefore: r.RTPBefore, RTPAfter: r.RTPAfter, ArrivalDeltaMS: r.ArrivalDelta.Milliseconds(),
		}}
	default:
		return nil
	}
}

func openedFact(s media.Segment) events.SegmentOpened {
	return events.SegmentOpened{
		Segment: s.ID, Track: s.Track, SSRC: s.SSRC, Codec: string(s.Codec), ClockRate: s.ClockRate,
		FirstRTP: s.FirstRTP, Arrival: s.Arrival.UTC(), Width: s.Width, Height: s.Height, Reason: s.OpenReason,
	}
}

func sealedFact(s media.Segment) events.SegmentSealed {
	return events.SegmentSealed{
		Segment: s.ID, LastRTP: s.LastRTP, EndRTP: s.EndRTP, Frames: s.Frames, Bytes: s.Bytes, SHA256: s.SHA256,
		Reason: s.CloseReason,
	}
}

func anchorFacts(anchors []media.Anchor) []events.Anchor {
	facts := make([]events.Anchor, 0, len(anchors))
	for _, a := range anchors {
		f := events.Anchor{Kind: a.Kind, RTP: a.RTP, Arrival: a.Arrival.UTC(), RTTUS: a.RTT.Microseconds()}
		if !a.NTP.IsZero() {
			ntp := a.NTP.UTC()
			f.NTP = &ntp
		}
		facts = append(facts, f)
	}
	return facts
}

// checkTracks notices stalls and whether bytes reach the disk.
func (c *Conference) checkTracks(now time.Time) {
	for _, t := range c.tracks {
		c.checkStall(t, now)
		c.checkHealth(t, now)
	}
}

// silentSince is the moment from which silence counts: who may send again gets the time for a first packet.
func silentSince(lastPacket, unwanted time.Time) time.Time {
	if unwanted.After(lastPacket) {
		return unwanted
	}
	return lastPacket
}

func (c *Conference) checkStall(t *track, now time.Time) {
	since := silentSince(t.pub.LastPacket(), t.unwanted)
	silent := now.Sub(since)
	switch {
	case t.muted, !c.state.MayPublish(t.owner):
		t.stalled, t.unwanted = time.Time{}, now
	case t.stalled.IsZero() && silent > c.m.cfg.Stall:
		t.stalled = since
		c.fact(t.owner, events.TrackStalled{Track: t.id, AfterMS: silent.Milliseconds(), Code: string(failures.MediaStall)})
	case !t.stalled.IsZero() && silent < c.m.cfg.Stall:
		c.fact(t.owner, events.TrackResumed{Track: t.id, AfterMS: t.pub.LastPacket().Sub(t.stalled).Milliseconds()})
		t.stalled = time.Time{}
	}
}

// checkHealth looks at whether bytes of the track reach the disk, and has the screens changed when that changes.
func (c *Conference) checkHealth(t *track, now time.Time) {
	seen := sight{writing: t.rec != nil && t.held == "", newest: t.pub.LastPacket()}
	if t.rec != nil {
		seen.bytes = t.rec.Bytes()
	}
	if t.health.look(now, seen) {
		c.shown = true
	}
}
