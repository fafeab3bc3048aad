package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ./task bench:read asks for the sizes that docs/read-model.md speaks of.
var (
	benchConsultations = flag.Int("consultations", 20_000, "size of the library that BenchmarkRead makes up")
	benchEvents        = flag.Int("events", 20_000, "events that BenchmarkRead projects")
)

// BenchmarkRead prints key=value lines: how quick searches, lists and pages of events are in a large library, and how
// quick the projector is. It runs once, whatever b.N says.
func BenchmarkRead(b *testing.B) {
	benchLibrary(b)
	benchProjector(b)
}

func benchLibrary(b *testing.B) {
	t := newBench(b)
	s := shelf{consultations: *benchConsultations, markers: 5, rnd: rand.New(rand.NewPCG(1, 1))}
	began := time.Now()
	s.fill(b.Context(), b, t.pool)
	long := s.long(b.Context(), b, t.pool, 10_000)
	say("consultations", s.consultations)
	say("timeline_rows", s.consultations*s.markers+10_000)
	say("load_s", int(time.Since(began).Seconds()))
	var size int64
	if err := t.pool.QueryRow(b.Context(), "select pg_database_size(current_database())").Scan(&size); err != nil {
		b.Fatal(err)
	}
	say("database_mb", size>>20)

	q := NewQueries(t.pool)
	list := func(name string, f func() Filter) {
		quantiles(b, name, 400, func() error {
			_, err := q.List(b.Context(), f())
			return err
		})
	}
	// A search as it is typed: every beginning of a first name, a last name, a title or a number.
	list("search", func() Filter {
		text := []rune([]string{
			s.name(3000) + " " + s.name(60000), s.name(60000), s.name(400) + " after", fmt.Sprintf("mis-%07d", s.rnd.IntN(s.consultations)),
		}[s.rnd.IntN(4)])
		return Filter{Query: string(text[:1+s.rnd.IntN(len(text))])}
	})
	list("person", func() Filter {
		text := s.name(3000) + " " + s.name(60000)
		return Filter{Person: text[:1+s.rnd.IntN(len(text))]}
	})
	list("nothing_found", func() Filter { return Filter{Query: "zq" + s.name(60000)} })
	list("list", func() Filter {
		f := []Filter{{}, {State: "open"}, {Problem: AnyProblem}, {Problem: ProblemMissing}, {Consent: "withdrawn"}}[s.rnd.IntN(5)]
		n := s.rnd.IntN(s.consultations)
		f.Cursor = cursor{heldAt: s.at(n), id: s.id(n, 0)}.String()
		return f
	})
	quantiles(b, "events_page", 400, func() error {
		id, f := long, MarkerFilter{After: s.rnd.Uint64N(10_000)}
		if s.rnd.IntN(2) == 0 {
			id = s.id(s.rnd.IntN(s.consultations), 0).String()
			f.After = 0
		}
		if s.rnd.IntN(3) == 0 {
			f.Types = []string{"track.muted", "track.unmuted"}
		}
		_, err := q.Markers(b.Context(), id, f)
		return err
	})
}

// benchProjector projects a long log as it comes, and then once more as a rebuild, and compares all rows.
func benchProjector(b *testing.B) {
	t := newBench(b)
	s := newScript(b, *benchEvents/100)
	p := t.projector(s, func(c *Config) { c.WaitLimit = time.Hour })
	began := time.Now()
	stop := t.run(p)
	if err := p.WaitFor(b.Context(), uint64(len(s.all))); err != nil {
		b.Fatal(err)
	}
	say("projected_events", len(s.all))
	say("projector_events_per_s", int(float64(len(s.all))/time.Since(began).Seconds()))
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	before := digests(b, t.pool)
	began = time.Now()
	if err := p.Rebuild(b.Context()); err != nil {
		b.Fatal(err)
	}
	say("rebuild_events_per_s", int(float64(len(s.all))/time.Since(began).Seconds()))
	if after := digests(b, t.pool); !slices.Equal(before, after) {
		b.Fatalf("a rebuild gives other rows: %v, as they came %v", after, before)
	}
	say("rebuild_equals_incremental", 1)
}

// digests are one line a table: its rows and a sum over all of them.
func digests(b *testing.B, pool *pgxpool.Pool) []string {
	b.Helper()
	var all []string
	for _, table := range tables {
		var line string
		err := pool.QueryRow(b.Context(), "select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from readmodel."+table+" t").Scan(&line)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, table+" "+line)
	}
	return all
}

func say(key string, value any) { fmt.Printf("%s=%v\n", key, value) }

// quantiles asks n times and prints how long it took.
func quantiles(b *testing.B, name string, n int, ask func() error) {
	b.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		if err := ask(); err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	for _, p := range []int{50, 95, 99} {
		say(fmt.Sprintf("%s_p%d_ms", strings.ToLower(name), p), fmt.Sprintf("%.1f", took[n*p/100].Seconds()*1000))
	}
}
