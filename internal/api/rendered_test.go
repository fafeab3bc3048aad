package api

import (
	"testing"

	"consilium/internal/events"
)

func TestRenderedArchivesAreRememberedAndBounded(t *testing.T) {
	var r renderedArchives
	k := renderedKey{"c", 1}
	if _, ok := r.get(k); ok {
		t.Error("something is known before anything was put")
	}
	r.put(k, events.ArchiveRendered{Version: 1, Key: "k"})
	if e, ok := r.get(k); !ok || e.Key != "k" {
		t.Errorf("got %+v, %t", e, ok)
	}
	if _, ok := r.get(renderedKey{"c", 2}); ok {
		t.Error("another version is known")
	}
	for i := range maxRendered + 10 {
		r.put(renderedKey{"d", i}, events.ArchiveRendered{Version: i})
	}
	if len(r.known) > maxRendered {
		t.Errorf("%d are remembered", len(r.known))
	}
	if _, ok := r.get(renderedKey{"d", maxRendered + 9}); !ok {
		t.Error("the newest is forgotten")
	}
}
