package recorder

import (
	"hash/fnv"
	"time"
)

// beat is when the pictures of a room are cut: after a while all at nearly the same moments, so that whoever puts them
// together can begin there with all of them. A segment that is due waits for the next moment of the beat, or for as long as
// it may; so it comes nearer to it each time, and stays with it once it is there. Rooms have beats of their own, and
// within a room the tracks of an owner come up to half a second apart from those of others, because keyframes that come
// at once are a burst for the network.
type beat struct {
	due   time.Duration // age at which a segment is due
	every time.Duration // from moment to moment: longer than due by the time in which senders answer
	wait  time.Duration // how long a segment that is due may wait at most
	shift time.Duration // from the epoch of Unix to a moment
}

func beatOf(t Track, due time.Duration) beat {
	hash := func(text string) time.Duration {
		h := fnv.New32a()
		h.Write([]byte(text)) // cannot fail
		return time.Duration(h.Sum32()) * time.Millisecond
	}
	b := beat{due: due, every: due * 26 / 25, wait: due * 7 / 50} // 25 s: every 26 s, at 28.5 s at the latest
	b.shift = hash(t.Room)%b.every + hash(t.Owner)%max(1, due/50)
	return b
}

// cut is how long after the arrival of its first frame a segment is cut.
func (b beat) cut(begun time.Time) time.Duration {
	return b.due + min((b.every-b.into(begun.Add(b.due)))%b.every, b.wait)
}

// report is how long after the batch before it a batch of anchors is given out: after a time at the latest, and a quarter of
// a beat behind each of its moments. Places depend on what is known half a minute later (package timeline), so by then all
// is known that the pictures between the two moments before depend on, and they can be shown together.
func (b beat) report(since time.Time, latest time.Duration) time.Duration {
	return min(latest, b.every-b.into(since.Add(-b.due*7/25)))
}

// into is how long ago the newest moment of the beat was.
func (b beat) into(at time.Time) time.Duration {
	into := time.Duration((at.UnixNano() - int64(b.shift)) % int64(b.every))
	if into < 0 {
		into += b.every
	}
	return into
}
