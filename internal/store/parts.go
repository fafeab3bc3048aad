package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"consilium/internal/events"
)

// Lanes of spans.
const (
	LanePresent = "present" // of a participant
	LaneConsent = "consent" // value: given, refused, withdrawn
	LaneICE     = "ice"     // of a connection; value: its ICE state
	LaneTrack   = "track"   // value: on, muted, stalled
	LaneGap     = "gap"     // of a track; value: the cause
	LanePaused  = "paused"  // of the recording
	LaneHold    = "hold"    // subject: the hold; value: its reason
)

// Values of LaneTrack.
const (
	trackOn      = "on"
	trackMuted   = "muted"
	trackStalled = "stalled"
)

// States of a segment.
const (
	segmentOpen      = "open"
	segmentSealed    = "sealed"
	segmentRecovered = "recovered"
	segmentStored    = "stored"
	segmentMissing   = "missing"
)

// parts are the rows that belong to a consultation and are too many to be read back whole. What is read back for a batch
// is only what its events mention: connections, tracks, segments and accesses by id, and spans that are still open.
// Markers and exports are only ever added.
type parts struct {
	Connections map[string]*foldedConnection
	Tracks      map[string]*foldedTrack
	Segments    map[string]*foldedSegment
	Accesses    map[string]*foldedAccess
	Spans       map[uint64]*foldedSpan // by the event that began it
	Markers     []foldedMarker
	Exports     []foldedExport

	open map[spanKey]*foldedSpan // those of Spans without an end
}

type foldedConnection struct {
	Connection
	changed bool // since it was read from the database, here and below
}

type foldedTrack struct {
	Track
	changed bool
}

type foldedSegment struct {
	ID, Track, Participant, Codec, State, Cause string
	Width, Height, Frames, Bytes                int64
	SHA256, Key                                 string
	OpenedAt                                    time.Time
	StoredAt                                    *time.Time

	changed bool
}

type foldedAccess struct {
	ID, Actor, Purpose string
	Version            int64
	OpenedAt           time.Time
	ClosedAt           *time.Time
	Watched            []int64 // from, to, from, to …; milliseconds
	WatchedMS          int64

	changed bool
}

type spanKey struct{ lane, participant, subject string }

type foldedSpan struct {
	Seq                               uint64
	Lane, Participant, Subject, Value string
	StartedAt                         time.Time
	EndedAt                           *time.Time

	changed bool
}

type foldedMarker struct {
	Seq                            uint64
	At                             time.Time
	Type, Participant, Actor, Code string
}

type foldedExport struct {
	Seq                 uint64
	Actor, Kind, SHA256 string
	At                  time.Time
}

func newParts() parts {
	return parts{
		Connections: map[string]*foldedConnection{}, Tracks: map[string]*foldedTrack{}, Segments: map[string]*foldedSegment{},
		Accesses: map[string]*foldedAccess{}, Spans: map[uint64]*foldedSpan{}, open: map[spanKey]*foldedSpan{},
	}
}

// applyParts takes in what an event says about the parts. It is called once for every event, after the life of the
// consultation was folded.
func (f *folded) applyParts(e events.Stored, at time.Time) {
	f.mark(e, at)
	f.applyPresence(e, at)
	f.applyConnection(e, at)
	f.applyTrack(e, at)
	f.applySegmentRow(e, at)
	f.applyAccess(e, at)
}

func (f *folded) mark(e events.Stored, at time.Time) {
	m := foldedMarker{Seq: e.Seq, At: at, Type: plain(string(e.Type)), Participant: ident(e.Participant), Actor: ident(e.Actor)}
	switch ev := e.Event.(type) {
	case events.SegmentAnchored:
		return // as many as all others together, and nothing to look at
	case events.ConnectionTimedOut:
		m.Code = plain(ev.Code)
	case events.ParticipantHindered:
		m.Code = plain(ev.Code)
	case events.TrackStalled:
		m.Code = plain(ev.Code)
	case events.ArchiveFailed:
		m.Code = plain(ev.Code)
	}
	f.Markers = append(f.Markers, m)
}

