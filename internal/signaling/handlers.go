package signaling

import (
	"context"
	"encoding/json"

	"consilium/internal/conference"
	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/media/sfu"
)

// Codes of Error that the protocol itself gives. The others come from the rules through Config.Explain.
const (
	CodeBadMessage = "bad_message"
	CodeTooMany    = "too_many"
	CodeForbidden  = "forbidden"
)

// badMessage is the sentence for a message that does not make sense.
type badMessage string

func (b badMessage) Error() string { return string(b) }

// handler follows one message and gives the answer's type and body; an empty type is no answer.
type handler func(ctx context.Context, c *Conn, raw []byte) (kind string, answer any, err error)

var handlers = map[string]handler{
	"join":      onJoin,
	"offer":     onOffer,
	"candidate": onCandidate,
	"mute":      onMute,
	"hindered":  onHindered,
	"checked":   onChecked,
	"leave":     onLeave,
	"end":       onEnd,
}

func onJoin(ctx context.Context, c *Conn, _ []byte) (string, any, error) {
	if err := c.attendance.Join(ctx); err != nil {
		return "", nil, err
	}
	o, err := c.attendance.Overview(ctx)
	return "state", o.View, err
}

func onOffer(ctx context.Context, c *Conn, raw []byte) (string, any, error) {
	var offer Offer
	if err := json.Unmarshal(raw, &offer); err != nil {
		return "", nil, badMessage("The offer cannot be read.")
	}
	offered := make([]conference.OfferedTrack, 0, len(offer.Tracks))
	for _, t := range offer.Tracks {
		if !knownSource(t.Source) {
			return "", nil, badMessage("A track's source must be microphone, camera, screen or device.")
		}
		offered = append(offered, conference.OfferedTrack(t))
	}
	sdp, sent, err := c.attendance.Offer(ctx, offer.SDP, offered, offer.New)
	if err != nil {
		return "", nil, err
	}
	answer := Answer{SDP: sdp, Tracks: []AnsweredTrack{}}
	for _, t := range sent {
		answer.Tracks = append(answer.Tracks, AnsweredTrack(t))
	}
	return "answer", answer, nil
}

func onCandidate(ctx context.Context, c *Conn, raw []byte) (string, any, error) {
	var candidate Candidate
	if err := json.Unmarshal(raw, &candidate); err != nil {
		return "", nil, badMessage("The candidate cannot be read.")
	}
	return "", nil, c.attendance.Candidate(ctx, sfu.Candidate(candidate))
}

func onMute(ctx context.Context, c *Conn, raw []byte) (string, any, error) {
	var mute Mute
	if err := json.Unmarshal(raw, &mute); err != nil || !knownSource(mute.Source) {
		return "", nil, badMessage("The mute message cannot be read.")
	}
	return "", nil, c.attendance.Mute(ctx, mute.Source, mute.Muted)
}

func onHindered(ctx context.Context, c *Conn, raw []byte) (string, any, error) {
	var hindered Hindered
	if err := json.Unmarshal(raw, &hindered); err != nil {
		return "", nil, badMessage("The list of failures cannot be read.")
	}
	return "", nil, c.attendance.Hindered(ctx, hindered.Codes)
}

func onChecked(ctx context.Context, c *Conn, raw []byte) (string, any, error) {
	var checked Checked
	if err := json.Unmarshal(raw, &checked); err != nil {
		return "", nil, badMessage("The result of the check cannot be read.")
	}
	found := events.ParticipantChecked{
		Camera: checked.Camera, Microphone: checked.Microphone, Speaker: checked.Speaker,
		Ways: []events.CheckedWay{}, Codes: append([]string{}, checked.Codes...), TookMS: checked.TookMS,
	}
	for _, w := range checked.Ways {
		found.Ways = append(found.Ways, events.CheckedWay(w))
	}
	return "", nil, c.attendance.Checked(ctx, found)
}

func onLeave(ctx context.Context, c *Conn, _ []byte) (string, any, error) {
	return "", nil, c.attendance.Leave(ctx)
}

func onEnd(ctx context.Context, c *Conn, _ []byte) (string, any, error) {
	if !c.id.Host {
		return "error", Error{Code: CodeForbidden, Message: "Only the host can end the consultation."}, nil
	}
	return "", nil, c.attendance.End(ctx)
}

func knownSource(s media.Source) bool {
	switch s {
	case media.Microphone, media.Camera, media.Screen, media.Device:
		return true
	default:
		return false
	}
}
