package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// trace is what was seen of one file.
type trace struct {
	first time.Time // when it was there for the first time
	grew  time.Time // when it had grown for the last time
	size  int64
}

// watcher looks at the folders of the recordings of one consultation, on the disk and in the blob store, again and again.
type watcher struct {
	t     testing.TB
	dirs  []string
	stop  func()
	mu    sync.Mutex // guards files
	files map[string]*trace
}

// watch begins to look; the test's end ends it.
func watch(t testing.TB, p *testenv.Product, consultation string) *watcher {
	t.Helper()
	w := &watcher{t: t, files: map[string]*trace{}, dirs: []string{
		filepath.Join(p.Data, "spool", consultation), filepath.Join(p.Data, "blobs", "c", consultation, "segments"),
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		again := time.NewTicker(3 * time.Millisecond)
		defer again.Stop()
		for {
			for _, dir := range w.dirs {
				w.look(dir)
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	w.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) look(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Errorf("watch: %v", err)
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		name := filepath.Join(filepath.Base(filepath.Dir(dir)), e.Name())
		f := w.files[name]
		if f == nil {
			f = &trace{first: now, grew: now}
			w.files[name] = f
		}
		if info, err := e.Info(); err == nil && info.Size() != f.size {
			f.size, f.grew = info.Size(), now
		}
	}
}

// all is everything that was seen so far, by name.
func (w *watcher) all() map[string]trace {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]trace{}
	for name, f := range w.files {
		all[name] = *f
	}
	return all
}

// byOwner is what was seen of each participant, by the segments that the log names. A file is there a moment before the
// event that names its segment; until then it is nobody's.
func (w *watcher) byOwner(all []events.Stored) map[string][]trace {
	owner := map[string]string{}
	for _, e := range all {
		if opened, ok := e.Event.(events.SegmentOpened); ok {
			owner[opened.Segment] = e.Participant
		}
	}
	found := map[string][]trace{}
	for name, f := range w.all() {
		id, _, _ := strings.Cut(filepath.Base(name), ".")
		found[owner[id]] = append(found[owner[id]], f)
	}
	return found
}

// allOwned wants that in the end no file is left that belongs to no segment of the log: whose bytes would be in it?
func (w *watcher) allOwned(all []events.Stored) {
	w.t.Helper()
	if lost := w.byOwner(all)[""]; len(lost) > 0 {
		w.t.Errorf("%d files belong to no segment that the log names: %v", len(lost), slices.Sorted(maps.Keys(w.all())))
	}
}

// nothing wants that there is not a single file.
func (w *watcher) nothing(when string) {
	w.t.Helper()
	if all := w.all(); len(all) > 0 {
		w.t.Errorf("%s there is on the disk: %v", when, slices.Sorted(maps.Keys(all)))
	}
}

// hasFiles waits until files of a participant are there.
func (w *watcher) hasFiles(c *client, id, participant string) {
	w.t.Helper()
	await(w.t, 20*time.Second, func() string { return "files of " + participant }, func() bool {
		return len(w.byOwner(c.events(id))[participant]) > 0
	})
}

// eventTime is the time of the newest event of the type about the participant.
func eventTime(t testing.TB, all []events.Stored, kind events.Type, participant string) time.Time {
	t.Helper()
	for _, e := range slices.Backward(all) {
		if e.Type == kind && e.Participant == participant {
			return e.Time
		}
	}
	t.Fatalf("no %s about %s", kind, participant)
	return time.Time{}
}

// recordedAs is what the others see of a participant's recording.
func recordedAs(s *simpeer.Participant, who participant) string {
	for _, p := range s.State().Participants {
		if p.ID == who.ID {
			return p.Recorded
		}
	}
	return ""
}

// What a participant said to the recording notice decides about every byte, before it is written.
func TestConsentDecidesAboutEveryByte(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	hospital := as(t, p, "service")
	people := []person{{Name: "Dr A", Role: "clinician"}, {Name: "Pat B", Role: "patient"}}

	t.Run("required: nobody comes in before they agreed, and a withdrawal stops their recording alone", func(t *testing.T) {
		service := hospital.in(t)
		c := service.schedule("Required", "required", append(people, person{Name: "Otoscope", Role: "device", For: []string{"Pat B"}, Consent: true})...)
		doctor, patient, device := c.Participants[0], c.Participants[1], c.Participants[2]
		disk := watch(t, p, c.ID)
		service.answer(c.ID, doctor, "given")
		d := enters(t, p, doctor, 0)
		disk.hasFiles(service, c.ID, doctor.ID)

		refusedWith := func(err error, what, code string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), code) {
				t.Fatalf("%s without consent: got %v, want %s", what, err, code)
			}
		}
		ctx, cancel := within20()
		defer cancel()
		_, err := simpeer.JoinWebSocket(ctx, signalingURL(p), patient.token(t), simpeer.Options{Media: made(t, small(1))})
		refusedWith(err, "to join", "consent_needed")
		_, err = simpeer.PublishWHIP(ctx, whipURL(p, c.ID), patient.token(t), simpeer.Options{Media: made(t, small(1))})
		refusedWith(err, "to publish", "consent_needed")
		_, err = simpeer.PublishWHIP(ctx, whipURL(p, c.ID), device.token(t), simpeer.Options{Media: made(t, small(2)), NoAudio: true})
		refusedWith(err, "to publish a patient's ear", "consent_needed")
		service.answer(c.ID, patient, "given")
		pat := enters(t, p, patient, 1)
		exam := publishes(t, p, c.ID, device, 2)
		disk.hasFiles(service, c.ID, patient.ID)
		disk.hasFiles(service, c.ID, device.ID)
		sees(t, d, patient)
		sees(t, d, device)

		service.answer(c.ID, patient, "withdrawn")
		withdrawn := eventTime(t, service.events(c.ID), events.TypeConsentWithdrawn, patient.ID)
		before := frames(d, patient.ID) + frames(d, device.ID)
		time.Sleep(3500 * time.Millisecond) // longer than the two seconds that it may take; nothing is waited for
		all := service.events(c.ID)
		owners := disk.byOwner(all)
		for _, who := range []participant{patient, device} {
			for _, f := range owners[who.ID] {
				if late := f.grew.Sub(withdrawn); late > 2*time.Second {
					t.Errorf("a file of the %s grew %s after consent was withdrawn", who.Role, late)
				}
			}
		}
		newest := time.Time{}
		for _, f := range owners[doctor.ID] {
			newest = later(newest, f.grew)
		}
		if newest.Sub(withdrawn) < 2*time.Second {
			t.Errorf("of the doctor nothing was written later than %s after the patient's withdrawal", newest.Sub(withdrawn))
		}
		if after := frames(d, patient.ID) + frames(d, device.ID); after > before+60 {
			t.Errorf("under required, %d pictures were still forwarded", after-before)
		}
		exam.Drop()
		pat.Drop()
		service.end(c.ID)
		a := service.ready(c.ID, 1)
		for _, who := range []participant{patient, device} {
			wantAfterConsent(t, service, disk, c.ID, who, patient)
		}
		if n := pictures(t, service.download(a.VideoURL), 3, 0, 1, 2); n[0] == 0 || n[1] == 0 || n[2] == 0 {
			t.Errorf("what was agreed to is to be seen: pictures by participant %v", n)
		}
		wantGap(t, service.timeline(c.ID), patient.ID, "not_consented")
		wantGap(t, service.timeline(c.ID), device.ID, "not_consented")
	})
	t.Run("optional: in and unrecorded until they agree", func(t *testing.T) {
		service := hospital.in(t)
		c := service.schedule("Optional", "optional", people...)
		doctor, patient := c.Participants[0], c.Participants[1]
		disk := watch(t, p, c.ID)
		d := enters(t, p, doctor, 0)
		pat := enters(t, p, patient, 1)
		sees(t, d, patient)
		sees(t, pat, doctor)
		disk.nothing("before anybody agreed")
		service.answer(c.ID, doctor, "given")
		disk.hasFiles(service, c.ID, doctor.ID)
		sees(t, d, patient)
		if n := len(disk.byOwner(service.events(c.ID))[patient.ID]); n > 0 {
			t.Errorf("%d files of a patient who has not answered", n)
		}
		if r := recordedAs(d, patient); r != "no" {
			t.Errorf("the patient's recording is said to be %q, want no", r)
		}
		service.answer(c.ID, patient, "given")
		disk.hasFiles(service, c.ID, patient.ID)
		await(t, 10*time.Second, func() string { return "the patient is said to be recorded" }, func() bool { return recordedAs(d, patient) == "yes" })
		wantGap(t, service.timeline(c.ID), patient.ID, "not_consented")
		service.end(c.ID)
		service.ready(c.ID, 1)
		for _, who := range []participant{doctor, patient} {
			wantAfterConsent(t, service, disk, c.ID, who, who)
		}
	})
	t.Run("optional and refused: in, forwarded, unrecorded, with a card in the archive", func(t *testing.T) {
		service := hospital.in(t)
		c := service.schedule("Refused", "optional", people...)
		doctor, patient := c.Participants[0], c.Participants[1]
		disk := watch(t, p, c.ID)
		service.answer(c.ID, doctor, "given")
		service.answer(c.ID, patient, "refused")
		d, pat := enters(t, p, doctor, 0), enters(t, p, patient, 1)
		sees(t, d, patient)
		sees(t, pat, doctor)
		time.Sleep(1500 * time.Millisecond) // of recording, nothing is waited for
		service.end(c.ID)
		a := service.ready(c.ID, 1)
		all := service.events(c.ID)
		disk.allOwned(all)
		if n := len(disk.byOwner(all)[patient.ID]); n > 0 || typesOf(all)[events.TypeConsentRefused] != 1 {
			t.Errorf("%d files of a patient who refused; events %v", n, typesOf(all))
		}
		video := service.download(a.VideoURL)
		if n := pictures(t, video, 2, 0, 1); n[0] < 30 || n[1] > 0 {
			t.Errorf("pictures by participant %v, want the doctor's and none of the patient's", n)
		}
		wantGap(t, service.timeline(c.ID), patient.ID, "not_consented")
	})
	t.Run("forbidden: nothing is written, and the archive says so", func(t *testing.T) {
		service := hospital.in(t)
		c := service.schedule("Forbidden", "forbidden", people...)
		doctor, patient := c.Participants[0], c.Participants[1]
		disk := watch(t, p, c.ID)
		service.answer(c.ID, patient, "given") // even then
		d, pat := enters(t, p, doctor, 0), enters(t, p, patient, 1)
		sees(t, d, patient)
		sees(t, pat, doctor)
		time.Sleep(time.Second) // of the call, nothing is waited for
		service.end(c.ID)
		a := service.ready(c.ID, 1)
		disk.nothing("under forbidden")
		if n := typesOf(service.events(c.ID)); n[events.TypeSegmentOpened] > 0 {
			t.Errorf("%d segments were opened", n[events.TypeSegmentOpened])
		}
		if m := service.manifest(c.ID, 1); len(m.Segments) > 0 || len(m.Missing) > 0 {
			t.Errorf("the manifest names %d segments and misses %d", len(m.Segments), len(m.Missing))
		}
		for _, who := range c.Participants {
			wantGap(t, service.timeline(c.ID), who.ID, "not_consented")
		}
		video := service.download(a.VideoURL)
		if n := pictures(t, video, 2, 0, 1); n[0]+n[1] > 0 {
			t.Errorf("pictures by participant: %v", n)
		}
		if share := ink(t, video, time.Second); share < 0.01 {
			t.Errorf("no cards are on the picture (%.4f of it is not background)", share)
		}
	})
}

