package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// stopWithin is how long a process may take to stop cleanly: less than what systemd and container engines wait before
// they kill.
const stopWithin = 8 * time.Second

// terminate asks a process to stop, and wants that it does in time, with exit code 0 and without a line of error.
func terminate(t testing.TB, process *testenv.Process, name string) {
	t.Helper()
	begun := time.Now()
	process.Signal(t, syscall.SIGTERM)
	if code := process.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("%s stopped with exit code %d", name, code)
	}
	took := time.Since(begun)
	t.Logf("%s stopped within %s", name, took.Round(10*time.Millisecond))
	if took > stopWithin {
		t.Errorf("%s took %s to stop, want at most %s", name, took, stopWithin)
	}
	noErrors(t, process, name)
}

// noErrors wants that a process wrote no line that asks somebody to look.
func noErrors(t testing.TB, process *testenv.Process, name string) {
	t.Helper()
	for line := range strings.Lines(process.Output()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			t.Errorf("%s wrote: %s", name, line)
		}
	}
}

// unfinished lists the segment files in the spool that are still being written, or would be.
func unfinished(t testing.TB, p *testenv.Product) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.Data, "spool", "*", "*.part"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// chained wants that the consultation's events are in one unbroken chain, and gives them.
func (c *client) chained(id string) []events.Stored {
	c.t.Helper()
	if err := checkChain(c.t, c.do("GET", "/api/v1/consultations/"+id+"/events", "", nil).Body); err != nil {
		c.t.Fatal(err)
	}
	return c.events(id)
}

// bothParts wants that a simulated participant can be seen in the archive before and after a moment of it.
func bothParts(t testing.TB, video string, people, who int, moment time.Duration) {
	t.Helper()
	shots, err := simpeer.ReadVideo(t.Context(), video, everywhere(people, small(who)))
	if err != nil {
		t.Fatal(err)
	}
	before, after := 0, 0
	for _, s := range shots[who] {
		if s.At < moment {
			before++
		} else {
			after++
		}
	}
	if before < 15 || after < 15 {
		t.Errorf("participant %d is in %d frames before %s and in %d after, want it in both parts", who, before, moment, after)
	}
}

// comesBack lets participants whose server went away come in again, as their pages do by themselves.
func comesBack(t testing.TB, all ...*simpeer.Participant) {
	t.Helper()
	for _, s := range all {
		s.Drop()
		returns(t, s)
	}
}

// hostedAt is when in the archive the epoch began.
func hostedAt(t testing.TB, all []events.Stored, epoch int) time.Duration {
	t.Helper()
	start, _ := span(all)
	for _, e := range all {
		if h, ok := e.Event.(events.ConferenceHosted); ok && h.Epoch == epoch {
			return e.Time.Sub(start)
		}
	}
	t.Fatalf("the consultation was not hosted a %d. time", epoch)
	return 0
}

// live is stopped in the middle of a call, as for an update, and started again. Nobody is asked anything twice, and the
// archive has both parts.
func TestLiveIsStoppedInMidCall(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c, d, pat := twoTalk(t, p, service, "Update")
	doctor, patient := c.Participants[0], c.Participants[1]
	time.Sleep(1500 * time.Millisecond) // of recording, nothing is waited for
	before := service.chained(c.ID)

	terminate(t, p.Live, "live")
	if found := unfinished(t, p); len(found) > 0 {
		t.Errorf("segments were not sealed: %v", found)
	}
	p.StartLive()
	comesBack(t, d, pat)
	sees(t, d, patient)
	sees(t, pat, doctor)
	time.Sleep(1500 * time.Millisecond)
	middle := service.chained(c.ID)
	for i, e := range before {
		if middle[i].ID != e.ID {
			t.Fatalf("event %d is another one after the restart", i+1)
		}
	}
	service.end(c.ID)
	a := service.ready(c.ID, 1)
	all := service.chained(c.ID)
	n := typesOf(all)
	if n[events.TypeConsentGiven] != 2 || n[events.TypeConsultationOpened] != 1 || n[events.TypeConferenceHosted] != 2 {
		t.Errorf("events: %v; want two consents, one opening, two epochs", n)
	}
	opened := n[events.TypeSegmentOpened] // eight unless the machine is very busy
	if opened < 8 || n[events.TypeSegmentSealed] != opened || n[events.TypeSegmentStored] != opened || n[events.TypeSegmentRecovered] != 0 {
		t.Errorf("segments: %v; want at least 8, each opened, sealed and stored, and none to recover", n)
	}
	if n[events.TypeTrackStarted] != n[events.TypeTrackEnded] || n[events.TypeConnectionOpened] != n[events.TypeConnectionClosed] {
		t.Errorf("what began and what ended does not match: %v", n)
	}
	checkTimeline(t, service.do("GET", "/api/v1/consultations/"+c.ID+"/timeline", "", nil).Body, c.ID, all)
	video, restart := service.download(a.VideoURL), hostedAt(t, all, 2)
	bothParts(t, video, 2, 0, restart)
	bothParts(t, video, 2, 1, restart)
	terminate(t, p.Live, "live, which has nothing to do,")
	terminate(t, p.Stitcher, "the stitcher, without live,")
}

