package stitch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scaleSeconds is how long the consultation of TestBenchScaleOut is; unset, the test does nothing. ./task bench:scale sets it.
const scaleSeconds = "STITCH_SCALE_SECONDS"

// TestBenchScaleOut is the part of TestBenchStitch that compares numbers of stitchers.
func TestBenchScaleOut(t *testing.T) {
	length, _ := strconv.Atoi(os.Getenv(scaleSeconds))
	if length == 0 {
		t.Skip("a measurement: ./task bench:scale")
	}
	say := func(key string, format string, value any) { fmt.Printf("%s="+format+"\n", key, value) }
	say("load_before", "%s", load(t))
	heads, voices := benchSources(t)
	scaleOut(t, say, length, heads, voices)
	say("load_after", "%s", load(t))
}

// scaleOut compares one, two and four stitchers on the same consultation. Each has one processor; four share two.
func scaleOut(t *testing.T, say func(string, string, any), length int, heads []recorded, voices []clip) {
	if processors() < 2 {
		return
	}
	took := map[int]float64{}
	for _, n := range []int{1, 2, 4} {
		w := sharedWorld(t)
		w.talk(length, heads, voices)
		version := w.end(int64(length)*1000, "standard")
		var all []*stitcher
		for i := range n {
			all = append(all, w.startStitcher("", "taskset", "-c", strconv.Itoa(i%2)))
		}
		for _, s := range all {
			s.awaitReady(t)
		}
		begun := time.Now()
		w.queued(version)
		w.await(version)
		took[n] = time.Since(begun).Seconds()
		name := fmt.Sprintf("stitchers_%d_", n)
		say(name+"wall_s", "%.2f", took[n])
		var diaries []diary
		for _, s := range all {
			s.kill()
			diaries = append(diaries, s.diary(t))
		}
		c := crewOf(diaries)
		for _, s := range c.stages {
			say(name+s.name+"_s", "%.2f", s.took.Seconds())
		}
		say(name+"busy_share", "%.3f", c.busy.Seconds()/took[n]/float64(n))
		say(name+"idle_while_waiting_s", "%.2f", c.idle.Seconds())
		say(name+"idle_while_waiting_max_s", "%.2f", c.longest.Seconds())
		say(name+"idle_at_the_end_s", "%.2f", c.tail.Seconds())
		if os.Getenv("STITCH_SCALE_LINES") != "" {
			fmt.Print(c.lines(begun))
		}
	}
	say("scale_out_2", "%.2f", took[1]/took[2])
	say("scale_out_4_on_2_processors", "%.2f", took[1]/took[4])
}

// entry is a line of the log of a stitcher, as far as it says what it does.
type entry struct {
	Time  time.Time     `json:"time"`
	Msg   string        `json:"msg"`
	Key   string        `json:"key"`
	Kind  string        `json:"kind"`
	Stage string        `json:"stage"`
	Took  time.Duration `json:"took"`
}

// diary is what one stitcher did, in its order.
type diary []entry

// diary reads the log of a stitcher that has ended.
func (s *stitcher) diary(t *testing.T) diary {
	t.Helper()
	var all diary
	for line := range strings.Lines(s.log.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			continue // the tool's, or cut off
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

// stage is how long a stage of the archive took.
type stageTook struct {
	name string
	took time.Duration
}

// crew is what several stitchers, of which each makes one piece at a time, did for one archive.
type crew struct {
	stages  []stageTook
	busy    time.Duration // of all workers together: they made pieces
	idle    time.Duration // of all workers together: free while a piece was queued that nobody had taken
	longest time.Duration // of that without interruption, of one worker
	tail    time.Duration // free while the last pieces were in the hands of others
	works   []work
	queued  map[string]time.Time
}

// work is that one stitcher made one piece.
type work struct {
	span
	by   int
	kind string
	key  string
}

// crewOf reads the diaries of one archive.
func crewOf(diaries []diary) crew {
	c := crew{queued: map[string]time.Time{}}
	begun := map[string]time.Time{} // when somebody took a piece for the first time
	for by, d := range diaries {
		open := map[string]entry{}
		for _, e := range d {
			switch e.Msg {
			case "stage ended":
				c.stages = append(c.stages, stageTook{e.Stage, e.Took})
			case "piece queued":
				if at, ok := c.queued[e.Key]; !ok || e.Time.Before(at) {
					c.queued[e.Key] = e.Time
				}
			case "piece begun":
				open[e.Key] = e
				if at, ok := begun[e.Key]; !ok || e.Time.Before(at) {
					begun[e.Key] = e.Time
				}
			case "piece made":
				o := open[e.Key]
				c.works = append(c.works, work{span{o.Time, e.Time}, by, o.Kind, e.Key})
				c.busy += e.Time.Sub(o.Time)
			}
		}
	}
	slices.SortFunc(c.works, func(a, b work) int { return a.from.Compare(b.from) })
	var waiting []span // of pieces that nobody has taken
	var last time.Time // when the last queued piece was made
	for key, at := range c.queued {
		if taken, ok := begun[key]; ok {
			waiting = append(waiting, span{at, taken})
		}
	}
	for _, w := range c.works {
		if _, ok := c.queued[w.key]; ok && w.to.After(last) {
			last = w.to
		}
	}
	waiting = union(waiting)
	for by := range diaries {
		free := c.free(by, waiting)
		for _, s := range free {
			c.idle += s.to.Sub(s.from)
			c.longest = max(c.longest, s.to.Sub(s.from))
		}
		if len(waiting) > 0 {
			for _, s := range c.free(by, []span{{waiting[len(waiting)-1].to, last}}) {
				c.tail += s.to.Sub(s.from)
			}
		}
	}
	return c
}

// free are the stretches within others in which a stitcher made nothing.
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

// lines says who made what when, in seconds.
func (c crew) lines(begun time.Time) string {
	var b strings.Builder
	for _, w := range c.works {
		at := "-"
		if q, ok := c.queued[w.key]; ok {
			at = fmt.Sprintf("%.2f", q.Sub(begun).Seconds())
		}
		fmt.Fprintf(&b, "piece=%s by=%d kind=%s queued=%s from=%.2f to=%.2f\n", w.key[:8], w.by, w.kind, at, w.from.Sub(begun).Seconds(), w.to.Sub(begun).Seconds())
	}
	return b.String()
}
