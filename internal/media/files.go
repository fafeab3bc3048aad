package media

import "time"

// The states of a segment file, told by its extension. Beside it lies its sidecar <id>.json all the time.
//
//	<id>.ivf.part    being written
//	<id>.ivf.sealed  complete and synced, not yet in the blob store
const (
	PartExtension    = ".part"
	SealedExtension  = ".sealed"
	SidecarExtension = ".json"
)

// SidecarName is the name of the file with the segment's description: <id>.json.
func (s Segment) SidecarName() string {
	return s.ID + SidecarExtension
}

// RTPDuration is how long ticks of an RTP clock of rate Hz last. It is exact to the nanosecond and overflows only
// after 292 years.
func RTPDuration(ticks int64, rate uint32) time.Duration {
	r := int64(rate)
	return time.Duration(ticks/r)*time.Second + time.Duration(ticks%r)*time.Second/time.Duration(r)
}
