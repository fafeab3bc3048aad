package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// The disk fills up under a running server: staff are told, nothing that is recorded begins, and what has begun goes on to
// its archive. With room again everything is as before.
func TestWithTooLittleStorageNothingRecordedBegins(t *testing.T) {
	t.Parallel()
	// The threshold lies a little below what is free now; a large file makes the difference.
	const gb = 1 << 30
	free := freeBytes(t, os.TempDir())
	if free < 6*gb {
		t.Fatalf("%d bytes are free in %s; this test needs 6 GB", free, os.TempDir())
	}
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{
		fmt.Sprintf("CONSILIUM_DISK_WARN=%d", free-5*gb/2), fmt.Sprintf("CONSILIUM_DISK_REFUSE=%d", free-5*gb/2),
	}})
	service := as(t, p, "service")
	people := []person{{Name: "Dr Ada", Role: "clinician", Consent: true}, {Name: "Pat", Role: "patient", Consent: true}}
	running := service.schedule("Already open", "required", people...)
	doctor := enters(t, p, running.Participants[0], 0)
	service.waitEvent(running.ID, events.TypeSegmentOpened, "", 20*time.Second)
	waiting := service.schedule("Planned before", "required", people...)
	unrecorded := service.schedule("Without a recording", "forbidden", people...)

	ballast := filepath.Join(p.Data, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, 4*gb); err != nil {
		t.Fatal(err)
	}
	level := func() (s struct {
		Level  string `json:"level"`
		Places []struct {
			Name  string `json:"name"`
			Level string `json:"level"`
			Free  int64  `json:"freeBytes"`
		} `json:"places"`
	},
	) {
		service.call("GET", "/storage", nil, 200, &s)
		return s
	}
	await(t, 20*time.Second, func() string { return fmt.Sprintf("storage is full: %+v", level()) }, func() bool { return level().Level == "full" })
	service.refused("POST", "/consultations", map[string]any{"title": "One more", "participants": people}, 507, "insufficient_storage")
	if status := service.do("GET", p.URL+"/readyz", "", nil).Status; status != 200 {
		t.Errorf("/readyz says %d", status)
	}
	metrics := string(service.do("GET", p.URL+"/metrics", "", nil).Body)
	for _, want := range []string{`consilium_disk_level{place="data"} 2`, `consilium_disk_free_bytes{place="data"}`, `consilium_disk_days_left{by="now",place="data"}`, `consilium_disk_size_bytes{place="log"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if !strings.Contains(p.Live.Output(), "storage is nearly full") {
		t.Error("the log says nothing")
	}
	// Staff see it, in words; the participants of one that has not begun are told why.
	library := testenv.NewChromium(t, testenv.ChromiumOptions{})
	library.Navigate(p.URL + "/consultations#token=" + p.Command("token", "--role", "compliance"))
	library.WaitText("Storage is nearly full.")
	library.WaitText("nothing is deleted")
	shot(t, library.Page, "storage-full")
	library.Navigate(waiting.Participants[0].JoinURL)
	library.Click("Continue")
	library.Click("Join")
	library.WaitText("There is too little storage left to record it.")
	shot(t, library.Page, "storage-join")
	// What is not recorded needs none, and what was open goes on.
	enters(t, p, unrecorded.Participants[0], 1)
	service.waitEvent(unrecorded.ID, events.TypeParticipantJoined, unrecorded.Participants[0].ID, 20*time.Second)
	patient := enters(t, p, running.Participants[1], 1)
	service.waitEvent(running.ID, events.TypeSegmentOpened, running.Participants[1].ID, 20*time.Second)
	sees(t, patient, running.Participants[0])
	leaves(t, doctor)
	leaves(t, patient)
	service.end(running.ID)
	service.ready(running.ID, 1)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.Close()
	await(t, 30*time.Second, func() string { return fmt.Sprintf("there is room again: %+v", level()) }, func() bool { return level().Level == "fine" })
	library.Click("Try again")
	library.Click("Continue")
	library.Click("Join")
	service.waitEvent(waiting.ID, events.TypeParticipantJoined, waiting.Participants[0].ID, 30*time.Second)
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}
