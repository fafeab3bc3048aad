package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/testenv"
)

// personAt is what the page says of somebody at one moment.
type personAt struct {
	ID         string
	Present    bool
	Microphone string // On, Off, … in the words of the page; "not sent"
	Camera     string
	Connected  bool
	Hears      bool // the other one
}

// stateIsTheFold goes to random moments of a consultation and holds what the page says was true against the events up to there.
func stateIsTheFold(t *testing.T, s *scene) {
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	tab.Navigate(s.URL + "/consultations/" + s.held.ID + "#token=" + s.Command("token", "--role", "auditor"))
	tab.WaitFor("the state", `document.querySelectorAll('[data-testid=person-at]').length === 2`)
	placed, length := s.placed()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range 25 {
		at := awayFromEvents(random, placed, length)
		want := fold(placed, at, s.held)
		var got []personAt
		tab.Evaluate(fmt.Sprintf(stateAt, at.Seconds()), &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("at %s (seed %d), want -, got +:\n%s", at, seed, diff)
		}
	}
}

// stateAt goes to a moment as a link does, and reads the panel when the cursor is there and nothing has moved for two frames.
const stateAt = `(async () => {
	const frame = () => new Promise((done) => requestAnimationFrame(done));
	const heard = new Promise((done) => addEventListener('hashchange', done, { once: true }));
	location.hash = 't=%[1]f';
	await heard;
	const read = () => [...document.querySelectorAll('[data-testid=person-at]')].map((person) => {
		const medium = (name) => person.querySelector('[title^="' + name + ':"]').title.split(': ')[1];
		return { id: person.dataset.id, present: person.dataset.present === 'true', microphone: medium('Microphone'),
			camera: medium('Camera'), connected: !!person.querySelector('.net.connected'), hears: person.innerText.includes('hears') && !person.innerText.includes('hears nobody') };
	});
	for (let last = '', same = 0; same < 2; ) {
		await frame();
		const now = JSON.stringify(read()) + document.querySelector('.plot').ariaValueNow;
		same = now === last && Number(document.querySelector('.plot').ariaValueNow) === Math.floor(%[1]f) ? same + 1 : 0;
		last = now;
	}
	return read();
})()`

// placedEvent is an event with its place in the video.
type placedEvent struct {
	events.Stored
	at time.Duration
}

// placed are the events of the consultation that was held, and how long it was.
func (s *scene) placed() ([]placedEvent, time.Duration) {
	var tl struct {
		DurationNS int64
		Markers    []struct {
			Seq  uint64
			AtNS int64
		}
	}
	s.service.call("GET", "/consultations/"+s.held.ID+"/timeline", nil, 200, &tl)
	places := map[uint64]time.Duration{}
	for _, m := range tl.Markers {
		places[m.Seq] = time.Duration(m.AtNS)
	}
	var all []placedEvent
	for _, e := range s.service.events(s.held.ID) {
		at, ok := places[e.Seq]
		if !ok {
			at = -time.Hour // before or behind the video: what came before counts, and nothing of what came behind does
			if all != nil && all[len(all)-1].at >= 0 {
				at = time.Duration(tl.DurationNS)
			}
		}
		all = append(all, placedEvent{e, at})
	}
	return all, time.Duration(tl.DurationNS)
}

// awayFromEvents is a moment that no event is so near to that a rounding could put it on the other side.
func awayFromEvents(random *rand.Rand, all []placedEvent, length time.Duration) time.Duration {
	for {
		at := time.Duration(random.Int64N(int64(length))).Truncate(time.Millisecond)
		near := false
		for _, e := range all {
			near = near || (at-e.at).Abs() < 20*time.Millisecond
		}
		if !near && at > 0 {
			return at
		}
	}
}

// fold tells from the events up to a moment what was true of two people.
func fold(all []placedEvent, at time.Duration, c consultation) []personAt {
	type track struct {
		source string
		state  string
	}
	state := make([]personAt, len(c.Participants))
	tracks := make([]map[string]*track, len(c.Participants))
	for i, who := range c.Participants {
		state[i], tracks[i] = personAt{ID: who.ID}, map[string]*track{}
		for _, e := range all {
			if e.at > at || e.Participant != who.ID {
				continue
			}
			switch event := e.Event.(type) {
			case events.ParticipantJoined:
				state[i].Present = true
			case events.ParticipantLeft:
				state[i].Present, state[i].Connected, tracks[i] = false, false, map[string]*track{}
			case events.ConnectionICEChanged:
				state[i].Connected = event.State == "connected" || event.State == "completed"
			case events.ConnectionClosed:
				state[i].Connected = false
			case events.TrackStarted:
				tracks[i][event.Track] = &track{event.Source, "On"}
			case events.TrackMuted:
				tracks[i][event.Track].state = "Off"
			case events.TrackUnmuted:
				tracks[i][event.Track].state = "On"
			case events.TrackStalled:
				tracks[i][event.Track].state = "Nothing arrives"
			case events.TrackResumed:
				tracks[i][event.Track].state = "On"
			case events.TrackEnded:
				delete(tracks[i], event.Track)
			}
		}
		state[i].Microphone, state[i].Camera = "not sent", "not sent"
		for _, one := range tracks[i] {
			switch one.source {
			case string(media.Microphone):
				state[i].Microphone = one.state
			case string(media.Camera):
				state[i].Camera = one.state
			}
		}
	}
	for i := range state {
		other := state[1-i]
		state[i].Hears = state[i].Present && state[i].Connected && other.Present && other.Connected && other.Microphone == "On"
	}
	return state
}
