package sfu

import (
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// finish turns pion's answer into the client's: the true direction of every m-line, and Opus as this server likes it.
// carries holds the mids on which a publication is sent.
func (o *offer) finish(answer string, carries func(mid string) bool) (string, error) {
	desc := &sdp.SessionDescription{}
	if err := desc.UnmarshalString(answer); err != nil {
		return "", fmt.Errorf("read own answer: %w", err)
	}
	if len(desc.MediaDescriptions) != len(o.lines) {
		return "", fmt.Errorf("own answer has %d m-lines for %d of the offer", len(desc.MediaDescriptions), len(o.lines))
	}
	for i, m := range desc.MediaDescriptions {
		l := o.lines[i]
		if l.kind == "" {
			continue
		}
		refused := l.rejected || m.MediaName.Port.Value == 0
		setDirection(m, !refused && l.receives && carries(l.mid), !refused && l.sends)
		if _, ok := m.Attribute(sdp.AttrKeyMID); !ok {
			m.WithValueAttribute(sdp.AttrKeyMID, l.mid)
		}
		setOpus(m)
	}
	raw, err := desc.Marshal()
	if err != nil {
		return "", fmt.Errorf("write own answer: %w", err)
	}
	return string(raw), nil
}

// setDirection writes what this side does on an m-line.
func setDirection(m *sdp.MediaDescription, sends, receives bool) {
	word := "inactive"
	switch {
	case sends && receives:
		word = "sendrecv"
	case sends:
		word = "sendonly"
	case receives:
		word = "recvonly"
	}
	for i := range m.Attributes {
		if isDirection(m.Attributes[i].Key) {
			m.Attributes[i].Key = word
			return
		}
	}
	m.WithPropertyAttribute(word)
}

// setOpus writes this side's wishes for what it receives (RFC 7587 §6.1), where pion repeats the client's.
func setOpus(m *sdp.MediaDescription) {
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		payloadType, encoding, _ := strings.Cut(a.Value, " ")
		if !strings.HasPrefix(strings.ToLower(encoding), "opus/") {
			continue
		}
		for j := range m.Attributes {
			if m.Attributes[j].Key == "fmtp" && strings.HasPrefix(m.Attributes[j].Value, payloadType+" ") {
				m.Attributes[j].Value = payloadType + " " + opusFmtp
			}
		}
	}
}
