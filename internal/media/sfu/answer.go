package sfu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// finish turns pion's answer into the client's: the true direction of every m-line, and Opus as this server likes it.
// carries holds the mids on which a publication is sent; publishOnly says that the client is no browser in a room.
func (o *offer) finish(answer string, carries func(mid string) bool, publishOnly bool) (string, error) {
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
		setFormats(m, l, publishOnly)
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

// setFormats leaves on an m-line what is to be used on it.
//
// Redundant audio comes first where the client sends, because browsers send the first format of an answer, and stands
// nowhere else. H.264 is taken from devices only: every browser can send VP8, and not every one can show H.264.
func setFormats(m *sdp.MediaDescription, l line, publishOnly bool) {
	reds, rest := splitFormats(m, mimeTypeRED)
	switch {
	case len(reds) > 0 && l.sends:
		m.MediaName.Formats = append(reds, rest...)
	case len(reds) > 0:
		keepFormats(m, rest)
	}
	if !l.sends || publishOnly {
		return
	}
	if h264, rest := splitFormats(m, webrtc.MimeTypeH264); len(h264) > 0 && len(rest) > 0 {
		keepFormats(m, rest)
	}
}

// splitFormats parts the formats of an m-line into those of one codec and the others.
func splitFormats(m *sdp.MediaDescription, mimeType string) (these, others []string) {
	for _, format := range m.MediaName.Formats {
		if strings.EqualFold(mimeTypeOf(m, format), mimeType) {
			these = append(these, format)
		} else {
			others = append(others, format)
		}
	}
	return these, others
}

// mimeTypeOf is what a format is mapped to, as "audio/opus"; "" if to nothing.
func mimeTypeOf(m *sdp.MediaDescription, format string) string {
	for _, a := range m.Attributes {
		if payloadType, encoding, ok := strings.Cut(a.Value, " "); ok && a.Key == "rtpmap" && payloadType == format {
			name, _, _ := strings.Cut(encoding, "/")
			return m.MediaName.Media + "/" + name
		}
	}
	return ""
}

// keepFormats takes all formats off an m-line but these, with what is said about them.
func keepFormats(m *sdp.MediaDescription, formats []string) {
	m.MediaName.Formats = formats
	m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
		switch a.Key {
		case "rtpmap", "fmtp", "rtcp-fb":
			format, _, _ := strings.Cut(a.Value, " ")
			return format != "*" && !slices.Contains(formats, format)
		default:
			return false
		}
	})
}
