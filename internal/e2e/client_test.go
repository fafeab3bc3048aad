package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// client speaks REST with one token. It is what a hospital's own system would write.
type client struct {
	t     testing.TB
	base  string // http://host:port
	token string
}

// as makes a client with a fresh token of the role.
func as(t testing.TB, p *testenv.Product, role string, more ...string) *client {
	t.Helper()
	return &client{t: t, base: p.URL, token: p.Command(append([]string{"token", "--role", role}, more...)...)}
}

// with is the same client with another token.
func (c *client) with(token string) *client {
	return &client{t: c.t, base: c.base, token: token}
}

// answer is what the server said.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// problem is the part of a problem detail that programs decide on.
type problem struct {
	Type   string `json:"type"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
}

func (c *client) do(method, path, contentType string, body []byte, header ...string) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	target := path
	if !strings.HasPrefix(path, "http") {
		target = c.base + path
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, got}
}

// call sends JSON, wants the status and reads JSON into out unless it is nil.
func (c *client) call(method, path string, body any, status int, out any) {
	c.t.Helper()
	var raw []byte
	contentType := ""
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			c.t.Fatal(err)
		}
		contentType = "application/json"
	}
	a := c.do(method, "/api/v1"+path, contentType, raw)
	if a.Status != status {
		c.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	if out != nil {
		if err := json.Unmarshal(a.Body, out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
}

// refused sends JSON and wants a problem with this status and code.
func (c *client) refused(method, path string, body any, status int, code string) {
	c.t.Helper()
	var p problem
	c.call(method, path, body, status, &p)
	if p.Code != code || p.Status != status || p.Detail == "" || p.Type == "" {
		c.t.Fatalf("%s %s: got problem %+v, want code %q with a detail", method, path, p, code)
	}
}

type participant struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	JoinURL string `json:"joinUrl"`
}

// token is the join token of the participant's link.
func (p participant) token(t testing.TB) string {
	t.Helper()
	_, fragment, ok := strings.Cut(p.JoinURL, "#token=")
	if !ok {
		t.Fatalf("join link %q has no token in its fragment", p.JoinURL)
	}
	token, err := url.QueryUnescape(fragment)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

type consultation struct {
	ID           string        `json:"id"`
	State        string        `json:"state"`
	Title        string        `json:"title"`
	DurationMS   int64         `json:"durationMs"`
	Awaited      int           `json:"awaitedSegments"`
	Participants []participant `json:"participants"`
	Archive      *archive      `json:"archive"`
}

type archive struct {
	Version     int     `json:"version"`
	State       string  `json:"state"`
	Progress    float64 `json:"progress"`
	DurationMS  int64   `json:"durationMs"`
	VideoURL    string  `json:"videoUrl"`
	ManifestURL string  `json:"manifestUrl"`
	Code        string  `json:"code"`
}

// person is one participant to invite.
type person struct {
	Name    string   `json:"name"`
	Role    string   `json:"role"`
	For     []string `json:"for,omitempty"`
	Consent bool     `json:"consent,omitempty"`
}

// schedule creates a consultation.
func (c *client) schedule(title, recording string, people ...person) consultation {
	c.t.Helper()
	var got consultation
	c.call("POST", "/consultations", map[string]any{"title": title, "recording": recording, "participants": people}, 201, &got)
	return got
}

// events reads the consultation's stored envelopes.
func (c *client) events(id string) []events.Stored {
	c.t.Helper()
	a := c.do("GET", "/api/v1/consultations/"+id+"/events", "", nil)
	if a.Status != 200 {
		c.t.Fatalf("events of %s: %d %s", id, a.Status, a.Body)
	}
	var all []events.Stored
	lines := bufio.NewScanner(bytes.NewReader(a.Body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e, err := events.Open(bytes.Clone(lines.Bytes()), uint64(len(all)+1))
		if err != nil {
			c.t.Fatalf("event %d: %v", len(all)+1, err)
		}
		all = append(all, e)
	}
	return all
}

// end ends the consultation.
func (c *client) end(id string) {
	c.t.Helper()
	c.call("POST", "/consultations/"+id+"/end", nil, 202, nil)
}

// awaitArchive waits until the version is ready or failed.
func (c *client) awaitArchive(id string, version int, limit time.Duration) archive {
	c.t.Helper()
	var last []archive
	var found archive
	await(c.t, limit, func() string { return fmt.Sprintf("archive %d of %s: %+v", version, id, last) }, func() bool {
		c.call("GET", "/consultations/"+id+"/archives", nil, 200, &last)
		for _, a := range last {
			if a.Version == version && (a.State == "ready" || a.State == "failed") {
				found = a
				return true
			}
		}
		return false
	})
	return found
}

// await polls until done says so and fails the test with what when limit is over.
func await(t testing.TB, limit time.Duration, what func() string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what())
		}
		<-poll.C
	}
}

// waitEvent waits until an event of the type, about the participant if one is given, is in the log.
func (c *client) waitEvent(id string, kind events.Type, participant string, limit time.Duration) events.Stored {
	c.t.Helper()
	var found events.Stored
	await(c.t, limit, func() string { return fmt.Sprintf("event %s of %s", kind, id) }, func() bool {
		for _, e := range c.events(id) {
			if e.Type == kind && (participant == "" || e.Participant == participant) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// markerOf is where in the archive an event about a participant stands.
func (c *client) markerOf(id string, kind events.Type, participant string) time.Duration {
	c.t.Helper()
	var tl struct {
		Markers []struct {
			AtNS        int64  `json:"atNs"`
			Type        string `json:"type"`
			Participant string `json:"participant"`
		} `json:"markers"`
	}
	c.call("GET", "/consultations/"+id+"/timeline", nil, 200, &tl)
	for _, m := range tl.Markers {
		if m.Type == string(kind) && m.Participant == participant {
			return time.Duration(m.AtNS)
		}
	}
	c.t.Fatalf("no marker %s about %s", kind, participant)
	return 0
}
