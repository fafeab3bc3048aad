package api

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite web/src/api/generated.ts")

// TestTypeScriptClient keeps the client that the pages use the same as the OpenAPI document.
func TestTypeScriptClient(t *testing.T) {
	h := newHouse(t)
	want := typeScript(h.api.document)
	path := filepath.Join("..", "..", "web", "src", "api", "generated.ts")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run go test ./internal/api -run TestTypeScriptClient -update (-document +file):\n%s", diff)
	}
}

// notCalled are operations that no page calls by fetch: WebSocket, server-sent events, files that a player loads, devices.
var notCalled = []string{"signaling", "follow-changes", "get-archive-file", "whip-publish", "whip-patch", "whip-delete"}

// typeScript writes an interface for each schema and a function for each operation, so that a page carries only what it
// calls. Lists are never null: TestTheDocumentIsTrue looks at that.
func typeScript(doc *huma.OpenAPI) string {
	var b strings.Builder
	b.WriteString("// Written by `go test ./internal/api -run TestTypeScriptClient -update` from the OpenAPI document. Do not edit.\n\n" +
		"import { type Options, query, sendJSON, sendRaw } from \"./request.ts\";\n")
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if s := schemas[name]; s.Type == huma.TypeObject && name != "Problem" {
			fmt.Fprintf(&b, "\nexport interface %s %s\n", typeName(name), object(s, ""))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, m := range []struct {
			name string
			op   *huma.Operation
		}{
			{http.MethodGet, item.Get}, {http.MethodPost, item.Post}, {http.MethodDelete, item.Delete}, {http.MethodPatch, item.Patch},
		} {
			if m.op != nil && !slices.Contains(notCalled, m.op.OperationID) {
				b.WriteString(function(m.name, path, m.op))
			}
		}
	}
	return b.String()
}

// function is one operation.
func function(method, path string, op *huma.Operation) string {
	var parameters, questions []string
	address := strings.TrimPrefix(path, prefix)
	for _, p := range op.Parameters {
		switch p.In {
		case "path":
			parameters = append(parameters, p.Name+": "+pathType(p.Schema))
			address = strings.ReplaceAll(address, "{"+p.Name+"}", "${encodeURIComponent("+p.Name+")}")
		case "query":
			questions = append(questions, property(p.Name, p.Schema, p.Required, p.Description, "  "))
		}
	}
	raw, answer := true, "Response"
	init := "{ method: \"" + method + "\" }"
	if op.RequestBody != nil {
		if content := op.RequestBody.Content["application/json"]; content != nil {
			optional := "?"
			if op.RequestBody.Required {
				optional = ""
			}
			parameters = append(parameters, "body"+optional+": "+typeOf(content.Schema, ""))
			init = "{ method: \"" + method + "\", body }"
		}
	}
	if len(questions) > 0 {
		parameters = append(parameters, "asked: {\n"+strings.Join(questions, "")+"} = {}")
		address += "${query(asked)}"
	}
	for _, status := range []string{"200", "201", "202"} {
		if r := op.Responses[status]; r != nil && r.Content["application/json"] != nil {
			raw, answer = false, typeOf(r.Content["application/json"].Schema, "")
		}
	}
	parameters = append(parameters, "options: Options = {}")
	send := "sendJSON"
	if raw {
		send = "sendRaw"
	}
	quote := "\""
	if strings.Contains(address, "${") {
		quote = "`"
	}
	return fmt.Sprintf("\n/** %s: %s %s */\nexport function %s(%s): Promise<%s> {\n  return %s(%s%s%s, %s, options);\n}\n",
		op.Summary, method, path, camel(op.OperationID), strings.Join(parameters, ", "), answer, send, quote, address, quote, init)
}

// pathType is the type of a part of an address, which is encoded in any case.
func pathType(s *huma.Schema) string {
	if s.Type == huma.TypeInteger {
		return "number"
	}
	return "string"
}

// typeName is a schema's name as TypeScript takes it.
func typeName(name string) string {
	name = camel(name)
	return strings.ToUpper(name[:1]) + name[1:]
}

func camel(name string) string {
	parts := strings.Split(name, "-")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}

func object(s *huma.Schema, indent string) string {
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		b.WriteString(property(name, p, slices.Contains(s.Required, name), p.Description, indent+"  "))
	}
	b.WriteString(indent + "}")
	return b.String()
}

func property(name string, s *huma.Schema, required bool, doc, indent string) string {
	line := ""
	if doc != "" {
		line = indent + "/** " + doc + " */\n"
	}
	mark := "?"
	if required {
		mark = ""
	}
	return line + indent + name + mark + ": " + typeOf(s, indent) + ";\n"
}

func typeOf(s *huma.Schema, indent string) string {
	switch {
	case s.Ref != "":
		return typeName(s.Ref[strings.LastIndex(s.Ref, "/")+1:])
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprintf("%q", v))
		}
		return strings.Join(values, " | ")
	case s.Type == huma.TypeString:
		return "string"
	case s.Type == huma.TypeInteger || s.Type == huma.TypeNumber:
		return "number"
	case s.Type == huma.TypeBoolean:
		return "boolean"
	case s.Type == huma.TypeArray:
		item := typeOf(s.Items, indent)
		if strings.Contains(item, "|") {
			item = "(" + item + ")"
		}
		return item + "[]"
	case s.Type == huma.TypeObject && len(s.Properties) > 0:
		return object(s, indent)
	case s.Type == huma.TypeObject:
		return "Record<string, unknown>"
	default:
		return "unknown"
	}
}
