package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"consilium/internal/auth"
	"consilium/internal/events"
)

// TestTheDocumentIsWhole: every route below the prefix is in the document and the other way round; every operation says who
// may use it by actions that there are, every action has an operation, every parameter of an address is described, and
// nothing refers to what is not there.
func TestTheDocumentIsWhole(t *testing.T) {
	h := newHouse(t)
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			OperationID string                      `json:"operationId"`
			Summary     string                      `json:"summary"`
			Permission  []string                    `json:"x-permission"`
			Security    []any                       `json:"security"`
			Parameters  []struct{ Name, In string } `json:"parameters"`
			Responses   map[string]map[string]any   `json:"responses"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	a := h.into(&doc, "", "GET", "/api/openapi.json", nil)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi: %q", doc.OpenAPI)
	}
	documented, ids, actions := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for path, methods := range doc.Paths {
		for method, o := range methods {
			documented[strings.ToUpper(method)+" "+path] = true
			if o.OperationID == "" || ids[o.OperationID] || o.Summary == "" || len(o.Responses) == 0 {
				t.Errorf("%s %s: %+v", method, path, o)
			}
			ids[o.OperationID] = true
			for _, p := range o.Permission {
				actions[p] = true
				if !slices.Contains(auth.Actions(), auth.Action(p)) {
					t.Errorf("%s needs %q, which is no action", o.OperationID, p)
				}
			}
			if len(o.Security) == 0 && o.OperationID != "open-session" && o.OperationID != "signaling" {
				t.Errorf("%s names no security", o.OperationID)
			}
			for _, part := range strings.Split(path, "/") {
				name, isParam := strings.CutPrefix(strings.TrimSuffix(part, "}"), "{")
				if isParam && !slices.ContainsFunc(o.Parameters, func(p struct{ Name, In string }) bool { return p.Name == name && p.In == "path" }) {
					t.Errorf("%s does not describe {%s}", o.OperationID, name)
				}
			}
		}
	}
	for _, action := range auth.Actions() {
		if !actions[string(action)] {
			t.Errorf("no operation needs %q", action)
		}
	}
	for _, pattern := range h.api.mux.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		preflight := method == http.MethodOptions // a browser's question, which needs no answer of its own
		if strings.HasPrefix(path, prefix+"/") && !preflight && !documented[pattern] {
			t.Errorf("%s is not in the document", pattern)
		}
		delete(documented, pattern)
	}
	for pattern := range documented {
		t.Errorf("%s is in the document, and there is no such route", pattern)
	}
	var all any
	if err := json.Unmarshal(a.Body, &all); err != nil {
		t.Fatal(err)
	}
	eachRef(all, func(ref string) {
		if _, ok := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]; !ok {
			t.Errorf("%s leads nowhere", ref)
		}
	})
}

func eachRef(value any, f func(string)) {
	switch v := value.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			f(ref)
		}
		for _, one := range v {
			eachRef(one, f)
		}
	case []any:
		for _, one := range v {
			eachRef(one, f)
		}
	}
}

// TestWhatTheDocumentForbidsIsRefused sends every operation what its own description does not allow: a field of another
// kind, a field that there is not, a required field left out, a filter that is no number or not among its values. Each
// answer is a problem that names the field, and nothing happens.
func TestWhatTheDocumentForbidsIsRefused(t *testing.T) {
	h := newHouse(t)
	id, doctor, _ := h.archived("T")
	asked := 0
	for _, o := range h.operations() {
		op, method, path := h.operation(o.ID)
		path = strings.NewReplacer("{id}", id, "{pid}", doctor, "{version}", "1", "{receipt}", events.NewID(), "{webhook}", events.NewID(),
			"{file}", "archive.mp4", "{hold}", events.NewID(), "{connection}", events.NewID()).Replace(path)
		role := auth.RoleService
		if op.OperationID == "request-release" { // the one thing that officers alone do
			role = auth.RoleCompliance
		}
		for _, p := range op.Parameters {
			if p.In != "query" || p.Schema.Type == huma.TypeString && len(p.Schema.Enum) == 0 || p.Schema.Type == huma.TypeArray {
				continue
			}
			asked++
			h.wantRefused(t, role, method, path+"?"+p.Name+"=nonsense", nil, http.StatusBadRequest, http.StatusUnprocessableEntity, "query."+p.Name)
		}
		if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil || o.ID == "open-session" {
			continue
		}
		schema := op.RequestBody.Content["application/json"].Schema
		if schema.Ref != "" {
			schema = h.api.document.Components.Schemas.SchemaFromRef(schema.Ref)
		}
		good, _ := bodies[o.ID].(map[string]any)
		with := func(name string, value any) map[string]any {
			body := map[string]any{}
			for k, v := range good {
				body[k] = v
			}
			if body[name] = value; value == nil {
				delete(body, name)
			}
			return body
		}
		h.wantRefused(t, role, method, path, with("surprise", 1), 422, 422, "body")
		for name, s := range schema.Properties {
			asked++
			var wrong any = map[string]any{"x": 1}
			if s.Type == huma.TypeObject {
				wrong = 1
			}
			h.wantRefused(t, role, method, path, with(name, wrong), 422, 422, "body."+name)
			if slices.Contains(schema.Required, name) {
				h.wantRefused(t, role, method, path, with(name, nil), 422, 422, "body")
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d fields were tried", asked)
	}
}

func (h *house) wantRefused(t *testing.T, role, method, path string, body any, status, or int, field string) {
	t.Helper()
	a := h.ask(h.role(role), method, path, body)
	p := a.problem()
	if a.Status != status && a.Status != or || p.Code != "invalid" || !slices.ContainsFunc(p.Fields, func(f string) bool { return strings.HasPrefix(f, field) }) {
		t.Errorf("%s %s with %s: %d %s", method, path, fmt.Sprint(body), a.Status, a.Body)
	}
}
