package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"consilium/internal/auth"
	"consilium/internal/jobs"

	"github.com/danielgtaylor/huma/v2"
)

const (
	changesPath = prefix + "/changes"
	// gatherFor is how long changes are gathered before they are told: a consultation that runs has many a second.
	gatherFor = 200 * time.Millisecond
	// heartbeat keeps proxies from ending a stream on which nothing happens.
	heartbeat = 15 * time.Second
	// tellAtOnce is how many consultations one round tells; when more have changed, the list is read again.
	tellAtOnce = 100
)

func (s *Server) routeChanges() {
	s.mux.HandleFunc("GET "+changesPath, s.changes)
}

// describeChanges is the entry of the OpenAPI document.
func describeChanges() *huma.Operation {
	return &huma.Operation{
		OperationID: "follow-changes", Method: http.MethodGet, Path: changesPath, Security: bearerOnly, Extensions: needs(auth.ListConsultations),
		Summary: "Consultations as they change (server-sent events)",
		Description: "event: consultation, data: as in the list. event: progress, data: {id, version, progress, stage, leftMs}. " +
			"event: reset: more has changed than can be told, read the list again. id: where Last-Event-ID goes on. " +
			"A stream begins with what is true now and tells what changes from then on.",
		Parameters: []*huma.Param{{Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: "string"}}},
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
		}},
	}
}

// StopStreams ends what is being followed, so that the server can stop.
func (s *Server) StopStreams() { s.stopOnce.Do(func() { close(s.stopping) }) }

// stream is one client that follows changes.
type stream struct {
	mu sync.Mutex // guards w: progress and changes are told by two goroutines
	w  http.ResponseWriter
	rc *http.ResponseController
}

// tell sends one event. id is empty for what cannot be gone on from.
func (st *stream) tell(event, id string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if id != "" {
		fmt.Fprintf(st.w, "id: %s\n", id)
	}
	if _, err := fmt.Fprintf(st.w, "event: %s\ndata: %s\n\n", event, body); err != nil {
		return err
	}
	return st.rc.Flush()
}

func (st *stream) comment(text string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, err := fmt.Fprintf(st.w, "%s\n\n", text); err != nil {
		return err
	}
	return st.rc.Flush()
}

// progressTold is how far an archive is.
type progressTold struct {
	ID       string  `json:"id"`
	Version  int     `json:"version"`
	Progress float64 `json:"progress"`
	Stage    string  `json:"stage,omitempty"`
	LeftMS   int64   `json:"leftMs,omitempty"` // estimate; missing: not known
}

// changes follows the read model until the client goes, its token expires or the server stops.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	who, err := s.callerOf(r)
	if err == nil && auth.Allowed(who.Role, auth.ListConsultations) == auth.None {
		err = errForbidden
	}
	if err != nil {
		writeProblem(w, problemOf(s.deps.Logger, err))
		return
	}
	after, given := s.deps.Projector.Position(), r.Header.Get("Last-Event-ID")
	if given != "" {
		if after, err = strconv.ParseUint(given, 10, 64); err != nil {
			p := problem(http.StatusBadRequest, "invalid", "The Last-Event-ID is not one of this stream.")
			p.Fields = []string{"header.Last-Event-ID: not a number"}
			writeProblem(w, p)
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), who.ExpiresAt.Sub(s.deps.Now()))
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	st := &stream{w: w, rc: http.NewResponseController(w)}
	if err := st.comment("retry: 2000\nid: " + strconv.FormatUint(after, 10)); err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.followProgress(ctx, who, st) })
	if err := s.followChanges(ctx, who, st, after); err != nil && ctx.Err() == nil {
		s.deps.Logger.Debug("a stream of changes ended", "error", err)
	}
}

func (s *Server) followChanges(ctx context.Context, who caller, st *stream, after uint64) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		c := s.deps.Projector.Changes(after)
		var err error
		switch {
		case c.Forgotten || len(c.Consultations) > tellAtOnce:
			err = st.tell("reset", strconv.FormatUint(c.Upto, 10), struct{}{})
		case len(c.Consultations) > 0:
			err = s.tellChanges(ctx, who, st, c.Consultations, strconv.FormatUint(c.Upto, 10))
		}
		if err != nil {
			return err
		}
		after = c.Upto
		select {
		case <-c.More:
		case <-beat.C:
			if err := st.comment(":"); err != nil {
				return err
			}
			continue
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return nil
		}
		gather := time.NewTimer(gatherFor)
		select {
		case <-gather.C:
		case <-ctx.Done():
			gather.Stop()
			return nil
		}
	}
}

// tellChanges tells those of the consultations that the caller may see.
func (s *Server) tellChanges(ctx context.Context, who caller, st *stream, ids []string, at string) error {
	var mine []string
	for _, id := range ids {
		if who.Can(auth.ListConsultations, id, "") {
			mine = append(mine, id)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	rows, err := s.deps.Queries.Some(ctx, mine)
	if ctx.Err() != nil {
		return nil // who asked has gone, which is how every stream ends
	}
	if err != nil {
		s.deps.Logger.Warn("changes cannot be read", "error", err)
		return st.tell("reset", at, struct{}{})
	}
	for _, c := range rows {
		if err := st.tell("consultation", at, s.summarise(ctx, who, c)); err != nil {
			return err
		}
	}
	return nil
}

// followProgress tells how far archives are. What is lost is no harm: the next value says more.
func (s *Server) followProgress(ctx context.Context, who caller, st *stream) {
	last := map[string]time.Time{}
	for p, err := range s.deps.Jobs.WatchProgress(ctx) {
		if err != nil {
			return
		}
		if p.Total <= 0 || !who.Can(auth.ListConsultations, p.Consultation, "") || tooSoon(last, p) {
			continue
		}
		told := progressTold{ID: p.Consultation, Version: p.Version, Progress: min(1, float64(p.Done)/float64(p.Total)), Stage: p.Stage, LeftMS: p.LeftMS}
		if st.tell("progress", "", told) != nil {
			return
		}
	}
}

// tooSoon keeps the progress of one archive to a few values a second.
func tooSoon(last map[string]time.Time, p jobs.Progress) bool {
	key := p.Consultation + "/" + strconv.Itoa(p.Version)
	now := time.Now()
	if now.Sub(last[key]) < gatherFor && p.Done < p.Total {
		return true
	}
	if len(last) > 1000 {
		clear(last)
	}
	last[key] = now
	return false
}