// applyPresence keeps the lanes of people, present and consent, and those of the whole: pauses of the recording, and holds.
func (f *folded) applyPresence(e events.Stored, at time.Time) {
	who := ident(e.Participant)
	switch ev := e.Event.(type) {
	case events.ConsultationEnded:
		f.endLanes(at, LanePresent, LaneICE, LaneTrack, LanePaused)
		if ev.Reason == events.EndedAbandoned {
			f.problem(ProblemAbandoned)
		}
	case events.ConsultationReindexed:
		f.problem(ProblemReindexed)
	case events.ConferenceHosted: // what the process before had open died with it
		f.endLanes(at, LaneICE, LaneTrack)
	case events.ParticipantJoined:
		f.begin(e.Seq, spanKey{LanePresent, who, ""}, "", at)
	case events.ParticipantLeft:
		f.end(spanKey{LanePresent, who, ""}, at)
		if ev.Reason == events.LeftTimeout {
			f.problem(ProblemLost)
		}
	case events.ConsentGiven:
		f.begin(e.Seq, spanKey{LaneConsent, who, ""}, "given", at)
	case events.ConsentRefused:
		f.begin(e.Seq, spanKey{LaneConsent, who, ""}, "refused", at)
	case events.ConsentWithdrawn:
		f.begin(e.Seq, spanKey{LaneConsent, who, ""}, "withdrawn", at)
	case events.RecordingPaused:
		f.begin(e.Seq, spanKey{LanePaused, "", ""}, plain(ev.Reason), at)
	case events.RecordingResumed:
		f.end(spanKey{LanePaused, "", ""}, at)
	case events.HoldPlaced:
		if h := f.Holds[ident(ev.Hold)]; h.PlacedAt.Equal(at) && h.ReleasedAt == nil { // not one that was there before
			f.begin(e.Seq, spanKey{LaneHold, "", h.ID}, h.Reason, at)
		}
	case events.HoldReleased:
		f.end(spanKey{LaneHold, "", ident(ev.Hold)}, at)
	}
}

func (f *folded) applyConnection(e events.Stored, at time.Time) {
	who := ident(e.Participant)
	change := func(id string, to func(*foldedConnection)) {
		if c := f.Connections[ident(id)]; c != nil {
			to(c)
			c.changed = true
		}
	}
	switch ev := e.Event.(type) {
	case events.ConnectionOpened:
		if id := ident(ev.Connection); f.Connections[id] == nil {
			f.Connections[id] = &foldedConnection{Connection: Connection{
				ID: id, Participant: who, Via: plain(ev.Via), Browser: browser(ev.Browser), State: "new", OpenedAt: at,
			}, changed: true}
		}
	case events.ConnectionICEChanged:
		change(ev.Connection, func(c *foldedConnection) {
			c.State = plain(ev.State)
			if c.ConnectedAt == nil && (ev.State == "connected" || ev.State == "completed") {
				c.ConnectedAt = &at
			}
			f.begin(e.Seq, spanKey{LaneICE, who, c.ID}, c.State, at)
		})
	case events.ConnectionPairSelected:
		change(ev.Connection, func(c *foldedConnection) {
			c.LocalKind, c.RemoteKind, c.Transport = plain(ev.Local.Kind), plain(ev.Remote.Kind), plain(ev.Remote.Transport)
		})
	case events.ConnectionRestarted:
		change(ev.Connection, func(c *foldedConnection) { c.Restarts++ })
	case events.ConnectionTimedOut:
		f.problem(ProblemConnection)
		change(ev.Connection, func(c *foldedConnection) { c.TimeoutPhase, c.TimeoutCode = plain(ev.Phase), plain(ev.Code) })
	case events.ConnectionClosed:
		f.end(spanKey{LaneICE, who, ident(ev.Connection)}, at)
		change(ev.Connection, func(c *foldedConnection) { c.ClosedAt, c.CloseReason = &at, plain(ev.Reason) })
	}
}

func (f *folded) applyTrack(e events.Stored, at time.Time) {
	who := ident(e.Participant)
	change := func(id, value string, to func(*foldedTrack)) {
		t := f.Tracks[ident(id)]
		if t == nil {
			return
		}
		to(t)
		t.changed = true
		if value != "" && t.EndedAt == nil {
			f.begin(e.Seq, spanKey{LaneTrack, t.Participant, t.ID}, value, at)
		}
	}
	switch ev := e.Event.(type) {
	case events.TrackStarted:
		id := ident(ev.Track)
		if f.Tracks[id] != nil {
			break
		}
		f.Tracks[id] = &foldedTrack{Track: Track{
			ID: id, Participant: who, Connection: plain(ev.Connection), Kind: plain(ev.Kind), Source: plain(ev.Source),
			Codec: plain(ev.Codec), StartedAt: at,
		}, changed: true}
		f.begin(e.Seq, spanKey{LaneTrack, who, id}, trackOn, at)
	case events.TrackMuted:
		change(ev.Track, trackMuted, func(t *foldedTrack) { t.Muted = true })
	case events.TrackUnmuted:
		change(ev.Track, trackOn, func(t *foldedTrack) { t.Muted = false })
	case events.TrackStalled:
		f.problem(ProblemStall)
		change(ev.Track, trackStalled, func(t *foldedTrack) { t.Stalls++ })
	case events.TrackResumed:
		change(ev.Track, trackOn, func(*foldedTrack) {})
	case events.TrackEnded:
		change(ev.Track, "", func(t *foldedTrack) {
			t.EndedAt, t.EndReason = &at, plain(ev.Reason)
			f.end(spanKey{LaneTrack, t.Participant, t.ID}, at)
		})
	case events.SegmentGap:
		if ev.Cause != "dtx" { // silence that was not sent is no hole
			f.problem(ProblemGap)
		}
		from, to := micros(ev.From), micros(ev.To)
		if to.Before(from) {
			to = from
		}
		f.Spans[e.Seq] = &foldedSpan{
			Seq: e.Seq, Lane: LaneGap, Participant: who, Subject: ident(ev.Track), Value: plain(ev.Cause), StartedAt: from, EndedAt: &to, changed: true,
		}
	case events.ConsultationCompleted:
		f.ExpectedMS, f.RecordedMS = 0, 0
		for _, account := range ev.Tracks {
			f.ExpectedMS, f.RecordedMS = f.ExpectedMS+bounded(account.ExpectedMS), f.RecordedMS+bounded(account.RecordedMS)
			change(account.Track, "", func(t *foldedTrack) {
				t.ExpectedMS, t.RecordedMS = bounded(account.ExpectedMS), bounded(account.RecordedMS)
			})
		}
	}
}

