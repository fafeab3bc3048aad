package conference

import "time"

// health is whether what comes of a track reaches the disk: the truth behind ParticipantView.Recorded. Only bytes that
// are synced count. A log or a blob store that is away does not make it red: what is on the disk is announced and
// carried when they are back.
type health struct {
	word   string    // as ParticipantView.Recorded; "" before the first look
	dead   bool      // there is no recorder although there should be one
	bytes  int64     // what had reached the disk when that last grew
	owing  time.Time // since when packets have come of which nothing reached the disk; zero while nothing is owed
	paidAt time.Time // when bytes last grew, or writing began
	lostAt time.Time // when the recorder last said that it could not keep or write something; zero if never
}

// sight is what one look at a track sees.
type sight struct {
	writing bool      // the recorder is there and not held
	newest  time.Time // when the newest packet came
	bytes   int64     // that reached the disk so far
}

// diskSilence is how long packets may come without a byte reaching the disk before the screen says so in red. With the
// tick of the loop, that is within five seconds.
const diskSilence = 4 * time.Second

// look takes one more sight in and says whether the word has changed.
func (h *health) look(now time.Time, seen sight) bool {
	before := h.word
	switch {
	case h.dead:
		h.word = recordedFailed
	case !seen.writing:
		h.word, h.owing, h.paidAt, h.lostAt = recordedNo, time.Time{}, now, time.Time{}
	default:
		h.word = h.writing(now, seen)
	}
	return h.word != before
}

func (h *health) writing(now time.Time, seen sight) string {
	if seen.bytes != h.bytes || h.paidAt.IsZero() {
		h.bytes, h.paidAt, h.owing = seen.bytes, now, time.Time{}
	}
	if h.owing.IsZero() && seen.newest.After(h.paidAt) {
		h.owing = now
	}
	switch {
	case !h.lostAt.IsZero() && now.Sub(h.lostAt) < diskSilence:
		return recordedFailed // a little reaches the disk, and not all
	case !h.owing.IsZero() && now.Sub(h.owing) >= diskSilence:
		if now.Sub(seen.newest) < diskSilence || h.word == recordedFailed {
			return recordedFailed
		}
	}
	if h.bytes > 0 {
		return recordedYes
	}
	return recordedWaiting
}
