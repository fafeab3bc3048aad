package directory_test

import (
	"errors"
	"strings"
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

func TestCasesOfHolds(t *testing.T) {
	d, _ := open(t)
	hold := events.NewID()
	for _, tt := range []struct {
		name, consultation, hold, reference string
		want                                []string
		bad                                 bool
	}{
		{name: "none", consultation: visit, hold: hold},
		{name: "as it was typed, cleaned", consultation: visit, hold: hold, reference: " Az\t7\u202e ", want: []string{"Az 7"}},
		{name: "another one replaces it", consultation: visit, hold: hold, reference: "Az 8", want: []string{"Az 8"}},
		{name: "too long", consultation: visit, hold: hold, reference: strings.Repeat("ä", directory.MaxText+1), want: []string{"Az 8"}, bad: true},
		{name: "a hold that is no id", consultation: visit, hold: "1", reference: "x", want: []string{"Az 8"}, bad: true},
		{name: "a consultation that is no id", consultation: "1", hold: hold, reference: "x", want: []string{"Az 8"}, bad: true},
		{name: "nothing takes it away", consultation: visit, hold: hold},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := d.PutHold(t.Context(), tt.consultation, tt.hold, tt.reference); errors.Is(err, directory.ErrInvalid) != tt.bad || (err != nil) != tt.bad {
				t.Fatal(err)
			}
			all, err := d.AllCases(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range all {
				got = append(got, c.Reference)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("cases (-want +got):\n%s", diff)
			}
		})
	}
}
