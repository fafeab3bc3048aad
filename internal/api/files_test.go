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

// Every way of asking for a file gets what the document describes: the whole, a range, several, what has not changed. A range
// that the file does not have is refused like anything else, and a unit that nobody knows is as none.
func TestRangesAreAnsweredAsTheDocumentSays(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.archived("ranges")
	service := h.role(auth.RoleService)
	op, method, path := h.operation("get-archive-file")
	file := func(name string) string {
		return strings.NewReplacer("{id}", id, "{version}", "1", "{file}", name).Replace(path)
	}
	size := len(videoBytes)
	tag := h.want(200, service, method, file("archive.mp4"), nil).Header.Get("ETag")
	for _, tt := range []struct {
		name    string
		headers []string
		status  int
		body    string
	}{
		{"the whole", nil, 200, videoBytes},
		{"a beginning", []string{"Range", "bytes=0-3"}, 206, videoBytes[:4]},
		{"an end", []string{"Range", "bytes=-5"}, 206, videoBytes[size-5:]},
		{"more than there is", []string{"Range", fmt.Sprintf("bytes=5-%d", size+9)}, 206, videoBytes[5:]},
		{"two at once", []string{"Range", "bytes=0-3,8-9"}, 206, ""},
		{"behind the end", []string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, ""},
		{"the wrong way round", []string{"Range", "bytes=9-3"}, 416, ""},
		{"a unit that nobody knows", []string{"Range", "pages=1-2"}, 200, videoBytes},
		{"of the file that it was", []string{"Range", "bytes=0-3", "If-Range", tag}, 206, videoBytes[:4]},
		{"of a file that it is no more", []string{"Range", "bytes=0-3", "If-Range", `"other"`}, 200, videoBytes},
		{"what has not changed", []string{"If-None-Match", tag}, 304, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.want(tt.status, service, method, file("archive.mp4"), nil, tt.headers...)
			h.describes(t, op, a)
			if tt.body != "" && string(a.Body) != tt.body {
				t.Errorf("got %q, want %q", a.Body, tt.body)
			}
			if tt.status == 416 && (a.problem().Code != "range_not_satisfiable" || a.Header.Get("ETag") != "") {
				t.Errorf("got %s with %v", a.Body, a.Header)
			}
		})
	}
	for name := range archiveFiles {
		status := 200
		if a := h.ask(service, method, file(name), nil); a.Status == 404 {
			status = 404
		}
		h.describes(t, op, h.want(status, service, method, file(name), nil))
	}
}

// A stitcher that comes second with a version changes nothing of what is served.
func TestTheFirstResultOfAVersionCounts(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.archived("twice")
	h.say(id, "", events.ArchiveRendered{Version: 1, Key: fmt.Sprintf("c/%s/archives/other/archive.mp4", id), Bytes: 1, SHA256: "00", ManifestSHA256: "00"})
	if a := h.want(200, h.role(auth.RoleService), "GET", "/consultations/"+id+"/archives/1/archive.mp4", nil); string(a.Body) != videoBytes {
		t.Errorf("got %s", a.Body)
	}
}

// The session tells what the document says, and refuses as the document says.
func TestASessionIsOpenedAsTheDocumentSays(t *testing.T) {
	h := newHouse(t)
	op, method, path := h.operation("open-session")
	for token, status := range map[string]int{h.role(auth.RoleService): 200, "nonsense": 401} {
		a := h.want(status, "", method, path, map[string]any{"token": token})
		h.describes(t, op, a)
		h.matches(t, op, a)
	}
}
