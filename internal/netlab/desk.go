package netlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/transport/v5"

	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
)

// desk is a signaling server for one call over a virtual network: as much of consilium.v1 as two simulated participants need,
// before the product's SFU and recorder. A participant's token is its id.
type desk struct {
	machine transport.Net
	public  string
	folder  string
	web     *httptest.Server

	mu     sync.Mutex // guards what follows; never held while calling out
	sfu    *sfu.SFU
	room   *sfu.Room
	guests map[string]*guest
	tracks map[string]*taken // by publication
	frames map[string]int    // recorded, by participant and kind
	errs   []error
}

// guest is one participant that has said hello.
type guest struct {
	ws    *websocket.Conn
	write sync.Mutex // one message at a time
	peer  *sfu.Peer  // nil before its first offer
}

// taken is a track that is recorded.
type taken struct {
	pub      *sfu.Publication
	owner    string
	recorder *recorder.Recorder
}

func newDesk(machine transport.Net, public, folder string) (*desk, error) {
	d := &desk{
		machine: machine, public: public, folder: folder, guests: map[string]*guest{}, tracks: map[string]*taken{}, frames: map[string]int{},
	}
	if err := d.open(); err != nil {
		return nil, err
	}
	d.web = httptest.NewServer(http.HandlerFunc(d.screen))
	return d, nil
}

// open starts the SFU.
func (d *desk) open() error {
	socket, err := d.machine.ListenUDP("udp4", &net.UDPAddr{IP: d.address(), Port: 443})
	if err != nil {
		return fmt.Errorf("listen in the virtual network: %w", err)
	}
	s, err := sfu.New(sfu.Config{Sockets: []net.PacketConn{socket}, PublicAddr: d.public})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sfu, d.room = s, s.NewRoom()
	return nil
}

func (d *desk) address() net.IP {
	if d.public != "" {
		return net.ParseIP(insideV4)
	}
	return net.ParseIP(serverV4)
}

// restart ends everything that a server forgets when it ends, and opens anew.
func (d *desk) restart(*call, *Result) error {
	d.mu.Lock()
	for _, g := range d.guests {
		g.ws.CloseNow()
	}
	d.guests = map[string]*guest{}
	s := d.sfu
	d.mu.Unlock()
	if err := s.Close(); err != nil {
		return err
	}
	d.seal("stopping")
	return d.open()
}

// seal ends all recorders.
func (d *desk) seal(reason string) {
	d.mu.Lock()
	tracks := d.tracks
	d.tracks = map[string]*taken{}
	d.mu.Unlock()
	for _, t := range tracks {
		t.recorder.Close(reason)
	}
}

// close ends everything and gives the first error of what went on.
func (d *desk) close() error {
	d.web.CloseClientConnections()
	d.mu.Lock()
	for _, g := range d.guests {
		g.ws.CloseNow()
	}
	s := d.sfu
	d.mu.Unlock()
	d.web.Close()
	err := s.Close()
	d.seal("ended")
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(append(d.errs, err)...)
}

// recorded is how many frames of a participant's are in closed files; seal has closed them.
func (d *desk) recorded(participant string, kind media.Kind) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frames[participant+" "+string(kind)]
}

func (d *desk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs = append(d.errs, err)
}

// newPeer makes a connection of a participant, whose tracks are recorded.
func (d *desk) newPeer(name string) (*sfu.Peer, error) {
	d.mu.Lock()
	room := d.room
	d.mu.Unlock()
	return room.NewPeer(sfu.PeerConfig{ID: name, Handlers: sfu.Handlers{
		OnPublication: func(pub *sfu.Publication) { d.take(name, pub) },
		OnUnpublished: func(pub *sfu.Publication) {
			d.mu.Lock()
			t := d.tracks[pub.ID()]
			delete(d.tracks, pub.ID())
			d.mu.Unlock()
			if t != nil {
				t.recorder.Close("ended")
			}
			d.show()
		},
		OnNeedOffer: func(audio, video int) {
			d.mu.Lock()
			g := d.guests[name]
			d.mu.Unlock()
			if g != nil {
				g.say("please_offer", nil, map[string]any{"audio": audio, "video": video})
			}
		},
	}})
}

