package sfu

// Sequence numbers are followed as RFC 3550 appendix A.1 does it, with a memory of what came.
const (
	// seqWindow is how many packets behind the newest one a packet may come and still be told apart from its duplicate.
	seqWindow = 1024
	// maxDropout is how far ahead a packet may be before it takes two in a row to believe the jump.
	maxDropout = 3000
)

// sequence tells which packets of one SSRC are new. The zero value is ready.
type sequence struct {
	started bool
	highest int64 // unwrapped
	// expected counts the numbers from the first to the highest, jumps left out.
	expected uint64
	bad      int32 // what the next packet after a jump must carry to be believed, or -1
	seen     [seqWindow / 64]uint64
}

// accept says whether the packet with this sequence number has not been seen and is not too old.
func (s *sequence) accept(seq uint16) bool {
	if !s.started {
		s.restart(1<<16 + int64(seq)) // in the second cycle, so that what comes late has a number above zero
		return true
	}
	diff := int64(int16(seq - uint16(s.highest)))
	switch {
	case diff > maxDropout || diff <= -seqWindow:
		if int32(seq) != s.bad {
			s.bad = int32(seq + 1)
			return false
		}
		// Two in a row from somewhere else: the sender started anew. Numbers go on in the next cycle.
		s.restart((s.highest>>16+1)<<16 + int64(seq))
		return true
	case diff > 0:
		if diff >= seqWindow {
			s.seen = [seqWindow / 64]uint64{}
		} else {
			for n := s.highest + 1; n < s.highest+diff; n++ {
				s.clear(n)
			}
		}
		s.highest += diff
		s.expected += uint64(diff)
		s.set(s.highest)
	default:
		if s.isSet(s.highest + diff) {
			return false
		}
		s.set(s.highest + diff)
	}
	s.bad = -1
	return true
}

// unwrap gives the number of a packet near the newest one.
func (s *sequence) unwrap(seq uint16) int64 {
	return s.highest + int64(int16(seq-uint16(s.highest)))
}

func (s *sequence) restart(first int64) {
	*s = sequence{started: true, highest: first, expected: s.expected + 1, bad: -1}
	s.set(first)
}

func (s *sequence) set(n int64)   { s.seen[n%seqWindow/64] |= 1 << (n % 64) }
func (s *sequence) clear(n int64) { s.seen[n%seqWindow/64] &^= 1 << (n % 64) }

func (s *sequence) isSet(n int64) bool { return s.seen[n%seqWindow/64]&(1<<(n%64)) != 0 }
