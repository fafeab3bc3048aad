package simpeer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/rtp"

	"consilium/internal/media"
	"consilium/internal/media/sfu"
	"consilium/internal/testenv"
)

// limit bounds whatever a test waits for.
const limit = 15 * time.Second

// server is a room of the real media switch behind the product's two doors, cut down to what a participant needs. It
// listens to everything as a recorder would.
type server struct {
	t    *testing.T
	web  *httptest.Server
	room *sfu.Room

	mu       sync.Mutex                   // guards what follows
	taps     map[string]map[string]*tap   // participant → kind → newest
	peers    map[string]*sfu.Peer         // participant → newest connection
	screens  map[string]func(kind, m any) // participant → send
	tracks   map[string]*sfu.Publication  // by id
	owners   map[string]string            // publication → participant
	said     map[string]map[string]any    // type → newest message
	states   map[string][]string          // participant → ICE states
	deleted  int
	refusing int // status that WHIP answers with, if not 0
}

// tap is a subscriber that remembers.
type tap struct {
	pub *sfu.Publication

	mu      sync.Mutex // guards what follows
	packets []arrived
	reports []media.SenderReport
}

type arrived struct {
	*rtp.Packet
	at time.Time
}

func (t *tap) RTP(p *rtp.Packet, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.packets = append(t.packets, arrived{p, at})
}

func (t *tap) SenderReport(sr media.SenderReport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reports = append(t.reports, sr)
}

func (t *tap) snapshot() ([]arrived, []media.SenderReport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.packets), slices.Clone(t.reports)
}

