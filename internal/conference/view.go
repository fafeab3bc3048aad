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
	Phase     string   `json:"phase"`              // scheduled, open, ended
	Recording string   `json:"recording"`          // on, paused, off
	Since     string   `json:"since,omitempty"`    // RFC 3339, when the first participant joined
	Joined    bool     `json:"joined"`             // whether the receiver of this view is present
	Hindered  []string `json:"hindered,omitempty"` // codes of package failures: what hinders the receiver, as the server sees it
	// HasConnection says whether a PeerConnection of the receiver's is held here. Where none is, as after a restart of the
	// server, a client that has one still makes a new one and need not learn it from an answer that does not fit.
	HasConnection bool              `json:"hasConnection"`
	Participants  []ParticipantView `json:"participants"`
}

// ParticipantView is one participant in View.
type ParticipantView struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Role     string `json:"role"`
	Present  bool   `json:"present"`
	Online   bool   `json:"online"`   // present and the connection lives
	Consent  string `json:"consent"`  // "", given, refused, withdrawn
	Recorded string `json:"recorded"` // yes, no, waiting or failed
	// Silenced says that somebody who is present is neither seen nor heard for want of a consent: their own, or of a device
	// that of somebody whom it shows.
	Silenced bool        `json:"silenced,omitempty"`
	Tracks   []TrackView `json:"tracks"`
	// The rest is shown to hosts only.
	Waiting  bool       `json:"waiting,omitempty"`  // not present, and the page is open
	Hindered []string   `json:"hindered,omitempty"` // codes of package failures, told by the page or noticed here
	Check    *CheckView `json:"check,omitempty"`    // the newest check before the call
}

// CheckView is what a participant's page found before the call, in the words of events.ParticipantChecked.
type CheckView struct {
	Camera     string            `json:"camera"`
	Microphone string            `json:"microphone"`
	Speaker    string            `json:"speaker"`
	Ways       map[string]string `json:"ways"` // way → result
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
	if s := c.seats[receiver]; s != nil {
		v.HasConnection = s.peer != nil
		if s.hindered.noticed != "" {
			v.Hindered = []string{s.hindered.noticed}
		}
	}
	if c.state.Phase == consultation.Completed || c.state.Phase == consultation.Archived {
		v.Phase = string(consultation.Ended)
	}
	if !c.state.FirstJoined.IsZero() {
		v.Since = c.state.FirstJoined.Format(time.RFC3339)
	}
	me, _ := c.state.Participant(receiver)
	for _, p := range c.state.Participants() {
		shown := c.viewOf(p)
		if consultation.IsHost(me.Role) {
			c.showToHost(&shown, p)
		}
		v.Participants = append(v.Participants, shown)
	}
	return v
}

// showToHost adds what the doctor sees of somebody, in the waiting room too.
func (c *Conference) showToHost(v *ParticipantView, p consultation.Participant) {
	if s := c.seats[p.ID]; s != nil {
		v.Waiting = s.client != nil && !p.Present
		v.Hindered = s.hindered.codes()
	}
	if p.Checked == nil {
		return
	}
	v.Check = &CheckView{Camera: p.Checked.Camera, Microphone: p.Checked.Microphone, Speaker: p.Checked.Speaker, Ways: map[string]string{}}
	for _, w := range p.Checked.Ways {
		v.Check.Ways[w.Way] = w.Result
	}
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
		Silenced: p.Present && p.Role != events.RoleObserver && !c.state.MayPublish(p.ID),
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
