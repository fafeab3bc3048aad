package timeline

import (
	"cmp"
	"slices"
	"time"
)

// Lose turns the clips of a segment into gaps, because its file turned out to be missing or damaged when it was read. It
// says whether there was such a clip.
func (t *Timeline) Lose(segment string, cause Cause) bool {
	return t.take(segment, cause, func(c Clip) []Interval { return []Interval{{c.StartNS, c.EndNS}} })
}

// LoseBetween is Lose for a stretch of archive time: nothing of the segment could be shown there.
func (t *Timeline) LoseBetween(segment string, stretch Interval, cause Cause) bool {
	return t.take(segment, cause, func(c Clip) []Interval {
		return []Interval{{max(stretch.StartNS, c.StartNS), min(stretch.EndNS, c.EndNS)}}
	})
}

// shortestLack is how much of a clip must not be in its file to be called a gap. The clocks place a clip to some
// milliseconds, and the last frame of a stretch may hold that long.
const shortestLack = 250 * int64(time.Millisecond)

// Confine turns into gaps what the clips of a segment show of it and its file does not hold. held are the stretches that
// it does, in nanoseconds from the file's first timestamp. It says whether anything was missing.
func (t *Timeline) Confine(segment string, held []Interval, cause Cause) bool {
	held = union(slices.Clone(held))
	return t.take(segment, cause, func(c Clip) []Interval {
		lacks := without(Interval{c.StartNS, c.EndNS}, c.shown(held))
		return slices.DeleteFunc(lacks, func(i Interval) bool { return i.EndNS-i.StartNS < shortestLack })
	})
}

// shown is when the archive shows stretches of the clip's file. What is far outside of the clip comes out somewhere
// outside of it.
func (c Clip) shown(file []Interval) []Interval {
	at := func(ns int64) int64 {
		const far = float64(1 << 60)
		return c.StartNS + int64(min(max((float64(ns)-float64(c.FileStartNS))/c.Rate, -far), far))
	}
	var all []Interval
	for _, i := range file {
		all = append(all, Interval{at(i.StartNS), at(i.EndNS)})
	}
	return union(all)
}

// take turns what of chooses of the clips of a segment, by time and disjoint, into gaps.
func (t *Timeline) take(segment string, cause Cause, of func(Clip) []Interval) bool {
	found := false
	for p := range t.Participants {
		for i := range t.Participants[p].Tracks {
			found = t.Participants[p].Tracks[i].take(segment, cause, of) || found
		}
	}
	return found
}

func (t *Track) take(segment string, cause Cause, of func(Clip) []Interval) bool {
	clips, found := []Clip{}, false
	for _, c := range t.Clips {
		var lost []Interval
		if c.Segment == segment {
			lost = union(of(c))
		}
		for _, i := range lost {
			t.Gaps = append(t.Gaps, Gap{i.StartNS, i.EndNS, cause})
			found = true
		}
		for _, left := range without(Interval{c.StartNS, c.EndNS}, lost) {
			rest := c
			rest.StartNS, rest.EndNS = left.StartNS, left.EndNS
			rest.FileStartNS += round(float64(left.StartNS-c.StartNS) * c.Rate)
			clips = append(clips, rest)
		}
	}
	if !found {
		return false
	}
	t.Clips = clips
	slices.SortFunc(t.Gaps, func(a, b Gap) int { return cmp.Compare(a.StartNS, b.StartNS) })
	t.Gaps = mergeGaps(t.Gaps)
	return true
}
