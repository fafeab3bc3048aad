package signaling

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"consilium/internal/conference"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// connected gives the client's end of a WebSocket whose messages after hello go to handlers.
func connected(t *testing.T, handlers map[string]handler) *websocket.Conn {
	t.Helper()
	return connectedWithin(t, rate.NewLimiter(perSecond, burst), handlers)
}

func connectedWithin(t *testing.T, limit *rate.Limiter, handlers map[string]handler) *websocket.Conn {
	t.Helper()
	done := make(chan struct{})
	server := &Server{cfg: Config{Logger: slog.New(slog.DiscardHandler), Explain: func(err error) Error {
		return Error{Code: "failed", Message: err.Error()}
	}}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ctx, end := context.WithCancel(t.Context())
		c := newConn(server, ws, r)
		c.end, c.handlers, c.limit = end, handlers, limit
		wrote := make(chan struct{})
		go func() { defer close(wrote); c.write(ctx) }()
		c.read(ctx)
		if !c.refused {
			end()
		}
		<-wrote
	}))
	t.Cleanup(web.Close)
	ws, _, err := websocket.Dial(t.Context(), web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ws.CloseNow()
		<-done
	})
	return ws
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, raw, err := ws.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What the conference shows while somebody is being welcomed comes behind the welcome, which is the answer to hello.
func TestNothingIsShownBeforeTheWelcome(t *testing.T) {
	for range 20 {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			c := newConn(&Server{cfg: Config{Logger: slog.New(slog.DiscardHandler)}}, ws, r)
			c.end = end
			c.Show(conference.View{})
			wrote := make(chan struct{})
			go func() { defer close(wrote); c.write(ctx) }()
			for len(c.wake) > 0 { // until the writer has looked
				time.Sleep(time.Millisecond)
			}
			c.Show(conference.View{Joined: true})
			c.send("welcome", nil, Pong{})
			c.greet()
			<-wrote
		}))
		ws, _, err := websocket.Dial(t.Context(), web.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first, second := hear(t, ws), hear(t, ws); first != `{"type":"welcome"}` || !strings.Contains(second, `"joined":true`) {
			t.Errorf("heard %s, then %s", first, second)
		}
		ws.CloseNow()
		web.Close()
	}
}

func TestAPingIsAnsweredWhileAnotherMessageIsHandled(t *testing.T) {
	release := make(chan struct{})
	ws := connected(t, map[string]handler{"slow": func(context.Context, *Conn, []byte) (string, any, error) {
		<-release
		return "answer", struct{}{}, nil
	}})
	say(t, ws, `{"type":"slow","id":1}`)
	say(t, ws, `{"type":"ping","id":2}`)
	if got := hear(t, ws); got != `{"type":"pong","re":2}` {
		t.Errorf("while a message is handled came %s", got)
	}
	// The protocol's own ping is answered by whoever reads.
	reading := ws.CloseRead(t.Context())
	ctx, cancel := context.WithTimeout(reading, 10*time.Second)
	defer cancel()
	if err := ws.Ping(ctx); err != nil {
		t.Errorf("ping while a message is handled: %v", err)
	}
	close(release)
}

func TestMessagesAreHandledInTheirOrder(t *testing.T) {
	n := 0
	ws := connected(t, map[string]handler{"count": func(_ context.Context, _ *Conn, raw []byte) (string, any, error) {
		n++
		return "counted", map[string]any{"n": n, "said": string(raw)}, nil
	}})
	for i := range 20 {
		say(t, ws, fmt.Sprintf(`{"type":"count","id":%d}`, i))
	}
	for i := range 20 {
		if got, want := hear(t, ws), fmt.Sprintf(`{"type":"counted","re":%d,"n":%d,`, i, i+1); !strings.HasPrefix(got, want) {
			t.Fatalf("answer %d is %s", i, got)
		}
	}
}

func TestWhatSomebodySaidLastIsHandledAlthoughTheyHungUp(t *testing.T) {
	begun, release, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ws := connected(t, map[string]handler{
		"slow": func(context.Context, *Conn, []byte) (string, any, error) {
			close(begun)
			<-release
			return "", nil, nil
		},
		"leave": func(ctx context.Context, _ *Conn, _ []byte) (string, any, error) {
			left <- ctx.Err()
			return "", nil, nil
		},
	})
	say(t, ws, `{"type":"slow"}`)
	say(t, ws, `{"type":"leave"}`)
	<-begun
	ws.CloseNow()
	close(release)
	select {
	case err := <-left:
		if err != nil {
			t.Errorf("leaving was handled with a context that had ended: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("leaving was not handled")
	}
}

func TestWhoeverTalksTooMuchWhileNothingIsHandledIsSentAway(t *testing.T) {
	release := make(chan struct{})
	ws := connected(t, map[string]handler{"slow": func(context.Context, *Conn, []byte) (string, any, error) {
		<-release
		return "", nil, nil
	}})
	for range unhandled + burst {
		if ws.Write(t.Context(), websocket.MessageText, []byte(`{"type":"slow"}`)) != nil {
			break
		}
	}
	close(release)
	if got := hear(t, ws); !strings.Contains(got, CodeTooMany) {
		t.Errorf("the answer is %s", got)
	}
}

func TestOneMessageMoreThanMayBeSaidAtOnceIsTooMany(t *testing.T) {
	// No time passes in which there could be more.
	ws := connectedWithin(t, rate.NewLimiter(0, burst), nil)
	for i := range burst {
		say(t, ws, `{"type":"ping"}`)
		if got := hear(t, ws); got != `{"type":"pong"}` {
			t.Fatalf("message %d of %d is answered with %s", i+1, burst, got)
		}
	}
	say(t, ws, `{"type":"ping"}`)
	if got := hear(t, ws); !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, CodeTooMany) {
		t.Errorf("one more is answered with %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, raw, err := ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("then comes %s (%v), want the end", raw, err)
	}
}