// wantAfterConsent wants that nothing of who was on the disk before the consent of giver was in the log, and that what is
// there was received after it.
func wantAfterConsent(t testing.TB, c *client, disk *watcher, id string, who, giver participant) {
	t.Helper()
	all := c.events(id)
	disk.allOwned(all)
	given := eventTime(t, all, events.TypeConsentGiven, giver.ID)
	for _, f := range disk.byOwner(all)[who.ID] {
		if f.first.Before(given) {
			t.Errorf("a file of the %s was there %s before the consent was", who.Role, given.Sub(f.first))
		}
	}
	for _, e := range all {
		if opened, ok := e.Event.(events.SegmentOpened); ok && e.Participant == who.ID && opened.Arrival.Before(given) {
			t.Errorf("a segment of the %s begins %s before the consent", who.Role, given.Sub(opened.Arrival))
		}
	}
}

// wantGap wants that the timeline explains something of a participant by the cause.
func wantGap(t testing.TB, tl timelineJSON, participant, cause string) {
	t.Helper()
	who := tl.of(t, participant)
	found := who.lost("video", cause) > 0 || who.lost("audio", cause) > 0
	for _, s := range who.Absent {
		found = found || s.Cause == cause
	}
	if !found {
		t.Errorf("nothing of the %s is explained by %s: %s", who.Role, cause, fmt.Sprintf("%+v", who))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
