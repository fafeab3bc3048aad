package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// A consultation without a single frame has an archive all the same, and it says what there was.
func TestConsultationsInWhichNobodyEverPublished(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	hospital := as(t, p, "service")
	people := []person{{Name: "Dr Ada", Role: "clinician"}, {Name: "Pat", Role: "patient"}}

	t.Run("ended before anybody came", func(t *testing.T) {
		service := hospital.in(t)
		c := service.schedule("Nobody came", "required", people...)
		service.end(c.ID)
		a := service.ready(c.ID, 1)
		if a.DurationMS != 1000 {
			t.Errorf("the archive is said to last %d ms, want the shortest, 1000", a.DurationMS)
		}
		video := service.download(a.VideoURL)
		if d := duration(t, video); d != time.Second {
			t.Errorf("the archive lasts %s", d)
		}
		if share := ink(t, video, 500*time.Millisecond); share < 0.002 {
			t.Errorf("nothing is written on the picture (%.4f of it is not background)", share)
		}
		m := service.manifest(c.ID, 1)
		if len(m.Segments) != 0 || len(m.Missing) != 0 || m.Timeline.DurationNS != 0 || len(m.Timeline.Participants) != 2 {
			t.Errorf("manifest: %+v", m)
		}
	})
	t.Run("everybody there and nobody sent anything", func(t *testing.T) {
		service := hospital.in(t)
		c := service.schedule("Silent", "required", people...)
		for _, who := range c.Participants {
			service.answer(c.ID, who, "given")
			sit(t, p, who)
			service.waitEvent(c.ID, events.TypeParticipantJoined, who.ID, 20*time.Second)
		}
		time.Sleep(1500 * time.Millisecond) // the length of the consultation, nothing is waited for
		service.end(c.ID)
		a := service.ready(c.ID, 1)
		var got consultation
		service.call("GET", "/consultations/"+c.ID, nil, 200, &got)
		if got.State != "archived" || got.Archive == nil || got.Archive.State != "ready" {
			t.Errorf("consultation: %+v", got)
		}
		if off := a.DurationMS - got.DurationMS; off < -50 || off > 50 {
			t.Errorf("the archive lasts %d ms, the consultation %d ms", a.DurationMS, got.DurationMS)
		}
		m := service.manifest(c.ID, 1)
		for _, who := range m.Timeline.Participants {
			if len(who.Tracks) != 0 || len(who.Absent) == 0 || who.Absent[0].Cause == "" {
				t.Errorf("participant %s: want no track and a stretch with a cause, got %+v", who.ID, who)
			}
		}
		if share := ink(t, service.download(a.VideoURL), time.Second); share < 0.01 {
			t.Errorf("no cards are on the picture (%.4f of it is not background)", share)
		}
		if vtt := string(service.file(c.ID, 1, "events.vtt")); !strings.Contains(vtt, "Dr Ada") || !strings.Contains(vtt, "Pat") {
			t.Errorf("the events beside the video do not name who was there:\n%s", vtt)
		}
	})
}

