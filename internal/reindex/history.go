package reindex

import (
	"cmp"
	"slices"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

// lead is how much earlier than its first packet a participant is taken to have come as long as it is not known when that
// was captured.
const lead = 10 * time.Second

// fact is one event at its time.
type fact struct {
	at    time.Time
	rank  int // of facts of one moment: what has to be there first
	who   string
	event events.Event
}

// Ranks.
const (
	rankScheduled = iota
	rankInvited
	rankOpened
	rankJoined
	rankTrack
	rankSegment
	rankEnd
	rankTrackEnd
	rankLeft
	rankEnded
)

// history is what files tell, in order of time: from consultation.scheduled to consultation.ended. came says when each
// participant's first media were captured; nil while that is not known.
func history(files []file, came map[string]time.Time) []fact {
	h := &historian{came: came}
	began, ended := h.cameAt(files[0]), time.Time{}
	for _, f := range files {
		began = earlier(began, h.cameAt(f))
		ended = later(ended, endOf(f.Segment))
	}
	h.add(began, rankScheduled, "", events.ConsultationScheduled{Layout: layout})
	h.add(began, rankOpened, "", events.ConsultationOpened{Layout: layout})
	for _, own := range grouped(files, func(f file) string { return f.Owner }) {
		h.participant(began, own)
	}
	h.pauses(files)
	h.add(ended, rankEnded, "", events.ConsultationEnded{Reason: events.ReasonUnknown})
	slices.SortStableFunc(h.facts, func(a, b fact) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.rank, b.rank)) })
	return h.facts
}

// layout is that of the archive. The one that was planned is lost.
const layout = "grid"

type historian struct {
	came  map[string]time.Time
	facts []fact
}

// cameAt is when the owner of a file came, as far as the file can tell.
func (h *historian) cameAt(f file) time.Time {
	if at, ok := h.came[f.Owner]; ok {
		return at
	}
	return f.Arrival.Add(-lead)
}

func (h *historian) add(at time.Time, rank int, who string, e events.Event) {
	h.facts = append(h.facts, fact{at.UTC(), rank, who, e})
}

// pauses tells when the recording was paused: from the end of the last file that was closed for it to the first that was
// opened again.
func (h *historian) pauses(files []file) {
	var closed, opened []time.Time
	for _, f := range files {
		if f.CloseReason == "paused" {
			closed = append(closed, endOf(f.Segment))
		}
		if f.OpenReason == "resumed" {
			opened = append(opened, f.Arrival)
		}
	}
	slices.SortFunc(closed, time.Time.Compare)
	slices.SortFunc(opened, time.Time.Compare)
	for len(closed) > 0 {
		next := slices.IndexFunc(opened, closed[0].Before)
		if next < 0 {
			h.add(closed[len(closed)-1], rankEnd, "", events.RecordingPaused{Reason: events.ReasonUnknown})
			return
		}
		opened = opened[next:]
		n := slices.IndexFunc(closed, opened[0].Before)
		if n < 0 {
			n = len(closed)
		}
		h.add(closed[n-1], rankEnd, "", events.RecordingPaused{Reason: events.ReasonUnknown})
		h.add(opened[0], rankTrack, "", events.RecordingResumed{Reason: events.ReasonUnknown})
		closed = closed[n:]
	}
}

// participant tells of one participant: present from the first to the last moment that was recorded.
func (h *historian) participant(began time.Time, files []file) {
	who := files[0].Owner
	joined, last := h.cameAt(files[0]), time.Time{}
	for _, f := range files {
		joined = earlier(joined, h.cameAt(f))
	}
	for _, own := range grouped(files, func(f file) string { return f.Track }) {
		last = later(last, h.track(own))
	}
	h.add(began, rankInvited, who, events.ParticipantInvited{})
	h.add(joined, rankJoined, who, events.ParticipantJoined{})
	h.add(last, rankLeft, who, events.ParticipantLeft{Reason: events.ReasonUnknown})
}

