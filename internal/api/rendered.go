package api

import (
	"sync"

	"consilium/internal/events"
)

// maxRendered bounds what is remembered: some hundred bytes each.
const maxRendered = 10_000

// renderedArchives remembers where versions of archives are. A version that is rendered never changes, and a player asks
// for a hundred ranges of it. The zero value is ready; it is safe for concurrent use.
type renderedArchives struct {
	mu    sync.Mutex // guards known
	known map[renderedKey]events.ArchiveRendered
}

type renderedKey struct {
	consultation string
	version      int
}

func (r *renderedArchives) get(k renderedKey) (events.ArchiveRendered, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.known[k]
	return e, ok
}

// put remembers one, in the place of any other when there are too many.
func (r *renderedArchives) put(k renderedKey, e events.ArchiveRendered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[renderedKey]events.ArchiveRendered{}
	}
	for other := range r.known {
		if len(r.known) < maxRendered {
			break
		}
		delete(r.known, other)
	}
	r.known[k] = e
}
