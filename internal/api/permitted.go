package api

import (
	"consilium/internal/auth"

	"github.com/danielgtaylor/huma/v2"
)

// permissionKey is where the OpenAPI document says what an operation needs.
const permissionKey = "x-permission"

// needs names the actions of which a role must have one to come as far as the operation itself, which then looks at
// whose consultation it is. An operation that names none is for nobody.
func needs(actions ...auth.Action) map[string]any { return map[string]any{permissionKey: actions} }

// permitted refuses whoever may do nothing of what the operation needs, before anything of the request is looked at.
func (s *Server) permitted(ctx huma.Context, next func(huma.Context)) {
	actions, _ := ctx.Operation().Extensions[permissionKey].([]auth.Action)
	for _, action := range actions {
		if auth.Allowed(callerFrom(ctx.Context()).Role, action) != auth.None {
			next(ctx)
			return
		}
	}
	_, w := unwrap(ctx)
	writeProblem(w, problemOf(s.deps.Logger, errForbidden))
}
