package api

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/auth"
	"consilium/internal/events"
	"consilium/internal/jobs"
)

// TestBadQuestions: what is wrong with a filter or a cursor is said with the field's name, as 400; what is wrong with
// something that is to be stored, as 422. Nothing that was sent is repeated.
func TestBadQuestions(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.scheduled("T")
	service := h.role(auth.RoleService)
	secret := "Boris-Iwanow-4711"
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
		field        string
	}{
		{"GET", "/consultations?cursor=" + secret, nil, 400, "query.cursor"},
		{"GET", "/consultations?state=" + secret, nil, 400, "query.state"},
		{"GET", "/consultations?problem=" + secret, nil, 400, "query.problem"},
		{"GET", "/consultations?consent=" + secret, nil, 400, "query.consent"},
		{"GET", "/consultations?from=" + secret, nil, 400, "query.from"},
		{"GET", "/consultations?limit=0", nil, 400, "query.limit"},
		{"GET", "/consultations?limit=" + secret, nil, 400, "query.limit"},
		{"GET", "/consultations?query=" + strings.Repeat("a+", 50), nil, 400, "query.query"},
		{"GET", "/consultations?person=" + strings.Repeat("x", 201), nil, 400, "query.person"},
		{"GET", "/consultations/" + id + "/markers?after=-1", nil, 400, "query.after"},
		{"GET", "/consultations/" + id + "/markers?limit=1001", nil, 400, "query.limit"},
		{"POST", "/consultations", map[string]any{"title": ""}, 422, "body.title"},
		{"POST", "/consultations/" + id + "/participants", map[string]any{"name": secret, "role": "king"}, 422, "body.role"},
		{"POST", "/consultations/" + id + "/exports", map[string]any{"kind": secret}, 422, "body.kind"},
	} {
		t.Run(tt.field+" of "+tt.method+" "+tt.path[:min(len(tt.path), 40)], func(t *testing.T) {
			a := h.ask(service, tt.method, tt.path, tt.body)
			p := a.problem()
			if a.Status != tt.status || p.Code != "invalid" || p.Type != "/problems/invalid" || a.Header.Get("Content-Type") != "application/problem+json" ||
				!slices.ContainsFunc(p.Fields, func(f string) bool { return strings.HasPrefix(f, tt.field+": ") }) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if bytes.Contains(a.Body, []byte(secret)) {
				t.Errorf("what was sent comes back: %s", a.Body)
			}
		})
	}
}

