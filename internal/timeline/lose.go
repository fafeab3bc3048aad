package timeline

import (
	"cmp"
	"slices"
)

// Lose turns the clips of a segment into gaps, because its file turned out to be missing or damaged when it was read. It
// says whether there was such a clip.
func (t *Timeline) Lose(segment string, cause Cause) bool {
	found := false
	for p := range t.Participants {
		for i := range t.Participants[p].Tracks {
			found = t.Participants[p].Tracks[i].lose(segment, cause) || found
		}
	}
	return found
}

func (t *Track) lose(segment string, cause Cause) bool {
	n := len(t.Clips)
	t.Clips = slices.DeleteFunc(t.Clips, func(c Clip) bool {
		if c.Segment != segment {
			return false
		}
		t.Gaps = append(t.Gaps, Gap{c.StartNS, c.EndNS, cause})
		return true
	})
	slices.SortFunc(t.Gaps, func(a, b Gap) int { return cmp.Compare(a.StartNS, b.StartNS) })
	t.Gaps = mergeGaps(t.Gaps)
	return len(t.Clips) < n
}
