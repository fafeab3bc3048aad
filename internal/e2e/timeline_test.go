package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"consilium/internal/events"
)

// timelineJSON is the JSON of GET …/timeline as the contract has it, read apart from the package that writes it.
type timelineJSON struct {
	Consultation string                `json:"consultation"`
	StartTime    string                `json:"startTime"`
	DurationNS   int64                 `json:"durationNs"`
	Participants []timelineParticipant `json:"participants"`
	Markers      []timelineMarker      `json:"markers"`
}

type timelineParticipant struct {
	ID      string            `json:"id"`
	Role    string            `json:"role"`
	Present []timelineStretch `json:"present"`
	Absent  []timelineStretch `json:"absent"`
	Tracks  []timelineTrack   `json:"tracks"`
}

type timelineTrack struct {
	ID      string            `json:"id"`
	Kind    string            `json:"kind"`
	Source  string            `json:"source"`
	StartNS int64             `json:"startNs"`
	EndNS   int64             `json:"endNs"`
	Clips   []timelineClip    `json:"clips"`
	Gaps    []timelineStretch `json:"gaps"`
}

type timelineClip struct {
	Segment string `json:"segment"`
	StartNS int64  `json:"startNs"`
	EndNS   int64  `json:"endNs"`
	ErrorNS *int64 `json:"errorNs"`
	Quality string `json:"quality"`
}

// timelineStretch is a gap, or, without a cause, a presence.
type timelineStretch struct {
	StartNS int64  `json:"startNs"`
	EndNS   int64  `json:"endNs"`
	Cause   string `json:"cause"`
}

type timelineMarker struct {
	Seq         uint64 `json:"seq"`
	AtNS        int64  `json:"atNs"`
	Type        string `json:"type"`
	Participant string `json:"participant"`
}

// timeline reads the timeline of a consultation.
func (c *client) timeline(id string) timelineJSON {
	c.t.Helper()
	var tl timelineJSON
	c.call("GET", "/consultations/"+id+"/timeline", nil, 200, &tl)
	return tl
}

// of finds a participant.
func (tl timelineJSON) of(t testing.TB, participant string) timelineParticipant {
	t.Helper()
	for _, p := range tl.Participants {
		if p.ID == participant {
			return p
		}
	}
	t.Fatalf("participant %s is not in the timeline", participant)
	return timelineParticipant{}
}

// lost adds up the gaps of a cause over all tracks of the kind, in nanoseconds.
func (p timelineParticipant) lost(kind, cause string) (ns int64) {
	for _, track := range p.Tracks {
		for _, g := range track.Gaps {
			if track.Kind == kind && g.Cause == cause {
				ns += g.EndNS - g.StartNS
			}
		}
	}
	return ns
}

// segments lists the segments of all clips.
func (p timelineParticipant) segments() []string {
	var all []string
	for _, track := range p.Tracks {
		for _, c := range track.Clips {
			all = append(all, c.Segment)
		}
	}
	return all
}

var (
	causes = []string{
		"not_consented", "muted", "camera_off", "loss", "stall", "disconnected", "paused", "overrun", "corrupt", "crash", "missing",
	}
	qualities = []string{"sr", "act", "arrival"}
)

// checkTimeline holds the timeline of a consultation against the contract and the events.
func checkTimeline(t testing.TB, raw []byte, id string, all []events.Stored) {
	t.Helper()
	wantFields(t, raw)
	var tl timelineJSON
	if err := json.Unmarshal(raw, &tl); err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	first := true
	for _, e := range all {
		switch ev := e.Event.(type) {
		case events.SegmentStored:
			stored[ev.Segment] = true
		case events.ParticipantJoined:
			if first && tl.StartTime != e.Time.Format("2006-01-02T15:04:05.999999999Z07:00") {
				t.Errorf("archive time begins at %s, the first participant joined at %s", tl.StartTime, e.Time)
			}
			first = false
		}
	}
	if tl.Consultation != id || tl.DurationNS <= 0 {
		t.Errorf("timeline of %s lasts %d ns", tl.Consultation, tl.DurationNS)
	}
	for _, p := range tl.Participants {
		for _, s := range p.Present {
			within(t, "presence of "+p.ID, s, 0, tl.DurationNS)
		}
		for _, track := range p.Tracks {
			checkTrack(t, track, tl.DurationNS, stored)
		}
	}
	for i, m := range tl.Markers {
		e := all[m.Seq-1]
		if string(e.Type) != m.Type || e.Participant != m.Participant || m.AtNS < 0 || m.AtNS > tl.DurationNS || i > 0 && tl.Markers[i-1].Seq >= m.Seq {
			t.Errorf("marker %+v does not fit event %s about %q", m, e.Type, e.Participant)
		}
	}
}

