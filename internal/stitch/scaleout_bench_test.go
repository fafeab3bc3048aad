package stitch

import (
	"fmt"
	"os"
	"strconv"
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
			diaries = append(diaries, s.diary())
		}
		c := crewOf(diaries)
		for _, s := range c.stages {
			say(name+s.Stage+"_s", "%.2f", s.Took.Seconds())
		}
		busy := 0.0
		for _, w := range c.works {
			busy += w.length().Seconds()
		}
		idle, longest := sum(c.idle())
		tail, _ := sum(c.tail())
		say(name+"busy_share", "%.3f", busy/took[n]/float64(n))
		say(name+"idle_while_waiting_s", "%.2f", idle.Seconds())
		say(name+"idle_while_waiting_max_s", "%.2f", longest.Seconds())
		say(name+"idle_at_the_end_s", "%.2f", tail.Seconds())
		if os.Getenv("STITCH_SCALE_LINES") != "" {
			fmt.Print(c)
		}
	}
	say("scale_out_2", "%.2f", took[1]/took[2])
	say("scale_out_4_on_2_processors", "%.2f", took[1]/took[4])
}
