package migrations_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"consilium/internal/testenv"
	"consilium/migrations"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func strs(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

func TestUp(t *testing.T) {
	dsn := testenv.EmptyPostgres(t)
	var log bytes.Buffer
	steps, err := migrations.Up(t.Context(), dsn, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if steps < 2 || strings.Count(log.String(), "database step applied") != steps {
		t.Errorf("%d steps, log:\n%s", steps, log.String())
	}
	want := []string{
		"directory.actors", "directory.answers", "directory.consultations", "directory.holds", "directory.participants",
		"readmodel.accesses", "readmodel.archives", "readmodel.connections", "readmodel.consultations", "readmodel.exports", "readmodel.holds", "readmodel.markers",
		"readmodel.participants", "readmodel.position", "readmodel.segments", "readmodel.spans", "readmodel.tracks",
	}
	got := strs(t, connect(t, dsn), `select table_schema || '.' || table_name from information_schema.tables
		where table_schema in ('directory', 'readmodel') order by 1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}

	t.Run("a second time does nothing", func(t *testing.T) {
		steps, err := migrations.Up(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err != nil || steps != 0 {
			t.Errorf("steps = %d, error = %v", steps, err)
		}
	})
}

func TestUpFromTwoProcesses(t *testing.T) {
	dsn := testenv.EmptyPostgres(t)
	var wg sync.WaitGroup
	results := make([]int, 2)
	for i := range results {
		wg.Go(func() {
			var err error
			if results[i], err = migrations.Up(t.Context(), dsn, slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if results[0] != 0 && results[1] != 0 {
		t.Errorf("both did the work: %v", results)
	}
}

// TestUpWithoutTrigrams hides the extension where the migration cannot use it, as on a server without contrib.
func TestUpWithoutTrigrams(t *testing.T) {
	dsn := testenv.EmptyPostgres(t)
	conn := connect(t, dsn)
	for _, sql := range []string{"create schema hidden", "create extension pg_trgm schema hidden"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if _, err := migrations.Up(t.Context(), dsn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	const index = "select indexname::text from pg_indexes where indexname = 'consultations_search'"
	if got := strs(t, conn, index); len(got) != 0 {
		t.Errorf("%v was made without the extension", got)
	}
	if got := strs(t, connect(t, testenv.Postgres(t)), index); len(got) != 1 {
		t.Errorf("with the extension there is no index")
	}
}

func TestFold(t *testing.T) {
	conn := connect(t, testenv.Postgres(t))
	tests := []struct {
		name, text, query string
		found             bool
	}{
		{name: "case does not matter", text: "Anna Schmidt", query: "SCHMIDT", found: true},
		{name: "accents do not matter", text: "José Müller", query: "jose muller", found: true},
		{name: "accents in the query do not matter", text: "Jose", query: "JOSÉ", found: true},
		{name: "other scripts have case too", text: "Анна Каренина", query: "КАРЕНИНА", found: true},
		{name: "full-width letters are letters", text: "ＡＢＣ", query: "abc", found: true},
		{name: "a percent sign is a percent sign", text: "100 percent", query: "1%", found: false},
		{name: "a percent sign is found", text: "fat 10% solution", query: "10%", found: true},
		{name: "a full-width percent sign is no wildcard", text: "100 percent", query: "1％", found: false},
		{name: "an underscore is an underscore", text: "ab", query: "a_", found: false},
		{name: "a backslash is a backslash", text: `a\b`, query: `a\b`, found: true},
		{name: "another word is not found", text: "Anna", query: "Hanna", found: false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var found bool
			err := conn.QueryRow(t.Context(), "select directory.fold($1) like directory.contains($2)", tt.text, tt.query).Scan(&found)
			if err != nil {
				t.Fatal(err)
			}
			if found != tt.found {
				t.Errorf("found = %t", found)
			}
		})
	}
}
