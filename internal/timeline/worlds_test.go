package timeline

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

// full makes the tests of random worlds try all of them; docs/timeline.md has their figures.
var full = flag.Bool("full", false, "try every world")

// worlds is how many to try.
func worlds(quick, all int) uint64 {
	if *full {
		return uint64(all)
	}
	return uint64(quick)
}

// world is one participant's clocks and network. Change sets what differs from an ordinary one.
type world struct {
	name   string
	change []func(audio, video *source)
	length float64 // s
}

// misfit is how far the clips of a world lie from the truth.
type misfit struct {
	place time.Duration // worst of a beginning or a middle
	av    time.Duration // worst difference between sound and picture where both begin within a second
	clips int
}

// play builds the timeline of a world.
func (w world) play(tb testing.TB, seed uint64) (*script, *Timeline) {
	s := newScript(tb)
	s.noise = rand.New(rand.NewPCG(seed, 99))
	s.begin(events.PolicyRequired)
	who := s.invite("clinician")
	s.consent(-1, who)
	conn := s.join(0, who, "clinician")
	a, v := s.audio(who, conn, 1), s.video(who, conn, 1.5)
	for _, f := range w.change {
		f(a, v)
	}
	a.whole(a.born.Seconds(), w.length)
	v.whole(v.born.Seconds(), w.length)
	s.leave(w.length+1, who, conn, "left")
	return s, s.build()
}

// misfit compares every clip's beginning, and its middle by its rate, with the truth.
func (s *script) misfit(tl *Timeline) misfit {
	var m misfit
	var starts [2][]time.Duration
	for i, tr := range tl.Participants[0].Tracks {
		for _, c := range tr.Clips {
			m.clips++
			start, _ := s.misplaced(c)
			drift := time.Duration(float64(c.EndNS-c.StartNS) / 2 * (s.truth[c.Segment].rate - c.Rate))
			m.place = max(m.place, start.Abs(), (start + drift).Abs())
			starts[i] = append(starts[i], start)
		}
	}
	for i := range min(len(starts[0]), len(starts[1])) {
		m.av = max(m.av, (starts[0][i] - starts[1][i]).Abs())
	}
	return m
}

// choices are what differs from world to world, one of each.
var choices = []struct {
	row  string
	with []choice
}{
	{"media clocks", []choice{
		{"true", nil},
		{"sound 300 ppm fast", func(a, _ *source) { a.ppm = 300 }},
		{"sound 300 ppm slow, picture 200 ppm fast", func(a, v *source) { a.ppm, v.ppm = -300, 200 }},
	}},
	{"wall clock", []choice{
		{"true", nil},
		{"700 ms fast", func(a, v *source) { a.wall, v.wall = 700*time.Millisecond, 700*time.Millisecond }},
		{"1.3 s slow and losing 100 ppm", func(a, v *source) {
			a.wall, v.wall, a.wallPPM, v.wallPPM = -1300*time.Millisecond, -1300*time.Millisecond, -100, -100
		}},
		{"stands at 1970", func(a, v *source) {
			a.wall, v.wall = -scriptZero.Sub(time.Unix(0, 0)), -scriptZero.Sub(time.Unix(0, 0))
		}},
	}},
	{"one-way delay", []choice{
		{"sound 40 ms, picture 40 ms", nil},
		{"sound 40 ms, picture 120 ms", func(a, v *source) { a.delay, v.delay = 40*time.Millisecond, 120*time.Millisecond }},
		{"sound 110 ms, picture 200 ms", func(a, v *source) {
			a.delay, v.delay = 110*time.Millisecond, 200*time.Millisecond
			for _, s := range []*source{a, v} {
				s.srDelay, s.rtt = 110*time.Millisecond, 220*time.Millisecond
			}
		}},
	}},
	{"reports", []choice{
		{"on time", nil},
		{"the first of the sound after 14 s", func(a, _ *source) { a.firstSR = sec(14) }},
		{"the first of the sound 9.5 ms off", func(a, _ *source) { a.badFirst = 9500 * time.Microsecond }},
		{"the first of the picture 9.5 ms off the other way", func(_, v *source) { v.badFirst = -9500 * time.Microsecond }},
	}},
	{"RTP times", []choice{
		{"small", nil},
		{"pass 2^32", func(a, v *source) { a.base, v.base = 1<<32-48000*20, 1<<32-90000*50 }},
	}},
}