func newServer(t *testing.T) *server {
	t.Helper()
	testenv.Require(t, "ffmpeg")
	m, err := sfu.New(sfu.Config{MediaListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, room: m.NewRoom(), taps: map[string]map[string]*tap{}, peers: map[string]*sfu.Peer{},
		screens: map[string]func(kind, m any){}, tracks: map[string]*sfu.Publication{}, owners: map[string]string{},
		said: map[string]map[string]any{}, states: map[string][]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /signaling", s.screen)
	mux.HandleFunc("POST /whip", s.publish)
	mux.HandleFunc("DELETE /whip/{participant}", s.unpublish)
	s.web = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.web.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// join brings a participant in by WebSocket; its name is its token. It leaves with the test.
func (s *server) join(name string, o Options) *Participant {
	s.t.Helper()
	p, err := JoinWebSocket(s.t.Context(), s.web.URL+"/signaling", name, o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Drop)
	return p
}

// await polls for what no callback tells.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// tap waits for the participant's publication of a kind.
func (s *server) tap(name string, kind media.Kind) *tap {
	s.t.Helper()
	var found *tap
	await(s.t, string(kind)+" of "+name, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		found = s.taps[name][string(kind)]
		return found != nil
	})
	return found
}

func (s *server) newPeer(name string) (*sfu.Peer, error) {
	return s.room.NewPeer(sfu.PeerConfig{ID: name, Handlers: sfu.Handlers{
		OnICEState: func(state string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.states[name] = append(s.states[name], state)
		},
		OnPublication: func(pub *sfu.Publication) {
			t := &tap{pub: pub}
			s.mu.Lock()
			if s.taps[name] == nil {
				s.taps[name] = map[string]*tap{}
			}
			s.taps[name][string(pub.Kind())] = t
			s.tracks[pub.ID()], s.owners[pub.ID()] = pub, name
			s.mu.Unlock()
			pub.Subscribe(t)
			s.show()
		},
		OnUnpublished: func(pub *sfu.Publication) {
			s.mu.Lock()
			delete(s.tracks, pub.ID())
			s.mu.Unlock()
			s.show()
		},
		OnNeedOffer: func(audio, video int) {
			s.mu.Lock()
			send := s.screens[name]
			s.mu.Unlock()
			if send != nil {
				send("please_offer", map[string]any{"audio": audio, "video": video})
			}
		},
	}})
}

// state is the message of that name.
func (s *server) state() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	tracks := map[string][]any{}
	for id, pub := range s.tracks {
		tracks[s.owners[id]] = append(tracks[s.owners[id]], map[string]any{"id": id, "kind": pub.Kind(), "source": pub.Source()})
	}
	participants := []any{}
	for name, list := range tracks {
		participants = append(participants, map[string]any{"id": name, "present": true, "tracks": list})
	}
	return map[string]any{"phase": "open", "joined": true, "participants": participants}
}

func (s *server) show() {
	state := s.state()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, send := range s.screens {
		send("state", state)
	}
}

// screen is the WebSocket of one participant.
func (s *server) screen(rw http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	var name string
	write := func(re, kind, m any) {
		message := map[string]any{}
		raw, _ := json.Marshal(m)
		_ = json.Unmarshal(raw, &message)
		message["type"] = kind
		if re != nil {
			message["re"] = re
		}
		raw, _ = json.Marshal(message)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = ws.Write(ctx, websocket.MessageText, raw) // who has hung up hears nothing
	}
	for {
		_, raw, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		m := map[string]any{}
		if err := json.Unmarshal(raw, &m); err != nil {
			s.t.Errorf("a participant said %q", raw)
			return
		}
		s.mu.Lock()
		s.said[fmt.Sprint(m["type"])] = m
		peer := s.peers[name]
		s.mu.Unlock()
		switch m["type"] {
		case "hello":
			name = fmt.Sprint(m["token"])
			if strings.HasPrefix(name, "bad") {
				write(m["id"], "error", map[string]any{"code": "unauthorized", "message": "Nobody knows you."})
				return
			}
			write(m["id"], "welcome", map[string]any{"participant": name, "consultation": "c"})
		case "join":
			s.mu.Lock()
			s.screens[name] = func(kind, m any) { write(nil, kind, m) }
			s.mu.Unlock()
			write(m["id"], "state", s.state())
		case "offer":
			s.offer(name, m, write)
		case "candidate":
			if peer == nil {
				s.t.Error("a candidate came before its offer")
				continue
			}
			mid, _ := m["sdpMid"].(string)
			peer.AddCandidate(sfu.Candidate{Candidate: fmt.Sprint(m["candidate"]), SDPMid: &mid})
		case "leave":
			s.mu.Lock()
			delete(s.screens, name)
			s.mu.Unlock()
			peer.Close()
			write(nil, "ended", map[string]any{"reason": "left"})
			return
		}
	}
}

func (s *server) offer(name string, m map[string]any, write func(re, kind, m any)) {
	s.mu.Lock()
	peer := s.peers[name]
	s.mu.Unlock()
	if peer == nil || m["new"] == true {
		if peer != nil {
			peer.Close()
		}
		fresh, err := s.newPeer(name)
		if err != nil {
			s.t.Error(err)
			return
		}
		peer = fresh
		s.mu.Lock()
		s.peers[name] = peer
		s.mu.Unlock()
	}
	sources := map[string]media.Source{}
	for _, t := range m["tracks"].([]any) {
		track := t.(map[string]any)
		sources[track["mid"].(string)] = media.Source(track["source"].(string))
	}
	answer, sending, err := peer.Answer(context.Background(), m["sdp"].(string), sources)
	if errors.Is(err, sfu.ErrClosed) {
		return
	}
	if err != nil {
		s.t.Error(err)
		return
	}
	tracks := []any{}
	s.mu.Lock()
	for _, t := range sending {
		if pub := s.tracks[t.PublicationID]; pub != nil {
			tracks = append(tracks, map[string]any{
				"mid": t.MID, "track": t.PublicationID, "participant": s.owners[t.PublicationID], "source": pub.Source(),
			})
		}
	}
	s.mu.Unlock()
	write(m["id"], "answer", map[string]any{"sdp": answer, "tracks": tracks})
}

// publish is the door for WHIP; the token is the participant's name.
func (s *server) publish(rw http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refusing := s.refusing
	s.mu.Unlock()
	raw, err := io.ReadAll(r.Body)
	if err != nil || refusing != 0 {
		http.Error(rw, "no", refusing)
		return
	}
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	peer, err := s.newPeer(name)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	s.mu.Lock()
	s.peers[name] = peer
	s.mu.Unlock()
	answer, err := peer.AnswerComplete(r.Context(), string(raw))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	rw.Header().Set("Content-Type", "application/sdp")
	rw.Header().Set("Location", "/whip/"+name)
	rw.WriteHeader(http.StatusCreated)
	fmt.Fprint(rw, answer)
}

func (s *server) unpublish(rw http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.deleted++
	peer := s.peers[r.PathValue("participant")]
	s.mu.Unlock()
	peer.Close()
	rw.WriteHeader(http.StatusOK)
}

// inFull leaves a test out of the quick run: it takes seconds.
func inFull(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}
