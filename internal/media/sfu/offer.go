package sfu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"consilium/internal/media"
)

// Limits of an offer.
const (
	maxSDP         = 64 << 10 // bytes
	maxLines       = 64       // m-lines
	maxSending     = 8        // m-lines on which the client sends
	maxSimulcast   = 4        // layers on one m-line
	noSSRC         = uint32(0)
	directionSends = "sendrecv"
	directionTakes = "recvonly"
)

// offer is a checked SDP offer.
type offer struct {
	raw        string                  // as it came
	desc       *sdp.SessionDescription // simplified
	lines      []line                  // in the order of the offer
	ufrag      string
	candidates []string // taken out of desc
}

// line is one m-line of an offer.
type line struct {
	mid      string
	kind     media.Kind // "" for a data channel
	rejected bool       // port 0
	sends    bool       // the client sends on it
	receives bool       // the client can be sent something on it
	codecs   []media.Codec
}

// takes tells whether a publication can be sent on the line.
func (l line) takes(kind media.Kind, codec media.Codec) bool {
	return l.receives && l.kind == kind && slices.Contains(l.codecs, codec)
}

// sends tells whether the client sends anything.
func (o *offer) sends() bool {
	return slices.ContainsFunc(o.lines, func(l line) bool { return l.sends })
}

// receiving counts the m-lines of a kind on which the client can be sent something.
func (o *offer) receiving(kind media.Kind) int {
	n := 0
	for _, l := range o.lines {
		if l.receives && l.kind == kind {
			n++
		}
	}
	return n
}

// takes tells whether the client can be sent this codec. A client that has shown no m-line of the kind yet gets the
// benefit of the doubt.
func (o *offer) takes(kind media.Kind, codec media.Codec) bool {
	return o.receiving(kind) == 0 || slices.ContainsFunc(o.lines, func(l line) bool { return l.takes(kind, codec) })
}

// line finds an m-line by its mid.
func (o *offer) line(mid string) (line, bool) {
	i := slices.IndexFunc(o.lines, func(l line) bool { return l.mid == mid })
	if i < 0 {
		return line{}, false
	}
	return o.lines[i], true
}

// parseOffer reads and checks an offer. Everything that could make pion stop half-way is looked for here, so that a
// refused offer changes nothing.
func parseOffer(raw string) (*offer, error) {
	if len(raw) > maxSDP {
		return nil, fmt.Errorf("%w: %d bytes of at most %d", ErrSDPTooLarge, len(raw), maxSDP)
	}
	o := &offer{raw: raw, desc: &sdp.SessionDescription{}}
	if !strings.HasPrefix(raw, "v=0") {
		return nil, fmt.Errorf("%w: it does not begin with v=0", ErrBadSDP)
	}
	if err := o.desc.UnmarshalString(raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	if len(o.desc.MediaDescriptions) > maxLines {
		return nil, fmt.Errorf("%w: %d m-lines of at most %d", ErrTooManyTracks, len(o.desc.MediaDescriptions), maxLines)
	}
	for _, m := range o.desc.MediaDescriptions {
		l, err := parseLine(o.desc, m)
		if err != nil {
			return nil, err
		}
		if _, twice := o.line(l.mid); twice {
			return nil, fmt.Errorf("%w: mid %q stands twice", ErrBadSDP, l.mid)
		}
		o.lines = append(o.lines, l)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := o.checkTransport(); err != nil {
		return nil, err
	}
	o.simplify()
	return o, o.checkSSRCs()
}

func parseLine(desc *sdp.SessionDescription, m *sdp.MediaDescription) (line, error) {
	l := line{}
	l.mid, _ = m.Attribute(sdp.AttrKeyMID)
	if l.mid == "" || len(l.mid) > 64 {
		return l, fmt.Errorf("%w: an m-line has no usable mid", ErrBadSDP)
	}
	_, bundleOnly := m.Attribute("bundle-only")
	l.rejected = m.MediaName.Port.Value == 0 && !bundleOnly
	switch m.MediaName.Media {
	case "audio":
		l.kind = media.Audio
	case "video":
		l.kind = media.Video
	case "application":
		return l, nil
	default:
		return l, fmt.Errorf("%w: m-line %q is neither audio, video nor application", ErrBadSDP, l.mid)
	}
	l.codecs = lineCodecs(m, l.kind)
	if l.rejected {
		return l, nil
	}
	switch direction(desc, m) {
	case "sendrecv":
		l.sends, l.receives = true, true
	case "sendonly":
		l.sends = true
	case "recvonly":
		l.receives = true
	}
	return l, nil
}

// direction reads the direction of an m-line, which is sendrecv unless it says something else (RFC 8866 §6.7).
func direction(desc *sdp.SessionDescription, m *sdp.MediaDescription) string {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, desc.Attributes} {
		for _, a := range attributes {
			if isDirection(a.Key) {
				return a.Key
			}
		}
	}
	return "sendrecv"
}

func isDirection(key string) bool {
	switch key {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		return true
	default:
		return false
	}
}

// lineCodecs lists which of this server's codecs an m-line offers.
func lineCodecs(m *sdp.MediaDescription, kind media.Kind) []media.Codec {
	var offered []media.Codec
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		payloadType, encoding, ok := strings.Cut(a.Value, " ")
		if !ok || !slices.Contains(m.MediaName.Formats, payloadType) {
			continue
		}
		name, _, _ := strings.Cut(encoding, "/")
		c := codecOf(string(kind) + "/" + name)
		switch {
		case c == "", slices.Contains(offered, c):
			continue
		case c == media.VP9 && !isProfile0(m, payloadType), c == media.H264 && !isBaseline(m, payloadType):
			continue
		}
		offered = append(offered, c)
	}
	return offered
}