type choice struct {
	name   string
	change func(audio, video *source)
}

// combinations are all worlds with one of each choice.
func combinations() []world {
	all := []world{{length: 130}}
	for _, c := range choices {
		var more []world
		for _, w := range all {
			for _, o := range c.with {
				next := world{name: w.name + "|" + o.name, length: w.length, change: slices.Clone(w.change)}
				if o.change != nil {
					next.change = append(next.change, o.change)
				}
				more = append(more, next)
			}
		}
		all = more
	}
	return all
}

// TestGridOfWorlds places every combination of clocks, delays and reports and prints the worst errors: the table of
// docs/timeline.md. Reports are honest and paths symmetric; what an asymmetric path hides is not to be seen from one end.
func TestGridOfWorlds(t *testing.T) {
	const bar = 2 * time.Millisecond
	worst := map[string]misfit{}
	tried := 0
	var all misfit
	for i, w := range combinations() {
		if !*full && i%5 > 0 { // every choice is among them
			continue
		}
		tried++
		s, tl := w.play(t, uint64(i))
		m := s.misfit(tl)
		if m.place > bar || m.av > bar {
			t.Errorf("%s: misplaced by %v, sound from picture by %v", w.name, m.place, m.av)
		}
		for k, name := range strings.Split(w.name, "|")[1:] {
			key := choices[k].row + " | " + name
			worst[key] = worst[key].or(m)
		}
		all = all.or(m)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| | | worst place | worst sound to picture |\n|---|---|---|---|\n")
	for _, c := range choices {
		for _, o := range c.with {
			m := worst[c.row+" | "+o.name]
			fmt.Fprintf(&table, "| %s | %s | %.2f ms | %.2f ms |\n", c.row, o.name, ms(m.place), ms(m.av))
		}
	}
	fmt.Fprintf(&table, "| all %d worlds | %d clips | %.2f ms | %.2f ms |\n", tried, all.clips, ms(all.place), ms(all.av))
	t.Logf("\n%s", table.String())
}

func (m misfit) or(n misfit) misfit {
	return misfit{max(m.place, n.place), max(m.av, n.av), m.clips + n.clips}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// bad are worlds in which something is wrong that may cost exactness, and how much of it.
var bad = []struct {
	name      string
	change    func(audio, video *source)
	after     func(s *script)
	place, av time.Duration // the bars
}{
	{"reports late by up to 30 ms", func(a, v *source) { a.jitter, v.jitter = 30*time.Millisecond, 30*time.Millisecond }, nil, 12 * time.Millisecond, 5 * time.Millisecond},
	{"reports late by up to 30 ms, one a second", func(a, v *source) {
		a.jitter, v.jitter, a.everySR, v.everySR = 30*time.Millisecond, 30*time.Millisecond, sec(1), sec(1)
	}, nil, 5 * time.Millisecond, 5 * time.Millisecond},
	{"capture times beside the reports", func(a, v *source) { a.everyACT, v.everyACT = sec(5), sec(5) }, nil, 2 * time.Millisecond, 2 * time.Millisecond},
	{"capture times and no reports", func(a, v *source) { a.everyACT, v.everyACT, a.everySR, v.everySR = sec(5), sec(5), 0, 0 }, nil, 80 * time.Millisecond, 5 * time.Millisecond},
	{"no reports at all", func(a, v *source) { a.everySR, v.everySR = 0, 0 }, nil, 80 * time.Millisecond, 30 * time.Millisecond},
	{"no reports of the sound", func(a, _ *source) { a.everySR = 0 }, nil, 50 * time.Millisecond, 50 * time.Millisecond},
	{"reports of the sound 318 ms late, as if", func(a, _ *source) { a.lieRTP = 318 * time.Millisecond }, nil, 60 * time.Millisecond, 60 * time.Millisecond},
	{"reports of the sound 318 ms early, as if", func(a, _ *source) { a.lieRTP = -318 * time.Millisecond }, nil, 60 * time.Millisecond, 60 * time.Millisecond},
	{"reports of the sound 5 s off", func(a, _ *source) { a.lieRTP = 5 * time.Second }, nil, 60 * time.Millisecond, 60 * time.Millisecond},
	{"reports of the sound drift off by 2 ms a second", func(a, _ *source) { a.liePPM = 2000 }, nil, 60 * time.Millisecond, 60 * time.Millisecond},
	{"reports of the picture drift off by 2 ms a second, the other way", func(_, v *source) { v.liePPM = -2000 }, nil, 60 * time.Millisecond, 60 * time.Millisecond},
	{"sound and picture stamped by clocks 2 s apart", func(a, _ *source) { a.wall = 2 * time.Second }, nil, 60 * time.Millisecond, 60 * time.Millisecond},
	{"the wall clock is set by 500 ms in mid-call", func(a, v *source) { a.everySR, v.everySR = sec(1.5), sec(1.5) }, func(s *script) { s.setWall(scriptZero.Add(sec(80)), 500*time.Millisecond) }, 2 * time.Millisecond, 2 * time.Millisecond},
	{"the wall clock is set back by 30 s in mid-call", func(a, v *source) { a.everySR, v.everySR = sec(1.5), sec(1.5) }, func(s *script) { s.setWall(scriptZero.Add(sec(80)), -30*time.Second) }, 2 * time.Millisecond, 2 * time.Millisecond},
	{"the wall clock is set by 60 ms in mid-call", func(a, v *source) { a.everySR, v.everySR = sec(1.5), sec(1.5) }, func(s *script) { s.setWall(scriptZero.Add(sec(80)), 60*time.Millisecond) }, 2 * time.Millisecond, 2 * time.Millisecond},
}

// TestBadWorlds places what lies, jitters or is missing, and prints how far off it is and what it says of itself.
func TestBadWorlds(t *testing.T) {
	var table strings.Builder
	fmt.Fprintf(&table, "| what is wrong | worst place | worst sound to picture | within its own estimate | qualities |\n|---|---|---|---|---|\n")
	for _, b := range bad {
		var all misfit
		honest, n := 0, 0
		qualities := map[string]int{}
		for seed := range worlds(2, 8) {
			w := world{length: 200, change: []func(a, v *source){b.change}}
			s, tl := w.playWith(t, seed, b.after)
			all = all.or(s.misfit(tl))
			for _, tr := range tl.Participants[0].Tracks {
				for _, c := range tr.Clips {
					start, _ := s.misplaced(c)
					n++
					if start.Abs() <= time.Duration(c.ErrorNS) {
						honest++
					}
					qualities[string(tr.Kind)+" "+string(c.Quality)]++
				}
			}
		}
		fmt.Fprintf(&table, "| %s | %.1f ms | %.1f ms | %d of %d | %v |\n", b.name, ms(all.place), ms(all.av), honest, n, qualities)
		if honest < n {
			t.Errorf("%s: %d of %d clips are further off than they say", b.name, n-honest, n)
		}
		if all.place > b.place || all.av > b.av {
			t.Errorf("%s: misplaced by %v (bar %v), sound from picture by %v (bar %v)", b.name, all.place, b.place, all.av, b.av)
		}
	}
	t.Logf("\n%s", table.String())
}

func (w world) playWith(tb testing.TB, seed uint64, after func(*script)) (*script, *Timeline) {
	s, tl := w.play(tb, seed)
	if after == nil {
		return s, tl
	}
	after(s)
	return s, s.build()
}

// TestTheErrorEstimateIsHonest plays random worlds, honest and lying, and counts how often a clip's true error is within
// what it says of itself. Paths are up to three to one asymmetric.
func TestTheErrorEstimateIsHonest(t *testing.T) {
	within, n := 0, 0
	var said, were []time.Duration
	missed := map[string]int{}
	for seed := range worlds(100, 400) {
		random := rand.New(rand.NewPCG(seed, 31))
		below := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
		kind := "honest"
		change := func(a, v *source) {
			wall, there, back := below(2*time.Hour)-time.Hour, time.Millisecond+below(150*time.Millisecond), time.Duration(0)
			back = time.Duration(float64(there) * (0.34 + 2.6*random.Float64()))
			jitter := below(40 * time.Millisecond)
			for _, s := range []*source{a, v} {
				s.wall, s.srDelay, s.rtt = wall, there, there+back
				s.ppm, s.delay = random.Float64()*600-300, there+below(80*time.Millisecond)
				s.jitter, s.media = jitter, jitter
				s.firstSR, s.everySR = below(6*time.Second), sec(1)+below(5*time.Second)
				s.badFirst = below(12 * time.Millisecond)
				s.base = random.Int64N(1 << 40)
			}
			v.born = a.born + below(5*time.Second)
			switch random.IntN(8) {
			case 0:
				kind = "no reports"
				a.everySR, v.everySR = 0, 0
			case 1:
				kind = "sound without reports"
				a.everySR = 0
			case 2:
				kind = "constant lie"
				a.lieRTP = below(2*time.Second) - time.Second
			case 3:
				kind = "drifting lie"
				v.liePPM = random.Float64()*4000 - 2000
			case 4:
				kind = "capture times"
				a.everyACT, v.everyACT = sec(5), sec(5)
			}
		}
		w := world{length: 20 + 150*random.Float64(), change: []func(a, v *source){change}}
		s, tl := w.play(t, seed)
		for _, tr := range tl.Participants[0].Tracks {
			for _, c := range tr.Clips {
				start, _ := s.misplaced(c)
				n++
				said, were = append(said, time.Duration(c.ErrorNS)), append(were, start.Abs())
				if start.Abs() <= time.Duration(c.ErrorNS) {
					within++
				} else {
					missed[kind+" "+string(tr.Kind)+" "+string(c.Quality)]++
				}
			}
		}
	}
	slices.Sort(said)
	slices.Sort(were)
	t.Logf("%d of %d clips (%.1f %%) lie within their estimate; estimates: median %v, p95 %v; errors: median %v, p95 %v; outside: %v",
		within, n, 100*float64(within)/float64(n), said[n/2], said[n*95/100], were[n/2], were[n*95/100], missed)
	if float64(within) < 0.95*float64(n) {
		t.Errorf("%d of %d clips are within their estimate, want 95 %%", within, n)
	}
	if said[n/2] > 100*time.Millisecond {
		t.Errorf("the median estimate is %v: that says nothing", said[n/2])
	}
}

// TestBadPlacesDependOnThirtySeconds takes the anchors away that come later than 30 s after a moment: what is shown before
// it does not change, however the reports lie and the clocks are set. TestPlacesDependOnThirtySeconds does the same with
// drift and jitter.
func TestBadPlacesDependOnThirtySeconds(t *testing.T) {
	for _, b := range bad {
		w := world{length: 200, change: []func(a, v *source){b.change}}
		s, whole := w.playWith(t, 3, b.after)
		evs := s.stored()
		for at := 20 * time.Second; at < 180*time.Second; at += 7 * time.Second {
			limit := scriptZero.Add(at + 30*time.Second)
			early, err := Build(stripped(evs, func(a events.Anchor) bool { return !a.Arrival.After(limit) }), 0)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(clipsUntil(whole, at), clipsUntil(early, at)); d != "" {
				t.Fatalf("%s: anchors after %v change what is shown before %v:\n%s", b.name, at+30*time.Second, at, d)
			}
		}
	}
}
