package sfu

import (
	"slices"
	"testing"
)

func TestMailboxKeepsTheOrderAndLosesNothing(t *testing.T) {
	m := newMailbox()
	var got, want []int
	for n := range 1000 {
		want = append(want, n)
		m.post(func() { got = append(got, n) })
	}
	m.close()
	m.post(func() { got = append(got, -1) })
	if !slices.Equal(got, want) {
		t.Errorf("got %d calls: %v …", len(got), got[:min(len(got), 10)])
	}
}
