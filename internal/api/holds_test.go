package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/events"
)

// holdsSeen is what an answer says of holds.
type holdsSeen struct {
	Holds []struct {
		ID, Reason, Reference string
		Placed                struct{ Role, Name string }
		Release               *struct {
			Reason    string
			ExpiresAt time.Time
			Requested struct {
				Name string
				You  bool
				At   time.Time
			}
		}
		Released *struct{ Role, Name string }
	}
}

// Two officers: one places a hold and asks for its release, the other one releases it, and everybody sees as much of it as is
// for them.
func TestAHoldIsPlacedByOneAndReleasedByTwo(t *testing.T) {
	h := newHouse(t)
	id, doctor, patient := h.archived("Held")
	ann := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "ann", Name: "Ann Seed-Officer"})
	ben := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "ben", Name: "Ben Seed-Officer"})
	holds := "/consultations/" + id + "/holds"
	seen := func(token string) (all holdsSeen) {
		t.Helper()
		h.into(&all, token, "GET", holds, nil)
		return all
	}
	place := map[string]any{"reason": "litigation", "reference": "  Seed-Case\t7 O 12/26"}
	var placed, again struct{ ID string }
	h.into(&placed, ann, "POST", holds, place, "Idempotency-Key", "one")
	h.into(&again, ann, "POST", holds, place, "Idempotency-Key", "one")
	if placed.ID == "" || again.ID != placed.ID || len(seen(ann).Holds) != 1 {
		t.Fatalf("asked twice with one key, the holds are %v and %v of %d", placed, again, len(seen(ann).Holds))
	}
	one := holds + "/" + placed.ID + "/release"
	refused := func(code string, status int, a answer) {
		t.Helper()
		if a.Status != status || a.problem().Code != code || a.problem().Type != "/problems/"+code {
			t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, code)
		}
	}
	t.Run("everybody sees as much as is for them", func(t *testing.T) {
		for role, claims := range map[string]auth.Claims{
			auth.RoleCompliance: {}, auth.RoleAuditor: {}, auth.RoleService: {}, auth.RoleAdmin: {},
			auth.RoleClinician: {Consultation: id, Participant: doctor}, auth.RolePatient: {Consultation: id, Participant: patient},
		} {
			claims.Role = role
			token := h.token(claims)
			var c struct{ Holds int }
			h.into(&c, token, "GET", "/consultations/"+id, nil)
			var page struct{ Items []struct{ Holds int } }
			if role == auth.RolePatient {
				if c.Holds != 0 {
					t.Errorf("the patient is told of %d holds", c.Holds)
				}
				refused("forbidden", 403, h.ask(token, "GET", holds, nil))
				refused("forbidden", 403, h.ask(token, "GET", "/consultations?held=true", nil))
				continue
			}
			h.into(&page, token, "GET", "/consultations?held=true", nil)
			if c.Holds != 1 || len(page.Items) != 1 || page.Items[0].Holds != 1 {
				t.Errorf("%s is told of %d holds, and lists %v", role, c.Holds, page)
			}
			a := string(h.want(200, token, "GET", holds, nil).Body)
			mayPlace := slices.Contains([]string{auth.RoleCompliance, auth.RoleAuditor, auth.RoleService}, role)
			if strings.Contains(a, "Seed-Case 7 O 12/26") != mayPlace || strings.Contains(a, "Ann Seed-Officer") != mayPlace || !strings.Contains(a, placed.ID) {
				t.Errorf("%s sees %s", role, a)
			}
		}
	})
	t.Run("nobody but officers releases", func(t *testing.T) {
		for _, role := range []string{auth.RoleAuditor, auth.RoleAdmin, auth.RoleService} {
			for _, path := range []string{one, one + "/approve", one + "/decline"} {
				refused("forbidden", 403, h.ask(h.role(role), "POST", path, map[string]any{"reason": "resolved"}))
			}
		}
	})
	resolved := map[string]any{"reason": "resolved"}
	refused("release_not_requested", 409, h.ask(ben, "POST", one+"/approve", nil))
	refused("invalid", 422, h.ask(ann, "POST", one, map[string]any{"reason": "litigation"}))
	h.want(http.StatusNoContent, ann, "POST", one, resolved)
	refused("release_pending", 409, h.ask(ben, "POST", one, resolved))
	refused("second_person", 403, h.ask(ann, "POST", one+"/approve", nil))
	// The same person by another token: as a participant of something, and in another role before.
	masked := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "ann", Participant: events.NewID(), Consultation: id})
	refused("second_person", 403, h.ask(masked, "POST", one+"/approve", nil))
	if r := seen(ann).Holds[0].Release; r == nil || !r.Requested.You || r.Reason != "resolved" || r.ExpiresAt.Sub(r.Requested.At) != consultation.ReleaseWithin {
		t.Errorf("who asked sees %+v", r)
	}
	if r := seen(ben).Holds[0].Release; r == nil || r.Requested.You || r.Requested.Name != "Ann Seed-Officer" {
		t.Errorf("the second person sees %+v", r)
	}
	h.want(http.StatusNoContent, ben, "POST", one+"/decline", nil)
	refused("release_not_requested", 409, h.ask(ben, "POST", one+"/decline", nil))
	h.want(http.StatusNoContent, ann, "POST", one, resolved)
	h.want(http.StatusNoContent, ben, "POST", one+"/approve", nil)
	refused("hold_released", 409, h.ask(ben, "POST", one+"/approve", nil))
	refused("hold_released", 409, h.ask(ann, "POST", one, resolved))
	if last := seen(ann).Holds; len(last) != 1 || last[0].Released == nil || last[0].Released.Name != "Ben Seed-Officer" {
		t.Errorf("at the end there are %+v", last)
	}
	var c struct{ Holds int }
	if h.into(&c, ann, "GET", "/consultations/"+id, nil); c.Holds != 0 {
		t.Errorf("%d holds after the release", c.Holds)
	}
	t.Run("the log names two people and no case", func(t *testing.T) {
		var kinds []string
		actors := map[string]string{}
		for _, e := range h.history(id) {
			if noun, _, _ := strings.Cut(string(e.Type), "."); noun != "hold" {
				continue
			}
			kinds = append(kinds, string(e.Type))
			actors[string(e.Type)] = e.Actor
			if strings.Contains(string(e.Raw), "Seed") || e.Actor == "" {
				t.Errorf("the log says %s", e.Raw)
			}
		}
		want := []string{"hold.placed", "hold.release_requested", "hold.release_declined", "hold.release_requested", "hold.released"}
		if diff := cmp.Diff(want, kinds); diff != "" || actors["hold.release_requested"] == actors["hold.released"] {
			t.Errorf("actors %v; events (-want +got):\n%s", actors, diff)
		}
		if strings.Contains(h.logged.String(), "Seed") {
			t.Error("the server's log names an officer or a case")
		}
	})
}

