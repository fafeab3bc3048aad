package sfu

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What is just allowed is taken, and one more is refused by name.
func TestAnOfferMayGoToItsLimitsAndNotOneBeyond(t *testing.T) {
	good := sampleOffer(t)
	ssrcs := regexp.MustCompile(`a=ssrc[^\r]*\r\n`)
	sending := func(n int) string { return ssrcs.ReplaceAllString(manyTracks(good, n-1), "") } // one of them is the microphone
	for _, tt := range []struct {
		name  string
		limit int
		offer func(n int) string
		want  error
	}{
		{"bytes", maxSDP, func(n int) string {
			return good + "a=x:" + strings.Repeat("y", n-len(good)-len("a=x:\r\n")) + "\r\n"
		}, ErrSDPTooLarge},
		{"tracks that are sent", maxSending, sending, ErrTooManyTracks},
		{"m-lines", maxLines, func(n int) string { return strings.ReplaceAll(sending(n), "a=sendonly", "a=recvonly") }, ErrTooManyTracks},
		{"layers of one track", maxSimulcast, func(n int) string {
			var rids strings.Builder
			for i := range n {
				fmt.Fprintf(&rids, "a=rid:%d send\r\n", i)
			}
			return ssrcs.ReplaceAllString(good, "") + rids.String()
		}, ErrTooManyTracks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseOffer(tt.offer(tt.limit)); err != nil {
				t.Errorf("%d are refused: %v", tt.limit, err)
			}
			if _, err := parseOffer(tt.offer(tt.limit + 1)); !errors.Is(err, tt.want) {
				t.Errorf("%d: %v, want %v", tt.limit+1, err, tt.want)
			}
		})
	}
}
