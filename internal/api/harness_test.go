package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/auth"
	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/directory"
	"consilium/internal/disk"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/natslog"
	"consilium/internal/jobs"
	"consilium/internal/media"
	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
	"consilium/internal/spool"
	"consilium/internal/store"
	"consilium/internal/testenv"
	"consilium/internal/webhook"
)

// house is a server with all its rooms: the log, the database and the blob store are real, nobody is in a call.
type house struct {
	testing.TB
	api       *Server
	url       string
	authority *auth.Authority
	log       *natslog.Log
	blobs     *blob.Store
	pool      *pgxpool.Pool
	queue     *jobs.Queue
	projector *store.Projector
	directory *directory.Directory
	logged    *testenv.Buffer

	mu  sync.Mutex // guards ago
	ago time.Duration
}

// now is the clock of the house; later moves it.
func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().UTC().Add(h.ago)
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ago += d
}

func newHouse(t testing.TB, change ...func(*Config)) *house {
	t.Helper()
	h := &house{TB: t, logged: &testenv.Buffer{}}
	logger := slog.New(slog.NewTextHandler(h.logged, nil))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	var err error
	h.pool, err = pgxpool.New(t.Context(), testenv.Postgres(t))
	must(err)
	t.Cleanup(h.pool.Close)
	server, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: dir, Logger: logger})
	must(err)
	t.Cleanup(server.Stop)
	h.log, err = server.Connect(context.WithoutCancel(t.Context()))
	must(err)
	t.Cleanup(h.log.Close)
	h.queue, err = jobs.New(t.Context(), h.log.Conn(), logger)
	must(err)
	h.blobs, err = blob.Open(t.Context(), "file://"+filepath.Join(dir, "blobs")+"?create_dir=true&no_tmp_dir=true&metadata=skip")
	must(err)
	t.Cleanup(func() { h.blobs.Close() })
	h.directory = directory.New(h.pool)
	h.authority, err = auth.New([]byte(strings.Repeat("s", 32)), nil, h.now)
	must(err)
	h.projector, err = store.NewProjector(store.Config{}, h.log, h.pool, logger)
	must(err)
	h.runs("projector", h.projector.Run)
	app := appender.New(h.log, logger, nil)
	manager := h.newManager(dir, app, logger)
	watch, err := disk.New(t.Context(), disk.Config{Logger: logger})
	must(err)
	cfg := Config{URL: "http://consilium.example"}
	for _, c := range change {
		c(&cfg)
	}
	h.api, err = New(cfg, Deps{
		Webhooks: webhook.NewEndpoints(h.pool, h.log, h.authority, webhook.Rules{}, h.now),
		Manager:  manager, Log: h.log, Queries: store.NewQueries(h.pool), Projector: h.projector, Directory: h.directory, Blobs: h.blobs,
		Jobs: h.queue, Disk: watch, Auth: h.authority, Appender: app, Pages: fstest.MapFS{}, Built: func() bool { return false }, Now: h.now, Logger: logger,
	})
	must(err)
	front := httptest.NewServer(h.api)
	t.Cleanup(front.Close)
	t.Cleanup(h.api.StopStreams)
	h.url = front.URL
	return h
}

func (h *house) newManager(dir string, app *appender.Appender, logger *slog.Logger) *conference.Manager {
	h.Helper()
	sw, err := sfu.New(sfu.Config{MediaListen: "127.0.0.1:0", Logger: logger})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { sw.Close() })
	syncer := recorder.NewSyncer(0)
	h.Cleanup(syncer.Close)
	sp := spool.New(spool.Config{Dir: dir}, h.blobs, func(context.Context, media.Segment, string) error { return nil }, logger)
	manager, err := conference.New(conference.Config{
		Node: "test", URL: "http://consilium.example", QualityDir: dir,
		Recorder: recorder.Config{Dir: dir, Syncer: syncer, Now: h.now},
	}, conference.Deps{
		Log: h.log, Appender: app, SFU: sw, Spool: sp, Blobs: h.blobs, Directory: h.directory, Now: h.now, Logger: logger,
	})
	if err != nil {
		h.Fatal(err)
	}
	h.runs("conferences", manager.Run)
	return manager
}

// runs keeps a part running until the test ends.
func (h *house) runs(name string, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.Context()))
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	h.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				h.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			h.Errorf("%s does not stop", name)
		}
	})
}

// token mints one.
func (h *house) token(c auth.Claims) string {
	h.Helper()
	if c.Subject == "" {
		c.Subject = "subject-of-" + c.Role
	}
	token, err := h.authority.Mint(c, 2*time.Hour)
	if err != nil {
		h.Fatal(err)
	}
	return token
}

// role is a token that is bound to no consultation.
func (h *house) role(role string) string { return h.token(auth.Claims{Role: role}) }

// answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

func (a answer) problem() Problem {
	var p Problem
	_ = json.Unmarshal(a.Body, &p)
	return p
}