// isProfile0 tells whether a VP9 format is of profile 0, which is what it is without a word (RFC 9628 §6).
func isProfile0(m *sdp.MediaDescription, payloadType string) bool {
	profile, ok := formatParameter(m, payloadType, "profile-id")
	return !ok || profile == "0"
}

// isBaseline tells whether an H.264 format is of the baseline profile, constrained or not, in packets that may hold
// fragments (RFC 6184 §8.1). Without a word it is baseline, but of one NAL unit a packet.
func isBaseline(m *sdp.MediaDescription, payloadType string) bool {
	mode, _ := formatParameter(m, payloadType, "packetization-mode")
	profile, ok := formatParameter(m, payloadType, "profile-level-id")
	return mode == "1" && (!ok || strings.HasPrefix(strings.ToLower(profile), "42"))
}

// formatParameter finds a parameter of a format.
func formatParameter(m *sdp.MediaDescription, payloadType, name string) (string, bool) {
	for _, a := range m.Attributes {
		format, parameters, _ := strings.Cut(a.Value, " ")
		if a.Key != "fmtp" || format != payloadType {
			continue
		}
		for _, parameter := range strings.Split(parameters, ";") {
			if key, value, _ := strings.Cut(strings.TrimSpace(parameter), "="); strings.EqualFold(key, name) {
				return value, true
			}
		}
	}
	return "", false
}

func (o *offer) check() error {
	tracks, sending := 0, 0
	for _, l := range o.lines {
		if l.kind == "" {
			continue
		}
		tracks++
		if !l.sends {
			continue
		}
		if sending++; sending > maxSending {
			return fmt.Errorf("%w: more than %d are sent", ErrTooManyTracks, maxSending)
		}
		if len(l.codecs) == 0 {
			return fmt.Errorf("%w: m-line %q", ErrUnsupportedCodec, l.mid)
		}
	}
	if tracks == 0 {
		return ErrNoTracks
	}
	return nil
}

