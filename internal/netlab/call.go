package netlab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/simpeer"
)

// Result is what came of one kind.
type Result struct {
	Kind      Kind
	Connected time.Duration // of the participant in the network of the kind, from joining on
	Machine   float64       // how many times as slow as the reference the machine was meanwhile, while it came back too
	Entry     string        // its steps on the way in
	Way       string
	Back      time.Duration // after what happened in mid-call, the longest; 0 if nothing did
	Tries     int           // how often the kind was run, this time included
	Steps     []string      // that the participant took to come back
	Err       error
}

// call is one consultation over one network.
type call struct {
	kind   Kind
	world  *world
	server *server
	access *access
	id     string
	people [2]person // the patient in the network of the kind, the doctor in the best there is

	happened span // in mid-call
}

type person struct {
	id, token string
	agent     *crewed
}

// roles name the people in messages.
var roles = [...]string{"the patient", "the doctor"}

const (
	// watch is how long both must see and hear each other.
	watch = 2 * time.Second
	// kept is how many packets of sound and pictures of each the recorder must hold at least. A machine that is busy makes few
	// pictures a second, so a call lasts until the other one has seen twice as many: recording begins with a whole picture.
	kept = 20
	// opening bounds the time until the server has said who the participant is: a page is open long before anybody joins.
	opening = 20 * time.Second
	// waiting bounds everything that has no limit of its own. It says that something never happens.
	waiting = time.Minute
)

// run holds a consultation over a network of the kind and says how it went.
func (w *world) run(kind Kind) (r Result) {
	r.Kind = kind
	c := &call{kind: kind, world: w}
	defer func() { r.Err = errors.Join(r.Err, c.end()) }()
	if r.Err = c.prepare(); r.Err != nil {
		return r
	}
	if r.Err = c.connect(&r); r.Err != nil {
		return r
	}
	if r.Err = c.flows(); r.Err != nil {
		return r
	}
	s, _ := c.people[0].agent.now()
	r.Way = s.Way
	if kind.Mid != nil {
		if r.Err = c.middle(&r); r.Err != nil {
			return r
		}
	}
	if r.Err = c.discreet(); r.Err != nil {
		return r
	}
	if r.Err = c.recorded(); r.Err == nil && kind.Mid != nil {
		r.Err = c.whole()
	}
	return r
}

// connect waits until both can send and hear, and holds the patient's limits against how long it took.
func (c *call) connect(r *Result) error {
	began := time.Now()
	connected := func(s state) bool { return s.Connected > 0 }
	if _, err := c.people[1].agent.until("the doctor connects", waiting, connected); err != nil {
		return err
	}
	s, err := c.people[0].agent.until("the patient connects", waiting, connected)
	if err != nil {
		return err
	}
	r.Machine = c.world.computer.slowness(began, time.Now())
	r.Connected, r.Entry = s.Connected, s.Entry
	if limit := c.world.computer.scaled(opening, r.Machine); s.Opened > limit {
		return fmt.Errorf("welcome after %s, limit %s on this machine", seconds(s.Opened), seconds(limit))
	}
	if limit := c.world.computer.scaled(c.kind.Limit, r.Machine); r.Connected > limit {
		return fmt.Errorf("connected after %s s, limit %s s on this machine", seconds(r.Connected), seconds(limit))
	}
	return nil
}

// discreet says whether all that came to one participant was free of the other's addresses.
func (c *call) discreet() error {
	for i, p := range c.people {
		if s, _ := p.agent.now(); s.Leaked != "" {
			return fmt.Errorf("%s was told an address of the other: %s", roles[i], s.Leaked)
		}
	}
	return nil
}

// prepare makes network and consultation, and lets both come in.
func (c *call) prepare() (err error) {
	if c.server, err = c.world.serve(c.kind.Server); err != nil {
		return err
	}
	if c.access, err = newAccess(c.kind, int(c.world.next.Add(1)), c.world.inet); err != nil {
		return err
	}
	var made struct {
		ID           string
		Participants []struct{ ID, JoinURL string }
	}
	err = c.server.rest("POST", "/consultations", map[string]any{
		"title": "Laboratory", "participants": []map[string]any{
			{"name": "Pat", "role": "patient", "consent": true}, {"name": "Doc", "role": "clinician", "consent": true},
		},
	}, &made)
	if err != nil {
		return err
	}
	c.id = made.ID
	url := c.server.urls[0]
	if c.kind.IPv4 == Absent || c.kind.IPv4 == Dead {
		url = c.server.urls[1]
	}
	if c.kind.NAT == NAT64 {
		url = "https://[" + translatedServer + "]"
	}
	if c.kind.With == Firefox { // which speaks TLS to a relay that has a name, and to no other
		url = "https://" + serverName
		if err := c.access.client.knows(serverV4, serverName); err != nil {
			return err
		}
	}
	for i, p := range made.Participants {
		_, token, _ := strings.Cut(p.JoinURL, "#token=")
		t := task{
			URL: c.server.urls[0] + "/api/v1/signaling", Token: token, Who: i, Within: waiting,
			Reach: simpeer.Reach{AllWays: true, Elsewhere: true}, Heals: c.kind.Mid != nil && (i == 0 || c.kind.Server == Restarted),
		}
		place := c.world.doctor
		t.Private = c.access.addresses()
		if i == 0 {
			t.Private = []string{doctorV4, doctorV6}
			t.URL, place = url+"/api/v1/signaling", c.access.client
			t.Reach.Improve = c.kind.Link.Loss > 0
			t.Reach.Lead = c.kind.Lead
			t.Reach.Hidden, t.Reach.RelayOnly = c.kind.Hidden, c.kind.Relay
			t.With, t.Chromium = c.kind.With, c.kind.Chromium
			if c.kind.Proxy {
				t.Reach.Proxy = "http://" + proxyAt
			}
		}
		c.people[i].id, c.people[i].token = p.ID, token
		if c.people[i].agent, err = hire(place, t, "SSL_CERT_FILE="+c.server.cert.cert); err != nil {
			return err
		}
	}
	return nil
}

