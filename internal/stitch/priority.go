package stitch

import (
	"consilium/internal/events"
	"consilium/internal/jobs"
)

// priorityOf says how soon the pieces of an archive are needed. Somebody waits for the first version, and for what a person
// orders; what is made again by itself, because a file came late, has time until nobody waits for anything.
func priorityOf(order events.Stored, version int) jobs.Priority {
	if jobs.IsNightly(order, version) {
		return jobs.Nightly
	}
	return jobs.Awaited
}
