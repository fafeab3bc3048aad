package e2e

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

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
	for n := range 25 {
		at := awayFromEvents(random, placed, length)
		want := fold(placed, at, s.held)
		var got []personAt
		tab.Evaluate(fmt.Sprintf(stateAt, at.Seconds(), n), &got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("at %s (seed %d), want -, got +:\n%s", at, seed, diff)
		}
	}
}

// stateAt goes to a moment as a link does, and reads the panel when the cursor is there and nothing has moved for two frames.
const stateAt = `(async () => {
	const frame = () => new Promise((done) => requestAnimationFrame(done));
	const heard = new Promise((done) => addEventListener('hashchange', done, { once: true }));
	location.hash = 't=%[1]f&n=%[2]d'; // n: the same moment twice is another link
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

// heard is what is known of somebody while events are read.
type heard struct {
	personAt
	connection string            // the newest
	newest     map[string]string // track by its source
	state      map[string]string // by source
}

// fold tells from the events up to a moment what was true of two people.
func fold(all []placedEvent, at time.Duration, c consultation) []personAt {
	state := make([]personAt, len(c.Participants))
	for i, who := range c.Participants {
		p := heard{personAt: personAt{ID: who.ID}, newest: map[string]string{}, state: map[string]string{}}
		for _, e := range all {
			if e.at <= at && e.Participant == who.ID {
				p.take(e.Event)
			}
		}
		state[i] = p.personAt
		state[i].Microphone = cmp.Or(p.state[string(media.Microphone)], "not sent")
		state[i].Camera = cmp.Or(p.state[string(media.Camera)], "not sent")
	}
	for i := range state {
		other := state[1-i]
		state[i].Hears = state[i].Present && state[i].Connected && other.Present && other.Connected && other.Microphone == "On"
	}
	return state
}

func (p *heard) take(e events.Event) {
	switch e := e.(type) {
	case events.ParticipantJoined:
		p.Present = true
	case events.ParticipantLeft:
		p.Present, p.Connected = false, false
		clear(p.newest)
		clear(p.state)
	case events.ConnectionOpened:
		p.connection, p.Connected = e.Connection, false
	case events.ConnectionICEChanged:
		p.connected(e.Connection, e.State == "connected" || e.State == "completed")
	case events.ConnectionRestarted:
		p.connected(e.Connection, false)
	case events.ConnectionTimedOut:
		p.connected(e.Connection, false)
	case events.ConnectionClosed:
		p.connected(e.Connection, false)
	case events.TrackStarted:
		p.newest[e.Source], p.state[e.Source] = e.Track, "On"
	case events.TrackMuted:
		p.became(e.Track, "Off")
	case events.TrackUnmuted:
		p.became(e.Track, "On")
	case events.TrackStalled:
		p.became(e.Track, "Nothing arrives")
	case events.TrackResumed:
		p.became(e.Track, "On")
	case events.TrackEnded:
		p.became(e.Track, "")
	}
}

// connected counts of the newest connection only.
func (p *heard) connected(connection string, is bool) {
	if connection == p.connection {
		p.Connected = is
	}
}

// became counts of the newest track of a source that is still sent.
func (p *heard) became(track, state string) {
	for source, newest := range p.newest {
		if newest == track && p.state[source] != "" {
			p.state[source] = state
		}
	}
}