// track tells of one track and its files, and gives its last moment.
func (h *historian) track(files []file) (to time.Time) {
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Or(a.Arrival.Compare(b.Arrival), cmp.Compare(a.ID, b.ID)) })
	first := files[0]
	h.add(first.Arrival, rankTrack, first.Owner, events.TrackStarted{
		Connection: first.Connection, Track: first.Track, Kind: string(first.Codec.Kind()), Source: string(first.Source),
		Codec: string(first.Codec), SSRC: first.SSRC,
	})
	seen := map[observation]bool{}
	for i, f := range files {
		end := endOf(f.Segment)
		to = later(to, end)
		h.segment(f, end, seen)
		if i+1 < len(files) && f.CloseReason == "silence" && files[i+1].Arrival.After(end) {
			h.add(files[i+1].Arrival, rankSegment, f.Owner, events.SegmentGap{
				Track: f.Track, From: end.UTC(), To: files[i+1].Arrival.UTC(), Cause: "stall",
			})
		}
	}
	h.add(to, rankTrackEnd, first.Owner, events.TrackEnded{Track: first.Track, Reason: events.ReasonUnknown})
	return to
}

// observation is what makes an anchor one that was seen already: files of a track hold many twice.
type observation struct {
	ssrc    uint32
	kind    string
	rtp     int64
	arrival int64
}

func (h *historian) segment(f file, end time.Time, seen map[observation]bool) {
	s := f.Segment
	h.add(s.Arrival, rankSegment, s.Owner, events.SegmentOpened{
		Segment: s.ID, Track: s.Track, SSRC: s.SSRC, Codec: string(s.Codec), ClockRate: s.ClockRate,
		FirstRTP: s.FirstRTP, Arrival: s.Arrival.UTC(), Width: s.Width, Height: s.Height, Reason: s.OpenReason,
	})
	if fresh := anchors(s, seen); len(fresh) > 0 {
		h.add(end, rankSegment, s.Owner, events.SegmentAnchored{Track: s.Track, SSRC: s.SSRC, Anchors: fresh})
	}
	h.add(end, rankEnd, s.Owner, events.SegmentSealed{
		Segment: s.ID, LastRTP: s.LastRTP, EndRTP: s.EndRTP, Frames: s.Frames, Bytes: s.Bytes, SHA256: s.SHA256,
		Reason: s.CloseReason,
	})
	if f.fault == "" {
		h.add(end, rankEnd, s.Owner, events.SegmentStored{Segment: s.ID, Key: f.key, Bytes: s.Bytes, SHA256: s.SHA256})
	}
}

func anchors(s media.Segment, seen map[observation]bool) []events.Anchor {
	var fresh []events.Anchor
	for _, a := range s.Anchors {
		o := observation{s.SSRC, a.Kind, a.RTP, a.Arrival.UnixNano()}
		known := slices.Contains([]string{media.AnchorSR, media.AnchorACT, media.AnchorArrival}, a.Kind)
		if seen[o] || !known || !plausible(a.Arrival) || !a.NTP.IsZero() && !plausible(a.NTP) {
			continue
		}
		seen[o] = true
		e := events.Anchor{Kind: a.Kind, RTP: a.RTP, Arrival: a.Arrival.UTC(), RTTUS: a.RTT.Microseconds()}
		if !a.NTP.IsZero() {
			ntp := a.NTP.UTC()
			e.NTP = &ntp
		}
		fresh = append(fresh, e)
	}
	return fresh
}

// maxContent bounds the content of one file: nonsense in a sidecar must not make a consultation last for years.
const maxContent = 24 * time.Hour

// endOf is when the last of a file arrived, about.
func endOf(s media.Segment) time.Time {
	rate := s.ClockRate
	if rate == 0 {
		rate = s.Codec.ClockRate()
	}
	length := media.RTPDuration(max(s.EndRTP, s.LastRTP)-s.FirstRTP, rate)
	return s.Arrival.Add(min(max(length, 0), maxContent))
}

// grouped parts files by what name says, in the order of the first arrival of each group.
func grouped(files []file, name func(file) string) [][]file {
	by := map[string][]file{}
	for _, f := range files {
		by[name(f)] = append(by[name(f)], f)
	}
	var groups [][]file
	for _, g := range by {
		groups = append(groups, g)
	}
	first := func(g []file) time.Time {
		at := g[0].Arrival
		for _, f := range g {
			at = earlier(at, f.Arrival)
		}
		return at
	}
	slices.SortFunc(groups, func(a, b []file) int {
		return cmp.Or(first(a).Compare(first(b)), cmp.Compare(name(a[0]), name(b[0])))
	})
	return groups
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