// Without ffmpeg an archive fails, the page says what to install, and Try again works once it is there.
func TestFFmpegThatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // ffmpeg runs as another user when the test runs as root
		t.Fatal(err)
	}
	tool := filepath.Join(dir, "ffmpeg")
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_FFMPEG=" + tool}})
	service := as(t, p, "service")
	c := service.schedule("Without a tool", "required", person{Name: "Dr Ada", Role: "clinician"})
	service.end(c.ID)
	if a := service.awaitArchive(c.ID, 1, time.Minute); a.State != "failed" || a.Code != "FFMPEG-MISSING" {
		t.Fatalf("archive: %+v, want FFMPEG-MISSING", a)
	}

	page := testenv.NewChromium(t, testenv.ChromiumOptions{})
	page.Navigate(p.URL + "/consultations#token=" + p.Command("token", "--role", "compliance"))
	page.ClickRole("link", "Without a tool")
	page.WaitText("apt-get install ffmpeg")
	if err := os.Symlink(testenv.Require(t, "ffmpeg")["ffmpeg"], tool); err != nil {
		t.Fatal(err)
	}
	page.Click("Try again")
	service.ready(c.ID, 2)
	page.WaitFor("the second version can be played", `document.querySelector('video[data-testid=archive-video]')?.readyState >= 2`)
	var all []archive
	service.call("GET", "/consultations/"+c.ID+"/archives", nil, 200, &all)
	if len(all) != 2 || all[0].State+all[1].State != "failedready" && all[0].State+all[1].State != "readyfailed" {
		t.Errorf("archives: %+v, want the failed one kept beside the good one", all)
	}
	var ordered struct {
		Version int `json:"version"`
	}
	service.call("POST", "/consultations/"+c.ID+"/archives", nil, 202, &ordered)
	if ordered.Version != 3 {
		t.Errorf("one more version is number %d, want 3", ordered.Version)
	}
	service.ready(c.ID, 3)
}

