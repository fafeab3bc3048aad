package e2e

import (
	"testing"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// firefoxWatches goes from the list to a consultation in Firefox, plays it, and to an event.
func firefoxWatches(t *testing.T, s *scene) {
	page := testenv.NewFirefox(t)
	page.Navigate(s.URL + "/consultations#token=" + s.Command("token", "--role", "compliance"))
	page.ClickRole("link", s.held.Title)
	page.ClickRole("radio", "Complaint")
	page.Click("Open the recording")
	page.WaitFor("the video", `document.querySelector('video[data-testid=archive-video]')?.readyState >= 2`)
	page.Evaluate(shortRecording, nil)
	page.Click("Play")
	page.WaitFor("it plays", `document.querySelector('video').currentTime > 0.3`)
	page.Click("Pause")
	page.WaitFor("it has stopped", `document.querySelector('video').paused`)
	page.Evaluate(watchFrames, nil)
	clickEvent(page, events.TypeTrackMuted)
	showsFrameAt(page, s.service.markerOf(s.held.ID, events.TypeTrackMuted, s.held.Participants[1].ID))
	page.WaitFor("the lanes are drawn", `(() => {
		const canvas = document.querySelector('.plot canvas');
		const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
		return new Set(data).size > 10;
	})()`)
	for _, line := range page.Console() {
		if len(line) > 6 && line[:6] == "error:" {
			t.Errorf("Firefox says %s", line)
		}
	}
}