func (f *folded) applySegmentRow(e events.Stored, at time.Time) {
	change := func(id string, to func(*foldedSegment)) {
		if s := f.Segments[ident(id)]; s != nil {
			to(s)
			s.changed = true
		}
	}
	switch ev := e.Event.(type) {
	case events.SegmentOpened:
		if id := ident(ev.Segment); f.Segments[id] == nil {
			f.Segments[id] = &foldedSegment{
				ID: id, Track: ident(ev.Track), Participant: ident(e.Participant), Codec: plain(ev.Codec), State: segmentOpen,
				Width: int64(ev.Width), Height: int64(ev.Height), OpenedAt: at, changed: true,
			}
		}
	case events.SegmentSealed:
		change(ev.Segment, func(s *foldedSegment) {
			s.Frames, s.Bytes, s.SHA256 = max(0, ev.Frames), max(0, ev.Bytes), plain(ev.SHA256)
			if s.State == segmentOpen {
				s.State = segmentSealed
			}
		})
	case events.SegmentRecovered:
		f.problem(ProblemCrash)
		change(ev.Segment, func(s *foldedSegment) {
			s.Frames, s.Bytes, s.SHA256 = max(0, ev.Frames), max(0, ev.Bytes), plain(ev.SHA256)
			if s.State == segmentOpen || s.State == segmentSealed {
				s.State = segmentRecovered
			}
		})
	case events.SegmentStored:
		change(ev.Segment, func(s *foldedSegment) {
			if s.State != segmentStored {
				s.State, s.Cause, s.Bytes, s.SHA256, s.Key, s.StoredAt = segmentStored, "", max(0, ev.Bytes), plain(ev.SHA256), plain(ev.Key), &at
			}
		})
	case events.ConsultationCompleted:
		for _, m := range ev.Missing {
			change(m.Segment, func(s *foldedSegment) {
				if s.State != segmentStored {
					s.State, s.Cause = segmentMissing, plain(m.Cause)
				}
			})
		}
	}
}

// applyAccess follows receipts. What was watched and closed names its receipt as the event that led to it.
func (f *folded) applyAccess(e events.Stored, at time.Time) {
	receipt := f.Accesses[ident(e.CausationID)]
	switch ev := e.Event.(type) {
	case events.AccessOpened:
		id := ident(e.ID)
		f.Accesses[id] = &foldedAccess{
			ID: id, Actor: ident(e.Actor), Purpose: plain(ev.Purpose), Version: int64(ev.Version), OpenedAt: at, Watched: []int64{}, changed: true,
		}
	case events.AccessWatched:
		if receipt != nil {
			receipt.watch(ev.Ranges)
		}
	case events.AccessClosed:
		if receipt != nil && receipt.ClosedAt == nil {
			receipt.ClosedAt, receipt.changed = &at, true
		}
	case events.ExportMade:
		f.Exports = append(f.Exports, foldedExport{Seq: e.Seq, Actor: ident(e.Actor), Kind: plain(ev.Kind), SHA256: plain(ev.SHA256), At: at})
	}
}

// longest is what a moment in an archive or a sum of times may be at most, in milliseconds: a year. An event may say
// anything, and a sum must not overflow.
const longest = 366 * 24 * 3600 * 1000

func bounded(ms int64) int64 { return min(max(0, ms), longest) }

