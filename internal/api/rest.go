package api

import (
	"net/http"
	"reflect"

	"consilium/internal/auth"

	"github.com/danielgtaylor/huma/v2"
)

// fail turns an error into the answer of a REST operation.
func (s *Server) fail(err error) error { return problemOf(s.deps.Logger, err) }

// requestBase gives an operation the request's own address, for links when no public URL is configured.
type requestBase struct{ r *http.Request }

// Resolve implements huma.Resolver.
func (b *requestBase) Resolve(ctx huma.Context) []error {
	b.r, _ = unwrap(ctx)
	return nil
}

func (b *requestBase) base(s *Server) string { return s.baseURL(b.r) }

var _ huma.Resolver = (*requestBase)(nil)

// answers describes a body that an operation writes itself.
func answers[T any](a huma.API, media, description string) map[string]*huma.Response {
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
	return map[string]*huma.Response{"200": {Description: description, Content: map[string]*huma.MediaType{media: {Schema: schema}}}}
}

// describeOthers adds what huma does not route to the OpenAPI document.
func (s *Server) describeOthers(o *huma.OpenAPI) {
	text := func(description string) map[string]*huma.Response {
		return map[string]*huma.Response{"default": {Description: description}}
	}
	id := &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}
	param := func(name string) *huma.Param {
		return &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}
	}
	for _, op := range []*huma.Operation{
		describeChanges(),
		{
			OperationID: "open-session", Method: http.MethodPost, Path: prefix + "/session",
			Summary: "Exchange a token for a session cookie that counts on GET and on the WebSocket",
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
				Type: huma.TypeObject, Required: []string{"token"}, Properties: map[string]*huma.Schema{"token": {Type: huma.TypeString}},
			}}}},
			Responses: text("The session's role and end."), Extensions: needs(),
		},
		{
			OperationID: "signaling", Method: http.MethodGet, Path: prefix + "/signaling",
			Summary:   "WebSocket of a participant, subprotocol consilium.v1",
			Responses: text("Switching protocols."), Extensions: needs(auth.Join),
		},
		{
			OperationID: "get-archive-file", Method: http.MethodGet,
			Path:       prefix + "/consultations/{id}/archives/{version}/{file}",
			Parameters: []*huma.Param{id, param("version"), param("file")}, Security: bearerOnly, Extensions: needs(auth.ViewArchive, auth.ViewManifest),
			Summary:   "One file of an archive, with ranges: archive.mp4, manifest.json, chapters.vtt, events.vtt, thumbnails.vtt",
			Responses: text("The file."),
		},
		{
			OperationID: "whip-publish", Method: http.MethodPost, Path: whipPath, Parameters: []*huma.Param{id}, Security: bearerOnly, Extensions: needs(auth.Publish),
			Summary: "Publish from a device (RFC 9725)", Responses: text("The SDP answer."),
		},
		{
			OperationID: "whip-patch", Method: http.MethodPatch, Path: whipPath + "/{connection}",
			Parameters: []*huma.Param{id, param("connection")}, Security: bearerOnly, Extensions: needs(auth.Publish),
			Summary: "Trickle candidates or restart ICE (RFC 9725 §4.3)", Responses: text("Nothing, or our fragment."),
		},
		{
			OperationID: "whip-delete", Method: http.MethodDelete, Path: whipPath + "/{connection}",
			Parameters: []*huma.Param{id, param("connection")}, Security: bearerOnly, Extensions: needs(auth.Publish),
			Summary: "End the publication", Responses: text("Ended."),
		},
	} {
		o.AddOperation(op)
	}
}
