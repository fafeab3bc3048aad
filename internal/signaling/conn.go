package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"consilium/internal/conference"
	"consilium/internal/media/sfu"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// Conn is one participant's WebSocket. One goroutine reads, one handles messages in order, one writes. Handling may wait
// for the log; reading goes on meanwhile, or the client's answers to our pings would not be seen.
type Conn struct {
	server   *Server
	ws       *websocket.Conn
	req      *http.Request
	limit    *rate.Limiter
	handlers map[string]handler
	in       chan message // for the handling goroutine; closed by the reading one
	out      chan []byte
	end      context.CancelFunc // ends the connection

	refused    bool // a last error is queued and must be sent before the end
	id         Identity
	attendance *conference.Attendance // nil before Hello

	mu      sync.Mutex       // guards state and greeted; never held while calling out
	state   *conference.View // newest view that was not sent yet
	greeted bool             // the welcome is queued: nothing is shown before it
	wake    chan struct{}    // one slot: state is set, or greeted
}

func newConn(s *Server, ws *websocket.Conn, r *http.Request) *Conn {
	return &Conn{
		server: s, ws: ws, req: r, limit: rate.NewLimiter(perSecond, burst),
		handlers: handlers, in: make(chan message, unhandled), out: make(chan []byte, queued), wake: make(chan struct{}, 1),
	}
}

// serve works until the client, the conference or ctx ends the connection.
func (c *Conn) serve(ctx context.Context) {
	ctx, c.end = context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { c.write(ctx) })
	defer func() {
		if c.attendance != nil {
			c.attendance.Close()
		}
		if !c.refused {
			c.end()
		}
		writer.Wait()
		c.end()
		c.ws.CloseNow()
	}()
	if !c.hello(ctx) {
		return
	}
	c.read(ctx)
}

// message is one that was read and waits to be handled.
type message struct {
	request
	raw []byte
}

// request is what every client message has in common.
type request struct {
	Type string `json:"type"`
	ID   *int64 `json:"id"`
}

// hello waits for the first message and connects the participant's screen to its conference.
func (c *Conn) hello(ctx context.Context) bool {
	first, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	req, raw, ok := c.next(first)
	if !ok {
		return false
	}
	var hello Hello
	if req.Type != "hello" || json.Unmarshal(raw, &hello) != nil {
		c.refuse(req, Error{Code: CodeBadMessage, Message: "The first message must be hello."})
		return false
	}
	welcome, err := c.attend(first, hello)
	if err != nil {
		c.refuse(req, c.server.cfg.Explain(err))
		return false
	}
	c.send("welcome", req.ID, welcome)
	c.greet()
	return true
}

func (c *Conn) attend(ctx context.Context, hello Hello) (Welcome, error) {
	id, err := c.server.cfg.Identify(ctx, c.req, hello.Token)
	if err != nil {
		return Welcome{}, err
	}
	c.id = id
	conf, err := c.server.manager.Host(ctx, id.Consultation)
	if err != nil {
		return Welcome{}, err
	}
	attendance, err := conf.Attend(ctx, id.Visitor, c)
	if err != nil {
		return Welcome{}, err
	}
	c.attendance = attendance
	o, err := attendance.Overview(ctx)
	if err != nil {
		return Welcome{}, err
	}
	return Welcome{
		Consultation: id.Consultation, Participant: id.Visitor.Participant, Name: id.Name, Role: o.Role, Title: id.Title,
		Language: o.Language, Policy: o.Policy, Consent: string(o.Consent), Host: id.Host,
		ICEServers: c.server.cfg.ICEServers(id.Visitor.Participant, c.req), State: o.View,
	}, nil
}

// read takes messages in until the connection ends, and then waits until those that came are handled: the last one is
// often that somebody leaves.
func (c *Conn) read(ctx context.Context) {
	// What a client said counts although it has hung up since.
	handled, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	var handling sync.WaitGroup
	handling.Go(func() {
		for m := range c.in {
			c.handle(handled, m)
		}
	})
	defer func() {
		close(c.in)
		late := time.AfterFunc(handleWithin, giveUp)
		handling.Wait()
		late.Stop()
		giveUp()
	}()
	for {
		req, raw, ok := c.next(ctx)
		if !ok {
			return
		}
		if !c.limit.Allow() || !c.queue(message{req, raw}) {
			c.refuse(req, Error{Code: CodeTooMany, Message: "Too many messages."})
			return
		}
	}
}

// queue leaves a message to the handling goroutine; false when too many wait. A ping does not wait for others: it asks
// whether the connection lives.
func (c *Conn) queue(m message) bool {
	if m.Type == "ping" {
		c.send("pong", m.ID, Pong{})
		return true
	}
	select {
	case c.in <- m:
		return true
	default:
		return false
	}
}