func TestListAndItsFilters(t *testing.T) {
	h := newHouse(t)
	archived, _, _ := h.archived("Knee <script>alert(1)</script>")
	scheduled, _, _ := h.scheduled("Shoulder")
	officer := h.role(auth.RoleCompliance)
	type page struct {
		Items []struct {
			ID, Title, State string
			Problems         []string
			Consents         []string
			Seq              uint64
		}
		NextCursor string
	}
	for query, want := range map[string][]string{
		"":                       {scheduled, archived},
		"?query=kn":              {archived},
		"?person=bor+iw":         {scheduled, archived},
		"?person=knee":           nil,
		"?problem=any":           {archived},
		"?problem=no":            {scheduled},
		"?consent=given":         {archived},
		"?consent=none":          {scheduled},
		"?state=archived":        {archived},
		"?problem=gap&query=kne": nil,
	} {
		var got page
		h.into(&got, officer, "GET", "/consultations"+query, nil)
		var ids []string
		for _, c := range got.Items {
			ids = append(ids, c.ID)
		}
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	var first, second page
	h.into(&first, officer, "GET", "/consultations?limit=1", nil)
	h.into(&second, officer, "GET", "/consultations?limit=1&cursor="+first.NextCursor, nil)
	if first.Items[0].ID != scheduled || second.Items[0].ID != archived || second.NextCursor != "" {
		t.Errorf("pages: %+v %+v", first, second)
	}
	if one := second.Items[0]; one.Title != "Knee <script>alert(1)</script>" || one.Problems[0] != "connection_failed" || one.Consents[0] != "given" || one.Seq == 0 {
		t.Errorf("%+v", one)
	}
}

func TestConditionalRequests(t *testing.T) {
	h := newHouse(t)
	id, _, patient := h.archived("T")
	officer := h.role(auth.RoleCompliance)
	for _, path := range []string{"/consultations", "/consultations/" + id, "/consultations/" + id + "/archives", "/consultations/" + id + "/timeline", "/consultations/" + id + "/lanes"} {
		a := h.want(200, officer, "GET", path, nil)
		tag := a.Header.Get("ETag")
		if !strings.HasPrefix(tag, `W/"`) {
			t.Errorf("%s: ETag %q", path, tag)
		}
		again := h.want(304, officer, "GET", path, nil, "If-None-Match", `"other", `+tag)
		if len(again.Body) != 0 || again.Header.Get("ETag") != tag {
			t.Errorf("%s: %s %v", path, again.Body, again.Header)
		}
		h.want(200, officer, "GET", path, nil, "If-None-Match", `W/"other"`)
	}
	old := h.want(200, officer, "GET", "/consultations/"+id, nil).Header.Get("ETag")
	h.say(id, patient, events.ConsentWithdrawn{})
	h.want(200, officer, "GET", "/consultations/"+id, nil, "If-None-Match", old)
	if a := h.want(404, officer, "GET", "/consultations/"+events.NewID(), nil); a.Header.Get("ETag") != "" {
		t.Error("a refusal has a tag")
	}
}

func TestIdempotencyKey(t *testing.T) {
	h := newHouse(t)
	service := h.role(auth.RoleService)
	body := map[string]any{"title": "Once", "participants": []map[string]any{{"name": "Dr. Secret", "role": "clinician"}}}
	post := func(token, key string, body any) answer {
		return h.ask(token, "POST", "/consultations", body, keyHeader, key)
	}
	first := post(service, "k1", body)
	if first.Status != 201 {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	again := post(service, "k1", body)
	if again.Status != 201 || !bytes.Equal(first.Body, again.Body) || again.Header.Get("Idempotent-Replayed") != "true" ||
		again.Header.Get("Location") != first.Header.Get("Location") || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
		t.Errorf("the second answer is another: %d %v %s", again.Status, again.Header, again.Body)
	}
	if a := post(service, "k1", map[string]any{"title": "Other"}); a.Status != 422 || a.problem().Code != "idempotency_mismatch" {
		t.Errorf("the same key for another request: %d %s", a.Status, a.Body)
	}
	if a := post(h.role(auth.RoleAdmin), "k1", body); a.Status != 201 || bytes.Equal(a.Body, first.Body) {
		t.Errorf("another caller's key is another key: %d %s", a.Status, a.Body)
	}
	if a := post(service, "k2", body); a.Status != 201 || bytes.Equal(a.Body, first.Body) {
		t.Errorf("another key is another request: %d %s", a.Status, a.Body)
	}
	if a := post(service, strings.Repeat("k", 256), body); a.Status != 400 {
		t.Errorf("a long key: %d", a.Status)
	}
	if a := post(h.role(auth.RolePatient), "k3", body); a.Status != 403 {
		t.Errorf("%d", a.Status)
	}

	t.Run("many at once are carried out once", func(t *testing.T) {
		var wg sync.WaitGroup
		answers := make([]answer, 8)
		for i := range answers {
			wg.Go(func() { answers[i] = post(service, "k4", body) })
		}
		wg.Wait()
		made := map[string]bool{}
		for _, a := range answers {
			switch {
			case a.Status == 201:
				made[string(a.Body)] = true
			case a.Status != 409 || a.problem().Code != "idempotency_running":
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}
		if len(made) != 1 {
			t.Errorf("%d different answers", len(made))
		}
	})
	t.Run("a day later the key is free", func(t *testing.T) {
		if _, err := h.pool.Exec(t.Context(), "update directory.answers set created_at = created_at - interval '25 hours'"); err != nil {
			t.Fatal(err)
		}
		if a := post(service, "k1", map[string]any{"title": "Other"}); a.Status != 201 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("kept answers can be read by nobody", func(t *testing.T) {
		var kept int
		err := h.pool.QueryRow(t.Context(), "select count(*) from directory.answers where position('Secret'::bytea in answer) > 0 or position('joinUrl'::bytea in answer) > 0").Scan(&kept)
		if err != nil || kept != 0 {
			t.Errorf("%d rows hold names or links in clear, error = %v", kept, err)
		}
	})
}

func TestTooManyRequests(t *testing.T) {
	h := newHouse(t)
	officer := h.role(auth.RoleCompliance)
	count := func(token string, n int) (ok, refused, limited int) {
		var mu sync.Mutex // guards the results
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range n / 8 {
					a := h.ask(token, "GET", "/storage", nil)
					mu.Lock()
					switch a.Status {
					case 200:
						ok++
					case 429:
						limited++
						if a.Header.Get("Retry-After") == "" || a.problem().Code != "too_many_requests" {
							t.Errorf("%v %s", a.Header, a.Body)
						}
					default:
						refused++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return ok, refused, limited
	}
	auditor := h.role(auth.RoleAuditor)
	if ok, other, limited := count(h.role(auth.RoleService), 480); limited != 0 || ok+other != 480 {
		t.Errorf("a calling system: %d ok, %d limited", ok, limited)
	}
	began := h.now() // time stands still: how quick this machine is must not matter
	h.api.deps.Now = func() time.Time { return began }
	if _, _, limited := count(officer, limitPeople.burst+80); limited != 80 {
		t.Errorf("a person: %d limited", limited)
	}
	if a := h.ask(auditor, "GET", "/storage", nil); a.Status == 429 {
		t.Error("another person is slowed down")
	}
	if _, refused, limited := count("guessed", limitRefused.burst+80); limited < 72 { // eight ask at once
		t.Errorf("tokens can be guessed without end: %d tried, %d limited", refused, limited)
	}
}

// sse reads the events of a stream.
type sse struct {
	resp *http.Response
	in   *bufio.Scanner
	id   string
}

func (h *house) follow(token, last string) *sse {
	h.Helper()
	req := h.request(token, "GET", "/changes", nil)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		h.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	h.Cleanup(func() { resp.Body.Close() })
	s := &sse{resp: resp, in: bufio.NewScanner(resp.Body)}
	s.in.Buffer(nil, 1<<20)
	return s
}

// next gives the next event; an empty one is a comment or only an id.
func (s *sse) next(t *testing.T) (event string, data map[string]any) {
	t.Helper()
	limit := time.AfterFunc(20*time.Second, func() { s.resp.Body.Close() })
	defer limit.Stop()
	for s.in.Scan() {
		name, value, _ := strings.Cut(s.in.Text(), ": ")
		switch name {
		case "id":
			s.id = value
		case "event":
			event = value
		case "data":
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				t.Fatal(err)
			}
		case "":
			return event, data
		}
	}
	t.Fatalf("the stream ended: %v", s.in.Err())
	return "", nil
}

// until reads on to an event about a consultation; others may come before it.
func (s *sse) until(t *testing.T, event, id string) map[string]any {
	t.Helper()
	for {
		if got, data := s.next(t); got == event && data["id"] == id {
			return data
		}
	}
}

func TestChangesAreTold(t *testing.T) {
	h := newHouse(t)
	own, doctor, _ := h.scheduled("Own")
	foreign, _, _ := h.scheduled("Foreign")
	all := h.follow(h.role(auth.RoleCompliance), "")
	mine := h.follow(h.token(auth.Claims{Role: auth.RoleClinician, Consultation: own, Participant: doctor}), "")
	all.next(t)
	mine.next(t)
	start := all.id

	h.say(foreign, "", events.ConsultationOpened{})
	if data := all.until(t, "consultation", foreign); data["state"] != "open" || all.id == start {
		t.Errorf("%v, id %s", data, all.id)
	}
	h.say(own, "", events.ConsultationOpened{})
	if event, data := mine.next(t); event != "consultation" || data["id"] != own {
		t.Errorf("the doctor is told %s %v", event, data)
	}

	t.Run("who was away is told what was missed", func(t *testing.T) {
		late := h.follow(h.role(auth.RoleCompliance), start)
		late.next(t)
		seen := map[any]bool{}
		for !seen[own] || !seen[foreign] {
			_, data := late.next(t)
			seen[data["id"]] = true
		}
	})
	t.Run("who was away too long reads everything again", func(t *testing.T) {
		late := h.follow(h.role(auth.RoleCompliance), "999999")
		late.next(t)
		if event, _ := late.next(t); event != "reset" {
			t.Errorf("told: %s", event)
		}
	})
	t.Run("progress of archives", func(t *testing.T) {
		// Core NATS: told only to those who listen already.
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					_ = h.queue.PublishProgress(t.Context(), jobs.Progress{Consultation: foreign, Version: 1, Stage: "video", Done: 1, Total: 4})
				}
			}
		})
		data := all.until(t, "progress", foreign)
		close(stop)
		wg.Wait()
		if data["progress"] != 0.25 || data["stage"] != "video" {
			t.Errorf("%v", data)
		}
	})
	t.Run("a device follows nothing", func(t *testing.T) {
		h.want(403, h.token(auth.Claims{Role: auth.RoleDevice, Consultation: own, Participant: doctor}), "GET", "/changes", nil)
	})
	t.Run("a server that stops ends it", func(t *testing.T) {
		h.api.StopStreams()
		for mine.in.Scan() {
		}
	})
}

func TestReceipts(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Receipts = true })
	id, doctor, _ := h.archived("T")
	path := "/consultations/" + id + "/archives/1/"
	officer := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "officer@hospital.example", Name: "Olga Officer"})
	second := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "second@hospital.example"})
	clinician := h.token(auth.Claims{Role: auth.RoleClinician, Consultation: id, Participant: doctor})

	h.want(200, h.role(auth.RoleService), "GET", path+"archive.mp4", nil) // programs need none
	h.want(200, clinician, "GET", path+"archive.mp4", nil)
	if a := h.want(403, officer, "GET", path+"archive.mp4", nil, "Range", "bytes=0-3"); a.problem().Code != "receipt_needed" {
		t.Errorf("%s", a.Body)
	}
	cookie := "consilium=" + clinician
	h.want(403, "", "GET", path+"archive.mp4", nil, "Cookie", cookie)
	h.want(200, officer, "GET", path+"manifest.json", nil) // words need none

	open := func(token, purpose string) (r struct{ ID, VideoURL, ThumbnailsURL string }) {
		h.into(&r, token, "POST", path+"receipts", map[string]any{"purpose": purpose})
		return r
	}
	mine := open(officer, "complaint")
	if a := h.want(206, officer, "GET", mine.VideoURL, nil, "Range", "bytes=0-3"); string(a.Body) != videoBytes[:4] {
		t.Errorf("%q", a.Body)
	}
	h.want(200, officer, "GET", mine.ThumbnailsURL, nil)
	h.want(403, second, "GET", mine.VideoURL, nil) // the link is bound to the person
	h.want(403, h.role(auth.RoleService), "GET", mine.VideoURL, nil)
	h.want(401, "", "GET", mine.VideoURL, nil)
	h.want(403, officer, "GET", path+"archive.mp4?receipt="+events.NewID(), nil)
	byDoctor := open(clinician, "treatment")
	h.want(200, "", "GET", byDoctor.VideoURL, nil, "Cookie", cookie)

	watched := func(token string, ranges ...[2]int) answer {
		var body []map[string]int
		for _, r := range ranges {
			body = append(body, map[string]int{"fromMs": r[0], "toMs": r[1]})
		}
		return h.ask(token, "POST", path+"receipts/"+mine.ID+"/watched", map[string]any{"ranges": body})
	}
	if a := watched(officer, [2]int{0, 5000}, [2]int{4000, 9000}); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := watched(second, [2]int{0, 5000}); a.Status != 403 {
		t.Errorf("another reports: %d", a.Status)
	}
	if a := watched(officer, [2]int{5, 5}); a.Status != 422 {
		t.Errorf("an empty range: %d", a.Status)
	}

	t.Run("another process knows the receipt from the log", func(t *testing.T) {
		h.api.receipts = newReceipts(h.now)
		h.want(200, officer, "GET", mine.VideoURL, nil)
		h.want(403, second, "GET", mine.VideoURL, nil)
	})
	t.Run("it ends after an hour without use", func(t *testing.T) {
		other := open(officer, "legal")
		h.later(61 * time.Minute)
		h.want(403, officer, "GET", other.VideoURL, nil)
		h.api.receipts = newReceipts(h.now)
		h.want(403, officer, "GET", other.VideoURL, nil)
		h.later(-61 * time.Minute)
	})
	h.api.receipts = newReceipts(h.now)
	h.want(204, officer, "POST", path+"receipts/"+mine.ID+"/close", nil)
	h.want(403, officer, "GET", mine.VideoURL, nil)
	h.want(403, officer, "POST", path+"receipts/"+mine.ID+"/close", nil)

	t.Run("the log says who did what for which purpose, and no name", func(t *testing.T) {
		var kinds []string
		actors := map[string]bool{}
		for _, e := range h.history(id) {
			if strings.HasPrefix(string(e.Type), "access.") && (e.ID == mine.ID || e.CausationID == mine.ID) {
				kinds = append(kinds, string(e.Type))
				actors[e.Actor] = true
			}
			if bytes.Contains(e.Raw, []byte("hospital.example")) || bytes.Contains(e.Raw, []byte("Olga")) {
				t.Errorf("a name in the log: %s", e.Raw)
			}
		}
		if diff := cmp.Diff([]string{"access.opened", "access.watched", "access.closed"}, kinds); diff != "" || len(actors) != 1 || actors[""] {
			t.Errorf("actors %v, events (-want +got):\n%s", actors, diff)
		}
	})
	t.Run("the auditor sees it", func(t *testing.T) {
		var got struct {
			Receipts []struct {
				Receipt, Name, Purpose string
				ClosedAt               *time.Time
				Watched                []struct{ FromMS, ToMS int64 }
			}
		}
		h.into(&got, h.role(auth.RoleAuditor), "GET", "/consultations/"+id+"/accesses", nil)
		for _, r := range got.Receipts {
			if r.Receipt == mine.ID && (r.Name != "Olga Officer" || r.Purpose != "complaint" || r.ClosedAt == nil || len(r.Watched) != 1 || r.Watched[0].ToMS != 9000) {
				t.Errorf("%+v", r)
			}
		}
		if len(got.Receipts) != 3 {
			t.Errorf("%+v", got)
		}
	})
	h.want(404, officer, "POST", "/consultations/"+id+"/archives/7/receipts", map[string]any{"purpose": "legal"})
	h.want(404, officer, "POST", "/consultations/"+events.NewID()+"/archives/1/receipts", map[string]any{"purpose": "legal"})
	h.want(422, officer, "POST", path+"receipts", map[string]any{"purpose": "curiosity"})
}

