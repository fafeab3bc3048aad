package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// hospital is another system that is told of events, as its own engineers would write it.
type hospital struct {
	*httptest.Server
	secret []byte // what signs; set before the first message comes

	mu      sync.Mutex // guards what follows
	taken   []told     // in the order of their coming, repetitions too
	refuses string     // messages of this type get 422
	asked   int        // requests so far
	hold    int        // the request of this number waits until released is closed
	held    chan struct{}
	freed   chan struct{}
}

// told is one message.
type told struct {
	ID           string
	Type         string
	Consultation string
	Seq          uint64
	Position     uint64
}

func newHospital(t *testing.T) *hospital {
	t.Helper()
	h := &hospital{held: make(chan struct{}), freed: make(chan struct{})}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// ServeHTTP takes a message whose signature is right.
func (h *hospital) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	id := r.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("webhook-timestamp"), body)
	var m struct {
		Type string
		Data struct {
			Consultation  string
			Seq, Position uint64
		}
	}
	if err != nil || r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	h.mu.Lock()
	h.asked++
	holds := h.asked == h.hold
	refused := m.Type == h.refuses
	if !refused && !holds {
		h.taken = append(h.taken, told{id, m.Type, m.Data.Consultation, m.Data.Seq, m.Data.Position})
	}
	h.mu.Unlock()
	switch {
	case holds:
		close(h.held)
		<-h.freed // by now nobody waits for the answer
	case refused:
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
}

func (h *hospital) refuse(kind events.Type) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = string(kind)
}

// since gives what was taken from the nth message on, and forgets repetitions of one id within it.
func (h *hospital) since(n int) []told {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	var all []told
	for _, m := range h.taken[n:] {
		if !seen[m.ID] {
			all = append(all, m)
		}
		seen[m.ID] = true
	}
	return all
}

func (h *hospital) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.taken)
}

// isTold waits until everything that the log says of some types was taken from the nth message on, and wants it in order.
func (h *hospital) isTold(t *testing.T, n int, want map[string]bool) {
	t.Helper()
	await(t, time.Minute, func() string { return fmt.Sprintf("%d of %d messages", len(h.since(n)), len(want)) }, func() bool {
		return len(h.since(n)) >= len(want)
	})
	last := map[string]uint64{}
	position := uint64(0)
	for _, m := range h.since(n) {
		if !want[m.ID] {
			t.Errorf("nobody asked for %+v", m)
		}
		if m.Seq <= last[m.Consultation] || m.Position <= position {
			t.Errorf("%+v comes behind event %d and position %d", m, last[m.Consultation], position)
		}
		last[m.Consultation], position = m.Seq, m.Position
	}
}