// checkTransport wants everything on one transport, credentials and a fingerprint for it, and leaves the DTLS server's
// part to this side.
func (o *offer) checkTransport() error {
	group, _ := o.desc.Attribute(sdp.AttrKeyGroup)
	bundled := strings.Fields(group)
	for i, l := range o.lines {
		m := o.desc.MediaDescriptions[i]
		if l.rejected {
			continue
		}
		if len(bundled) == 0 || bundled[0] != "BUNDLE" || !slices.Contains(bundled[1:], l.mid) {
			return fmt.Errorf("%w: m-line %q is not bundled", ErrBadSDP, l.mid)
		}
		if setup := o.attribute(m, sdp.AttrKeyConnectionSetup); setup == "passive" || setup == "holdconn" {
			return fmt.Errorf("%w: a=setup:%s in an offer", ErrBadSDP, setup)
		}
		ufrag := o.attribute(m, "ice-ufrag")
		switch {
		case ufrag == "" || o.attribute(m, "ice-pwd") == "":
			return fmt.Errorf("%w: m-line %q has no ICE credentials", ErrBadSDP, l.mid)
		case o.ufrag != "" && o.ufrag != ufrag:
			return fmt.Errorf("%w: m-lines with different ICE credentials", ErrBadSDP)
		case len(strings.Fields(o.attribute(m, "fingerprint"))) != 2:
			return fmt.Errorf("%w: m-line %q has no certificate fingerprint", ErrBadSDP, l.mid)
		}
		o.ufrag = ufrag
	}
	if o.ufrag == "" {
		return fmt.Errorf("%w: every m-line is rejected", ErrBadSDP)
	}
	return nil
}

// attribute reads an attribute of an m-line or, failing that, of the session.
func (o *offer) attribute(m *sdp.MediaDescription, key string) string {
	if v, ok := m.Attribute(key); ok {
		return v
	}
	v, _ := o.desc.Attribute(key)
	return v
}

// simplify rewrites the offer into what pion handles without surprises.
//
// Directions become one of two: the client sends (sendrecv) or does not (recvonly). An m-line that changes between
// receiving and sending, or is inactive for a while, otherwise ends in a transceiver that never receives again. What is
// really sent on an m-line is decided here and written into the answer (finish).
//
// Candidates are taken out, because one bad one would fail the offer. Repair streams (RTX, FEC) are taken out, because
// they are not in the answer and would only cost goroutines. Of several SSRCs on an m-line without layers the first
// stays, because pion takes more for another kind of SDP.
func (o *offer) simplify() {
	o.desc.Attributes = slices.DeleteFunc(o.desc.Attributes, func(a sdp.Attribute) bool { return isDirection(a.Key) })
	for i, m := range o.desc.MediaDescriptions {
		keepSSRC := primarySSRC(m)
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
			switch {
			case a.IsICECandidate():
				o.candidates = append(o.candidates, a.Value)
				return true
			case a.Key == sdp.AttrKeySSRC:
				return keepSSRC == noSSRC || ssrcOf(a.Value) != keepSSRC
			default:
				return isDirection(a.Key) || a.Key == sdp.AttrKeySSRCGroup || a.Key == sdp.AttrKeyEndOfCandidates
			}
		})
		if o.lines[i].kind == "" {
			continue
		}
		word := directionTakes
		if o.lines[i].sends {
			word = directionSends
		}
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: word})
	}
}

// primarySSRC is the first SSRC of an m-line, or noSSRC if its layers are told apart by RID.
func primarySSRC(m *sdp.MediaDescription) uint32 {
	if _, layered := m.Attribute("rid"); layered {
		return noSSRC
	}
	first, _ := m.Attribute(sdp.AttrKeySSRC)
	return ssrcOf(first)
}

func ssrcOf(value string) uint32 {
	number, _, _ := strings.Cut(value, " ")
	ssrc, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return noSSRC
	}
	return uint32(ssrc)
}

// checkSSRCs refuses an SSRC on two m-lines, and more layers than are looked at.
func (o *offer) checkSSRCs() error {
	seen := map[uint32]string{}
	for i, m := range o.desc.MediaDescriptions {
		rids := 0
		for _, a := range m.Attributes {
			if a.Key == "rid" {
				rids++
			}
		}
		if rids > maxSimulcast {
			return fmt.Errorf("%w: %d layers on m-line %q", ErrTooManyTracks, rids, o.lines[i].mid)
		}
		ssrc := primarySSRC(m)
		if other, twice := seen[ssrc]; twice && ssrc != noSSRC && o.lines[i].sends {
			return fmt.Errorf("%w: m-lines %q and %q share an SSRC", ErrBadSDP, other, o.lines[i].mid)
		}
		if o.lines[i].sends {
			seen[ssrc] = o.lines[i].mid
		}
	}
	return nil
}
