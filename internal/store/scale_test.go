package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/events"
)

// shelf is a library of any size, made up: the same numbers give the same rows. Names are drawn as names are: some very
// often, most rarely.
type shelf struct {
	consultations int
	markers       int // of each
	rnd           *rand.Rand
}

var shelfBegan = time.Date(2020, 1, 1, 7, 0, 0, 0, time.UTC)

// id is a UUIDv7 in the order of n.
func (s shelf) id(n, k int) uuid.UUID {
	at := s.at(n).UnixMilli()
	return uuid.MustParse(fmt.Sprintf("%08x-%04x-7%03x-8000-%012x", at>>16, at&0xffff, k, n))
}

func (s shelf) at(n int) time.Time { return shelfBegan.Add(time.Duration(n) * 3 * time.Minute) }

var syllables = strings.Fields("an ber chi dor el fa gri hol in jo kar lem mar nor ol pet qui ros sch tom ul vin wal xa yor zim")

// name draws a word; small numbers come often.
func (s shelf) name(of int) string {
	n := int(float64(of) * s.rnd.Float64() * s.rnd.Float64() * s.rnd.Float64())
	word := ""
	for k := n + 30; k > 0; k /= len(syllables) {
		word += syllables[k%len(syllables)]
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// fill copies the library into the database, indexes of texts last.
func (s shelf) fill(ctx context.Context, tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	exec := func(sql string) {
		if _, err := pool.Exec(ctx, sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
	exec("drop index directory.consultations_search, directory.participants_search")
	var pending [4]string // names of the consultation at hand
	s.copy(ctx, tb, pool, pgx.Identifier{"directory", "consultations"}, "id title external_ref language time_zone created_at search", 1,
		func(n, _ int) []any {
			title := fmt.Sprintf("%s after %s", s.name(400), s.name(2000))
			ref := fmt.Sprintf("MIS-%07d", n)
			for k := range pending {
				pending[k] = s.name(3000) + " " + s.name(60000)
			}
			return []any{s.id(n, 0), title, ref, "de", "Europe/Berlin", s.at(n), strings.ToLower(strings.Join(append([]string{title, ref}, pending[:]...), "\n"))}
		})
	s.copy(ctx, tb, pool, pgx.Identifier{"directory", "participants"}, "consultation id name created_at", 2, func(n, k int) []any {
		return []any{s.id(n, 0), s.id(n, 1+k), s.name(3000) + " " + s.name(60000), s.at(n)}
	})
	s.copy(ctx, tb, pool, pgx.Identifier{"readmodel", "consultations"},
		"id seq state policy layout language paused scheduled_at started_at end_reason participants present segments_stored bytes pending missing problems consents holds release_asked_at", 1,
		func(n, _ int) []any {
			state, problems, consents := "archived", []string{}, []string{"given"}
			switch {
			case n%500 == 0:
				state = "open"
			case n%97 == 0:
				problems = []string{ProblemGap}
			case n%10_007 == 0:
				problems = []string{ProblemCrash, ProblemMissing}
			}
			if n%211 == 0 {
				consents = []string{"given", "withdrawn"}
			}
			holds, asked := 0, (*time.Time)(nil)
			if n%307 == 0 {
				holds = 1
			}
			if n%(3*307) == 0 {
				asked = new(time.Now())
			}
			return []any{s.id(n, 0), s.markers, state, "required", "grid", "de", false, s.at(n), s.at(n), "closed", 2, 0, 30, 1_000_000, []string{}, []string{}, problems, consents, holds, asked}
		})
	s.copy(ctx, tb, pool, pgx.Identifier{"readmodel", "participants"}, "consultation id role records consent present invited_at left_reason", 2, func(n, k int) []any {
		return []any{s.id(n, 0), s.id(n, 1+k).String(), []string{"clinician", "patient"}[k], []string{}, "given", false, s.at(n), "left"}
	})
	s.copy(ctx, tb, pool, pgx.Identifier{"readmodel", "archives"},
		"consultation version state code through_seq layout profile requested_at key bytes sha256 manifest_sha256 duration_ms", 1, func(n, _ int) []any {
			return []any{s.id(n, 0), 1, "ready", "", 99, "grid", "standard", s.at(n), "k", 1, "", "", 600_000}
		})
	s.copy(ctx, tb, pool, pgx.Identifier{"readmodel", "connections"},
		"consultation id participant via browser state local_kind remote_kind transport restarts timeout_phase timeout_code opened_at connected_at close_reason", 1,
		func(n, _ int) []any {
			return []any{s.id(n, 0), "c", s.id(n, 1).String(), "websocket", "Firefox 153", "connected", "host", "host", "udp", 0, "", "", s.at(n), s.at(n), "left"}
		})
	s.fillMarkers(ctx, tb, pool)
	exec("create index consultations_search on directory.consultations using gin (search gin_trgm_ops)")
	exec("create index participants_search on directory.participants using gin (search gin_trgm_ops)")
	exec("analyze")
}

// fillMarkers gives one consultation in a thousand ten thousand events, as a long one has, and the others the rest.
func (s shelf) fillMarkers(ctx context.Context, tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	types := events.Types()
	s.copy(ctx, tb, pool, pgx.Identifier{"readmodel", "markers"}, "consultation seq at type participant actor code", s.markers, func(n, k int) []any {
		code := ""
		if k == 0 && n%50 == 0 {
			code = "ICE-TIMEOUT"
		}
		return []any{s.id(n, 0), k + 1, s.at(n).Add(time.Duration(k) * time.Second), string(types[(n+k)%len(types)]), s.id(n, 1+k%2).String(), "", code}
	})
}

// long is a consultation with very many events, behind all others.
func (s shelf) long(ctx context.Context, tb testing.TB, pool *pgxpool.Pool, markers int) string {
	tb.Helper()
	id, types := s.id(s.consultations/2, 0), events.Types()
	if _, err := pool.Exec(ctx, "delete from readmodel.markers where consultation = $1", id); err != nil {
		tb.Fatal(err)
	}
	_, err := pool.CopyFrom(ctx, pgx.Identifier{"readmodel", "markers"}, markerColumns, pgx.CopyFromSlice(markers, func(k int) ([]any, error) {
		return []any{id, k + 1, s.at(0).Add(time.Duration(k) * time.Second), string(types[k%len(types)]), s.id(0, 1+k%2).String(), "", ""}, nil
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return id.String()
}

// copy fills a table with each rows for every consultation.
func (s shelf) copy(ctx context.Context, tb testing.TB, pool *pgxpool.Pool, table pgx.Identifier, columns string, each int, row func(n, k int) []any) {
	tb.Helper()
	at := 0
	_, err := pool.CopyFrom(ctx, table, strings.Fields(columns), pgx.CopyFromFunc(func() ([]any, error) {
		if at == s.consultations*each {
			return nil, nil
		}
		at++
		return row((at-1)/each, (at-1)%each), nil
	}))
	if err != nil {
		tb.Fatalf("fill %v: %v", table, err)
	}
}

// TestPlans looks at how PostgreSQL would answer, at a size where reading all rows would hurt.
func TestPlans(t *testing.T) {
	b := newBench(t)
	s := shelf{consultations: 20_000, markers: 3, rnd: rand.New(rand.NewPCG(1, 1))}
	s.fill(t.Context(), t, b.pool)
	deep := cursor{heldAt: s.at(5_000), id: s.id(5_000, 0)}.String()
	for _, tt := range []struct {
		name   string
		filter Filter
		index  string
	}{
		{"the newest", Filter{}, "consultations_held_at"},
		{"a page far behind", Filter{Cursor: deep}, "consultations_held_at"},
		{"a week", Filter{From: s.at(3_000), To: s.at(6_000)}, "consultations_held_at"},
		{"the open ones", Filter{State: "open"}, "consultations_state"},
		{"those with problems", Filter{Problem: AnyProblem}, "consultations_problems"},
		{"those with a rare problem", Filter{Problem: ProblemCrash}, "consultations_problems"},
		{"those where somebody withdrew", Filter{Consent: "withdrawn"}, "consultations_consents"},
		{"those that are held", Filter{Held: HeldYes}, "consultations_holds"},
		{"those of which a release is requested", Filter{Held: HeldAsked}, "consultations_holds"},
		{"a rare word", Filter{Query: "mis-0007777"}, "consultations_search"},
		{"a person who comes rarely", Filter{Person: "zimzimzim"}, "participants_search"},
		{"two letters that no word begins with", Filter{Query: "zq"}, "consultations_search"},
		{"one participant", Filter{Participant: s.id(7, 1).String()}, "participants_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask, err := tt.filter.statements(DefaultLimit)
			if err != nil {
				t.Fatal(err)
			}
			wantIndex(t, b, tt.index, ask.whole, ask.args...)
			if ask.look == "" {
				return
			}
			plan := wantIndex(t, b, "consultations_held_at", fmt.Sprintf(ask.look, glance), ask.args...)
			if strings.Contains(plan, "_search") {
				t.Errorf("a look at the newest asks the index of words:\n%s", plan)
			}
		})
	}
	t.Run("a page of events", func(t *testing.T) {
		wantIndex(t, b, "markers_pkey", "select * from readmodel.markers where consultation = $1 and seq > $2 order by seq limit 200", s.id(5, 0), 1)
	})
	t.Run("an overview", func(t *testing.T) {
		wantIndex(t, b, "consultations_state", selectOpen)
		wantIndex(t, b, "connections_opened", selectOpened, s.at(s.consultations-100))
		wantIndex(t, b, "markers_failures", selectFailures, s.at(s.consultations-100), maxFailures)
		wantIndex(t, b, "archives_unfinished", selectUnfinished)
	})
	t.Run("the newest failures", func(t *testing.T) {
		wantIndex(t, b, "markers_failures", "select * from readmodel.markers where code <> '' and at > $1 order by at desc limit 50", s.at(100))
	})
}

// wantIndex gives the plan.
func wantIndex(t *testing.T, b *bench, index, sql string, args ...any) string {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), "explain "+sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, index) || strings.Contains(plan, "Seq Scan") {
		t.Errorf("want %s and no Seq Scan:\n%s", index, plan)
	}
	return plan
}
