package api

import (
	"fmt"
	"strings"
	"testing"

	"consilium/internal/auth"
	"consilium/internal/events"
)

// What a stitcher left of a version that failed can be read by those who may read about archives; there is none of a
// version that did not fail.
func TestTheReasonOfAFailedArchiveIsServed(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.archived("failed")
	key := fmt.Sprintf("c/%s/archives/2/failure.txt", id)
	info, err := h.blobs.Put(t.Context(), key, strings.NewReader("RENDER-FAILED: no encoder today\n"))
	if err != nil {
		t.Fatal(err)
	}
	h.say(id, "", events.ArchiveRequested{Version: 2, ThroughSeq: 9, Layout: "grid", Profile: "fast"},
		events.ArchiveFailed{Version: 2, Code: "RENDER-FAILED", Detail: &events.Blob{Key: key, SHA256: info.SHA256}})
	path := "/consultations/" + id + "/archives/"
	service := h.role(auth.RoleService)
	if a := h.want(200, service, "GET", path+"2/failure.txt", nil); !strings.Contains(string(a.Body), "no encoder today") {
		t.Errorf("got %s", a.Body)
	}
	h.want(404, service, "GET", path+"1/failure.txt", nil)
	h.want(404, service, "GET", path+"3/failure.txt", nil)
	h.want(404, service, "GET", path+"2/archive.mp4", nil)
}
