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

// A version whose checks could not all be made says so, and the voices that were ordered are served to those who may watch.
func TestVoicesAreServedAndTheUnverifiedIsNamed(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.archived("voices")
	prefix := fmt.Sprintf("c/%s/archives/2/", id)
	voice := "voice-" + events.NewID() + ".m4a"
	for _, file := range []string{"archive.mp4", voice} {
		if _, err := h.blobs.Put(t.Context(), prefix+file, strings.NewReader(file)); err != nil {
			t.Fatal(err)
		}
	}
	h.say(id, "", events.ArchiveRequested{Version: 2, ThroughSeq: 9, Layout: "speaker", Profile: "fast", Stamp: true, Voices: true},
		events.ArchiveRendered{Version: 2, Key: prefix + "archive.mp4", Bytes: 11, SHA256: "00", ManifestSHA256: "00", Unverified: []string{"sound"}})
	service := h.role(auth.RoleService)
	path := "/consultations/" + id + "/archives"
	a := h.want(200, service, "GET", path+"/2/"+voice, nil)
	if string(a.Body) != voice || a.Header.Get("Content-Type") != "audio/mp4" {
		t.Errorf("got %s as %s", a.Body, a.Header.Get("Content-Type"))
	}
	for _, file := range []string{"voice-.m4a", "voice-x.m4a", "voice-" + events.NewID() + ".m4a", voice + ".mp4"} {
		h.want(404, service, "GET", path+"/2/"+file, nil)
	}
	h.want(403, h.role(auth.RoleAdmin), "GET", path+"/2/"+voice, nil)
	got := string(h.want(200, service, "GET", path, nil).Body)
	if !strings.Contains(got, `"unverified":["sound"]`) || strings.Count(got, "unverified") != 1 ||
		!strings.Contains(got, `"layout":"speaker","stamp":true,"voices":true`) {
		t.Errorf("got %s", got)
	}
	if got := string(h.want(200, service, "GET", "/consultations/"+id, nil).Body); !strings.Contains(got, `"unverified":["sound"]`) {
		t.Errorf("the list does not know that a check was not made: %s", got)
	}
	var other struct{ ID string }
	h.into(&other, service, "POST", "/consultations", map[string]any{"title": "Second opinion", "layout": "speaker"})
	if got := string(h.want(200, service, "GET", "/consultations/"+other.ID+"/events", nil).Body); !strings.Contains(got, `"layout":"speaker"`) {
		t.Errorf("scheduled as %s", got)
	}
	h.want(422, service, "POST", path, map[string]any{"layout": "circle"})
	h.want(202, service, "POST", path, map[string]any{"layout": "speaker", "stamp": true, "voices": true})
}