// TestEveryWayToTheMedia asks for everything of an archive that can be seen or heard, in every way in which a person can
// ask, without a receipt, with one that is for something else, and with the right one.
func TestEveryWayToTheMedia(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.Receipts = true })
	id, _, _ := h.archived("T")
	other, _, _ := h.archived("Other")
	for _, file := range []string{"thumbnails.jpg", "peaks.json"} {
		if _, err := h.blobs.Put(t.Context(), fmt.Sprintf("c/%s/archives/1/%s", id, file), strings.NewReader("[]")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.blobs.Put(t.Context(), fmt.Sprintf("c/%s/archives/2/archive.mp4", id), strings.NewReader(videoBytes)); err != nil {
		t.Fatal(err)
	}
	h.say(id, "", events.ArchiveRequested{Version: 2, ThroughSeq: 9}, events.ArchiveRendered{Version: 2, Key: fmt.Sprintf("c/%s/archives/2/archive.mp4", id), SHA256: strings.Repeat("c", 64)})
	officer := h.token(auth.Claims{Role: auth.RoleCompliance, Subject: "officer"})
	open := func(path string) string {
		var r struct{ ID string }
		h.into(&r, officer, "POST", path+"receipts", map[string]any{"purpose": "quality"})
		return r.ID
	}
	path := "/consultations/" + id + "/archives/1/"
	right, ofOther, ofVersion := open(path), open("/consultations/"+other+"/archives/1/"), open("/consultations/"+id+"/archives/2/")
	closed := open(path)
	h.want(204, officer, "POST", path+"receipts/"+closed+"/close", nil)
	ways := []struct {
		name, method string
		token        string
		headers      []string
	}{
		{"whole", "GET", officer, nil},
		{"a range", "GET", officer, []string{"Range", "bytes=0-0"}},
		{"several ranges", "GET", officer, []string{"Range", "bytes=0-0,1-1"}},
		{"only the headers", "HEAD", officer, nil},
		{"what has changed", "GET", officer, []string{"If-None-Match", "*"}},
		{"with a session", "GET", "", []string{"Cookie", "consilium=" + officer}},
		{"headers with a session", "HEAD", "", []string{"Cookie", "consilium=" + officer}},
	}
	for _, file := range []string{"archive.mp4", "thumbnails.vtt", "thumbnails.jpg", "peaks.json"} {
		for _, way := range ways {
			for _, receipt := range []string{"", "?download=1", "?receipt=" + ofOther, "?receipt=" + ofVersion, "?receipt=" + closed, "?receipt=x", "?receipt="} {
				if a := h.ask(way.token, way.method, path+file+receipt, nil, way.headers...); a.Status != 403 || a.Header.Get("ETag") != "" {
					t.Errorf("%s %s%s: %d", way.name, file, receipt, a.Status)
				}
			}
			if a := h.ask(way.token, way.method, path+file+"?receipt="+right, nil, way.headers...); a.Status >= 400 {
				t.Errorf("%s %s with its receipt: %d %s", way.name, file, a.Status, a.Body)
			}
		}
	}
	t.Run("a receipt is of no use when the session has ended", func(t *testing.T) {
		h.later(3 * time.Hour)
		h.want(401, "", "GET", path+"archive.mp4?receipt="+right, nil, "Cookie", "consilium="+officer)
	})
}

func TestNobodyNeedsAReceiptWhereTheyAreOff(t *testing.T) {
	h := newHouse(t)
	id, doctor, _ := h.archived("T")
	path := "/consultations/" + id + "/archives/1/archive.mp4"
	h.want(200, h.role(auth.RoleCompliance), "GET", path, nil)
	h.want(200, "", "GET", path, nil, "Cookie", "consilium="+h.token(auth.Claims{Role: auth.RoleClinician, Consultation: id, Participant: doctor}))
	h.want(403, h.role(auth.RoleCompliance), "GET", path+"?receipt="+events.NewID(), nil)
}

func TestExports(t *testing.T) {
	h := newHouse(t)
	id, _, patient := h.archived("T")
	evil := "=cmd|' /C calc'!A0"
	h.say(id, patient, events.ParticipantLeft{Reason: evil}, events.TrackEnded{Track: "\t+1", Reason: "-1"})
	auditor := h.role(auth.RoleAuditor)
	before := h.history(id)

	a := h.want(200, auditor, "POST", "/consultations/"+id+"/exports", map[string]any{"kind": "events.ndjson"})
	if want := asNDJSON(before); !bytes.Equal(a.Body, want) {
		t.Error("the bytes are not those of the log")
	}
	wantExported(t, h, a, id, "events.ndjson")
	if !strings.Contains(a.Header.Get("Content-Disposition"), "attachment") {
		t.Error("a browser would show it")
	}
	if plain := h.want(200, auditor, "GET", "/consultations/"+id+"/events", nil); !bytes.HasPrefix(plain.Body, a.Body) {
		t.Error("the export is not the beginning of the events")
	}

	a = h.want(200, auditor, "POST", "/consultations/"+id+"/exports", map[string]any{"kind": "events.csv"})
	wantExported(t, h, a, id, "events.csv")
	rows, err := csv.NewReader(bytes.NewReader(a.Body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(before)+1 || rows[1][2] != "consultation.scheduled" {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				t.Errorf("a spreadsheet would run %q", cell)
			}
		}
	}
}

// wantExported checks that the log says what was taken out.
func wantExported(t *testing.T, h *house, a answer, id, kind string) {
	t.Helper()
	sum := sha256.Sum256(a.Body)
	all := h.history(id)
	last := all[len(all)-1]
	if made, ok := last.Event.(events.ExportMade); !ok || made.Kind != kind || made.SHA256 != hex.EncodeToString(sum[:]) || last.Actor == "" {
		t.Errorf("the newest event is %s", last.Raw)
	}
	if want := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"; a.Header.Get("Repr-Digest") != want {
		t.Errorf("Repr-Digest %q, want %q", a.Header.Get("Repr-Digest"), want)
	}
}

