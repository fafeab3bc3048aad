package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"consilium/internal/auth"
	"consilium/internal/events"
)

// TestTheDocumentIsTrue asks every operation that answers with JSON, well and badly, and holds each answer against the
// OpenAPI document that the server hands out: the status is one that is described, the body is what its schema says with
// no field more, and no list is null.
func TestTheDocumentIsTrue(t *testing.T) {
	h := newHouse(t)
	id, doctor, _ := h.archived("T")
	h.say(id, doctor, events.ConnectionOpened{Connection: "c", Via: "whip"}, events.TrackStarted{Track: "t", Connection: "c", Kind: "audio", Source: "device"})
	running, _, patient := h.scheduled("R")
	service, officer := h.role(auth.RoleService), h.role(auth.RoleCompliance)
	var receipt struct{ ID string }
	h.into(&receipt, officer, "POST", "/consultations/"+id+"/archives/1/receipts", bodies["open-receipt"])
	var hook struct{ Webhook struct{ ID string } }
	h.into(&hook, service, "POST", "/webhooks", bodies["add-webhook"])
	var hold struct{ ID string }
	h.into(&hold, officer, "POST", "/consultations/"+id+"/holds", bodies["place-hold"])
	asked := map[string]bool{}
	for _, tt := range []struct {
		operation, token, id, query string
		status                      int
	}{
		{"schedule-consultation", service, "", "", 201},
		{"list-consultations", service, "", "?problem=any&limit=5", 200},
		{"list-consultations", service, "", "?cursor=x", 400},
		{"get-consultation", service, id, "", 200},
		{"get-consultation", service, events.NewID(), "", 404},
		{"get-consultation", "", id, "", 401},
		{"invite-participant", service, running, "", 201},
		{"answer-consent", service, running, "", 204},
		{"end-consultation", h.token(auth.Claims{Role: auth.RolePatient, Consultation: running, Participant: patient}), running, "", 403},
		{"end-consultation", service, id, "", 409},
		{"reopen-consultation", service, running, "", 409},
		{"pause-recording", service, running, "", 409},
		{"resume-recording", service, running, "?reason=lunch", 422},
		{"remove-participant", service, running, "", 204},
		{"get-events", service, id, "", 200},
		{"get-timeline", service, id, "", 200},
		{"get-quality", service, id, "", 404}, // TestTheQualityOfConnectionsIsServedAsItWasMeasured holds the answer
		{"list-markers", service, id, "?failures=true", 200},
		{"list-markers", service, id, "?limit=-1", 400},
		{"get-lanes", service, id, "", 200},
		{"list-accesses", service, id, "", 200},
		{"list-archives", service, id, "", 200},
		{"request-archive", service, id, "", 202},
		{"get-storage", service, "", "", 200},
		{"open-receipt", officer, id, "", 201},
		{"report-watched", officer, id, "", 204},
		{"close-receipt", officer, id, "", 204},
		{"close-receipt", officer, id, "", 403},
		{"export-events", officer, id, "", 200},
		{"place-hold", officer, id, "", 201},
		{"list-holds", officer, id, "", 200},
		{"request-release", officer, id, "", 204},
		{"request-release", officer, id, "", 409},
		{"list-holds", service, id, "", 200},
		{"list-consultations", officer, "", "?held=release_requested", 200},
		{"list-consultations", officer, "", "?held=perhaps", 400},
		{"approve-release", officer, id, "", 403},
		{"approve-release", h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "another"}), id, "", 204},
		{"decline-release", officer, id, "", 409},
		{"list-holds", officer, id, "", 200},
		{"get-overview", officer, "", "", 200},
		{"get-overview", officer, "", "?hours=0", 400},
		{"list-webhooks", service, "", "", 200},
		{"add-webhook", service, "", "", 201},
		{"get-webhook", service, "", "", 200},
		{"change-webhook", service, "", "", 200},
		{"pause-webhook", service, "", "", 204},
		{"resume-webhook", service, "", "", 204},
		{"rotate-webhook-secret", service, "", "", 200},
		{"replay-webhook", service, "", "", 202},
		{"list-webhook-letters", service, "", "?limit=5", 200},
		{"list-webhook-letters", service, "", "?limit=x", 400},
		{"send-webhook-letters", service, "", "", 202},
		{"list-webhooks", officer, "", "", 403},
		{"remove-webhook", service, "", "", 204},
		{"get-webhook", service, "", "", 404},
	} {
		asked[tt.operation] = true
		t.Run(fmt.Sprintf("%s %d", tt.operation, tt.status), func(t *testing.T) {
			op, method, path := h.operation(tt.operation)
			path = strings.NewReplacer("{id}", tt.id, "{pid}", patient, "{version}", "1", "{receipt}", receipt.ID, "{hold}", hold.ID, "{webhook}", hook.Webhook.ID).Replace(path)
			a := h.ask(tt.token, method, path+tt.query, bodies[tt.operation])
			if a.Status != tt.status {
				t.Fatalf("%d %s, want %d", a.Status, a.Body, tt.status)
			}
			h.matches(t, op, a)
		})
	}
	others := map[string]bool{ // have no JSON to look at; tests of their own ask them
		"follow-changes": true, "signaling": true, "open-session": true, "get-archive-file": true, "whip-publish": true, "whip-patch": true, "whip-delete": true,
	}
	for _, o := range h.operations() {
		if !asked[o.ID] && !others[o.ID] {
			t.Errorf("%s is not asked here", o.ID)
		}
	}
}