// checkTrack wants clips and gaps that cover the track without overlap, each with what explains it.
func checkTrack(t testing.TB, track timelineTrack, length int64, stored map[string]bool) {
	t.Helper()
	if track.Kind != "audio" && track.Kind != "video" || !slices.Contains([]string{"microphone", "camera", "screen", "device"}, track.Source) {
		t.Errorf("track %s is %s from %s", track.ID, track.Kind, track.Source)
	}
	var parts []timelineStretch
	for _, c := range track.Clips {
		parts = append(parts, timelineStretch{c.StartNS, c.EndNS, ""})
		if !stored[c.Segment] || c.ErrorNS == nil || *c.ErrorNS < 0 || !slices.Contains(qualities, c.Quality) {
			t.Errorf("clip %+v: stored %v", c, stored[c.Segment])
		}
	}
	for _, g := range track.Gaps {
		parts = append(parts, g)
		if !slices.Contains(causes, g.Cause) {
			t.Errorf("gap %+v of track %s has a cause that is none", g, track.ID)
		}
	}
	slices.SortFunc(parts, func(a, b timelineStretch) int { return int(a.StartNS - b.StartNS) })
	at := track.StartNS
	for _, part := range parts {
		within(t, "part of track "+track.ID, part, 0, length)
		if part.StartNS != at {
			t.Errorf("track %s: a part begins at %d ns, the one before ended at %d ns", track.ID, part.StartNS, at)
		}
		at = part.EndNS
	}
	if at != track.EndNS {
		t.Errorf("track %s ends at %d ns, its parts at %d ns", track.ID, track.EndNS, at)
	}
}

func within(t testing.TB, what string, s timelineStretch, from, to int64) {
	t.Helper()
	if s.StartNS < from || s.EndNS > to || s.StartNS >= s.EndNS {
		t.Errorf("%s: %d to %d ns is not within %d to %d", what, s.StartNS, s.EndNS, from, to)
	}
}

// wantFields wants every field that the contract names, wherever there is something to hold it.
func wantFields(t testing.TB, raw []byte) {
	t.Helper()
	type object = map[string]any
	var root object
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	want := func(o object, where string, names ...string) {
		for _, name := range names {
			if _, ok := o[name]; !ok {
				t.Errorf("%s has no %q, only %v", where, name, slices.Sorted(maps.Keys(o)))
			}
		}
	}
	list := func(o object, name string) []any {
		l, ok := o[name].([]any)
		if !ok {
			t.Errorf("%q is %v, want a list", name, o[name])
		}
		return l
	}
	each := func(o object, name string, names ...string) {
		for _, x := range list(o, name) {
			want(x.(object), name, names...)
		}
	}
	want(root, "timeline", "consultation", "startTime", "durationNs", "participants", "markers")
	each(root, "markers", "seq", "atNs", "type")
	for _, x := range list(root, "participants") {
		p := x.(object)
		want(p, "participant", "id", "role", "present", "tracks")
		each(p, "present", "startNs", "endNs")
		for _, y := range list(p, "tracks") {
			track := y.(object)
			want(track, "track", "id", "kind", "source", "clips", "gaps")
			each(track, "clips", "segment", "startNs", "endNs", "errorNs", "quality")
			each(track, "gaps", "startNs", "endNs", "cause")
		}
	}
}
