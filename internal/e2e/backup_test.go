package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// A back-up is taken while people talk, and an empty machine becomes the one that was backed up.
func TestBackUpOfARunningServerRestoresElsewhere(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_SEGMENT_LENGTH=2s"}})
	service := as(t, p, "service")
	talk := func(title string) (consultation, func()) {
		c := service.schedule(title, "required", person{Name: "Dr Zoë Šťastná", Role: "clinician"}, person{Name: "Pat Ö.", Role: "patient"})
		for _, who := range c.Participants {
			service.answer(c.ID, who, "given")
		}
		doctor, patient := enters(t, p, c.Participants[0], 0), enters(t, p, c.Participants[1], 1)
		sees(t, patient, c.Participants[0])
		return c, func() { leaves(t, doctor); leaves(t, patient) }
	}
	first, over := talk("Over when the back-up is made")
	time.Sleep(3 * time.Second) // the length of the consultation, nothing is waited for
	over()
	service.end(first.ID)
	archive := service.ready(first.ID, 1)

	running, over := talk("Going on while the back-up is made")
	service.waitEvent(running.ID, events.TypeSegmentStored, "", 30*time.Second)
	dir := filepath.Join(t.TempDir(), "backup")
	t.Log(p.Command("backup", "--to", dir))
	copied := filesIn(t, filepath.Join(dir, "blobs"))
	wantEvents := func(c consultation) []byte {
		return service.do("GET", "/api/v1/consultations/"+c.ID+"/events", "", nil).Body
	}
	firstEvents, runningEvents := wantEvents(first), wantEvents(running)

	// What was copied is found on another machine, by people with the links that they have.
	data := restored(t, dir)
	q := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_DATA=" + data}, NoStitcher: true})
	there := &client{t: t, base: q.URL, token: service.token}
	if got := there.do("GET", "/api/v1/consultations/"+first.ID+"/events", "", nil).Body; !bytes.Equal(got, firstEvents) {
		t.Errorf("the events of the first consultation are other ones: %d bytes, want %d", len(got), len(firstEvents))
	}
	got := there.do("GET", "/api/v1/consultations/"+running.ID+"/events", "", nil).Body
	if want := backedUp(t, dir, running.ID); !bytes.Contains(want, []byte("segment.stored")) ||
		!bytes.HasPrefix(runningEvents, want) || !bytes.HasPrefix(got, want) {
		t.Errorf("the events of the running consultation are other ones, backed up:\n%s\nthere:\n%s", want, got)
	}
	for _, c := range []consultation{first, running} {
		var shown consultation
		there.call("GET", "/consultations/"+c.ID, nil, 200, &shown)
		if shown.Title != c.Title || len(shown.Participants) != 2 || shown.Participants[0].Name != "Dr Zoë Šťastná" {
			t.Errorf("the list shows %+v", shown)
		}
	}
	part := there.do("GET", archive.VideoURL, "", nil, "Range", "bytes=4-7")
	if part.Status != 206 || string(part.Body) != "ftyp" {
		t.Errorf("a range of the archive: %d %q", part.Status, part.Body)
	}
	if !bytes.Equal(service.do("GET", archive.VideoURL, "", nil).Body, there.do("GET", archive.VideoURL, "", nil).Body) {
		t.Error("the archive is another one")
	}
	if out, err := restore(t, dir, data); err == nil || !strings.Contains(out, "another process uses") {
		t.Errorf("restored under a running server: %v\n%s", err, out)
	}
	q.Live.Stop(t)
	if out, err := restore(t, dir, data); err == nil || !strings.Contains(out, "there is something already") {
		t.Errorf("restored over something: %v\n%s", err, out)
	}

	// The next back-up into the same folder takes what is new and leaves the rest as it is.
	over()
	service.end(running.ID)
	service.waitEvent(running.ID, events.TypeConsultationCompleted, "", 30*time.Second)
	t.Log(p.Command("backup", "--to", dir))
	again := filesIn(t, filepath.Join(dir, "blobs"))
	for name, before := range copied {
		if after, ok := again[name]; !ok || !os.SameFile(before, after) {
			t.Errorf("%s was copied once more", name)
		}
	}
	if len(again) <= len(copied) {
		t.Errorf("%d blobs, before %d", len(again), len(copied))
	}
}

// backedUp are the events of a consultation in a back-up, a line each as the API gives them.
func backedUp(t *testing.T, dir, consultation string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "log", "000000000001.events"))
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	lines := bytes.SplitAfter(raw, []byte("\n"))
	for i := 0; i+1 < len(lines); i += 2 { // what the log knows of an event, and the event
		if bytes.Contains(lines[i], []byte(consultation)) {
			all = append(all, lines[i+1]...)
		}
	}
	return all
}

// restored restores a back-up into a fresh data folder.
func restored(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.MkdirTemp("", "consilium-test-")
	if err == nil {
		err = os.Chmod(data, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	out, err := restore(t, dir, data)
	if err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	t.Log(out)
	return data
}

// restore runs `live restore` and gives what it wrote.
func restore(t *testing.T, dir, data string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(testenv.Programs(t), "live"), "restore", "--from", dir, "--data", data)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// filesIn finds all files below a folder.
func filesIn(t *testing.T, dir string) map[string]fs.FileInfo {
	t.Helper()
	all := map[string]fs.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all[path], err = d.Info()
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d files in %s: %v", len(all), dir, err)
	}
	return all
}
