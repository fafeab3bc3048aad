package store

import (
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/events/logtest"
	"consilium/internal/events/natslog"
)

// TestJetStream projects from the log that the product runs with, over a restart of its server: the time of its creation,
// by which another log is told, must be the same afterwards.
func TestJetStream(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	id := events.NewID()
	for start := range 3 {
		server, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		log, err := server.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := b.projector(log)
		stop := b.run(p)
		b.copyTo(log, id, rand.New(rand.NewPCG(uint64(start), 9)))
		last, err := log.Last(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WaitFor(t.Context(), last.Stream); err != nil {
			t.Errorf("start %d: %v (%v)", start+1, err, p.Ready())
		}
		if err := stop(); err != nil {
			t.Errorf("start %d: Run = %v", start+1, err)
		}
		history, err := events.ReadAll(t.Context(), log, id)
		if err != nil {
			t.Fatal(err)
		}
		want := newFolded(id)
		for _, e := range history {
			if _, err := want.apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, b.rows([]string{id})[id], sameRows); diff != "" {
			t.Errorf("start %d: row (-fold in memory +database):\n%s", start+1, diff)
		}
		log.Close()
		server.Stop()
	}
}

// copyTo appends a random history to another log, as events of the consultation id.
func (b *bench) copyTo(log events.Log, id string, rnd *rand.Rand) {
	b.Helper()
	b.log = logtest.NewMemory()
	made := b.randomHistory(rnd, 1, 20)
	history, err := events.ReadAll(b.Context(), b.log, made[0])
	if err != nil {
		b.Fatal(err)
	}
	at, err := log.Last(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range history {
		d := events.Draft{ID: e.ID, Source: e.Source, Time: e.Time, Participant: e.Participant, Event: e.Event}
		if at, err = log.Append(b.Context(), id, at, d); err != nil {
			b.Fatal(err)
		}
	}
}
