package api

import (
	"strings"
	"testing"

	"consilium/internal/auth"
	"consilium/internal/events"
)

// What was measured of the network is served as it is stored, to whoever may read the events, and to nobody before it is there.
func TestTheQualityOfConnectionsIsServedAsItWasMeasured(t *testing.T) {
	h := newHouse(t)
	id, doctor, _ := h.archived("measured")
	path := "/consultations/" + id + "/quality"
	service := h.role(auth.RoleService)
	h.want(404, service, "GET", path, nil)

	line := `{"time":"2026-01-01T00:00:05Z","participant":"` + doctor + `","connection":"c","rtt_ms":12.5,"loss_in":0.01,` +
		`"loss_out":0.02,"bits_per_second_in":900000,"bits_per_second_out":800000,"frames_per_second_in":29.8}` + "\n"
	if _, err := h.blobs.Put(t.Context(), "quality/"+id+"/n-1.ndjson", strings.NewReader(line)); err != nil {
		t.Fatal(err)
	}
	h.say(id, "", events.ConsultationCompleted{
		Missing: []events.MissingSegment{}, Tracks: []events.TrackAccount{},
		Quality: &events.QualityBlob{Blob: "quality/" + id + "/n-1.ndjson", SHA256: strings.Repeat("c", 64)},
	})
	for _, role := range []string{auth.RoleService, auth.RoleAuditor, auth.RoleCompliance, auth.RoleAdmin} {
		a := h.want(200, h.role(role), "GET", path, nil)
		if string(a.Body) != line || a.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s got %q as %s", role, a.Body, a.Header.Get("Content-Type"))
		}
		op, _, _ := h.operation("get-quality")
		h.matches(t, op, a)
	}
	h.want(403, h.role(auth.RolePatient), "GET", path, nil)
	h.want(404, service, "GET", "/consultations/"+events.NewID()+"/quality", nil)
}
