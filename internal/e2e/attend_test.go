package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"consilium/internal/testenv"
)

// noticeHash stands for the text of the recording notice that somebody read.
var noticeHash = strings.Repeat("0a", 32)

// answer answers the recording notice for a participant, with the participant's own token.
func (c *client) answer(id string, who participant, answer string) {
	c.t.Helper()
	c.with(who.token(c.t)).call("POST", "/consultations/"+id+"/participants/"+who.ID+"/consent",
		map[string]any{"answer": answer, "textSha256": noticeHash, "language": "en"}, 204, nil)
}

// screen is a participant's page without camera and microphone: a WebSocket that is joined and sends no media.
type screen struct {
	t     testing.TB
	ws    *websocket.Conn
	heard chan map[string]any // all that the server said, state apart; closed at the end
}

// sit opens a participant's screen and joins.
func sit(t testing.TB, p *testenv.Product, who participant) *screen {
	t.Helper()
	s := look(t, p, who)
	s.say(`{"type":"join","id":1}`)
	return s
}

// look opens a participant's screen, with request headers (name, value, …), and does not join.
func look(t testing.TB, p *testenv.Product, who participant, header ...string) *screen {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	ws, _, err := websocket.Dial(ctx, p.URL+"/api/v1/signaling", &websocket.DialOptions{Subprotocols: []string{"consilium.v1"}, HTTPHeader: h})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	s := &screen{t: t, ws: ws, heard: make(chan map[string]any, 1000)}
	reading, stop := context.WithCancel(context.Background())
	go func() { // ends when the connection does
		defer close(s.heard)
		for {
			_, raw, err := ws.Read(reading)
			var m map[string]any
			if err != nil || json.Unmarshal(raw, &m) != nil {
				return
			}
			if m["type"] != "state" {
				s.heard <- m
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		ws.CloseNow()
		for range s.heard {
		}
	})
	hello, err := json.Marshal(map[string]string{"type": "hello", "token": who.token(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.say(string(hello))
	s.hears("welcome")
	return s
}

// say sends one message.
func (s *screen) say(message string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.ws.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		s.t.Fatalf("say %s: %v", message, err)
	}
}

// hears waits for a message of the type.
func (s *screen) hears(kind string) map[string]any {
	s.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case m, open := <-s.heard:
			switch {
			case !open:
				s.t.Fatalf("the connection ended before %s came", kind)
			case m["type"] == kind:
				return m
			case m["type"] == "error":
				s.t.Fatalf("got %v, want %s", m, kind)
			}
		case <-limit:
			s.t.Fatalf("%s did not come", kind)
		}
	}
}
