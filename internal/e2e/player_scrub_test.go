package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/testenv"
)

var scrubEvents = flag.Int("scrub-events", 2000, "events of the consultation that TestManyEventsAreDraggedThrough drags through; figures are wanted of 10000")

// An hour with a great many events is dragged through: the cursor, the state, the list and the lanes follow.
func TestManyEventsAreDraggedThrough(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	c := as(t, p, "service").schedule("Many events", "optional", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	p.Live.Stop(t)
	fillLog(t, p.Data, c, *scrubEvents)
	p.StartLive()

	tab := testenv.NewChromium(t, testenv.ChromiumOptions{Height: 1000, Width: 1280})
	tab.Navigate(p.URL + "/consultations/" + c.ID + "#token=" + p.Command("token", "--role", "compliance"))
	tab.ClickRole("checkbox", "Technical ones too")
	tab.WaitFor("the events are there", fmt.Sprintf(`Number(document.querySelector('[data-testid=event]')?.ariaSetSize) >= %d`, *scrubEvents))
	tab.WaitFor("the lanes are there", `Number(document.querySelector('.plot')?.ariaValueMax) === 3600`)
	tab.Evaluate(frameCounter, nil)
	var got evenness
	tab.Evaluate(`(async () => {
		const plot = document.querySelector('.plot');
		plot.setPointerCapture = () => {};
		plot.hasPointerCapture = () => true;
		const box = plot.getBoundingClientRect();
		const at = (type, share) => plot.dispatchEvent(new PointerEvent(type, { bubbles: true, button: 0,
			clientX: box.left + box.width * (0.1 + 0.8 * share), clientY: box.top + 5 }));
		at('pointerdown', 0);
		return await window.count(4000, (share) => at('pointermove', Math.min(1, share)));
	})()`, &got)
	got.print(t, "scrub")
	if got.Frames < 40 {
		t.Errorf("in four seconds of dragging there were %d frames", got.Frames)
	}
	tab.WaitFor("the list stands where the cursor was dragged to", fmt.Sprintf(
		`Number(document.querySelector('.events .current')?.ariaPosInSet) > %d`, *scrubEvents/2))
	tab.WaitFor("the state is the one of that moment", `document.querySelectorAll('[data-testid=person-at][data-present=true]').length === 2`)
}

// fillLog writes an hour of a consultation with n events into the log of a product that does not run. It is scheduled and
// nothing else yet.
func fillLog(t *testing.T, data string, c consultation, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	server, err := natslog.Start(ctx, natslog.ServerConfig{DataDir: data, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	log, err := server.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	at, err := log.Last(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	all := busyHour(c, time.Now().Add(time.Second), n) // it was scheduled before
	for len(all) > 0 {
		some := min(len(all), 500)
		if at, err = log.Append(ctx, c.ID, at, all[:some]...); err != nil {
			t.Fatal(err)
		}
		all = all[some:]
	}
}

// busyHour is an hour in which two people are there from the first second to the last and n things happen.
func busyHour(c consultation, begin time.Time, n int) []events.Draft {
	var all []events.Draft
	say := func(at time.Duration, participant string, e events.Event) {
		d := events.NewDraft("/live/test", begin.Add(at), e)
		d.Participant = participant
		all = append(all, d)
	}
	say(0, "", events.ConsultationOpened{Policy: events.PolicyOptional, Layout: "grid", Language: "en"})
	say(0, "", events.ConferenceHosted{Epoch: 1, Wall: begin, Node: "test", URL: "http://localhost"})
	for _, who := range c.Participants {
		connection := "connection of " + who.ID
		say(0, who.ID, events.ConsentGiven{})
		say(0, who.ID, events.ParticipantJoined{Role: who.Role})
		say(0, who.ID, events.ConnectionOpened{Connection: connection})
		say(0, who.ID, events.ConnectionICEChanged{Connection: connection, State: "connected"})
		for _, source := range [][2]string{{"audio", "microphone"}, {"video", "camera"}} {
			say(0, who.ID, events.TrackStarted{Connection: connection, Track: source[1] + " of " + who.ID, Kind: source[0], Source: source[1]})
		}
	}
	for i := range n {
		who := c.Participants[i/2%2].ID
		at := time.Duration(i+1) * time.Hour / time.Duration(n+2)
		track := []string{"microphone", "camera"}[i/4%2] + " of " + who
		switch off := i%2 == 0; {
		case i/8%3 == 2 && off:
			say(at, who, events.ConnectionICEChanged{Connection: "connection of " + who, State: "disconnected"})
		case i/8%3 == 2:
			say(at, who, events.ConnectionICEChanged{Connection: "connection of " + who, State: "connected"})
		case off:
			say(at, who, events.TrackMuted{Track: track})
		default:
			say(at, who, events.TrackUnmuted{Track: track})
		}
	}
	for _, who := range c.Participants {
		say(time.Hour, who.ID, events.ParticipantLeft{Reason: events.LeftLeft})
	}
	say(time.Hour, "", events.ConsultationEnded{Reason: "closed"})
	say(time.Hour, "", events.ConsultationCompleted{Missing: []events.MissingSegment{}, Tracks: []events.TrackAccount{}})
	return all
}