// operation finds one in the document.
func (h *house) operation(id string) (op *huma.Operation, method, path string) {
	h.Helper()
	for path, item := range h.api.document.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "DELETE": item.Delete, "PATCH": item.Patch} {
			if op != nil && op.OperationID == id {
				return op, method, path
			}
		}
	}
	h.Fatalf("no operation %s", id)
	return nil, "", ""
}

func (h *house) matches(t *testing.T, op *huma.Operation, a answer) {
	t.Helper()
	described := op.Responses[strconv.Itoa(a.Status)]
	if described == nil {
		described = op.Responses["default"]
	}
	if described == nil {
		t.Fatalf("status %d is not described", a.Status)
	}
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if len(a.Body) == 0 && len(described.Content) == 0 {
		return
	}
	content := described.Content[media]
	if content == nil {
		t.Fatalf("%s is not described, but %v", media, described.Content)
	}
	lines := [][]byte{a.Body}
	switch media {
	case "application/x-ndjson":
		lines = nil
		for line := range strings.Lines(string(a.Body)) {
			lines = append(lines, []byte(line))
		}
	case "text/csv":
		return
	}
	if a.Status == http.StatusOK && op.OperationID == "export-events" {
		return // any bytes
	}
	for _, line := range lines {
		var body any
		if err := json.Unmarshal(line, &body); err != nil {
			t.Fatal(err)
		}
		var found huma.ValidateResult
		registry := h.api.document.Components.Schemas
		huma.Validate(registry, content.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, body, &found)
		for _, err := range found.Errors {
			t.Errorf("%v in %s", err, line)
		}
		noNullLists(t, registry, content.Schema, body, "")
	}
}

// describes wants the answer's status, media type and headers in the document, and of a refusal all of it.
func (h *house) describes(t *testing.T, op *huma.Operation, a answer) {
	t.Helper()
	described := op.Responses[strconv.Itoa(a.Status)]
	if described == nil && a.Status >= 400 {
		h.matches(t, op, a)
		return
	}
	if described == nil {
		t.Fatalf("%s does not describe %d", op.OperationID, a.Status)
	}
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if len(a.Body) > 0 && described.Content[media] == nil {
		t.Errorf("%s does not describe %s with %d", op.OperationID, media, a.Status)
	}
	for name := range described.Headers {
		if a.Header.Get(name) == "" && name != "Link" { // who has a public address needs no relay
			t.Errorf("%s has no %s with %d", op.OperationID, name, a.Status)
		}
	}
}

// noNullLists looks for a null where the schema says that there is a list: pages count on lists.
func noNullLists(t *testing.T, registry huma.Registry, s *huma.Schema, value any, at string) {
	t.Helper()
	if s.Ref != "" {
		s = registry.SchemaFromRef(s.Ref)
	}
	switch v := value.(type) {
	case nil:
		if s.Type == huma.TypeArray {
			t.Errorf("%s is null", at)
		}
	case []any:
		for i, one := range v {
			if s.Items != nil {
				noNullLists(t, registry, s.Items, one, fmt.Sprintf("%s[%d]", at, i))
			}
		}
	case map[string]any:
		for name, one := range v {
			if p := s.Properties[name]; p != nil {
				noNullLists(t, registry, p, one, at+"."+name)
			}
		}
	}
}