// live is killed in the middle of a call, and again right after its end. What was on the disk is found again, what is
// missing has a name, and the archive comes by itself.
func TestLiveIsKilledInMidCall(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Crash", "required", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	doctor, patient := c.Participants[0], c.Participants[1]
	for _, who := range c.Participants {
		service.answer(c.ID, who, "given")
	}
	d, pat := enters(t, p, doctor, 0), enters(t, p, patient, 1)
	sees(t, d, patient)
	time.Sleep(2500 * time.Millisecond) // of recording, more than a second of it synced
	before := service.chained(c.ID)
	p.Live.Kill()
	torn := unfinished(t, p)
	if len(torn) != 4 {
		t.Errorf("%d segments were being written, want one of each track: %v", len(torn), torn)
	}
	p.StartLive()
	comesBack(t, d, pat)
	sees(t, d, patient)
	time.Sleep(1500 * time.Millisecond)
	service.end(c.ID)
	p.Live.Kill() // once more, before anything of the end can be on its way
	p.StartLive()
	a := service.ready(c.ID, 1)

	all := service.chained(c.ID)
	for i, e := range before {
		if all[i].ID != e.ID {
			t.Fatalf("event %d is another one after the crash", i+1)
		}
	}
	n := typesOf(all)
	opened := n[events.TypeSegmentOpened]
	if n[events.TypeSegmentRecovered] < 4 || opened < 8 || n[events.TypeSegmentStored] != opened || n[events.TypeConsentGiven] != 2 {
		t.Errorf("events: %v; want at least four recovered segments, all stored, and no second consent", n)
	}
	tl := service.timeline(c.ID)
	for _, who := range c.Participants {
		if tl.of(t, who.ID).lost("video", "crash") == 0 || tl.of(t, who.ID).lost("audio", "crash") == 0 {
			t.Errorf("nothing of the %s is explained by the crash: %+v", who.Role, tl.of(t, who.ID))
		}
	}
	if m := service.manifest(c.ID, 1); len(m.Missing) > 0 || len(m.Segments) != opened {
		t.Errorf("the archive has %d segments and misses %v", len(m.Segments), m.Missing)
	}
	checkTimeline(t, service.do("GET", "/api/v1/consultations/"+c.ID+"/timeline", "", nil).Body, c.ID, all)
	video, restart := service.download(a.VideoURL), hostedAt(t, all, 2)
	bothParts(t, video, 2, 0, restart)
	bothParts(t, video, 2, 1, restart)
}

// renderers lists the processes of ffmpeg that work below a product's data folder.
func renderers(t testing.TB, p *testenv.Product) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		if dir, err := os.Readlink(link); err == nil && strings.HasPrefix(dir, filepath.Join(p.Data, "stitch")) {
			found = append(found, link)
		}
	}
	return found
}

