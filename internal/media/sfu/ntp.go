package sfu

import "time"

// ntpEpoch is how many seconds lie between 1900 and 1970.
const ntpEpoch = 2_208_988_800

// fromNTP reads an NTP timestamp: seconds since 1900 in the upper half, fractions in the lower (RFC 5905 §6). In 2036 the
// seconds begin anew; small ones are of that era (RFC 4330 §3).
func fromNTP(ntp uint64) time.Time {
	seconds := int64(ntp >> 32)
	if seconds < 1<<31 {
		seconds += 1 << 32
	}
	// Rounded to the nanosecond, so that a time survives the way there and back.
	nanoseconds := int64((ntp&0xffff_ffff*1_000_000_000 + 1<<31) >> 32)
	return time.Unix(seconds-ntpEpoch, nanoseconds).UTC()
}

// toNTP is the inverse of fromNTP.
func toNTP(t time.Time) uint64 {
	seconds := uint64(t.Unix()+ntpEpoch) & 0xffff_ffff
	fraction := (uint64(t.Nanosecond())<<32 + 500_000_000) / 1_000_000_000
	return seconds<<32 + fraction
}
