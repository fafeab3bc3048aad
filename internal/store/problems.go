package store

import (
	"maps"
	"slices"

	"consilium/internal/consultation"
	"consilium/internal/events"
)

// Problems of a consultation, as stable codes that lists can be asked for.
const (
	ProblemAbandoned  = "abandoned"         // it ended because nobody was there
	ProblemArchive    = "archive_failed"    // the newest version of the archive failed
	ProblemConnection = "connection_failed" // somebody's connecting passed a deadline
	ProblemCrash      = "crash"             // a segment had to be recovered after a crash
	ProblemGap        = "gap"               // a stretch of a track was not recorded although it should have been
	ProblemLost       = "participant_lost"  // somebody did not come back after a connection was lost
	ProblemMissing    = "segment_missing"   // the completion named a segment as missing
	ProblemReindexed  = "reindexed"         // the events were rebuilt from files
	ProblemStall      = "stall"             // a track stopped without being muted
)

// Problems lists all codes in alphabetical order.
var Problems = []string{
	ProblemAbandoned, ProblemArchive, ProblemConnection, ProblemCrash, ProblemGap, ProblemLost, ProblemMissing, ProblemReindexed, ProblemStall,
}

// passing are the problems that may be over again; they follow from other columns and are not kept in the fold.
var passing = []string{ProblemArchive, ProblemMissing}

// problem notes one that stays.
func (f *folded) problem(code string) { f.Problems = with(f.Problems, code) }

// problems are all that the row shows.
func (f *folded) problems() []string {
	all := slices.Clone(f.Problems)
	if len(f.Missing) > 0 {
		all = with(all, ProblemMissing)
	}
	if len(f.Archives) > 0 && f.Archives[slices.Max(slices.Collect(maps.Keys(f.Archives)))].State == ArchiveFailed {
		all = with(all, ProblemArchive)
	}
	return all
}

// Consents that occur in a consultation beside the answers of package consultation.
const ConsentNone = "none" // was not asked yet, or has not answered

// consents are the answers that occur among those who may send and speak for themselves.
func (f *folded) consents() []string {
	all := []string{}
	for p := range maps.Values(f.Participants) {
		switch {
		case p.Role == events.RoleDevice || p.Role == events.RoleObserver:
		case p.Consent == consultation.Unanswered:
			all = with(all, ConsentNone)
		default:
			all = with(all, string(p.Consent))
		}
	}
	return all
}
