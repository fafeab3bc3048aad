package auth

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/permissions.md")

func TestAllowed(t *testing.T) {
	tests := []struct {
		name   string
		role   string
		action Action
		want   Scope
	}{
		{name: "a clinician ends their own consultation", role: RoleClinician, action: EndConsultation, want: Own},
		{name: "a patient ends nothing", role: RolePatient, action: EndConsultation, want: None},
		{name: "a patient answers for themselves", role: RolePatient, action: AnswerConsent, want: Own},
		{name: "a patient answers for nobody else", role: RolePatient, action: AssertConsent, want: None},
		{name: "an observer sends nothing", role: RoleObserver, action: Publish, want: None},
		{name: "an observer takes part", role: RoleObserver, action: Join, want: Own},
		{name: "a device sends", role: RoleDevice, action: Publish, want: Own},
		{name: "a device does not take part", role: RoleDevice, action: Join, want: None},
		{name: "compliance watches every archive", role: RoleCompliance, action: ViewArchive, want: Any},
		{name: "compliance does not enter a consultation", role: RoleCompliance, action: Join, want: None},
		{name: "an auditor reads every event", role: RoleAuditor, action: ViewEvents, want: Any},
		{name: "an auditor sees no media", role: RoleAuditor, action: ViewArchive, want: None},
		{name: "an admin sees no media", role: RoleAdmin, action: ViewArchive, want: None},
		{name: "a service creates consultations", role: RoleService, action: CreateConsultation, want: Any},
		{name: "an unknown role may nothing", role: "root", action: ViewEvents, want: None},
		{name: "no role may nothing", role: "", action: ViewEvents, want: None},
		{name: "an unknown action is allowed to nobody", role: RoleService, action: "format the disk", want: None},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Allowed(tt.role, tt.action); got != tt.want {
				t.Errorf("Allowed = %s, want %s", got, tt.want)
			}
		})
	}
}

// TestNothingElseIsAllowed draws roles, actions and claims at random: what the table does not list is denied, Own never
// reaches another consultation, and a personal action never another participant.
func TestNothingElseIsAllowed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(of []string) string { return of[rnd.IntN(len(of))] }
	roles := append(slices.Clone(Roles), "", "Clinician", "root", "clinician ")
	actions := []string{"", "view", "*"}
	for _, a := range Actions() {
		actions = append(actions, string(a), strings.ToUpper(string(a)))
	}
	ids := []string{"", "a", "b"}
	for range 20000 {
		action := Action(pick(actions))
		c := Claims{Role: pick(roles), Consultation: pick(ids), Participant: pick(ids)}
		consultation, participant := pick(ids), pick(ids)
		listed := slices.ContainsFunc(table, func(r rule) bool {
			_, ok := r.may[c.Role]
			return r.action == action && ok
		})
		scope, can := Allowed(c.Role, action), c.Can(action, consultation, participant)
		at := fmt.Sprintf("%+v, %q on %q/%q: scope %s, can %t", c, action, consultation, participant, scope, can)
		switch {
		case !listed && (scope != None || can):
			t.Fatalf("not listed and allowed: %s", at)
		case scope == Any && !can, scope == None && can:
			t.Fatalf("Can and Allowed differ: %s", at)
		case scope == Own && can && (consultation == "" || c.Consultation != consultation):
			t.Fatalf("own reaches another consultation: %s", at)
		case scope == Own && can && find(action).personal && (participant == "" || c.Participant != participant):
			t.Fatalf("own reaches another participant: %s", at)
		}
	}
}

func TestTableIsWhole(t *testing.T) {
	seen := map[Action]bool{}
	for _, r := range table {
		if seen[r.action] || r.covers == "" || len(r.may) == 0 {
			t.Errorf("row %q: listed twice, or without routes or roles", r.action)
		}
		seen[r.action] = true
		for role, scope := range r.may {
			if !slices.Contains(Roles, role) || scope != Own && scope != Any {
				t.Errorf("row %q: role %q with scope %s", r.action, role, scope)
			}
		}
	}
}

// TestDocument keeps docs/permissions.md the same as the table.
func TestDocument(t *testing.T) {
	var doc bytes.Buffer
	doc.WriteString("# Who may do what\n\n" +
		"Written by `go test ./internal/auth -update` from the table in `internal/auth/permissions.go`; a pair that is not listed is denied.\n" +
		"**any**: every consultation. **own**: the consultation that the token names; where marked with *, only for the token's own participant.\n\n")
	doc.WriteString("| action | routes below `/api/v1` | " + strings.Join(Roles, " | ") + " |\n")
	doc.WriteString("|---|---|" + strings.Repeat("---|", len(Roles)) + "\n")
	for _, r := range table {
		name := string(r.action)
		if r.personal {
			name += " *"
		}
		doc.WriteString("| " + name + " | " + r.covers + " |")
		for _, role := range Roles {
			cell := Allowed(role, r.action).String()
			if cell == "none" {
				cell = "–"
			}
			doc.WriteString(" " + cell + " |")
		}
		doc.WriteString("\n")
	}
	path := filepath.Join("..", "..", "docs", "permissions.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doc.String(), string(got)); diff != "" {
		t.Errorf("run go test ./internal/auth -update (-table +document):\n%s", diff)
	}
}
