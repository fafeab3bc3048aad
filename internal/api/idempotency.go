package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"consilium/internal/directory"
)

// keyHeader is the header by which a client makes a POST safe to repeat.
const keyHeader = "Idempotency-Key"

// answersPurpose is what kept answers are encrypted for: they may hold links with tokens.
const answersPurpose = "answers"

// maxKey is how long a client's key may be.
const maxKey = 255

// maxRepeatable bounds the body of a request that is to be repeatable.
const maxRepeatable = 1 << 20

// keptAnswer is what a repeated request gets again.
type keptAnswer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// idempotent carries a POST with an Idempotency-Key out once: repeated within a day, by the same caller with the same
// body, it gets the same answer, and nothing happens a second time. Answers that say that nothing was done (server
// errors, refusals for want of permission or time) are not kept. When the server dies in between, the key is free again
// after a minute.
func (s *Server) idempotent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get(keyHeader)
		if r.Method != http.MethodPost || key == "" {
			next.ServeHTTP(w, r)
			return
		}
		who, err := s.callerOf(r)
		if err != nil { // nobody's key
			next.ServeHTTP(w, r)
			return
		}
		if err := s.once(w, r, who, key, next); err != nil {
			writeProblem(w, problemOf(s.deps.Logger, err))
		}
	})
}

// once serves one request that has a key. An error means that nothing was answered yet.
func (s *Server) once(w http.ResponseWriter, r *http.Request, who caller, key string, next http.Handler) error {
	if len(key) > maxKey || !utf8.ValidString(key) {
		p := problem(http.StatusBadRequest, "invalid", "The Idempotency-Key is too long.")
		p.Fields = []string{fmt.Sprintf("header.%s: at most %d bytes", keyHeader, maxKey)}
		return p
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRepeatable))
	if err != nil {
		return problem(http.StatusRequestEntityTooLarge, "too_large", "A request that can be repeated may have 1 MiB at most.")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	caller, name, request := digest(who.key()), digest(key), digest(r.Method, r.URL.RequestURI(), string(body))
	sealed, err := s.deps.Directory.BeginAnswer(r.Context(), caller, name, request)
	switch {
	case errors.Is(err, directory.ErrOtherRequest):
		return problem(http.StatusUnprocessableEntity, "idempotency_mismatch", "This Idempotency-Key was used for another request.")
	case errors.Is(err, directory.ErrRunning):
		w.Header().Set("Retry-After", "1")
		return problem(http.StatusConflict, "idempotency_running", "The request with this Idempotency-Key is being carried out.")
	case err != nil:
		return err
	case sealed != nil:
		return s.answerAgain(w, sealed)
	}
	kept := &keeping{ResponseWriter: w}
	next.ServeHTTP(kept, r)
	s.keep(r.Context(), caller, name, kept)
	return nil
}

func (s *Server) answerAgain(w http.ResponseWriter, sealed []byte) error {
	plain, err := s.deps.Auth.Open(answersPurpose, sealed)
	if err != nil {
		return fmt.Errorf("read kept answer: %w", err)
	}
	var a keptAnswer
	if err := json.Unmarshal(plain, &a); err != nil {
		return fmt.Errorf("read kept answer: %w", err)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Idempotent-Replayed", "true")
	w.WriteHeader(a.Status)
	w.Write(a.Body)
	return nil
}

// keep stores an answer, or frees the key. The client has its answer already: what fails here is only logged.
func (s *Server) keep(ctx context.Context, caller, key string, k *keeping) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	store := func() error {
		if !k.final() {
			return s.deps.Directory.DropAnswer(ctx, caller, key)
		}
		plain, err := json.Marshal(keptAnswer{Status: k.status, Header: k.header, Body: k.body.Bytes()})
		if err != nil {
			return err
		}
		sealed, err := s.deps.Auth.Seal(answersPurpose, plain)
		if err != nil {
			return err
		}
		if err := s.deps.Directory.PutAnswer(ctx, caller, key, sealed); err != nil {
			return err
		}
		return s.deps.Directory.ForgetAnswers(ctx)
	}
	if err := store(); err != nil {
		s.deps.Logger.Warn("an answer was not kept: a repeated request may be carried out twice", "error", err)
	}
}

// keeping copies an answer as it goes out.
type keeping struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
}

// WriteHeader keeps status and headers, but for those that every answer has.
func (k *keeping) WriteHeader(status int) {
	if k.status == 0 {
		k.status, k.header = status, http.Header{}
		for _, name := range []string{"Content-Type", "Location", "Cache-Control"} {
			if v := k.Header().Values(name); len(v) > 0 {
				k.header[name] = v
			}
		}
	}
	k.ResponseWriter.WriteHeader(status)
}

func (k *keeping) Write(p []byte) (int, error) {
	if k.status == 0 {
		k.WriteHeader(http.StatusOK)
	}
	if k.body.Len() <= maxRepeatable {
		k.body.Write(p)
	}
	return k.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController what it needs.
func (k *keeping) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// final says whether the same request would be answered like this for ever.
func (k *keeping) final() bool {
	switch {
	case k.status >= 500, k.status == 0, k.body.Len() > maxRepeatable:
		return false
	case k.status == http.StatusUnauthorized, k.status == http.StatusForbidden, k.status == http.StatusConflict, k.status == http.StatusTooManyRequests:
		return false
	default:
		return true
	}
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