// rendering waits until ffmpeg is at work.
func (c *client) rendering(p *testenv.Product, id string) {
	c.t.Helper()
	var last []archive
	await(c.t, 30*time.Second, func() string { return fmt.Sprintf("an archive is being rendered: %+v", last) }, func() bool {
		if len(renderers(c.t, p)) > 0 {
			return true
		}
		c.call("GET", "/consultations/"+id+"/archives", nil, 200, &last)
		if len(last) > 0 && (last[0].State == "ready" || last[0].State == "failed") {
			c.t.Fatalf("the archive was finished before it could be interrupted: %+v", last)
		}
		return false
	})
}

// Either process is stopped in the middle of a rendering. The work is taken up again and the archive is made once.
func TestARenderingIsInterrupted(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("Interrupted", "required", person{Name: "Dr A", Role: "clinician", Consent: true}, person{Name: "Pat B", Role: "patient", Consent: true})
	d := enters(t, p, c.Participants[0], 0)
	enters(t, p, c.Participants[1], 1)
	sees(t, d, c.Participants[1])
	time.Sleep(4 * time.Second) // long enough to be interrupted while it is rendered
	service.end(c.ID)

	service.rendering(p, c.ID)
	terminate(t, p.Stitcher, "stitcher")
	if left := renderers(t, p); len(left) > 0 {
		t.Errorf("ffmpeg still runs: %v", left)
	}
	if n := typesOf(service.events(c.ID)); n[events.TypeArchiveStarted] != 1 || n[events.TypeArchiveRendered] != 0 {
		t.Errorf("events: %v; want a beginning and no result", n)
	}
	p.StartStitcher()
	service.rendering(p, c.ID)
	terminate(t, p.Live, "live")
	p.StartLive()
	a := service.ready(c.ID, 1)
	var one consultation
	service.call("GET", "/consultations/"+c.ID, nil, 200, &one)
	if off := a.DurationMS - one.DurationMS; off < -50 || off > 50 {
		t.Errorf("the archive lasts %d ms, the consultation %d ms", a.DurationMS, one.DurationMS)
	}
	n := typesOf(service.chained(c.ID))
	if n[events.TypeArchiveRequested] != 1 || n[events.TypeArchiveStarted] != 1 || n[events.TypeArchiveRendered] != 1 || n[events.TypeArchiveFailed] != 0 {
		t.Errorf("events: %v; want one request, one beginning, one result", n)
	}
	noErrors(t, p.Live, "live")
	noErrors(t, p.Stitcher, "stitcher")

	again := struct{ Version int }{}
	raw := service.do("POST", "/api/v1/consultations/"+c.ID+"/archives", "", nil)
	if err := json.Unmarshal(raw.Body, &again); err != nil || raw.Status != 202 || again.Version != 2 {
		t.Fatalf("one more version: %d %s", raw.Status, raw.Body)
	}
	service.ready(c.ID, 2) // the stitcher found the new server's queue
}

// live is told to stop before it is ready. It stops in time, and the next start finds nothing that is half made.
func TestLiveIsStoppedWhileItStarts(t *testing.T) {
	t.Parallel()
	data, err := os.MkdirTemp("", "consilium-test-")
	if err == nil {
		err = os.Chmod(data, 0o711) // PostgreSQL runs as another user when the test runs as root
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	url := fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(t))
	start := func() *testenv.Process {
		cmd := exec.Command(filepath.Join(testenv.Programs(t), "live"), "serve")
		cmd.Env = append(os.Environ(), "CONSILIUM_DATA="+data, "CONSILIUM_LISTEN="+strings.TrimPrefix(url, "http://"),
			fmt.Sprintf("CONSILIUM_MEDIA_LISTEN=:%d", testenv.FreePort(t)))
		return testenv.StartProcess(t, "live", cmd)
	}
	first := start()
	await(t, 20*time.Second, func() string { return "the database is being made" }, func() bool {
		made, err := filepath.Glob(filepath.Join(data, "postgres*"))
		return err == nil && len(made) > 0
	})
	terminate(t, first, "live, not yet ready,")
	if strings.Contains(first.Output(), "msg=ready") {
		t.Error("live was ready before it could be stopped")
	}
	second := start()
	await(t, time.Minute, second.Output, func() bool {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	terminate(t, second, "live")
}
