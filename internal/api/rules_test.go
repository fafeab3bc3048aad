package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consilium/internal/auth"
	"consilium/internal/events"
)

// operation is one entry of the OpenAPI document.
type operation struct {
	ID          string   `json:"operationId"`
	Permissions []string `json:"x-permission"`
	method      string
	path        string
}

// operations reads the document that the server hands out.
func (h *house) operations() []operation {
	h.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	h.into(&doc, "", "GET", "/api/openapi.json", nil)
	var all []operation
	for path, methods := range doc.Paths {
		for method, raw := range methods {
			o := operation{method: strings.ToUpper(method), path: path}
			if err := json.Unmarshal(raw, &o); err != nil {
				h.Fatal(err)
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// bodies are what the operations want to hear.
var bodies = map[string]any{
	"schedule-consultation": map[string]any{"title": "T"},
	"invite-participant":    map[string]any{"name": "N", "role": "observer"},
	"answer-consent":        map[string]any{"answer": "given", "textSha256": strings.Repeat("0", 64), "language": "en"},
	"request-archive":       map[string]any{},
	"open-receipt":          map[string]any{"purpose": "quality"},
	"report-watched":        map[string]any{"ranges": []map[string]any{{"fromMs": 0, "toMs": 5}}},
	"place-hold":            map[string]any{"reason": "litigation", "reference": "Az 7 O 12/26"},
	"request-release":       map[string]any{"reason": "resolved"},
	"export-events":         map[string]any{"kind": "events.csv"},
	"add-webhook":           map[string]any{"url": "https://mis.hospital.example/", "types": []string{"archive.rendered"}},
	"change-webhook":        map[string]any{"types": []string{}},
	"replay-webhook":        map[string]any{"from": 1},
	"send-webhook-letters":  map[string]any{},
	"whip-publish":          "v=0",
	"whip-patch":            "a=end-of-candidates",
}

// TestEveryRoleAtEveryRoute asks every operation of the API as every role: for the role's own consultation, for another
// one and for one that does not exist. What the table of permissions does not list is refused before anything else is
// said, and another's consultation is answered, to the byte, as one that does not exist.
func TestEveryRoleAtEveryRoute(t *testing.T) {
	h := newHouse(t)
	own, doctor, _ := h.archived("Own")
	foreign, other, _ := h.archived("Foreign")
	unknown := events.NewID()
	for _, o := range h.operations() {
		if o.ID == "open-session" || o.ID == "signaling" {
			continue // a token is what they take; e2e has their refusals
		}
		if len(o.Permissions) == 0 {
			t.Errorf("%s %s names no permission: it is for nobody", o.method, o.path)
			continue
		}
		for _, role := range append(slices.Clone(auth.Roles), "king") {
			h.checkRoute(t, o, role, own, doctor, foreign, other, unknown)
		}
		t.Run("nobody at "+o.ID, func(t *testing.T) {
			if a := h.askFor(o, "", own, doctor); a.Status != http.StatusUnauthorized {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

// askFor sends an operation's request about a consultation.
func (h *house) askFor(o operation, token, id, participant string) answer {
	h.Helper()
	file := "archive.mp4"
	if c, err := h.authority.Verify(token); err == nil && auth.Allowed(c.Role, auth.ViewArchive) == auth.None {
		file = "manifest.json" // words, which some may read who may not watch
	}
	path := strings.NewReplacer("{id}", id, "{pid}", participant, "{version}", "1", "{file}", file, "{receipt}", events.NewID(), "{hold}", events.NewID(), "{webhook}", events.NewID(),
		"{connection}", events.NewID()).Replace(o.path)
	if o.ID == "follow-changes" { // it would never end
		req := h.request(token, o.method, path, nil, "Last-Event-ID", "none")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			h.Fatal(err)
		}
		defer resp.Body.Close()
		return answer{Status: resp.StatusCode, Header: resp.Header}
	}
	return h.ask(token, o.method, path, bodies[o.ID])
}

func (h *house) checkRoute(t *testing.T, o operation, role, own, doctor, foreign, other, unknown string) {
	t.Helper()
	scope := auth.None
	for _, action := range o.Permissions {
		scope = max(scope, auth.Allowed(role, auth.Action(action)))
	}
	t.Run(role+" at "+o.ID, func(t *testing.T) {
		if role == "king" { // the authority mints no such token, so there is none to refuse
			if scope != auth.None {
				t.Errorf("a role that does not exist may %v", o.Permissions)
			}
			return
		}
		token := h.token(auth.Claims{Role: role, Consultation: own, Participant: doctor, Subject: doctor})
		theirs, nothing := h.askFor(o, token, foreign, other), h.askFor(o, token, unknown, other)
		if !strings.Contains(o.path, "{id}") {
			theirs, nothing = h.askFor(o, token, own, doctor), h.askFor(o, token, own, doctor)
		}
		switch {
		case scope == auth.None:
			if theirs.Status != http.StatusForbidden || nothing.Status != http.StatusForbidden {
				t.Errorf("not listed, and answered %d (another's) and %d (unknown): %s", theirs.Status, nothing.Status, theirs.Body)
			}
		case strings.Contains(o.path, "{id}") && scope == auth.Own:
			// Where two actions share a route, the one that is asked for may be refused without a look at whose it is.
			hidden := theirs.Status == http.StatusNotFound || len(o.Permissions) > 1 && theirs.Status == http.StatusForbidden
			if !hidden || nothing.Status != theirs.Status || !bytes.Equal(theirs.Body, nothing.Body) {
				t.Errorf("another's is not as an unknown one:\n%d %s\n%d %s", theirs.Status, theirs.Body, nothing.Status, nothing.Body)
			}
		default:
			if theirs.Status == http.StatusForbidden && theirs.problem().Code == "forbidden" || theirs.Status == http.StatusUnauthorized {
				t.Errorf("listed as %s, and refused: %d %s", scope, theirs.Status, theirs.Body)
			}
		}
	})
}

// TestOwnListsAreOwn looks at what is not addressed by an id.
func TestOwnListsAreOwn(t *testing.T) {
	h := newHouse(t)
	own, _, patient := h.scheduled("Own")
	h.scheduled("Foreign")
	var page struct{ Items []struct{ ID string } }
	for _, query := range []string{"", "?participant=" + events.NewID(), "?query=foreign", "?person=anna"} {
		page.Items = nil
		h.into(&page, h.token(auth.Claims{Role: auth.RolePatient, Consultation: own, Participant: patient}), "GET", "/consultations"+query, nil)
		for _, c := range page.Items {
			if c.ID != own {
				t.Errorf("%q: a patient sees consultation %s", query, c.ID)
			}
		}
	}
}
