package media

// Unwrapper follows a counter that wraps around (RTP sequence numbers, RTP timestamps) and counts on in 64 bit.
//
// The first value keeps its number. Every other one becomes the number nearest to the newest one seen, so packets may
// come in any order as long as they are less than half the counter's range away from it: 32767 sequence numbers, or
// 6.6 hours at 90 kHz. Numbers below the first value are negative when it wrapped just before.
type Unwrapper[T uint16 | uint32] struct {
	newest  int64
	started bool
}

// Unwrap gives the number of v and moves on to it when it is the newest.
func (u *Unwrapper[T]) Unwrap(v T) int64 {
	n := u.Near(v)
	if !u.started || n > u.newest {
		u.newest, u.started = n, true
	}
	return n
}

// Near gives the number of v without moving on, for values that must not decide where the counter is (sender reports).
func (u *Unwrapper[T]) Near(v T) int64 {
	if !u.started {
		return int64(v)
	}
	return u.newest + signed(v-T(u.newest))
}

// Restart makes v the newest number although it lies behind: the sender began anew.
func (u *Unwrapper[T]) Restart(v T) int64 {
	u.newest, u.started = u.Near(v), true
	return u.newest
}

// Newest is the number of the newest value, 0 before the first.
func (u *Unwrapper[T]) Newest() int64 {
	return u.newest
}

// Started says whether a value was seen.
func (u *Unwrapper[T]) Started() bool {
	return u.started
}

// signed reads a difference as the shorter way round.
func signed[T uint16 | uint32](d T) int64 {
	half := ^T(0)/2 + 1
	if d < half {
		return int64(d)
	}
	return int64(d) - int64(^T(0)) - 1
}
