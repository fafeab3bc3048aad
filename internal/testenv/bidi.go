package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// bidi is one WebSocket of WebDriver BiDi: commands with numbers, answers with the same numbers, events in between.
type bidi struct {
	conn *websocket.Conn
	done chan struct{} // closed by the reading goroutine, which ends with the connection

	mu      sync.Mutex // guards the fields below; never held while sending
	next    int
	waiting map[int]chan bidiMessage
	err     error // why the connection ended
}

type bidiMessage struct {
	ID      int
	Type    string // success, error, event
	Result  json.RawMessage
	Error   string
	Message string
	Method  string
	Params  json.RawMessage
}

// dialBidi connects. event is called for every event, in order, by the reading goroutine.
func dialBidi(ctx context.Context, url string, event func(method string, params json.RawMessage)) (*bidi, error) {
	conn, _, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // the library says that there is no body to close
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(64 << 20) // screenshots
	b := &bidi{conn: conn, done: make(chan struct{}), waiting: map[int]chan bidiMessage{}}
	go b.read(event)
	return b, nil
}

// read hands answers to whoever waits for them until the connection ends.
func (b *bidi) read(event func(string, json.RawMessage)) {
	defer close(b.done)
	for {
		var m bidiMessage
		err := wsjson.Read(context.Background(), b.conn, &m)
		if err != nil {
			b.mu.Lock()
			b.err = err
			b.mu.Unlock()
			return
		}
		if m.Type == "event" {
			event(m.Method, m.Params)
			continue
		}
		b.mu.Lock()
		answer := b.waiting[m.ID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		if answer != nil {
			answer <- m // has room for its one message
		}
	}
}

// call sends a command and stores its result in result, which may be nil.
func (b *bidi) call(ctx context.Context, method string, params, result any) error {
	answer := make(chan bidiMessage, 1)
	b.mu.Lock()
	b.next++
	id := b.next
	b.waiting[id] = answer
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.waiting, id)
		b.mu.Unlock()
	}()

	if err := wsjson.Write(ctx, b.conn, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-answer:
		if m.Type != "success" {
			return fmt.Errorf("%s: %s: %s", method, m.Error, m.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-b.done:
		b.mu.Lock()
		defer b.mu.Unlock()
		return errors.Join(fmt.Errorf("%s: the browser has gone", method), b.err)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// close ends the connection and waits for the reader.
func (b *bidi) close() {
	_ = b.conn.CloseNow()
	<-b.done
}
