package stitch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// entry is a line of the log of a stitcher that says what it does.
type entry struct {
	Time  time.Time     `json:"time"`
	Msg   string        `json:"msg"`
	Key   string        `json:"key"`
	Kind  string        `json:"kind"`
	Stage string        `json:"stage"`
	Took  time.Duration `json:"took"`
	Error string        `json:"error"`
}

// diary is what one stitcher did, in its order.
type diary []entry

// diary reads the log of a stitcher that has ended.
func (s *stitcher) diary() diary {
	var all diary
	for line := range strings.Lines(s.log.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			continue // cut off when it was killed
		}
		switch e.Msg {
		case "piece queued", "piece begun", "piece made", "stage ended":
			all = append(all, e)
		}
	}
	return all
}

// span is a stretch of time.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// work is that one stitcher had one piece in hand.
type work struct {
	span
	by        int
	kind, key string
	made      bool // else it failed, or its worker was killed, at a time that is not known
}

// crew is what several stitchers, of which each makes one piece at a time, did for one archive.
type crew struct {
	size   int
	stages []entry
	works  []work               // in the order in which they were begun
	queued map[string]time.Time // when a piece was queued for the first time
}

// crewOf reads the diaries of one archive.
func crewOf(diaries []diary) crew {
	c := crew{size: len(diaries), queued: map[string]time.Time{}}
	for by, d := range diaries {
		open := map[string]entry{}
		for _, e := range d {
			switch e.Msg {
			case "stage ended":
				c.stages = append(c.stages, e)
			case "piece queued":
				if at, ok := c.queued[e.Key]; !ok || e.Time.Before(at) {
					c.queued[e.Key] = e.Time
				}
			case "piece begun":
				open[e.Key] = e
			case "piece made":
				o := open[e.Key]
				delete(open, e.Key)
				c.works = append(c.works, work{span{o.Time, e.Time}, by, o.Kind, e.Key, e.Error == ""})
			}
		}
		for _, e := range open {
			c.works = append(c.works, work{span{e.Time, e.Time}, by, e.Kind, e.Key, false})
		}
	}
	slices.SortFunc(c.works, func(a, b work) int { return a.from.Compare(b.from) })
	return c
}

// waiting are the stretches in which a piece was queued that nobody had taken yet.
func (c crew) waiting() []span {
	var all []span
	for key, at := range c.queued {
		if i := slices.IndexFunc(c.works, func(w work) bool { return w.key == key }); i >= 0 && c.works[i].from.After(at) {
			all = append(all, span{at, c.works[i].from})
		}
	}
	return union(all)
}

// idle are the stretches in which a stitcher had nothing in hand while a piece waited, of all stitchers.
func (c crew) idle() []span {
	var all []span
	for by := range c.size {
		all = append(all, c.free(by, c.waiting())...)
	}
	return all
}

// tail are the stretches in which a stitcher had nothing in hand while others made the last pieces.
func (c crew) tail() []span {
	waiting := c.waiting()
	if len(waiting) == 0 {
		return nil
	}
	last := span{from: waiting[len(waiting)-1].to}
	for _, w := range c.works {
		if _, ok := c.queued[w.key]; ok && w.made && w.to.After(last.to) {
			last.to = w.to
		}
	}
	var all []span
	for by := range c.size {
		all = append(all, c.free(by, []span{last})...)
	}
	return all
}

// free are the stretches within others in which a stitcher had nothing in hand.
func (c crew) free(by int, within []span) []span {
	var all []span
	for _, s := range within {
		from := s.from
		for _, w := range c.works {
			if w.by != by || !w.to.After(from) || !w.from.Before(s.to) {
				continue
			}
			if w.from.After(from) {
				all = append(all, span{from, w.from})
			}
			from = w.to
		}
		if from.Before(s.to) {
			all = append(all, span{from, s.to})
		}
	}
	return all
}

// again are the pieces that somebody began to make after they had been made.
func (c crew) again() []work {
	var all []work
	for i, w := range c.works {
		if slices.ContainsFunc(c.works[:i], func(o work) bool { return o.key == w.key && o.made && o.to.Before(w.from) }) {
			all = append(all, w)
		}
	}
	return all
}

// lost are the pieces that a stitcher had begun and did not make.
func (c crew) lost(by int) []work {
	return slices.DeleteFunc(slices.Clone(c.works), func(w work) bool { return w.by != by || w.made })
}

// union joins stretches that touch, in their order.
func union(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	var joined []span
	for _, s := range all {
		if n := len(joined); n > 0 && !s.from.After(joined[n-1].to) {
			if s.to.After(joined[n-1].to) {
				joined[n-1].to = s.to
			}
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// sum and longest are of the lengths of stretches.
func sum(all []span) (total, longest time.Duration) {
	for _, s := range all {
		total += s.length()
		longest = max(longest, s.length())
	}
	return total, longest
}

// String says who made what when, in seconds from the first piece that was begun.
func (c crew) String() string {
	var b strings.Builder
	since := func(at time.Time) float64 { return at.Sub(c.works[0].from).Seconds() }
	for _, w := range c.works {
		at := "-"
		if q, ok := c.queued[w.key]; ok {
			at = fmt.Sprintf("%.2f", since(q))
		}
		fmt.Fprintf(&b, "piece=%s by=%d kind=%s queued=%s from=%.2f to=%.2f made=%v\n", w.key[:8], w.by, w.kind, at, since(w.from), since(w.to), w.made)
	}
	return b.String()
}

// What the measure of idleness says, of three pieces and two stitchers.
func TestWhoIsIdleWhileAPieceWaits(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }
	line := func(s float64, msg, key string) entry {
		return entry{Time: at(s), Msg: msg, Key: strings.Repeat(key, 8), Kind: "picture"}
	}
	c := crewOf([]diary{
		{
			line(0, "piece queued", "a"), line(1, "piece queued", "b"), line(1, "piece queued", "c"),
			line(1, "piece begun", "a"), line(3, "piece made", "a"), line(4, "piece begun", "b"), line(9, "piece made", "b"),
		},
		{line(1.5, "piece begun", "c"), line(7, "piece made", "c"), line(10, "piece begun", "a")},
	})
	total, longest := sum(c.idle())
	// The first one waits for a second before it begins, and for another one before it takes what has waited since; the
	// second one for half a second more than the first.
	if total != 3500*time.Millisecond || longest != 1500*time.Millisecond {
		t.Errorf("idle for %s, %s at a time: %v", total, longest, c)
	}
	if n, _ := sum(c.tail()); n != 2*time.Second {
		t.Errorf("idle for %s at the end", n)
	}
	if got := c.again(); len(got) != 1 || got[0].by != 1 {
		t.Errorf("made again: %v", got)
	}
	if got := c.lost(1); len(got) != 1 || len(c.lost(0)) != 0 {
		t.Errorf("lost: %v", got)
	}
}
