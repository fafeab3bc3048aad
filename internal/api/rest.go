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
	id, connection := pathParam("id"), pathParam("connection")
	etag := map[string]*huma.Param{"ETag": headerOf("the ICE session, for If-Match")}
	published := map[string]*huma.Param{
		"ETag": etag["ETag"], "Location": headerOf("of the publication: PATCH and DELETE"), "Accept-Patch": headerOf(sdpFragType),
		"Link": headerOf("ICE servers, rel=\"ice-server\""),
	}
	for _, op := range []*huma.Operation{
		describeChanges(),
		{
			OperationID: "open-session", Method: http.MethodPost, Path: prefix + "/session",
			Summary:     "Exchange a token for a session cookie that counts on GET and on the WebSocket",
			RequestBody: &huma.RequestBody{Required: true, Content: jsonObject("token")},
			Responses: or(map[string]*huma.Response{"200": {
				Description: "The session's role and end; the cookie.", Content: jsonObject("consultation", "expiresAt", "role"),
				Headers: map[string]*huma.Param{"Set-Cookie": headerOf("the session")},
			}}), Extensions: needs(),
		},
		{
			OperationID: "signaling", Method: http.MethodGet, Path: prefix + "/signaling",
			Summary: "WebSocket of a participant, subprotocol consilium.v1",
			Responses: map[string]*huma.Response{
				"101":     {Description: "Switching protocols."},
				"default": {Description: "No WebSocket: a foreign origin, or no handshake.", Content: textOf("text/plain")},
			}, Extensions: needs(auth.Join),
		},
		{
			OperationID: "get-archive-file", Method: http.MethodGet,
			Path:       prefix + "/consultations/{id}/archives/{version}/{file}",
			Parameters: []*huma.Param{id, pathParam("version"), pathParam("file")}, Security: bearerOnly, Extensions: needs(auth.ViewArchive, auth.ViewManifest),
			Summary: "One file of an archive, with ranges: archive.mp4, manifest.json, chapters.vtt, events.vtt, thumbnails.vtt",
			Responses: or(map[string]*huma.Response{
				"200": {Description: "The file.", Content: textOf(fileTypes...)},
				"206": {Description: "The range, or several.", Content: textOf(append([]string{"multipart/byteranges"}, fileTypes...)...)},
				"304": {Description: "It is as it was."},
			}),
		},
		{
			OperationID: "whip-publish", Method: http.MethodPost, Path: whipPath, Parameters: []*huma.Param{id}, Security: bearerOnly, Extensions: needs(auth.Publish),
			Summary: "Publish from a device (RFC 9725)", RequestBody: &huma.RequestBody{Required: true, Content: textOf(sdpType)},
			Responses: or(map[string]*huma.Response{"201": {Description: "The SDP answer.", Content: textOf(sdpType), Headers: published}}),
		},
		{
			OperationID: "whip-patch", Method: http.MethodPatch, Path: whipPath + "/{connection}",
			Parameters: []*huma.Param{id, connection, {Name: "If-Match", In: "header", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}},
			Security:   bearerOnly, Extensions: needs(auth.Publish),
			Summary: "Trickle candidates or restart ICE (RFC 9725 §4.3)", RequestBody: &huma.RequestBody{Required: true, Content: textOf(sdpFragType)},
			Responses: or(map[string]*huma.Response{
				"200": {Description: "ICE restarts: our fragment.", Content: textOf(sdpFragType), Headers: etag},
				"204": {Description: "The candidates were taken."},
			}),
		},
		{
			OperationID: "whip-delete", Method: http.MethodDelete, Path: whipPath + "/{connection}",
			Parameters: []*huma.Param{id, connection}, Security: bearerOnly, Extensions: needs(auth.Publish),
			Summary: "End the publication", Responses: or(map[string]*huma.Response{"200": {Description: "Ended."}}),
		},
	} {
		o.AddOperation(op)
	}
}

// fileTypes are the media types of the files of an archive.
var fileTypes = []string{"video/mp4", "audio/mp4", "application/json", "text/vtt", "image/jpeg", "text/plain"}

// or adds the refusal, which is the same everywhere.
func or(responses map[string]*huma.Response) map[string]*huma.Response {
	responses["default"] = &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}},
	}}
	return responses
}

// textOf describes a body of one of the media types whose content is theirs to describe.
func textOf(types ...string) map[string]*huma.MediaType {
	content := map[string]*huma.MediaType{}
	for _, t := range types {
		content[t] = &huma.MediaType{}
	}
	return content
}

// jsonObject describes an object of strings, all of them there.
func jsonObject(names ...string) map[string]*huma.MediaType {
	properties := map[string]*huma.Schema{}
	for _, name := range names {
		properties[name] = &huma.Schema{Type: huma.TypeString}
	}
	return map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, Required: names, Properties: properties}}}
}

func pathParam(name string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
}

func headerOf(description string) *huma.Param {
	return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}
