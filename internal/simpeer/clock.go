package simpeer

import "time"

// Clocks are those of a participant's machine.
type Clocks struct {
	// Began is when capture begins: position 0 of the media. Zero means when the participant is made.
	Began time.Time
	// WallError is by how much the machine's time of day is ahead. It goes into sender reports.
	WallError time.Duration
	// AudioPPM and VideoPPM are by how many millionths the microphone and the camera run fast.
	AudioPPM, VideoPPM float64
	// WrapAt is the position at which RTP timestamps go over 2^32, WrapAfter the number of packets after which sequence
	// numbers go over 2^16. Zero is wherever the dice have it.
	WrapAt    time.Duration
	WrapAfter int
}

// clock follows one device. Its samples and frames come as fast as it runs, and RTP timestamps count them.
type clock struct {
	began time.Time
	ppm   float64
	rate  float64 // RTP ticks a second of media
	base  uint32  // RTP timestamp of position 0
}

// at is when the position was captured, in true time.
func (c clock) at(media time.Duration) time.Time {
	return c.began.Add(time.Duration(float64(media) / (1 + c.ppm/1e6)))
}

// position is what is captured at a true time.
func (c clock) position(t time.Time) time.Duration {
	return time.Duration(float64(t.Sub(c.began)) * (1 + c.ppm/1e6))
}

// rtp is the timestamp of a position.
func (c clock) rtp(media time.Duration) uint32 {
	return c.base + uint32(int64(media.Seconds()*c.rate+0.5))
}
