package stitch

import (
	"fmt"
	"io"
	"math"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// recording is the file of one audio segment, scanned.
type recording struct {
	segment string
	file    io.ReaderAt
	scan    media.OggScan
}

// run is a stretch of a voice without a seam: files that go on one where the other ends are decoded as one stream, so
// that nothing clicks between them.
type run struct {
	files []recording
	knots []knot // at least two
}

// nextTo is how far apart in the archive, in nanoseconds, the end of a file and the begin of the next may lie that were
// one sound when they were recorded.
const nextTo = 20_000_000

// knot says that the archive's sample at plays the run's sample file. Between two knots time runs evenly. Both count
// samples at 48 kHz and need not be whole.
type knot struct {
	at, file float64
}

const (
	// evenness bounds how much faster or slower a run may be played between two knots; more is no clock but a seam.
	evenness = 0.002
	// shortestSteering is the shortest clip in samples within which a change of the picture's phase is made up for.
	shortestSteering = 5 * ffmpeg.SampleRate
)

// runsOf turns the clips of a voice into runs, and says by how much each clip was moved. phases are those of the participant's
// camera: the sound follows it.
func runsOf(clips []timeline.Clip, source func(segment string) recording, phases shifts) (all []run, moved shifts) {
	var last timeline.Clip
	var lastFile recording
	phase, base := 0.0, 0.0
	for i, clip := range clips {
		r := source(clip.Segment)
		begin := knot{file: samples(clip.FileStartNS)}
		joined := false
		if i > 0 {
			begin.at = samples(clip.StartNS) - samplesOf(phase)
			joined = joins(last, clip, all[len(all)-1], begin.at, base)
		}
		if !joined || samples(clip.StartNS-last.StartNS) >= shortestSteering {
			phase = phases.most(clip.StartNS, clip.EndNS)
		}
		begin.at = samples(clip.StartNS) - samplesOf(phase)
		moved = append(moved, shift{clip.StartNS, clip.EndNS, phase})
		if joined {
			here := &all[len(all)-1]
			begin.file = base
			here.knots[len(here.knots)-1] = begin
			here.files = append(here.files, r)
		} else {
			base = 0
			files := []recording{r}
			if i > 0 && follows(last, clip, lastFile.scan, r.scan) {
				// The file before warms the decoder up and is not heard: a cold one needs 80 ms to sound as it should
				// (RFC 7845 §4.6).
				files = []recording{lastFile, r}
				base = float64(lastFile.scan.Samples)
				begin.file = base
			}
			all = append(all, run{files: files, knots: []knot{begin}})
		}
		here := &all[len(all)-1]
		here.knots = append(here.knots, knot{
			at:   begin.at + samples(clip.EndNS-clip.StartNS),
			file: begin.file + samples(clip.EndNS-clip.StartNS)*clip.Rate,
		})
		base += float64(r.scan.Samples)
		last, lastFile = clip, r
	}
	return all, moved
}

// follows says whether next begins where the sound of last ended, although the two are not placed end to end: of one
// SSRC, which our files have as their serial number, the one to its end and the other from its begin.
func follows(last, next timeline.Clip, before, after media.OggScan) bool {
	apart := next.StartNS - last.EndNS
	played := samples(last.FileStartNS) + samples(last.EndNS-last.StartNS)*last.Rate
	return apart >= -nextTo && apart <= nextTo && next.FileStartNS == 0 && played >= float64(before.Samples)-samples(nextTo) &&
		before.Serial == after.Serial && last.Segment != next.Segment
}

// joins says whether next goes on in its file where the run ends in its own: nothing is cut off, nothing is missing.
func joins(last, next timeline.Clip, r run, at, end float64) bool {
	if next.StartNS != last.EndNS || next.FileStartNS != 0 {
		return false
	}
	before := r.knots[len(r.knots)-2]
	speed := (end - before.file) / (at - before.at)
	return math.Abs(speed-1) <= evenness
}

// samples is a time in samples.
func samples(ns int64) float64 { return float64(ns) * ffmpeg.SampleRate / 1e9 }

// samplesOf is a phase in samples.
func samplesOf(phase float64) float64 { return nanoseconds(phase) * ffmpeg.SampleRate / 1e9 }

// begin and end are the stretch of the archive that the run sounds in, in samples.
func (r run) begin() float64 { return r.knots[0].at }
func (r run) end() float64   { return r.knots[len(r.knots)-1].at }

// line is a stretch of a run in which time runs evenly.
type line struct {
	place float64 // the sample of the run that the archive plays at one of its own
	step  float64 // by how much that is more at the next one
	end   float64 // where in the archive another line begins; behind the last one nothing does
}

// line is the one at a sample of the archive.
func (r run) line(at float64) line {
	i := 1
	for i < len(r.knots)-1 && r.knots[i].at <= at {
		i++
	}
	a, b := r.knots[i-1], r.knots[i]
	l := line{end: b.at, step: (b.file - a.file) / (b.at - a.at)}
	l.place = a.file + (at-a.at)*l.step
	if i == len(r.knots)-1 {
		l.end = math.Inf(1)
	}
	return l
}

// place is the sample of the run that the archive plays at a sample of its own.
func (r run) place(at float64) float64 { return r.line(at).place }

// writeOgg writes the packets of all files of the run as one file, without the pages that end before a sample of the run.
// skipped is how many samples these have.
func (r run) writeOgg(w io.Writer, from float64) (skipped int64, err error) {
	out, err := media.NewOggWriter(w, 1)
	if err != nil {
		return 0, err
	}
	at := int64(0)
	for _, rec := range r.files {
		for _, page := range rec.scan.Pages {
			if at += page.Samples; float64(at) <= from {
				skipped = at
				continue
			}
			if err := copyPage(out, rec.file, page); err != nil {
				return 0, fmt.Errorf("copy page at %d: %w", page.Offset, err)
			}
		}
	}
	return skipped, out.Close()
}

// copyPage copies the packets of a page that ScanOgg found whole. Its layout is RFC 3533 §6: 27 bytes, the last of which
// counts the lacing values that follow; a value below 255 ends a packet.
func copyPage(out *media.OggWriter, file io.ReaderAt, page media.OggPage) error {
	const header = 27
	raw := make([]byte, page.Length)
	if n, err := file.ReadAt(raw, page.Offset); n < len(raw) {
		return err
	}
	lacing := raw[header : header+int(raw[header-1])]
	body, length := raw[header+len(lacing):], 0
	for _, n := range lacing {
		length += int(n)
		if n == 255 {
			continue
		}
		duration, err := media.OpusDuration(body[:length])
		if err != nil {
			return err
		}
		if err := out.WritePacket(body[:length], duration); err != nil {
			return err
		}
		body, length = body[length:], 0
	}
	return nil
}