// flows waits until both see and hear each other for a while.
func (c *call) flows() error {
	for i, p := range c.people {
		who := roles[i]
		from, err := p.agent.until(who+" sees and hears", waiting, func(s state) bool { return s.Audio > 0 && s.Video > 0 })
		if err != nil {
			return err
		}
		// A link that loses much, or carries little, brings fewer; and the recorder needs whole pictures of it.
		long := watch
		if c.kind.Link.Loss > 0 {
			long = time.Duration(float64(long) * (2 + 20*c.kind.Link.Loss))
		}
		audio, video := int(long/(20*time.Millisecond))/2, max(int(long.Seconds()*simpeer.FPS)/4, 2*kept)
		if _, err := p.agent.until(who+" goes on to see and hear", waiting, func(s state) bool {
			return s.Audio >= from.Audio+audio && s.Video >= from.Video+video
		}); err != nil {
			return err
		}
	}
	return nil
}

// middle lets happen what the kind has for mid-call and measures how long it takes until media flows again.
func (c *call) middle(r *Result) error {
	c.happened.from = time.Now()
	if err := c.kind.Mid(c, r); err != nil {
		return fmt.Errorf("in mid-call: %w", err)
	}
	c.happened.to = time.Now()
	err := c.back(r)
	s, _ := c.people[0].agent.now()
	r.Steps = append(r.Steps, s.Healed...)
	r.Way += " → " + s.Way
	return err
}

// back waits until both see and hear each other again, and holds the kind's limit against how long it took.
func (c *call) back(r *Result) error {
	began := time.Now()
	var from [len(c.people)]state
	for i, p := range c.people { // what was reported last may be older
		var err error
		if from[i], err = p.agent.until("a report of "+roles[i], waiting, func(s state) bool { return s.At.After(began) }); err != nil {
			return err
		}
	}
	for i, p := range c.people {
		s, err := p.agent.until(roles[i]+" comes back", waiting, func(s state) bool {
			return s.Audio > from[i].Audio+10 && s.Video > from[i].Video+5
		})
		if err != nil {
			return fmt.Errorf("%w (%s)", err, strings.Join(s.Healed, ", "))
		}
	}
	took, slowness := time.Since(began), c.world.computer.slowness(began, time.Now())
	r.Back, r.Machine = max(r.Back, took), max(r.Machine, slowness)
	if limit := c.world.computer.scaled(c.kind.Back, slowness); took > limit {
		return fmt.Errorf("back after %s s, limit %s s on this machine", seconds(took), seconds(limit))
	}
	return nil
}

// recorded ends the consultation and looks into the log for what the recorder holds of both.
func (c *call) recorded() error {
	if err := c.people[1].agent.tell("end"); err != nil {
		return err
	}
	limit := time.After(waiting)
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for {
		missing, err := c.missing()
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-limit:
			return errors.Join(err, fmt.Errorf("the recorder does not hold %s", missing))
		case <-ticker.C:
		}
	}
}

// missing names what the recorder does not hold yet, "" if nothing.
func (c *call) missing() (string, error) {
	var raw []byte
	if err := c.server.rest("GET", "/consultations/"+c.id+"/events", nil, &raw); err != nil {
		return "everything", err
	}
	type what struct {
		participant string
		kind        media.Kind
	}
	tracks, segments, frames := map[string]what{}, map[string]what{}, map[what]int{}
	for line := range bytes.Lines(raw) {
		var e struct {
			Type        events.Type
			Participant string
			Data        struct {
				Track, Segment string
				Kind           media.Kind
				Frames         int
			}
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return "everything", err
		}
		switch e.Type {
		case events.TypeTrackStarted:
			tracks[e.Data.Track] = what{e.Participant, e.Data.Kind}
		case events.TypeSegmentOpened:
			segments[e.Data.Segment] = tracks[e.Data.Track]
		case events.TypeSegmentSealed:
			frames[segments[e.Data.Segment]] += e.Data.Frames
		}
	}
	for i, p := range c.people {
		for _, kind := range []media.Kind{media.Audio, media.Video} {
			if frames[what{p.id, kind}] < kept {
				return fmt.Sprintf("%s of %s", kind, roles[i]), nil
			}
		}
	}
	return "", nil
}

// end takes everything of the call away.
func (c *call) end() error {
	for _, p := range c.people {
		if p.agent != nil {
			p.agent.dismiss(5 * time.Second)
		}
	}
	if c.access == nil {
		return nil
	}
	return c.access.close()
}