// take records a track.
func (d *desk) take(name string, pub *sfu.Publication) {
	r, err := recorder.New(recorder.Config{Dir: d.folder},
		recorder.Track{Room: "virtual", Owner: name, ID: pub.ID(), Source: pub.Source(), Codec: pub.Codec(), Since: time.Now()},
		pub.RequestKeyframe, func(report recorder.Report) {
			if sealed, ok := report.(recorder.Sealed); ok {
				d.mu.Lock()
				d.frames[name+" "+string(pub.Kind())] += int(sealed.Frames)
				d.mu.Unlock()
			}
		}, slog.New(slog.DiscardHandler))
	if err != nil {
		d.fail(err)
		return
	}
	d.mu.Lock()
	d.tracks[pub.ID()] = &taken{pub, name, r}
	d.mu.Unlock()
	pub.Subscribe(r)
	d.show()
}

// state is the message of that name.
func (d *desk) state() map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	tracks := map[string][]any{}
	for id, t := range d.tracks {
		tracks[t.owner] = append(tracks[t.owner], map[string]any{"id": id, "kind": t.pub.Kind(), "source": t.pub.Source()})
	}
	participants := []any{}
	for name, list := range tracks {
		participants = append(participants, map[string]any{"id": name, "present": true, "tracks": list})
	}
	return map[string]any{"phase": "open", "joined": true, "participants": participants}
}

// show tells everybody the state.
func (d *desk) show() {
	state := d.state()
	d.mu.Lock()
	guests := make([]*guest, 0, len(d.guests))
	for _, g := range d.guests {
		guests = append(guests, g)
	}
	d.mu.Unlock()
	for _, g := range guests {
		g.say("state", nil, state)
	}
}

// say sends a message, as the answer to the one with the number re if that is not nil.
func (g *guest) say(kind string, re any, body map[string]any) {
	message := map[string]any{"type": kind}
	if re != nil {
		message["re"] = re
	}
	for key, value := range body {
		message[key] = value
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	g.write.Lock()
	defer g.write.Unlock()
	_ = g.ws.Write(ctx, websocket.MessageText, raw) // who has hung up hears nothing
}

// asked is every message of a participant, and what is needed of it.
type asked struct {
	Type      string
	ID        any
	Token     string
	SDP       string
	New       bool
	Candidate string
	SDPMid    *string
	Tracks    []struct {
		MID    string
		Source media.Source
	}
}

// screen is the WebSocket of one participant.
func (d *desk) screen(rw http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{"consilium.v1"}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	g, name := &guest{ws: ws}, ""
	for {
		_, raw, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		var m asked
		if err := json.Unmarshal(raw, &m); err != nil {
			d.fail(fmt.Errorf("a participant said %q: %w", raw, err))
			return
		}
		if m.Type == "hello" {
			name = m.Token
		}
		d.answer(g, name, m)
		if m.Type == "leave" {
			return
		}
	}
}

func (d *desk) answer(g *guest, name string, m asked) {
	switch m.Type {
	case "hello":
		g.say("welcome", m.ID, map[string]any{"participant": name, "consultation": "virtual"})
	case "join":
		d.mu.Lock()
		if before := d.guests[name]; before != nil {
			g.peer = before.peer
		}
		d.guests[name] = g
		d.mu.Unlock()
		g.say("state", m.ID, d.state())
	case "ping":
		g.say("pong", m.ID, nil)
	case "offer":
		if err := d.negotiate(g, name, m); err != nil {
			g.say("error", m.ID, map[string]any{"code": "bad_sdp", "message": err.Error()})
		}
	case "candidate":
		if g.peer != nil {
			g.peer.AddCandidate(sfu.Candidate{Candidate: m.Candidate, SDPMid: m.SDPMid})
		}
	case "leave":
		if g.peer != nil {
			g.peer.Close()
		}
		g.say("ended", nil, map[string]any{"reason": "left"})
	}
}

func (d *desk) negotiate(g *guest, name string, m asked) error {
	if g.peer == nil && !m.New {
		return errors.New("there is no connection")
	}
	if m.New {
		if g.peer != nil {
			g.peer.Close()
		}
		peer, err := d.newPeer(name)
		if err != nil {
			return err
		}
		g.peer = peer
	}
	sources := map[string]media.Source{}
	for _, t := range m.Tracks {
		sources[t.MID] = t.Source
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, sending, err := g.peer.Answer(ctx, m.SDP, sources)
	if err != nil {
		return err
	}
	tracks := []any{}
	d.mu.Lock()
	for _, s := range sending {
		if t := d.tracks[s.PublicationID]; t != nil {
			tracks = append(tracks, map[string]any{"mid": s.MID, "track": s.PublicationID, "participant": t.owner, "source": t.pub.Source()})
		}
	}
	d.mu.Unlock()
	g.say("answer", m.ID, map[string]any{"sdp": answer, "tracks": tracks})
	return nil
}