// Requests that are too large or hold what nobody asked for are refused, and nothing else notices.
func TestRequestsThatAreTooMuch(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	hospital := as(t, p, "service")
	c := hospital.schedule("T", "required", person{Name: "Dr A", Role: "clinician"})
	doctor := c.Participants[0]
	path := "/consultations/" + c.ID
	long := strings.Repeat("x", 2<<20)
	many := make([]person, 500)
	for i := range many {
		many[i] = person{Name: "P", Role: "patient"}
	}

	for _, tt := range []struct {
		name, method, path string
		body               any
		status             int
		code               string
	}{
		{"a field that is not known", "POST", "/consultations", map[string]any{"title": "T", "participants": many[:1], "colour": "red"}, 422, "invalid"},
		{"a field that is not known, deeper", "POST", "/consultations", map[string]any{"title": "T", "participants": []map[string]any{{"name": "A", "role": "patient", "birthday": "1970-01-01"}}}, 422, "invalid"},
		{"a title of two megabytes", "POST", "/consultations", map[string]any{"title": long, "participants": many[:1]}, 413, "request_entity_too_large"},
		{"five hundred participants", "POST", "/consultations", map[string]any{"title": "T", "participants": many}, 422, "invalid"},
		{"a consent with more to it", "POST", path + "/participants/" + doctor.ID + "/consent", map[string]any{"answer": "given", "textSha256": noticeHash, "language": "en", "note": "x"}, 422, "invalid"},
		{"a profile that is none", "POST", path + "/archives", map[string]any{"profile": "cinema"}, 422, "invalid"},
		{"a reason that is none", "POST", path + "/recording/pause?reason=lunch", nil, 422, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hospital.in(t).refused(tt.method, tt.path, tt.body, tt.status, tt.code)
		})
	}
	for name, body := range map[string]string{
		"no JSON":                 "title=T",
		"half of it":              `{"title":"T","participants":[{"name"`,
		"a hundred thousand deep": strings.Repeat("[", 100_000),
		"a list":                  `[1,2,3]`,
		"two of them":             `{"title":"T","participants":[{"name":"A","role":"patient"}]} {"title":"U"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := hospital.in(t).do("POST", "/api/v1/consultations", "application/json", []byte(body))
			var got problem
			if err := json.Unmarshal(a.Body, &got); err != nil || a.Status < 400 || a.Status > 499 || got.Code == "" || got.Detail == "" {
				t.Errorf("got %d %s, want a refusal with a code", a.Status, a.Body)
			}
		})
	}
	t.Run("a message of half a megabyte ends that connection alone", func(t *testing.T) {
		hospital.in(t).answer(c.ID, doctor, "given")
		stays := sit(t, p, doctor)
		other := hospital.in(t).schedule("T", "required", person{Name: "Dr B", Role: "clinician"})
		goes := look(t, p, other.Participants[0])
		ctx, cancel := within20()
		defer cancel()
		// It fails when the server hangs up before it has read everything.
		_ = goes.ws.Write(ctx, websocket.MessageText, []byte(`{"type":"join","x":"`+long[:512<<10]+`"}`))
		for range goes.heard { // until it is closed
		}
		stays.say(`{"type":"ping","id":7}`)
		stays.hears("pong")
	})
	t.Run("and nothing of it is on record", func(t *testing.T) {
		service := hospital.in(t)
		for _, e := range service.events(c.ID) {
			if e.Type == events.TypeRecordingPaused || e.Type == events.TypeArchiveRequested {
				t.Errorf("recorded: %s", e.Raw)
			}
		}
		var list struct {
			Items []consultation `json:"items"`
		}
		service.call("GET", "/consultations", nil, 200, &list)
		if len(list.Items) != 2 {
			t.Errorf("%d consultations exist, want 2", len(list.Items))
		}
	})
}

// segmentsOf lists the keys of a participant's stored segments of the kind ("ogg" or "ivf"), in order.
func segmentsOf(all []events.Stored, participant, extension string) []events.SegmentStored {
	var found []events.SegmentStored
	for _, e := range all {
		if s, ok := e.Event.(events.SegmentStored); ok && e.Participant == participant && strings.HasSuffix(s.Key, "."+extension) {
			found = append(found, s)
		}
	}
	return found
}

// A recording that was lost or damaged after it was stored leaves a gap with a name, and everything else in its place.
func TestSegmentsThatAreMissingOrDamaged(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("Damaged", "required",
		person{Name: "Dr Ada", Role: "clinician", Consent: true}, person{Name: "Pat", Role: "patient", Consent: true})
	doctor, patient := c.Participants[0], c.Participants[1]
	d, pat := enters(t, p, doctor, 0), enters(t, p, patient, 1)
	sees(t, d, patient)
	time.Sleep(1500 * time.Millisecond) // of recording, nothing is waited for
	leaves(t, pat)
	returns(t, pat)
	sees(t, d, patient)
	time.Sleep(1500 * time.Millisecond)
	service.end(c.ID)
	service.waitEvent(c.ID, events.TypeArchiveRequested, "", 20*time.Second)

	all := service.events(c.ID)
	seen, heard, doctors := segmentsOf(all, patient.ID, "ivf"), segmentsOf(all, patient.ID, "ogg"), segmentsOf(all, doctor.ID, "ogg")
	if len(seen) < 2 || len(heard) < 2 || len(doctors) < 1 {
		t.Fatalf("segments of the patient: %d of pictures, %d of sound; of the doctor: %d of sound", len(seen), len(heard), len(doctors))
	}
	lost, flipped, cut := seen[0], heard[len(heard)-1], doctors[0]
	blob := func(s events.SegmentStored) string { return filepath.Join(p.Data, "blobs", filepath.FromSlash(s.Key)) }
	change := func(path string, f func([]byte) []byte) {
		raw, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, f(raw), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(blob(lost)); err != nil {
		t.Fatal(err)
	}
	change(blob(flipped), func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw })
	change(blob(cut), func(raw []byte) []byte { return raw[:len(raw)/2] })

	p.StartStitcher()
	a := service.ready(c.ID, 1)
	m := service.manifest(c.ID, 1)
	got := map[string]string{}
	for _, s := range m.Missing {
		got[s.Segment] = s.Cause
	}
	want := map[string]string{lost.Segment: "missing", flipped.Segment: "corrupt", cut.Segment: "corrupt"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the manifest says is not in the archive (-want +got):\n%s", diff)
	}
	for _, s := range m.Segments {
		if want[s.ID] != "" {
			t.Errorf("segment %s is said to be in the archive", s.ID)
		}
	}
	if n := m.Timeline.of(t, patient.ID).lost("video", "missing"); n == 0 {
		t.Errorf("the lost pictures are a gap of %d ns", n)
	}
	if n := m.Timeline.of(t, patient.ID).lost("audio", "corrupt"); n == 0 {
		t.Errorf("the patient's damaged sound is a gap of %d ns", n)
	}
	if n := m.Timeline.of(t, doctor.ID).lost("audio", "corrupt"); n == 0 {
		t.Errorf("the doctor's damaged sound is a gap of %d ns", n)
	}
	var listed consultation
	service.call("GET", "/consultations/"+c.ID, nil, 200, &listed)
	if off := a.DurationMS - listed.DurationMS; off < -50 || off > 50 {
		t.Errorf("the archive lasts %d ms, the consultation %d ms", a.DurationMS, listed.DurationMS)
	}
	n := pictures(t, service.download(a.VideoURL), 2, 0, 1)
	if half := int(a.DurationMS) * simpeer.FPS / 1000 / 2; n[0] < half || n[1] < 20 || n[1] > half+15 {
		t.Errorf("the doctor is to be seen in %d frames and the patient in %d of %d ms", n[0], n[1], a.DurationMS)
	}
}

// While the blob store cannot be written the library says what is awaited; when it can, everything goes its way.
func TestASpoolThatLags(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Lagging", "required", person{Name: "Dr Ada", Role: "clinician", Consent: true}, person{Name: "Pat", Role: "patient", Consent: true})
	// A file where the consultation's folder would be: not even root can store anything below it.
	obstacle := filepath.Join(p.Data, "blobs", "c", c.ID)
	if err := os.MkdirAll(filepath.Dir(obstacle), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := enters(t, p, c.Participants[0], 0)
	enters(t, p, c.Participants[1], 1)
	sees(t, d, c.Participants[1])
	time.Sleep(time.Second) // of recording, nothing is waited for
	service.end(c.ID)

	var one consultation
	sealed := 0
	await(t, 10*time.Second, func() string { return fmt.Sprintf("%d segments are awaited: %+v", sealed, one) }, func() bool {
		service.call("GET", "/consultations/"+c.ID, nil, 200, &one)
		sealed = typesOf(service.events(c.ID))[events.TypeSegmentSealed] // four unless the machine is very busy
		return one.State == "ended" && sealed >= 4 && one.Awaited == sealed
	})
	time.Sleep(2 * time.Second) // long enough for a completion that would be wrong
	var list struct {
		Items []consultation `json:"items"`
	}
	service.call("GET", "/consultations", nil, 200, &list)
	if shown := list.Items[0]; shown.State != "ended" || shown.Awaited != sealed || shown.Archive != nil {
		t.Errorf("the library shows %+v, want %d awaited segments and no archive", shown, sealed)
	}
	if want := fmt.Sprintf("\nconsilium_spool_waiting_files %d\n", sealed); !strings.Contains(scrape(t, p.URL+"/metrics"), want) {
		t.Errorf("the metrics do not say %q", want)
	}

	// A restart in between loses nothing and does not wait for what cannot be stored.
	terminate(t, p.Live, "live")
	p.StartLive()
	one = consultation{}
	service.call("GET", "/consultations/"+c.ID, nil, 200, &one)
	if one.State != "ended" || one.Awaited != sealed {
		t.Errorf("after a restart the library shows %+v", one)
	}

	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	a := service.ready(c.ID, 1)
	one = consultation{}
	service.call("GET", "/consultations/"+c.ID, nil, 200, &one)
	if one.State != "archived" || one.Awaited != 0 {
		t.Errorf("afterwards: %+v", one)
	}
	if m := service.manifest(c.ID, 1); len(m.Missing) != 0 || len(m.Segments) != sealed {
		t.Errorf("the archive has %d segments and misses %v", len(m.Segments), m.Missing)
	}
	if n := pictures(t, service.download(a.VideoURL), 2, 0, 1); n[0] < 20 || n[1] < 20 {
		t.Errorf("pictures by participant: %v", n)
	}
	left, err := filepath.Glob(filepath.Join(p.Data, "spool", c.ID, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}
