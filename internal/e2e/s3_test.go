package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// With an object store everything is as with a folder: recorded, stitched, played from the middle; and when the store is
// away for a while the recordings wait on this disk and the list says so.
func TestAConsultationIsKeptInAnObjectStore(t *testing.T) {
	port, dir := testenv.FreePort(t), t.TempDir()
	s3 := testenv.StartS3At(t, port, dir)
	p := testenv.StartProduct(t, testenv.ProductOptions{
		Env: append(s3.Env(), "CONSILIUM_BLOB_URL="+s3.Bucket(t, "recordings"), "CONSILIUM_SEGMENT_LENGTH=2s"),
	})
	service := as(t, p, "service")
	c := service.schedule("In an object store", "required",
		person{Name: "Dr Ada", Role: "clinician", Consent: true}, person{Name: "Pat", Role: "patient", Consent: true})
	doctor, patient := enters(t, p, c.Participants[0], 0), enters(t, p, c.Participants[1], 1)
	service.waitEvent(c.ID, events.TypeSegmentStored, "", 30*time.Second)
	s3.Process.Kill()
	time.Sleep(3 * time.Second) // the length of the consultation while the store is away
	leaves(t, doctor)
	leaves(t, patient)
	service.end(c.ID)
	await(t, 20*time.Second, func() string { return "the list says what is awaited" }, func() bool {
		var shown consultation
		service.call("GET", "/consultations/"+c.ID, nil, 200, &shown)
		return shown.State == "ended" && shown.Awaited > 0
	})
	waiting, err := filepath.Glob(filepath.Join(p.Data, "spool", c.ID, "*.sealed"))
	if err != nil || len(waiting) == 0 {
		t.Errorf("nothing waits on this disk: %v", err)
	}
	testenv.StartS3At(t, port, dir)

	a := service.ready(c.ID, 1)
	part := service.do("GET", a.VideoURL, "", nil, "Range", "bytes=4-7")
	if part.Status != 206 || string(part.Body) != "ftyp" {
		t.Errorf("a range of the archive: %d %q", part.Status, part.Body)
	}
	if got := duration(t, service.download(a.VideoURL)); got < 3*time.Second {
		t.Errorf("the archive lasts %s", got)
	}
	m := service.manifest(c.ID, 1)
	if len(m.Missing) > 0 || len(m.Segments) < 4 {
		t.Errorf("of %d segments these are missing: %v", len(m.Segments), m.Missing)
	}
	for _, s := range m.Segments {
		found, err := filepath.Glob(filepath.Join(dir, "objects", "recordings", "c", c.ID, "segments", s.ID+".*"))
		if err != nil || len(found) != 2 {
			t.Errorf("of segment %s the store has %v", s.ID, found)
		}
	}
	if _, err := os.Stat(filepath.Join(p.Data, "blobs")); err == nil {
		t.Error("there is a folder of blobs as well")
	}
	copied := filepath.Join(t.TempDir(), "backup")
	t.Log(p.Command("backup", "--to", copied))
	for _, s := range m.Segments {
		if found, err := filepath.Glob(filepath.Join(copied, "blobs", "c", c.ID, "segments", s.ID+".*")); err != nil || len(found) != 2 {
			t.Errorf("of segment %s the back-up has %v", s.ID, found)
		}
	}
}
