package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/auth"
	"consilium/internal/events"
	"consilium/internal/events/logtest"
	"consilium/internal/testenv"
)

// bench is a database, a log, a register of endpoints, and what tests do with them.
type bench struct {
	testing.TB
	pool      *pgxpool.Pool
	log       *logtest.Memory
	endpoints *Endpoints
	box       Box
	rules     Rules
	logged    *testenv.Buffer

	mu   sync.Mutex // guards ago and jump
	ago  time.Duration
	jump time.Duration // the newest part of ago
}

func newBench(t testing.TB) *bench {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := &bench{TB: t, pool: pool, log: logtest.NewMemory(), logged: &testenv.Buffer{}}
	if b.rules, err = ParseRules("127.0.0.1, ::1"); err != nil {
		t.Fatal(err)
	}
	if b.box, err = auth.New([]byte(strings.Repeat("s", 32)), nil, b.now); err != nil {
		t.Fatal(err)
	}
	b.endpoints = NewEndpoints(pool, b.log, b.box, b.rules, b.now)
	return b
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().UTC().Add(b.ago)
}

// later moves the clock of endpoints and senders.
func (b *bench) later(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ago, b.jump = b.ago+d, d
}

// signedAt says whether something may have been signed at a time that arrives now: the clock may have been moved while it
// was on its way.
func (b *bench) signedAt(at time.Time) bool {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(at).Abs() <= 5*time.Minute || now.Add(-b.jump).Sub(at).Abs() <= 5*time.Minute
}

// sender runs one with short pauses and gives a function that stops it. It waits long for an answer: on a busy machine a
// message would be sent twice otherwise.
func (b *bench) sender(change ...func(*Config)) (stop func()) {
	b.Helper()
	cfg := Config{
		Rules: b.rules, Timeout: 20 * time.Second, First: 5 * time.Millisecond, Longest: 40 * time.Millisecond, Poll: 20 * time.Millisecond,
		Again: []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond},
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := NewSender(cfg, b.log, b.pool, b.box, b.now, slog.New(slog.NewTextHandler(b.logged, nil)))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.Errorf("Run = %v", err)
			}
		case <-time.After(20 * time.Second):
			b.Error("Run did not return")
		}
	})
	b.Cleanup(stop)
	return stop
}

// say appends events to a consultation.
func (b *bench) say(consultation string, all ...events.Event) {
	b.Helper()
	at, err := b.log.Last(b.Context(), consultation)
	if err != nil {
		b.Fatal(err)
	}
	var drafts []events.Draft
	for _, e := range all {
		d := events.NewDraft("/live/test", b.now(), e)
		d.Participant = events.NewID()
		drafts = append(drafts, d)
	}
	if _, err := b.log.Append(b.Context(), consultation, at, drafts...); err != nil {
		b.Fatal(err)
	}
}

// until waits for a condition.
func (b *bench) until(what string, done func() bool) {
	b.Helper()
	limit := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(limit) {
			b.Fatalf("%s: it never came to that\n%s", what, b.logged)
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-b.Context().Done():
			return
		}
	}
}

func (b *bench) endpoint(id string) Endpoint {
	b.Helper()
	e, err := b.endpoints.Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func (b *bench) letters(id string) []Letter {
	b.Helper()
	all, err := b.endpoints.Letters(b.Context(), id, 0, 1000)
	if err != nil {
		b.Fatal(err)
	}
	return all
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// got is one message as a receiver read it.
type got struct {
	ID        string
	Signature string
	Body      string
	Type      string
	Timestamp time.Time
	Data      struct {
		Consultation, Participant, Code, Reason string
		Seq, Position                           uint64
		Version                                 int
	}
}

// receiver is a hospital's system: it checks signatures by itself, and answers what answer says.
type receiver struct {
	b      *bench
	url    string
	server *httptest.Server

	mu      sync.Mutex // guards what follows
	secrets []string
	answer  func(n int, g got) int // n counts requests from 1; 0 hangs up, below 0 waits for the client to go
	count   int
	taken   []got
	closed  chan struct{}
}

func (b *bench) receiver() *receiver {
	b.Helper()
	r := &receiver{b: b, closed: make(chan struct{})}
	r.server = httptest.NewServer(r)
	r.url = r.server.URL + "/hook"
	b.Cleanup(r.server.Close)
	b.Cleanup(func() { close(r.closed) })
	return r
}

// add makes the receiver an endpoint.
func (r *receiver) add(n New) Endpoint {
	r.b.Helper()
	n.URL = r.url
	e, secret, err := r.b.endpoints.Add(r.b.Context(), n)
	if err != nil {
		r.b.Fatal(err)
	}
	r.knows(secret)
	return e
}

func (r *receiver) knows(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = secrets
}

func (r *receiver) answers(f func(n int, g got) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// ServeHTTP takes one message.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	g := got{ID: req.Header.Get("webhook-id"), Signature: req.Header.Get("webhook-signature"), Body: string(raw)}
	r.mu.Lock()
	r.count++
	n, answer, secrets := r.count, r.answer, r.secrets
	r.mu.Unlock()
	switch {
	case req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json":
		r.b.Errorf("%s %s", req.Method, req.Header.Get("Content-Type"))
	case !verified(secrets, g, req.Header.Get("webhook-timestamp"), r.b.signedAt):
		r.b.Errorf("message %s is not signed: %q", g.ID, g.Signature)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		r.b.Errorf("%v in %s", err, raw)
	}
	status := http.StatusOK
	if answer != nil {
		status = answer(n, g)
	}
	switch {
	case status == 0:
		panic(http.ErrAbortHandler)
	case status < 0:
		select {
		case <-req.Context().Done():
		case <-r.closed:
		}
		return
	case status < 300:
		r.mu.Lock()
		r.taken = append(r.taken, g)
		r.mu.Unlock()
	}
	w.WriteHeader(status)
}

// verified is a receiver's check as the specification describes it, written apart from what it checks.
func verified(secrets []string, g got, timestamp string, signedAt func(time.Time) bool) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || !signedAt(time.Unix(seconds, 0)) {
		return false
	}
	for one := range strings.SplitSeq(g.Signature, " ") {
		version, value, _ := strings.Cut(one, ",")
		for _, s := range secrets {
			key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
			if err != nil || version != "v1" {
				return false
			}
			mac := hmac.New(sha256.New, key)
			fmt.Fprintf(mac, "%s.%s.%s", g.ID, timestamp, g.Body)
			if hmac.Equal([]byte(value), []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) {
				return true
			}
		}
	}
	return false
}

// all gives what was taken so far.
func (r *receiver) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]got(nil), r.taken...)
}

func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// has waits until n messages were taken.
func (r *receiver) has(n int) []got {
	r.b.Helper()
	r.b.until(fmt.Sprintf("%d messages", n), func() bool { return len(r.all()) >= n })
	return r.all()
}

// places are the seqs of what was taken, by consultation, in the order of their first arrival.
func places(all []got) map[string][]uint64 {
	seen, by := map[string]bool{}, map[string][]uint64{}
	for _, g := range all {
		if !seen[g.ID] {
			seen[g.ID] = true
			by[g.Data.Consultation] = append(by[g.Data.Consultation], g.Data.Seq)
		}
	}
	return by
}