// ask sends one request. body may be nil, a string or what becomes JSON; more are headers, name and value.
func (h *house) ask(token, method, path string, body any, more ...string) answer {
	h.Helper()
	req := h.request(token, method, path, body, more...)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, got}
}

func (h *house) request(token, method, path string, body any, more ...string) *http.Request {
	h.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			h.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	if !strings.HasPrefix(path, "/api/") {
		path = prefix + path
	}
	req, err := http.NewRequestWithContext(h.Context(), method, h.url+path, content)
	if err != nil {
		h.Fatal(err)
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	return req
}

// want asks and expects a status.
func (h *house) want(status int, token, method, path string, body any, more ...string) answer {
	h.Helper()
	a := h.ask(token, method, path, body, more...)
	if a.Status != status {
		h.Fatalf("%s %s: %d %s, want %d\n%s", method, path, a.Status, a.Body, status, h.logged.String())
	}
	return a
}

// into asks, expects 200 or 201 and reads the answer.
func (h *house) into(out any, token, method, path string, body any, more ...string) answer {
	h.Helper()
	a := h.ask(token, method, path, body, more...)
	if a.Status != http.StatusOK && a.Status != http.StatusCreated {
		h.Fatalf("%s %s: %d %s\n%s", method, path, a.Status, a.Body, h.logged.String())
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		h.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
	}
	return a
}

// scheduled makes a consultation with a doctor and a patient.
func (h *house) scheduled(title string) (id, doctor, patient string) {
	h.Helper()
	var made struct {
		ID           string
		Participants []struct{ ID string }
	}
	h.into(&made, h.role(auth.RoleService), "POST", "/consultations", map[string]any{
		"title": title, "participants": []map[string]any{{"name": "Dr. Anna Schmidt", "role": "clinician"}, {"name": "Boris Iwanow", "role": "patient"}},
	})
	return made.ID, made.Participants[0].ID, made.Participants[1].ID
}

// say appends events as the processes of the house do, and waits until lists show them. The house may say something itself
// meanwhile: what is open for a moment, it hosts.
func (h *house) say(id, participant string, all ...events.Event) {
	h.Helper()
	var drafts []events.Draft
	for _, e := range all {
		d := events.NewDraft("/live/test", h.now(), e)
		d.Participant = participant
		drafts = append(drafts, d)
	}
	at, err := h.append(id, drafts)
	for errors.Is(err, events.ErrConflict) {
		at, err = h.append(id, drafts)
	}
	if err != nil {
		h.Fatal(err)
	}
	if err := h.projector.WaitFor(h.Context(), at.Stream); err != nil {
		h.Fatal(err)
	}
}

func (h *house) append(id string, drafts []events.Draft) (events.Version, error) {
	at, err := h.log.Last(h.Context(), id)
	if err != nil {
		return at, err
	}
	return h.log.Append(h.Context(), id, at, drafts...)
}

const videoBytes = "this is a video of thirty bytes"

// archived makes a consultation that is over and has an archive.
func (h *house) archived(title string) (id, doctor, patient string) {
	h.Helper()
	id, doctor, patient = h.scheduled(title)
	h.say(id, "", events.ConsultationOpened{Policy: events.PolicyRequired, Layout: "grid", Language: "en"})
	h.say(id, doctor, events.ConsentGiven{}, events.ParticipantJoined{Role: "clinician"})
	h.say(id, patient, events.ConsentGiven{}, events.ParticipantJoined{Role: "patient"},
		events.ConnectionTimedOut{Phase: "ice", AfterMS: 30000, Code: "ICE-TIMEOUT"})
	h.say(id, "", events.ConsultationEnded{Reason: "closed"}, events.ConsultationCompleted{Missing: []events.MissingSegment{}, Tracks: []events.TrackAccount{}},
		events.ArchiveRequested{Version: 1, ThroughSeq: 9, Layout: "grid", Profile: "standard"}, events.ArchiveStarted{Version: 1})
	for name, content := range map[string]string{
		"archive.mp4": videoBytes, "manifest.json": "{}", "chapters.vtt": "WEBVTT\n", "events.vtt": "WEBVTT\n", "thumbnails.vtt": "WEBVTT\n",
	} {
		if _, err := h.blobs.Put(h.Context(), fmt.Sprintf("c/%s/archives/1/%s", id, name), strings.NewReader(content)); err != nil {
			h.Fatal(err)
		}
	}
	h.say(id, "", events.ArchiveRendered{
		Version: 1, Key: fmt.Sprintf("c/%s/archives/1/archive.mp4", id), Bytes: int64(len(videoBytes)), SHA256: strings.Repeat("a", 64),
		ManifestSHA256: strings.Repeat("b", 64), DurationMS: 60000,
	})
	return id, doctor, patient
}

// history reads the events of a consultation from the log.
func (h *house) history(id string) []events.Stored {
	h.Helper()
	all, err := events.ReadAll(h.Context(), h.log, id)
	if err != nil {
		h.Fatal(err)
	}
	return all
}
