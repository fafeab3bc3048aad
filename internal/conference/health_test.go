package conference

import (
	"testing"
	"time"
)

// TestHealthFollowsTheDisk looks at a track every quarter of a second, as the loop does.
func TestHealthFollowsTheDisk(t *testing.T) {
	// track says at the time at, in seconds, when the newest packet came and how many bytes are synced.
	type track func(at float64) (newest float64, bytes int64)
	flowing := func(at float64) (float64, int64) { return at, int64(at) * 1000 }
	for _, tt := range []struct {
		name   string
		track  track
		held   func(at float64) bool
		lostAt float64 // the recorder says that it lost something; 0: never
		want   map[float64]string
	}{
		{"bytes come each second", flowing, nil, 0, map[float64]string{0.5: recordedWaiting, 1.5: recordedYes, 60: recordedYes}},
		{"nothing reaches the disk from the beginning", func(at float64) (float64, int64) { return at, 0 }, nil, 0, map[float64]string{3.5: recordedWaiting, 5: recordedFailed, 60: recordedFailed}},
		{"the disk ends after ten seconds", func(at float64) (float64, int64) { return at, int64(min(at, 10)) * 1000 }, nil, 0, map[float64]string{13: recordedYes, 15: recordedFailed, 60: recordedFailed}},
		{"the disk ends and comes back", func(at float64) (float64, int64) {
			if at > 10 && at < 20 {
				return at, 10000
			}
			return at, int64(at) * 1000
		}, nil, 0, map[float64]string{15: recordedFailed, 19.5: recordedFailed, 21: recordedYes}},
		{"a little reaches the disk and the recorder loses the rest", flowing, nil, 10, map[float64]string{9: recordedYes, 10.5: recordedFailed, 13: recordedFailed, 15: recordedYes}},
		{"a picture stands still for long and moves again", func(at float64) (float64, int64) {
			switch {
			case at < 10:
				return at, int64(at) * 1000
			case at < 30:
				return 9.9, 10000
			}
			return at, int64(at-1) * 1000 // what comes is synced within a second
		}, nil, 0, map[float64]string{20: recordedYes, 30.25: recordedYes, 31: recordedYes, 60: recordedYes}},
		{"packets end while the disk is away", func(at float64) (float64, int64) { return min(at, 20), int64(min(at, 10)) * 1000 }, nil, 0, map[float64]string{15: recordedFailed, 60: recordedFailed}},
		{"the recording is paused", flowing, func(at float64) bool { return at > 10 && at < 20 }, 0, map[float64]string{9: recordedYes, 15: recordedNo, 20.25: recordedYes, 25: recordedYes}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h health
			moment := func(at float64) time.Time { return noon.Add(time.Duration(at * float64(time.Second))) }
			for at := 0.0; at <= 60; at += 0.25 {
				newest, bytes := tt.track(at)
				if tt.lostAt > 0 && at == tt.lostAt {
					h.lostAt = moment(at)
				}
				h.look(moment(at), sight{writing: tt.held == nil || !tt.held(at), newest: moment(newest), bytes: bytes})
				if want, ok := tt.want[at]; ok && h.word != want {
					t.Errorf("at %v s the screen says %q, want %q", at, h.word, want)
				}
			}
		})
	}
}
