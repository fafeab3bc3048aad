package simpeer

import (
	"fmt"
	"image"
	"slices"
	"time"

	"consilium/internal/media"
	"consilium/internal/timeline"
)

// Plan is the world of one participant as data: how wrong its clocks are, what its network does, and what happens when.
// The same data says what an archive must show of it (Holes) and is played by a Participant (Options, Participant.Play)
// or, without a server and faster than time, by a Tape.
type Plan struct {
	Name    string
	Clocks  Clocks // Began is when the plan begins; its actions count from there
	Network Network

	AudioLate, VideoLate       time.Duration // by how much later than the connection a track is begun to be sent
	AudioReports, VideoReports Reports
	Actions                    []Action
}

// Verb is what an action does.
type Verb string

// The verbs. Those of the first group are done by the capture, those of the second by the network, those of the third by
// the person.
const (
	// Detach takes a track off its sender for a while, as replaceTrack(null) does: no packets come. The RTP time of sound
	// stands still meanwhile, that of a picture runs on, and a whole picture comes when it is back.
	Detach Verb = "detach"
	// Freeze is Detach with an RTP time that stands still for pictures too.
	Freeze Verb = "freeze"
	// Step moves the RTP clock by By between two frames, back or on; nothing is left out.
	Step Verb = "step"
	// SetWall sets the machine's time of day By ahead.
	SetWall Verb = "set wall clock"
	// Withhold sends no sender reports for a while.
	Withhold Verb = "withhold reports"
	// Resize goes over to a picture of Size.
	Resize Verb = "resize"
	// Doze leaves out packets of silence for a while, as DTX does.
	Doze Verb = "doze"

	// Burst loses all that is sent for a while.
	Burst Verb = "burst"
	// Hold keeps back all that is sent for a while, and lets it go all at once.
	Hold Verb = "hold"

	// Mute switches a source off for a while, and says so: silence or black pictures are sent.
	Mute Verb = "mute"
	// Renew sends a track on with another SSRC: as one that is taken away and a new one that is negotiated. Without a
	// server there is nobody to negotiate with, and the SSRC just changes.
	Renew Verb = "renew"
	// Away loses the connection for a while and comes back with a new one.
	Away Verb = "away"
	// Pause pauses the recording of everybody for a while. Options.Recording does it.
	Pause Verb = "pause"
)

// Action is something that happens at a time.
type Action struct {
	At   time.Duration // since the capture began
	Do   Verb
	Kind media.Kind    // of which track; "" is both
	For  time.Duration // how long, where the verb says "for a while"
	By   time.Duration
	Size image.Point
}

func (a Action) of(k media.Kind) bool { return a.Kind == "" || a.Kind == k }

// during says whether a moment, since the capture began, lies in the action.
func (a Action) during(at time.Duration) bool { return at >= a.At && at < a.At+a.For }

// only picks the actions with one of the verbs, by time.
func only(all []Action, verbs ...Verb) []Action {
	var some []Action
	for _, a := range all {
		if slices.Contains(verbs, a.Do) {
			some = append(some, a)
		}
	}
	slices.SortStableFunc(some, func(a, b Action) int { return int(a.At - b.At) })
	return some
}

// Reports says when sender reports are sent and how they lie. The zero Reports are true and come as Options say.
type Reports struct {
	First, Every time.Duration
	Never        bool
	Lie          time.Duration // by how much their NTP time is ahead
	Noise        time.Duration // and by how much it is off at the most, up or down, anew in each
}

// Hole is a stretch for which an archive cannot have media, and what it must call that.
type Hole struct {
	Kind      media.Kind    // "" is both
	From, To  time.Duration // of capture, since it began
	Causes    []timeline.Cause
	Everybody bool // it is a hole of everybody, not only of the one whose plan it is
	// Settle is how long after To something may be missing yet: a whole picture has to come, or a connection. What is
	// missing then may be called loss.
	Settle  time.Duration
	Certain bool // it must be there; others depend on luck
	// Gaps says that there may be gaps in it, but that most is there: it explains gaps, and excuses nothing else.
	Gaps bool
}

// holeSlack is what a hole may begin sooner or end later: what happened is noticed later than it happened.
const holeSlack = 150 * time.Millisecond

// Covers says whether a stretch lies in the hole, with what settles.
func (h Hole) Covers(k media.Kind, from, to time.Duration) bool {
	return (h.Kind == "" || h.Kind == k) && from >= h.From-holeSlack && to <= h.To+h.Settle+holeSlack
}

