package ffmpeg

import (
	"bytes"
	"strings"
)

// tailSize is how much of stderr is kept: the last lines tell what went wrong, and a hostile file can make thousands.
const tailSize = 32 << 10

// tail keeps the end of what is written to it and counts the lines that tell of undecodable input. exec writes to it
// from one goroutine; it is read after that has ended.
type tail struct {
	kept         []byte
	line         []byte // the last, unfinished line, at most its beginning
	decodeErrors int
}

// decodeComplaints are the beginnings of what ffmpeg says for each frame that it could not decode.
var decodeComplaints = [][]byte{
	[]byte("Error while decoding stream"),
	[]byte("Error submitting packet to decoder"), // newer versions
	[]byte("corrupt decoded frame"),
}

// Write takes what the tool says. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	for _, part := range bytes.SplitAfter(p, []byte{'\n'}) {
		t.line = append(t.line, part...)
		if bytes.HasSuffix(part, []byte{'\n'}) {
			t.count()
			t.line = t.line[:0]
		} else if len(t.line) > 1<<10 {
			t.line = t.line[:1<<10]
		}
	}
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) count() {
	for _, c := range decodeComplaints {
		if bytes.Contains(t.line, c) {
			t.decodeErrors++
			return
		}
	}
}

func (t *tail) String() string {
	return strings.ToValidUTF8(string(t.kept), "�")
}
