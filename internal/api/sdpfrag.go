package api

import (
	"errors"
	"strings"

	"consilium/internal/media/sfu"
)

// fragment is what a trickle-ice-sdpfrag body (RFC 8840) says.
type fragment struct {
	ufrag, pwd string
	candidates []sfu.Candidate
}

// maxFragmentLines bounds what one PATCH may hold.
const maxFragmentLines = 200

var errFragment = errors.New("not a trickle ICE fragment")

// parseFragment reads attributes of the session and its m-lines. Lines that say nothing about ICE are left out.
func parseFragment(body string) (fragment, error) {
	var f fragment
	var mid *string
	var line uint16
	lines := strings.FieldsFunc(body, func(r rune) bool { return r == '\r' || r == '\n' })
	if len(lines) > maxFragmentLines {
		return fragment{}, errFragment
	}
	seen := false
	for _, l := range lines {
		key, value, _ := strings.Cut(strings.TrimPrefix(l, "a="), ":")
		switch {
		case strings.HasPrefix(l, "m="):
			if mid != nil {
				line++
			}
			mid = nil
		case key == "mid":
			m := value
			mid = &m
		case key == "ice-ufrag":
			f.ufrag = value
		case key == "ice-pwd":
			f.pwd = value
		case key == "candidate":
			f.candidates = append(f.candidates, sfu.Candidate{Candidate: "candidate:" + value, SDPMid: mid, SDPMLineIndex: lineOf(mid, line)})
		case key == "end-of-candidates", strings.HasPrefix(l, "a="):
		default:
			return fragment{}, errFragment
		}
		seen = true
	}
	if !seen || (f.ufrag == "") != (f.pwd == "") {
		return fragment{}, errFragment
	}
	return f, nil
}

// lineOf gives an m-line index only where no mid names the m-line.
func lineOf(mid *string, line uint16) *uint16 {
	if mid != nil {
		return nil
	}
	return &line
}

// applyTo puts the fragment's credentials and candidates into a session description in place of those it has.
func (f fragment) applyTo(sdp string) string {
	var out []string
	media := false
	placed := false
	for l := range strings.SplitSeq(strings.TrimRight(sdp, "\r\n"), "\n") {
		l = strings.TrimSuffix(l, "\r") // some write no CR (RFC 8866 §5)
		switch {
		case strings.HasPrefix(l, "a=ice-ufrag:"):
			l = "a=ice-ufrag:" + f.ufrag
		case strings.HasPrefix(l, "a=ice-pwd:"):
			l = "a=ice-pwd:" + f.pwd
		case strings.HasPrefix(l, "a=candidate:"), l == "a=end-of-candidates":
			continue
		case strings.HasPrefix(l, "m="):
			if media && !placed {
				out, placed = append(out, f.lines()...), true
			}
			media = true
		}
		out = append(out, l)
	}
	if media && !placed {
		out = append(out, f.lines()...)
	}
	return strings.Join(out, "\r\n") + "\r\n"
}

func (f fragment) lines() []string {
	lines := make([]string, 0, len(f.candidates))
	for _, c := range f.candidates {
		lines = append(lines, "a="+c.Candidate)
	}
	return lines
}

// fragmentOf takes the credentials and candidates of our answer's first m-line, which all others are bundled with.
func fragmentOf(sdp string) string {
	var out []string
	ufrag, pwd := iceUfrag(sdp), attribute(sdp, "ice-pwd")
	out = append(out, "a=ice-ufrag:"+ufrag, "a=ice-pwd:"+pwd)
	section := 0
	for _, l := range strings.Split(sdp, "\r\n") {
		if strings.HasPrefix(l, "m=") {
			section++
		}
		if section == 1 && (strings.HasPrefix(l, "m=") || strings.HasPrefix(l, "a=mid:") ||
			strings.HasPrefix(l, "a=candidate:") || l == "a=end-of-candidates") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\r\n") + "\r\n"
}

func iceUfrag(sdp string) string { return attribute(sdp, "ice-ufrag") }

// attribute finds the first value of an attribute in a session description, "" if it is not there.
func attribute(sdp, name string) string {
	_, rest, ok := strings.Cut(sdp, "a="+name+":")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimRight(value, "\r")
}