// Explains says whether a gap lies in the hole and has its cause.
func (h Hole) Explains(k media.Kind, from, to time.Duration, cause timeline.Cause) bool {
	settling := cause == timeline.Loss && from >= h.To-holeSlack
	return h.Covers(k, from, to) && (settling || slices.Contains(h.Causes, cause))
}

// audible is the length of the shortest hole in sound that is a gap; see docs/segment-format.md.
const audible = 200 * time.Millisecond

// Holes lists what the plan makes impossible to record.
func (p Plan) Holes() []Hole {
	var all []Hole
	for _, a := range p.Actions {
		all = append(all, a.holes()...)
		if a.Do == Doze && p.Network.Loss > 0 { // a sign of life that is lost leaves a long hole
			all = append(all, Hole{Kind: media.Audio, From: a.At, To: a.At + a.For, Causes: []timeline.Cause{timeline.Loss}, Gaps: true})
		}
	}
	return all
}

func (a Action) holes() []Hole {
	const keyframe = time.Second // from the question for a whole picture to the picture
	h := Hole{Kind: a.Kind, From: a.At, To: a.At + a.For, Settle: keyframe, Certain: true}
	switch a.Do {
	case Detach, Freeze:
		h.Causes = []timeline.Cause{timeline.Stall}
	case Step:
		h.Causes, h.Certain = []timeline.Cause{timeline.Loss, timeline.Stall}, false
	case Mute:
		if a.Kind == media.Audio {
			return nil // what is recorded is silence
		}
		h.Kind, h.Causes = media.Video, []timeline.Cause{timeline.CameraOff}
	case Pause:
		h.Causes, h.Everybody = []timeline.Cause{timeline.Paused}, true
	case Away:
		h.Causes, h.Settle = []timeline.Cause{timeline.Disconnected}, 5*time.Second
	case Renew:
		h.Causes, h.Certain = []timeline.Cause{timeline.Stall, timeline.Loss, timeline.Disconnected}, false
	case Burst:
		h.Causes, h.Certain = []timeline.Cause{timeline.Loss, timeline.Stall, timeline.Disconnected}, false
		if a.For < audible {
			h.Kind = media.Video
		}
	case Hold:
		h.Causes, h.Certain = []timeline.Cause{timeline.Stall, timeline.Loss}, false
	default:
		return nil
	}
	return []Hole{h}
}

// Outside leaves out the flashes and beeps that fall into a hole.
func (s Sent) Outside(began time.Time, holes []Hole) Sent {
	in := func(k media.Kind, length time.Duration) func(Moment) bool {
		return func(m Moment) bool {
			at := m.At.Sub(began)
			return slices.ContainsFunc(holes, func(h Hole) bool {
				return !h.Gaps && (h.Kind == "" || h.Kind == k) && at+length > h.From-holeSlack && at < h.To+h.Settle+holeSlack
			})
		}
	}
	s.Flashes = slices.DeleteFunc(slices.Clone(s.Flashes), in(media.Video, flashFrames*time.Second/FPS))
	s.Beeps = slices.DeleteFunc(slices.Clone(s.Beeps), in(media.Audio, beepLength))
	return s
}

// Shape puts the plan into the options of a participant. Sizes are the media of every size that a picture goes over to.
func (p Plan) Shape(o Options) Options {
	o.Clocks, o.Network, o.Actions = p.Clocks, p.Network, p.Actions
	o.AudioLate, o.VideoLate = p.AudioLate, p.VideoLate
	o.AudioReports, o.VideoReports = p.AudioReports, p.VideoReports
	return o
}

// Specs lists what of spec in other sizes the plan needs.
func (p Plan) Specs(spec Spec) []Spec {
	all := []Spec{spec}
	for _, a := range only(p.Actions, Resize) {
		other := spec
		other.Width, other.Height = a.Size.X, a.Size.Y
		if !slices.Contains(all, other) {
			all = append(all, other)
		}
	}
	return all
}

// check says what is impossible.
func (p Plan) check() error {
	for _, a := range p.Actions {
		lasts := slices.Contains([]Verb{Detach, Freeze, Withhold, Doze, Burst, Hold, Mute, Away, Pause}, a.Do)
		moves := slices.Contains([]Verb{Step, SetWall}, a.Do)
		switch {
		case lasts && a.For <= 0, moves && a.By == 0, a.Do == Resize && (a.Size.X <= 0 || a.Size.Y <= 0):
			return fmt.Errorf("plan %q: action %+v is not possible", p.Name, a)
		case !lasts && !moves && a.Do != Resize && a.Do != Renew:
			return fmt.Errorf("plan %q: there is no action %q", p.Name, a.Do)
		}
	}
	return nil
}
