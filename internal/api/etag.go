package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// maxTagged bounds the answers that are held back to be given a tag; larger ones go out as they come.
const maxTagged = 4 << 20

// conditional gives every JSON answer to a GET a weak ETag, and answers 304 to a client that has it already: who asks
// again and again costs no bytes while nothing changes.
func conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, r)
			return
		}
		t := &tagged{ResponseWriter: w, request: r}
		next.ServeHTTP(t, r)
		t.finish()
	})
}

// tagged holds a JSON answer back until it is whole.
type tagged struct {
	http.ResponseWriter
	request *http.Request
	status  int
	held    bool
	body    bytes.Buffer
}

// WriteHeader decides whether the answer is one to hold back.
func (t *tagged) WriteHeader(status int) {
	if t.status != 0 {
		return
	}
	t.status = status
	h := t.Header()
	t.held = status == http.StatusOK && h.Get("ETag") == "" && strings.HasPrefix(h.Get("Content-Type"), "application/json")
	if !t.held {
		t.ResponseWriter.WriteHeader(status)
	}
}

func (t *tagged) Write(p []byte) (int, error) {
	if t.status == 0 {
		t.WriteHeader(http.StatusOK)
	}
	if !t.held {
		return t.ResponseWriter.Write(p)
	}
	if t.body.Len()+len(p) > maxTagged {
		t.held = false
		t.ResponseWriter.WriteHeader(t.status)
		if _, err := t.ResponseWriter.Write(t.body.Bytes()); err != nil {
			return 0, err
		}
		return t.ResponseWriter.Write(p)
	}
	return t.body.Write(p)
}

// Unwrap gives http.ResponseController what it needs to flush.
func (t *tagged) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tagged) finish() {
	if !t.held {
		return
	}
	sum := sha256.Sum256(t.body.Bytes())
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
	h := t.Header()
	h.Set("ETag", tag)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store") // names do not stay on the disks of browsers; who sends If-None-Match keeps its own copy
	}
	if has(t.request.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Type")
		h.Del("Content-Length")
		t.ResponseWriter.WriteHeader(http.StatusNotModified)
		return
	}
	t.ResponseWriter.WriteHeader(t.status)
	t.ResponseWriter.Write(t.body.Bytes())
}

// has says whether a list of tags names this one (RFC 9110 §13.1.2, weak comparison).
func has(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