// watch merges ranges into what was watched before.
func (a *foldedAccess) watch(more []events.Range) {
	type stretch struct{ from, to int64 }
	all := make([]stretch, 0, len(a.Watched)/2+len(more))
	for i := 0; i+1 < len(a.Watched); i += 2 {
		all = append(all, stretch{a.Watched[i], a.Watched[i+1]})
	}
	for _, r := range more {
		if s := (stretch{bounded(r.FromMS), bounded(r.ToMS)}); s.from < s.to {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	merged := []int64{}
	a.WatchedMS, a.changed = 0, true
	for _, s := range all {
		if n := len(merged); n > 0 && s.from <= merged[n-1] {
			merged[n-1] = max(merged[n-1], s.to)
			continue
		}
		merged = append(merged, s.from, s.to)
	}
	for i := 0; i < len(merged); i += 2 {
		a.WatchedMS += merged[i+1] - merged[i]
	}
	a.Watched = merged
}

// begin starts a span of a lane; one that is open there ends, unless it says the same already.
func (f *folded) begin(seq uint64, key spanKey, value string, at time.Time) {
	if s := f.open[key]; s != nil {
		if s.Value == value {
			return
		}
		f.end(key, at)
	}
	s := &foldedSpan{Seq: seq, Lane: key.lane, Participant: key.participant, Subject: key.subject, Value: value, StartedAt: at, changed: true}
	f.Spans[seq], f.open[key] = s, s
}

func (f *folded) end(key spanKey, at time.Time) {
	s := f.open[key]
	if s == nil {
		return
	}
	if at.Before(s.StartedAt) { // the clock was set between two processes
		at = s.StartedAt
	}
	s.EndedAt, s.changed = &at, true
	delete(f.open, key)
}

func (f *folded) endLanes(at time.Time, lanes ...string) {
	for key := range f.open {
		if slices.Contains(lanes, key.lane) {
			f.end(key, at)
		}
	}
}

// opened takes in a span that was read back.
func (f *folded) opened(s *foldedSpan) {
	f.Spans[s.Seq] = s
	f.open[spanKey{s.Lane, s.Participant, s.Subject}] = s
}

func browser(b *events.Browser) string {
	switch {
	case b == nil:
		return ""
	case b.Major == 0:
		return plain(b.Family)
	default:
		return plain(b.Family) + " " + strconv.Itoa(b.Major)
	}
}

// maxIdent is how many bytes an id may have in an index.
const maxIdent = 200

// ident makes a text fit for an index: an id that is too long becomes its beginning and a digest of the whole.
func ident(s string) string {
	s = plain(s)
	if len(s) <= maxIdent {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	head := s[:maxIdent-65]
	for !utf8.ValidString(head) && head != "" {
		head = head[:len(head)-1]
	}
	return strings.ToValidUTF8(head, "") + "#" + hex.EncodeToString(sum[:])
}

// mentions are the ids that the events of a batch speak of, by consultation: what has to be read back.
type mentions struct{ connections, tracks, segments, accesses ids }

// ids is a set of (consultation, id) in two columns.
type ids struct {
	of, id []string
	seen   map[[2]string]bool
}

func (s *ids) add(of, id string) {
	if s.seen == nil {
		s.seen = map[[2]string]bool{}
	}
	if key := [2]string{of, ident(id)}; !s.seen[key] {
		s.seen[key] = true
		s.of, s.id = append(s.of, key[0]), append(s.id, key[1])
	}
}

func (m *mentions) add(e events.Stored) {
	of := e.Subject
	switch ev := e.Event.(type) {
	case events.ConnectionOpened:
		m.connections.add(of, ev.Connection)
	case events.ConnectionClosed:
		m.connections.add(of, ev.Connection)
	case events.ConnectionICEChanged:
		m.connections.add(of, ev.Connection)
	case events.ConnectionPairSelected:
		m.connections.add(of, ev.Connection)
	case events.ConnectionRestarted:
		m.connections.add(of, ev.Connection)
	case events.ConnectionTimedOut:
		m.connections.add(of, ev.Connection)
	case events.TrackStarted:
		m.tracks.add(of, ev.Track)
	case events.TrackEnded:
		m.tracks.add(of, ev.Track)
	case events.TrackMuted:
		m.tracks.add(of, ev.Track)
	case events.TrackUnmuted:
		m.tracks.add(of, ev.Track)
	case events.TrackStalled:
		m.tracks.add(of, ev.Track)
	case events.TrackResumed:
		m.tracks.add(of, ev.Track)
	case events.SegmentOpened:
		m.segments.add(of, ev.Segment)
	case events.SegmentSealed:
		m.segments.add(of, ev.Segment)
	case events.SegmentRecovered:
		m.segments.add(of, ev.Segment)
	case events.SegmentStored:
		m.segments.add(of, ev.Segment)
	case events.ConsultationCompleted:
		for _, s := range ev.Missing {
			m.segments.add(of, s.Segment)
		}
		for _, t := range ev.Tracks {
			m.tracks.add(of, t.Track)
		}
	case events.AccessWatched, events.AccessClosed:
		m.accesses.add(of, e.CausationID)
	}
}
