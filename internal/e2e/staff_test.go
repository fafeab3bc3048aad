package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// Staff without a browser: find a consultation, look at it, read what happened, take the events out.
func TestTheCommandLineOfStaff(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	knee := service.schedule("Knee\x1b[2J", "required", person{Name: "Dr. Anna Schmidt", Role: "clinician"}, person{Name: "Boris Iwanow", Role: "patient"})
	service.schedule("Shoulder", "required", person{Name: "Dr. Berta Schulz", Role: "clinician"})
	service.end(knee.ID)
	service.waitEvent(knee.ID, events.TypeConsultationEnded, "", 10*time.Second)

	if out := p.Command("list", "--person", "bor"); !strings.Contains(out, knee.ID) || strings.Contains(out, "Shoulder") || strings.Contains(out, "\x1b") {
		t.Errorf("live list --person bor:\n%s", out)
	}
	lines := strings.Split(p.Command("list", "--json"), "\n")
	var first struct{ Title string }
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 || first.Title != "Shoulder" {
		t.Errorf("live list --json: %v\n%s", err, strings.Join(lines, "\n"))
	}
	if out := p.Command("show", knee.ID); !strings.Contains(out, "Boris Iwanow") || !strings.Contains(out, "patient") {
		t.Errorf("live show:\n%s", out)
	}
	hold := p.Command("hold", "place", knee.ID, "--reason", "complaint", "--case", "C-7\u200b\u202e 12", "--subject", "ann", "--name", "Ann Novak")
	if out := p.Command("list", "--held", "true"); !strings.Contains(out, knee.ID) || strings.Contains(out, "Shoulder") {
		t.Errorf("live list --held true:\n%s", out)
	}
	if out := p.Command("show", knee.ID); !strings.Contains(out, "complaint") || !strings.Contains(out, "C-7 12") || !strings.Contains(out, "in force") {
		t.Errorf("live show of what is held:\n%s", out)
	}
	p.Command("hold", "release", knee.ID, hold, "--reason", "mistake", "--subject", "ann")
	await(t, 20*time.Second, func() string { return "live list tells of the request" }, func() bool {
		return strings.Contains(p.Command("list", "--held", "release_requested"), knee.ID)
	})
	p.Command("hold", "decline", knee.ID, hold, "--subject", "ann")
	p.Command("hold", "release", knee.ID, hold, "--reason", "mistake", "--subject", "ann")
	p.Command("hold", "approve", knee.ID, hold, "--subject", "ben", "--name", "Ben Weiss")
	await(t, 20*time.Second, func() string { return "live show tells who placed it and who released it" }, func() bool {
		out := p.Command("show", knee.ID)
		return strings.Contains(out, "by Ann Novak") && strings.Contains(out, "released") && strings.Contains(out, "by Ben Weiss")
	})
	if out := p.Command("replay", knee.ID, "--type", "participant.,consultation.ended"); !strings.Contains(out, "Boris Iwanow") ||
		strings.Count(out, "\n") != 2 {
		t.Errorf("live replay:\n%s", out)
	}
	replayed := p.Command("replay", knee.ID, "--json")
	file := filepath.Join(t.TempDir(), "events.csv")
	p.Command("export", knee.ID, "--format", "csv", "--out", file)
	service.waitEvent(knee.ID, events.TypeExportMade, "", 10*time.Second)
	stored := string(service.do("GET", "/api/v1/consultations/"+knee.ID+"/events", "", nil).Body)
	if !strings.HasPrefix(stored, replayed+"\n") {
		t.Error("live replay --json is not what is stored")
	}
	before, _, _ := strings.Cut(stored, `"type":"export.made"`) // the file is of what stood before
	got, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(got), "seq,time,type,") || strings.Count(string(got), "\n") != strings.Count(before, "\n")+1 {
		t.Errorf("live export: %v\n%s", err, got)
	}
}
