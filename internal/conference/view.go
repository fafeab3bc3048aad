package conference

import (
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/media"
)

// View is the whole truth about a consultation as a participant may see it. Its JSON is the message "state" of the
// signaling protocol.
type View struct {
	Phase        string            `json:"phase"`           // scheduled, open, ended
	Recording    string            `json:"recording"`       // on, paused, off
	Since        string            `json:"since,omitempty"` // RFC 3339, when the first participant joined
	Joined       bool              `json:"joined"`          // whether the receiver of this view is present
	Participants []ParticipantView `json:"participants"`
}

// ParticipantView is one participant in View.
type ParticipantView struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Role     string      `json:"role"`
	Present  bool        `json:"present"`
	Online   bool        `json:"online"`   // present and the connection lives
	Consent  string      `json:"consent"`  // "", given, refused, withdrawn
	Recorded string      `json:"recorded"` // yes, no, waiting or failed
	Tracks   []TrackView `json:"tracks"`
}

// TrackView is one track in ParticipantView.
type TrackView struct {
	ID     string       `json:"id"`
	Kind   media.Kind   `json:"kind"`
	Source media.Source `json:"source"`
	Codec  media.Codec  `json:"codec"` // not every browser can show every one of them
	Muted  bool         `json:"muted"`
}

// What ParticipantView.Recorded says.
const (
	recordedYes     = "yes"     // bytes reach the disk
	recordedNo      = "no"      // by policy, consent or pause nothing is written
	recordedWaiting = "waiting" // nothing to write yet
	recordedFailed  = "failed"  // bytes should reach the disk and do not
)

// view draws the conference for one participant; only the loop calls it.
func (c *Conference) view(receiver string) View {
	v := View{
		Phase: string(c.state.Phase), Recording: c.recordingWord(), Joined: c.present(receiver),
		Participants: []ParticipantView{},
	}
	if c.state.Phase == consultation.Completed || c.state.Phase == consultation.Archived {
		v.Phase = string(consultation.Ended)
	}
	if !c.state.FirstJoined.IsZero() {
		v.Since = c.state.FirstJoined.Format(time.RFC3339)
	}
	for _, p := range c.state.Participants() {
		v.Participants = append(v.Participants, c.viewOf(p))
	}
	return v
}

func (c *Conference) recordingWord() string {
	switch {
	case c.state.Policy == events.PolicyForbidden || c.state.Phase != consultation.Open:
		return "off"
	case c.state.Paused:
		return "paused"
	default:
		return "on"
	}
}

func (c *Conference) viewOf(p consultation.Participant) ParticipantView {
	pv := ParticipantView{
		ID: p.ID, Name: c.names[p.ID], Role: p.Role, Present: p.Present, Consent: string(p.Consent),
		Recorded: recordedNo, Tracks: []TrackView{},
	}
	if s := c.seats[p.ID]; s != nil {
		pv.Online = p.Present && s.connected
	}
	if c.state.MayRecord(p.ID) {
		pv.Recorded = recordedWaiting
	}
	for _, t := range c.tracksOf(p.ID) {
		pv.Tracks = append(pv.Tracks, TrackView{
			ID: t.id, Kind: t.pub.Kind(), Source: t.source, Codec: t.pub.Codec(), Muted: t.muted,
		})
		pv.Recorded = worseRecorded(pv.Recorded, t.health.word)
	}
	return pv
}

// worseRecorded combines what a participant's tracks say: failed beats yes, yes beats waiting.
func worseRecorded(a, b string) string {
	rank := map[string]int{recordedNo: 0, recordedWaiting: 1, recordedYes: 2, recordedFailed: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}
