package ffmpeg

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Info is what ffprobe tells of a file that we made.
type Info struct {
	Duration time.Duration
	Streams  []StreamInfo
	Chapters []Chapter
}

// StreamInfo is one stream of a file.
type StreamInfo struct {
	Type          string // "video", "audio"
	Codec         string
	Packets       int64 // counted, not taken from a header
	Duration      time.Duration
	Width, Height int
}

// Video is the first video stream, nil when there is none.
func (i Info) Video() *StreamInfo { return i.first("video") }

// Audio is the first audio stream, nil when there is none.
func (i Info) Audio() *StreamInfo { return i.first("audio") }

func (i Info) first(kind string) *StreamInfo {
	for n := range i.Streams {
		if i.Streams[n].Type == kind {
			return &i.Streams[n]
		}
	}
	return nil
}

// probeLimit is how long counting the packets of a file may take.
const probeLimit = 10 * time.Minute

// Probe counts the packets of a file in dir that has the given format ("mpegts", "mp4"). It is no good for IVF, whose
// durations ffprobe gets wrong: scan those.
func (t *Tool) Probe(ctx context.Context, dir, name, format string) (Info, error) {
	cage, err := t.enter(ctx)
	if err != nil {
		return Info{}, err
	}
	path, err := t.find("ffprobe")
	if err != nil {
		return Info{}, err
	}
	var out bytes.Buffer
	_, err = t.run(ctx, dir, path, Command{Step: "probe", Limit: probeLimit, Args: []string{
		"-v", "error", "-f", format, "-protocol_whitelist", "file", "-count_packets", "-print_format", "json",
		"-show_entries", "format=duration:stream=codec_type,codec_name,nb_read_packets,duration,width,height:chapter=start_time,end_time:chapter_tags=title",
		"-i", file(name),
	}}, cage, Pipes{Stdout: &out})
	if err != nil {
		return Info{}, fmt.Errorf("probe %s: %w", name, err)
	}
	info, err := parseProbe(out.Bytes())
	if err != nil {
		return Info{}, fmt.Errorf("probe %s: %w", name, err)
	}
	return info, nil
}

func parseProbe(out []byte) (Info, error) {
	var p struct {
		Format  struct{ Duration string }
		Streams []struct {
			CodecType string `json:"codec_type"`
			CodecName string `json:"codec_name"`
			Packets   string `json:"nb_read_packets"`
			Duration  string
			Width     int
			Height    int
		}
		Chapters []struct {
			Start string `json:"start_time"`
			End   string `json:"end_time"`
			Tags  struct{ Title string }
		}
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return Info{}, fmt.Errorf("read the answer of ffprobe: %w", err)
	}
	info := Info{Duration: parseSeconds(p.Format.Duration)}
	for _, s := range p.Streams {
		packets, _ := strconv.ParseInt(s.Packets, 10, 64) // absent for streams without packets
		info.Streams = append(info.Streams, StreamInfo{
			Type: s.CodecType, Codec: s.CodecName, Packets: packets, Duration: parseSeconds(s.Duration), Width: s.Width, Height: s.Height,
		})
	}
	for _, c := range p.Chapters {
		info.Chapters = append(info.Chapters, Chapter{Start: parseSeconds(c.Start), End: parseSeconds(c.End), Title: c.Tags.Title})
	}
	return info, nil
}

// parseSeconds reads "12.345000"; what is absent ("N/A") is 0.
func parseSeconds(s string) time.Duration {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return seconds(v).Round(time.Microsecond)
}
