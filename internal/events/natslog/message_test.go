package natslog_test

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

// A copy has every byte, header and place of the original, and whoever appends to it finds the same guards.
func TestACopyOfTheLogIsTheLog(t *testing.T) {
	from, to := connect(t, start(t, t.TempDir())), connect(t, start(t, t.TempDir()))
	var versions []events.Version
	ids := []string{events.NewID(), events.NewID()}
	at := map[string]events.Version{}
	for i := range 60 {
		id := ids[i%2]
		drafts := []events.Draft{draft(i)}
		for range i % 4 { // some in one step
			drafts = append(drafts, draft(i))
		}
		v, err := from.Append(t.Context(), id, at[id], drafts...)
		if err != nil {
			t.Fatal(err)
		}
		at[id] = v
		versions = append(versions, v)
	}
	last := versions[len(versions)-1].Stream
	var told uint64
	if err := to.Restore(t.Context(), from.Messages(t.Context(), 1, last), func(through uint64) { told = through }); err != nil {
		t.Fatal(err)
	}
	if told != last {
		t.Errorf("told of %d entries, want %d", told, last)
	}
	read := func(l *natslog.Log) (all []natslog.Message) {
		for m, err := range l.Messages(t.Context(), 1, last) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
	if diff := cmp.Diff(read(from), read(to)); diff != "" {
		t.Errorf("the copy is another log:\n%s", diff)
	}
	for _, id := range ids {
		want, err := events.ReadAll(t.Context(), from, id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := events.ReadAll(t.Context(), to, id)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("consultation %s: %v\n%s", id, err, diff)
		}
		if _, err := to.Append(t.Context(), id, events.Version{}, draft(1)); !errors.Is(err, events.ErrConflict) {
			t.Errorf("an append behind an old version: %v", err)
		}
		if _, err := to.Append(t.Context(), id, at[id], draft(1)); err != nil {
			t.Errorf("an append behind the newest version: %v", err)
		}
	}
	if err := to.Restore(t.Context(), from.Messages(t.Context(), 1, last), nil); !errors.Is(err, natslog.ErrNotEmpty) {
		t.Errorf("a second copy on top: %v", err)
	}
	part := slices.Collect(iterKeys(from.Messages(t.Context(), 5, 9)))
	if len(part) != 5 || part[0].Sequence != 5 || part[4].Sequence != 9 {
		t.Errorf("a part has %d entries", len(part))
	}
}

func iterKeys(all iter.Seq2[natslog.Message, error]) iter.Seq[natslog.Message] {
	return func(yield func(natslog.Message) bool) {
		for m := range all {
			if !yield(m) {
				return
			}
		}
	}
}