// A hospital's system is told of everything in the order of the log although the server is killed while it tells; it can be told
// again, and what it refuses is kept for people to see.
func TestAnotherSystemIsToldWhatHappens(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t)
	p := testenv.StartProduct(t, testenv.ProductOptions{
		NoStitcher: true, Env: []string{"CONSILIUM_DATABASE_URL=" + dsn, "CONSILIUM_WEBHOOK_ALLOW=127.0.0.1"},
	})
	h := newHospital(t)
	var id, secret string
	added := p.Command("webhooks", "add", h.URL, "--type", "consultation.scheduled,participant.invited,consultation.ended")
	if _, err := fmt.Sscanf(added, "id:     %s\nsecret: whsec_%s", &id, &secret); err != nil {
		t.Fatalf("%v in %q", err, added)
	}
	var err error
	if h.secret, err = base64.StdEncoding.DecodeString(secret); err != nil {
		t.Fatal(err)
	}

	// The server dies when it has sent a message and has no answer.
	h.mu.Lock()
	h.hold = 8
	h.mu.Unlock()
	service := as(t, p, "service")
	var all []consultation
	for n := range 6 {
		c := service.schedule(fmt.Sprint("Visit ", n), "required", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
		service.end(c.ID)
		all = append(all, c)
	}
	select {
	case <-h.held:
	case <-time.After(time.Minute):
		t.Fatalf("the eighth message does not come: %d", h.count())
	}
	p.Live.Kill()
	close(h.freed)
	p.StartLive()
	want := map[string]bool{}
	for _, c := range all {
		for _, e := range service.events(c.ID) {
			switch e.Type {
			case events.TypeConsultationScheduled, events.TypeParticipantInvited, events.TypeConsultationEnded:
				want[e.ID] = true
			}
		}
	}
	if len(want) != 4*len(all) {
		t.Fatalf("the log has %d of these events", len(want))
	}
	h.isTold(t, 0, want)

	// Again, all of it; and of one consultation the end.
	told := h.count()
	p.Command("webhooks", "replay", id, "--from", "1")
	h.isTold(t, told, want)
	told = h.count()
	ended := service.waitEvent(all[2].ID, events.TypeConsultationEnded, "", time.Second)
	p.Command("webhooks", "replay", id, "--consultation", all[2].ID, "--seq", fmt.Sprint(ended.Seq))
	h.isTold(t, told, map[string]bool{ended.ID: true})

	theDeadAreSeen(t, p, h, service, dsn, id)
	dir := filepath.Join(t.TempDir(), "backup")
	p.Command("backup", "--to", dir)
	if raw, err := os.ReadFile(filepath.Join(dir, "webhooks.ndjson")); err != nil || !strings.Contains(string(raw), id) || strings.Contains(string(raw), secret) {
		t.Errorf("the back-up: %v\n%s", err, raw)
	}
}

// theDeadAreSeen has the hospital refuse a message for good: it stands among the letters of the dead, others go on, and it goes out
// when somebody says so.
func theDeadAreSeen(t *testing.T, p *testenv.Product, h *hospital, service *client, dsn, id string) {
	h.refuse(events.TypeConsultationEnded)
	told := h.count()
	c := service.schedule("Refused", "required", person{Name: "Dr A", Role: "clinician"})
	service.end(c.ID)
	ended := service.waitEvent(c.ID, events.TypeConsultationEnded, "", 20*time.Second)
	letters := func() string { return p.Command("webhooks", "dead", id, "--all") }
	await(t, time.Minute, letters, func() bool { return strings.Contains(letters(), "waiting") })
	if dead := p.Command("webhooks", "dead", id); strings.Contains(dead, c.ID) {
		t.Errorf("given up at once:\n%s", dead)
	}
	hurry(t, dsn)
	await(t, time.Minute, letters, func() bool { return strings.Contains(letters(), "dead") })
	dead := strings.Join(strings.Fields(p.Command("webhooks", "dead", id)), " ")
	if want := fmt.Sprintf("%s %d consultation.ended dead 11 http_422", c.ID, ended.Seq); !strings.Contains(dead, want) {
		t.Errorf("got %s, want %s", dead, want)
	}
	other := service.schedule("Goes on", "required", person{Name: "Dr A", Role: "clinician"})
	service.waitEvent(other.ID, events.TypeParticipantInvited, "", 20*time.Second)
	await(t, time.Minute, func() string { return "others go on" }, func() bool { return len(h.since(told)) == 4 })
	h.refuse("")
	p.Command("webhooks", "again", id)
	await(t, time.Minute, func() string { return "the dead letter goes out" }, func() bool {
		all := h.since(told)
		return all[len(all)-1].ID == ended.ID
	})
	if list := p.Command("webhooks", "dead", id, "--all"); strings.Contains(list, c.ID) {
		t.Errorf("it is still among the letters:\n%s", list)
	}
}

// hurry makes the next attempt the last one, and due: five days pass.
func hurry(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// What the sender is about to write of the attempt before no longer counts: it reads anew.
		if _, err := tx.Exec(ctx, `update webhook.endpoints set generation = generation + 1`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `update webhook.letters set attempts = 10, next_at = now()`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
