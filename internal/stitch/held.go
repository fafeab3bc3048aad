package stitch

import (
	"math"
	"time"

	"consilium/internal/media"
	"consilium/internal/timeline"
)

// A whole file with the right digest may hold less than the log says of it: a frame that is cut off, a length or a time
// that cannot be, a picture of another size. Readers stop at the first such thing, and a tool would hold the last picture
// or play silence until the end without a word. So what is not there is found here and becomes a gap.

const (
	// longestPause is how far apart two frames of a file may be: recorders begin a new one when nothing comes for two seconds.
	longestPause = 2 * int64(time.Second)
	// longestFile bounds the times in a file; more is nonsense.
	longestFile = 24 * int64(time.Hour)
	// mostPixels is what the tool may decode, and what recorders take.
	mostPixels = 4096 * 2304
	// ivfClock is the time base of every file of ours, in Hz.
	ivfClock = 90_000
)

// confine takes from the timeline what the file does not hold. It says whether the file is what the log says.
func (s *segmentFile) confine(tl *timeline.Timeline) (sound bool) {
	held, count := s.heldPictures, int64(len(s.ivf.Frames))
	if s.clip.Codec.Kind() == media.Audio {
		held, count = s.heldSound, s.ogg.Packets
	}
	lacking := tl.Confine(s.clip.Segment, held(count < s.clip.Frames), timeline.Corrupt)
	return !lacking && count == s.clip.Frames
}

// heldSound is what can be played. short says that there are fewer packets than the log has: else the file's own length
// tells nothing new, and the last moment may hold.
func (s *segmentFile) heldSound(short bool) []timeline.Interval {
	end := int64(math.MaxInt64)
	if short {
		end = s.ogg.Samples * int64(time.Second) / media.OpusRate
	}
	return []timeline.Interval{{StartNS: math.MinInt64 / 2, EndNS: end}}
}

// heldPictures are the stretches that can be decoded, each up to where its last frame may stand: from the first keyframe
// on, without long pauses, and up to a picture of another size.
func (s *segmentFile) heldPictures(short bool) []timeline.Interval {
	var all []timeline.Interval
	frames := s.ivf.Frames
	begun := false
	for i, f := range frames {
		ns := fileTime(f.PTS)
		if f.Key && f.Width > 0 && (f.Width != s.width || f.Height != s.height) || ns > longestFile {
			return all
		}
		if !begun && !f.Key {
			continue
		}
		if before := len(all) - 1; begun && ns-fileTime(frames[i-1].PTS) <= longestPause {
			all[before].EndNS = ns + frameStands
		} else {
			all = append(all, timeline.Interval{StartNS: ns, EndNS: ns + frameStands})
		}
		begun = true
	}
	if n := len(all); n > 0 && !short {
		all[n-1].EndNS = math.MaxInt64
	}
	return all
}

// frameStands is how long a frame stands of which nothing more is known.
const frameStands = int64(time.Second) / 30

// fileTime is the time of a frame in nanoseconds; what is beyond any file is just that.
func fileTime(pts int64) int64 {
	pts = min(pts, 2*longestFile/int64(time.Second)*ivfClock)
	return pts/ivfClock*int64(time.Second) + pts%ivfClock*int64(time.Second)/ivfClock
}
