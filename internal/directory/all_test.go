package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/directory"
	"consilium/internal/events"
)

// What All gives, put into another directory, is the same directory: names, times and what a search finds.
func TestAllGivesEverything(t *testing.T) {
	d, _ := open(t)
	put(t, d, entry())
	alone := directory.Consultation{ID: events.NewID(), Title: "Nobody yet"}
	put(t, d, alone)
	other, _ := open(t)
	var all []directory.Consultation
	for c, err := range d.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		put(t, other, c)
	}
	if len(all) != 2 || all[0].ID != visit {
		t.Fatalf("%d entries", len(all))
	}
	for _, id := range []string{visit, alone.ID} {
		if diff := cmp.Diff(get(t, d, id), get(t, other, id)); diff != "" {
			t.Errorf("%s is another one:\n%s", id, diff)
		}
	}
	for range other.All(t.Context()) {
		break // a reader may have enough
	}
}