func TestHoldsThatThereAreNot(t *testing.T) {
	h := newHouse(t)
	id, doctor, _ := h.scheduled("Held")
	other, _, _ := h.scheduled("Other")
	officer := h.role(auth.RoleCompliance)
	var placed struct{ ID string }
	h.into(&placed, officer, "POST", "/consultations/"+id+"/holds", bodies["place-hold"])
	resolved := map[string]any{"reason": "resolved"}
	for name, tt := range map[string]struct {
		path, code string
		status     int
	}{
		"an unknown hold":               {"/consultations/" + id + "/holds/" + events.NewID() + "/release", "unknown_hold", 404},
		"a hold of another one":         {"/consultations/" + other + "/holds/" + placed.ID + "/release", "unknown_hold", 404},
		"no id at all":                  {"/consultations/" + id + "/holds/nonsense/release", "unknown_hold", 404},
		"an unknown consultation":       {"/consultations/" + events.NewID() + "/holds/" + placed.ID + "/release", "unknown_consultation", 404},
		"nonsense for a consultation":   {"/consultations/nonsense/holds/" + placed.ID + "/release", "unknown_consultation", 404},
		"a hold on no consultation":     {"/consultations/" + events.NewID() + "/holds", "unknown_consultation", 404},
		"a hold on nonsense, of course": {"/consultations/nonsense/holds", "unknown_consultation", 404},
	} {
		t.Run(name, func(t *testing.T) {
			body := resolved
			if strings.HasSuffix(tt.path, "/holds") {
				body = map[string]any{"reason": "audit", "reference": "kept for nothing"}
			}
			if a := h.ask(officer, "POST", tt.path, body); a.Status != tt.status || a.problem().Code != tt.code {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	var kept int
	if err := h.pool.QueryRow(t.Context(), "select count(*) from directory.holds where reference = 'kept for nothing'").Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%v; %d references are kept of holds that were not placed", err, kept)
	}
	mine := h.token(auth.Claims{Role: auth.RoleClinician, Consultation: id, Participant: doctor, Subject: doctor})
	if theirs, none := h.ask(mine, "GET", "/consultations/"+other+"/holds", nil), h.ask(mine, "GET", "/consultations/"+events.NewID()+"/holds", nil); theirs.Status != 404 || string(theirs.Body) != string(none.Body) {
		t.Errorf("another's: %d %s, none: %s", theirs.Status, theirs.Body, none.Body)
	}
}

// After a week nobody approves what was asked any more.
func TestARequestToReleaseIsForAWeek(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.scheduled("Held")
	ann, holds := h.role(auth.RoleCompliance), "/consultations/"+id+"/holds"
	var placed struct{ ID string }
	h.into(&placed, ann, "POST", holds, bodies["place-hold"])
	h.want(http.StatusNoContent, ann, "POST", holds+"/"+placed.ID+"/release", bodies["request-release"])
	h.later(consultation.ReleaseWithin)
	ben := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "ben"})
	if a := h.ask(ben, "POST", holds+"/"+placed.ID+"/release/approve", nil); a.Status != 409 || a.problem().Code != "release_expired" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	h.want(http.StatusNoContent, ben, "POST", holds+"/"+placed.ID+"/release", bodies["request-release"])
	h.want(http.StatusNoContent, h.role(auth.RoleCompliance), "POST", holds+"/"+placed.ID+"/release/approve", nil)
}

// What a deletion would be told.
func TestADeletionIsRefusedByAName(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.archived("Held")
	if err := consultation.Fold(h.history(id)).MayErase(); err != nil {
		t.Fatalf("before: %v", err)
	}
	h.into(new(struct{ ID string }), h.role(auth.RoleAuditor), "POST", "/consultations/"+id+"/holds", bodies["place-hold"])
	p := problemOf(h.api.deps.Logger, consultation.Fold(h.history(id)).MayErase())
	if p.Code != "held" || p.Status != http.StatusConflict || p.Type != "/problems/held" {
		t.Errorf("%+v", p)
	}
}
