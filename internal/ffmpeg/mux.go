package ffmpeg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// Parts are what an archive is put together from, without encoding anything again.
type Parts struct {
	Pieces   string // list of MPEG-TS files for the concat demuxer (PieceList); empty: no video
	Audio    string // stream of AAC packets from the beginning of the encoder on (EncodeADTS)
	Chapters string // metadata file (Metadata)
	Out      string // MP4 file with its index in front, so that it plays while it loads
	Length   time.Duration
}

// Mux is the command for p.
func Mux(p Parts) (Command, error) {
	inputs := 1
	if p.Pieces != "" {
		inputs++
	}
	args, err := arguments(inputs, p.output)
	if err != nil {
		return Command{}, fmt.Errorf("mux: %w", err)
	}
	// A file with chapters is no stream that the library could map, so it comes in by hand, behind the other inputs.
	at := slices.Index(args, "-map")
	args = slices.Insert(args, at,
		"-f", "ffmetadata", "-format_whitelist", "ffmetadata", "-protocol_whitelist", "file", "-i", file(p.Chapters))
	return Command{Step: "mux", Args: append([]string{"-v", "warning"}, args...), Limit: 10*time.Minute + p.Length}, nil
}

func (p Parts) output() *ffgo.Stream {
	var streams []*ffgo.Stream
	if p.Pieces != "" {
		streams = append(streams, ffgo.Input(file(p.Pieces), ffgo.KwArgs{
			"f": "concat", "format_whitelist": "concat,mpegts", "protocol_whitelist": "file", "codec_whitelist": "h264",
		}).Video())
	}
	// The first packet is never heard: it stands before the beginning, and the file says that nobody plays it.
	in := input("aac", "aac")
	in["itsoffset"] = strconv.FormatFloat(-float64(AACFrame)/SampleRate, 'f', 9, 64)
	streams = append(streams, ffgo.Input(file(p.Audio), in).Audio())
	metadata := itoa(len(streams))
	return ffgo.Output(streams, file(p.Out), bitexact(ffgo.KwArgs{
		"f": "mp4", "c": "copy", "copypriorss": 1, "movflags": "+faststart", "map_metadata": metadata, "map_chapters": metadata,
	}))
}

// PieceList is the text of a list of pieces for Parts.Pieces. The names must consist of letters, digits, '.', '-', '_'
// and '/'.
func PieceList(names []string) string {
	var b strings.Builder
	b.WriteString("ffconcat version 1.0\n")
	for _, n := range names {
		fmt.Fprintf(&b, "file %s\n", n)
	}
	return b.String()
}

// Chapter is a stretch of an archive with a title.
type Chapter struct {
	Start, End time.Duration
	Title      string
}

// Metadata is the text of a file for Parts.Chapters.
func Metadata(title string, chapters []Chapter) string {
	var b strings.Builder
	b.WriteString(";FFMETADATA1\n")
	fmt.Fprintf(&b, "title=%s\n", escapeMetadata(title))
	for _, c := range chapters {
		fmt.Fprintf(&b, "[CHAPTER]\nTIMEBASE=1/1000\nSTART=%d\nEND=%d\ntitle=%s\n",
			c.Start.Milliseconds(), c.End.Milliseconds(), escapeMetadata(c.Title))
	}
	return b.String()
}

// escapeMetadata keeps text on one line and from being read as anything else.
func escapeMetadata(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == 0:
			continue
		case strings.ContainsRune("=;#\\\n", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