func TestHarmlessCells(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "42": "42", "2026-01-01T00:00:00Z": "2026-01-01T00:00:00Z", `{"a":"=1"}`: `{"a":"=1"}`, "a=b": "a=b", "\xff": "\xff",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\r=1": "'\r=1", "  =1": "'  =1", "\u00a0@x": "'\u00a0@x", "＝1": "'＝1", "\n": "'\n",
	} {
		if got := harmless(cell); got != want {
			t.Errorf("harmless(%q) = %q, want %q", cell, got, want)
		}
	}
}

func TestMarkersAndLanes(t *testing.T) {
	h := newHouse(t)
	id, _, patient := h.archived("T")
	auditor := h.role(auth.RoleAuditor)
	var page struct {
		Items []struct {
			Seq        uint64
			Type, Code string
		}
		NextAfter uint64
	}
	seen := 0
	for after := uint64(0); ; after = page.NextAfter {
		page.Items, page.NextAfter = nil, 0
		h.into(&page, auditor, "GET", fmt.Sprintf("/consultations/%s/markers?limit=5&after=%d", id, after), nil)
		seen += len(page.Items)
		if page.NextAfter == 0 {
			break
		}
	}
	if want := len(h.history(id)); seen != want {
		t.Errorf("%d events by page, %d in the log", seen, want)
	}
	h.into(&page, auditor, "GET", "/consultations/"+id+"/markers?type=participant.joined,connection.timed_out&participant="+patient, nil)
	if len(page.Items) != 2 || page.Items[1].Code != "ICE-TIMEOUT" {
		t.Errorf("%+v", page.Items)
	}
	var lanes struct {
		Spans []struct{ Lane, Participant, Value string }
	}
	h.into(&lanes, auditor, "GET", "/consultations/"+id+"/lanes", nil)
	if len(lanes.Spans) != 4 {
		t.Errorf("%+v", lanes)
	}
}
