package render

import (
	"strings"
	"testing"
	"time"
)

func TestWhatTheClockShows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	tests := []struct {
		name          string
		zero          time.Time
		start, frames int64
		want          string
		begun         int64
	}{
		{"a second is thirty frames", day, 0, 61, "10:00:00 CET, 10:00:01 CET, 10:00:02 CET", 0},
		{"sixty frames are two seconds", day, 0, 60, "10:00:00 CET, 10:00:01 CET", 0},
		{"an archive begins within a second", day.Add(700 * time.Millisecond), 0, 30, "10:00:00 CET, 10:00:01 CET", 21},
		{"so does a chunk", day.Add(700 * time.Millisecond), 900 + 15, 3, "10:00:31 CET", 6},
		{"a chunk of a frame", day, 29, 1, "10:00:00 CET", 29},
		{"the clock is set forward", time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC), 0, 31, "01:59:59 CET, 03:00:00 CEST", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &Clock{zero: test.zero, zone: berlin}
			texts, begun := c.moments(test.start, test.frames)
			for i := range texts {
				_, texts[i], _ = strings.Cut(texts[i], " ")
			}
			if got := strings.Join(texts, ", "); got != test.want || begun != test.begun {
				t.Errorf("got %s, %d frames old; want %s, %d", got, begun, test.want, test.begun)
			}
		})
	}
}
