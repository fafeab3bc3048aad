package timeline

import (
	"cmp"
	"slices"
)

// union sorts all and merges what overlaps or touches. It never returns nil.
func union(all []Interval) []Interval {
	slices.SortFunc(all, func(a, b Interval) int {
		return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.EndNS, b.EndNS))
	})
	out := []Interval{}
	for _, iv := range all {
		switch n := len(out); {
		case iv.EndNS <= iv.StartNS:
		case n > 0 && iv.StartNS <= out[n-1].EndNS:
			out[n-1].EndNS = max(out[n-1].EndNS, iv.EndNS)
		default:
			out = append(out, iv)
		}
	}
	return out
}

// without is what remains of iv when all (as union returns it) is taken away. It may return nil.
func without(iv Interval, all []Interval) []Interval {
	var out []Interval
	from := iv.StartNS
	for _, cut := range all {
		if cut.EndNS <= from {
			continue
		}
		if cut.StartNS >= iv.EndNS {
			break
		}
		if cut.StartNS > from {
			out = append(out, Interval{from, cut.StartNS})
		}
		from = cut.EndNS
	}
	if from < iv.EndNS {
		out = append(out, Interval{from, iv.EndNS})
	}
	return out
}