// next reads one message; false says that the connection is over. A message that is no JSON object is answered with an
// error and does not count.
func (c *Conn) next(ctx context.Context) (request, []byte, bool) {
	for {
		kind, raw, err := c.ws.Read(ctx)
		if err != nil {
			return request{}, nil, false
		}
		var req request
		if kind != websocket.MessageText || json.Unmarshal(raw, &req) != nil || req.Type == "" {
			if !c.limit.Allow() {
				return request{}, nil, false
			}
			c.send("error", nil, Error{Code: CodeBadMessage, Message: "A message must be a JSON object with a type."})
			continue
		}
		return req, raw, true
	}
}

func (c *Conn) handle(ctx context.Context, m message) {
	h, ok := c.handlers[m.Type]
	if !ok {
		c.send("error", m.ID, Error{Code: CodeBadMessage, Message: "This type of message is not known."})
		return
	}
	bounded, cancel := context.WithTimeout(ctx, handleWithin)
	defer cancel()
	kind, answer, err := h(bounded, c, m.raw)
	switch {
	case err != nil && ctx.Err() != nil:
	case err != nil:
		c.send("error", m.ID, c.explain(err))
	case kind != "":
		c.send(kind, m.ID, answer)
	}
}

func (c *Conn) explain(err error) Error {
	var bad badMessage
	if errors.As(err, &bad) {
		return Error{Code: CodeBadMessage, Message: string(bad)}
	}
	return c.server.cfg.Explain(err)
}

// refuse sends a last error; the reader returns afterwards and the writer sends what is queued.
func (c *Conn) refuse(req request, e Error) {
	c.refused = true
	c.send("error", req.ID, e)
	c.close()
}

// send queues one message. A client that does not read loses the connection and comes back for the full state.
func (c *Conn) send(kind string, re *int64, message any) {
	raw, err := encode(kind, re, message)
	if err != nil {
		c.server.cfg.Logger.Error("message cannot be encoded", "type", kind, "error", err)
		return
	}
	select {
	case c.out <- raw:
	default:
		c.end()
	}
}

// encode puts type and re in front of the message's own fields.
func encode(kind string, re *int64, message any) ([]byte, error) {
	fields, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		Type string `json:"type"`
		Re   *int64 `json:"re,omitempty"`
	}{kind, re})
	if err != nil {
		return nil, err
	}
	if len(fields) <= len("{}") {
		return head, nil
	}
	return append(append(head[:len(head)-1], ','), fields[1:]...), nil
}

// write sends what is queued until ctx ends or the conference has said goodbye, and pings.
func (c *Conn) write(ctx context.Context) {
	defer c.end()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case raw := <-c.out:
			if raw == nil {
				c.ws.Close(websocket.StatusNormalClosure, "")
				return
			}
			if !c.writeOne(ctx, raw) {
				return
			}
		case <-c.wake:
			if !c.writeState(ctx) {
				return
			}
		case <-ping.C:
			if !c.ping(ctx) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *Conn) writeOne(ctx context.Context, raw []byte) bool {
	bounded, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	return c.ws.Write(bounded, websocket.MessageText, raw) == nil
}

// writeState sends the newest view behind what is queued, the welcome first of all.
func (c *Conn) writeState(ctx context.Context) bool {
	c.mu.Lock()
	view := c.state
	if !c.greeted || view == nil {
		c.mu.Unlock()
		return true
	}
	if len(c.out) > 0 {
		c.mu.Unlock()
		c.poke()
		return true
	}
	c.state = nil
	c.mu.Unlock()
	raw, err := encode("state", nil, view)
	return err == nil && c.writeOne(ctx, raw)
}

func (c *Conn) ping(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, pongWithin)
	defer cancel()
	return c.ws.Ping(bounded) == nil
}

// close lets the writer send what is queued and then close.
func (c *Conn) close() {
	select {
	case c.out <- nil:
	default:
		c.end()
	}
}

var _ conference.Client = (*Conn)(nil)

// Show implements conference.Client: only the newest view is kept.
func (c *Conn) Show(v conference.View) {
	c.mu.Lock()
	c.state = &v
	c.mu.Unlock()
	c.poke()
}

// greet lets views follow the welcome, which is queued.
func (c *Conn) greet() {
	c.mu.Lock()
	c.greeted = true
	c.mu.Unlock()
	c.poke()
}

func (c *Conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Candidate implements conference.Client.
func (c *Conn) Candidate(candidate sfu.Candidate) {
	c.send("candidate", nil, Candidate(candidate))
}

// PleaseOffer implements conference.Client.
func (c *Conn) PleaseOffer(audio, video int) {
	c.send("please_offer", nil, PleaseOffer{Audio: audio, Video: video})
}

// Ended implements conference.Client.
func (c *Conn) Ended(reason string) {
	c.send("ended", nil, Ended{Reason: reason})
	c.close()
}
