package backup_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/backup"
	"consilium/internal/blob"
	"consilium/internal/directory"
	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/media"
	"consilium/internal/spool"
	"consilium/internal/testenv"
	"consilium/internal/webhook"
)

// house is a whole installation without its processes.
type house struct {
	t *testing.T
	backup.Stores
	blobDir string
	at      map[string]events.Version
}

func newHouse(t *testing.T) *house {
	t.Helper()
	e, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	log, err := e.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h := &house{t: t, blobDir: t.TempDir(), at: map[string]events.Version{}}
	blobs, err := blob.Open(t.Context(), "file://"+h.blobDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	h.Stores = backup.Stores{
		Log: log, Directory: directory.New(pool), Webhooks: webhook.NewKeeper(pool), Blobs: blobs, SpoolDir: filepath.Join(t.TempDir(), "spool"),
		Secret: "a secret that signs tokens", Logger: slog.New(slog.DiscardHandler),
	}
	return h
}

func (h *house) append(id string, all ...events.Event) {
	h.t.Helper()
	var drafts []events.Draft
	for _, e := range all {
		drafts = append(drafts, events.NewDraft("/live/test", time.Now(), e))
	}
	v, err := h.Log.Append(h.t.Context(), id, h.at[id], drafts...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.at[id] = v
}

// record puts a segment into the blob store, its sidecar beside it, and says so.
func (h *house) record(id, content string) media.Segment {
	h.t.Helper()
	seg := segmentOf(id, content)
	h.put(spool.Key(seg), content)
	h.put("c/"+id+"/segments/"+seg.SidecarName(), sidecar(h.t, seg))
	h.append(id, events.SegmentSealed{Segment: seg.ID, Bytes: seg.Bytes, SHA256: seg.SHA256},
		events.SegmentStored{Segment: seg.ID, Key: spool.Key(seg), Bytes: seg.Bytes, SHA256: seg.SHA256})
	return seg
}

func segmentOf(id, content string) media.Segment {
	sum := sha256.Sum256([]byte(content))
	return media.Segment{ID: events.NewID(), Room: id, Codec: media.Opus, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

func sidecar(t *testing.T, seg media.Segment) string {
	t.Helper()
	raw, err := json.Marshal(seg)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (h *house) put(key, content string) {
	h.t.Helper()
	if _, err := h.Blobs.Put(h.t.Context(), key, strings.NewReader(content)); err != nil {
		h.t.Fatal(err)
	}
}

// furnish makes a consultation with a name, a recording and one that waits in the spool.
func (h *house) furnish() (id string, stored, waiting media.Segment) {
	h.t.Helper()
	id = events.NewID()
	err := h.Directory.Put(h.t.Context(), directory.Consultation{
		ID: id, Title: "Knie <links> & rechts", ExternalRef: "4711", Language: "de", TimeZone: "Europe/Berlin",
		Participants: directory.Participants{{ID: events.NewID(), Name: "Борис Ö."}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.append(id, events.ConsultationScheduled{Policy: events.PolicyRequired}, events.ConsultationOpened{Policy: events.PolicyRequired})
	stored = h.record(id, "sound that is stored")
	waiting = segmentOf(id, "sound on its way")
	dir := filepath.Join(h.SpoolDir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	for name, content := range map[string]string{
		waiting.SidecarName(): sidecar(h.t, waiting), waiting.FileName() + media.SealedExtension: "sound on its way",
		"other.ogg.part": "still being written",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	h.append(id, events.SegmentSealed{Segment: waiting.ID, Bytes: waiting.Bytes, SHA256: waiting.SHA256})
	return id, stored, waiting
}

func (h *house) content(key string) string {
	h.t.Helper()
	r, err := h.Blobs.Get(h.t.Context(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(raw)
}

func (h *house) entries() (all []natslog.Message) {
	h.t.Helper()
	info, err := h.Log.Info(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for m, err := range h.Log.Messages(h.t.Context(), 1, info.Last) {
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func (h *house) names() (all []directory.Consultation) {
	h.t.Helper()
	for c, err := range h.Directory.All(h.t.Context()) {
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestAnotherHouseHasEverything(t *testing.T) {
	from, into := newHouse(t), newHouse(t)
	id, stored, waiting := from.furnish()
	from.put("chunks/0a1b.ts", "can be made again")
	dir := filepath.Join(t.TempDir(), "backup")
	var stages []string
	made, err := backup.Make(t.Context(), from.Stores, dir, func(p backup.Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if made.Last != 5 || made.Consultations != 1 || made.Blobs != 4 {
		t.Errorf("made %+v", made)
	}
	if diff := cmp.Diff([]string{"log", "names", "blobs"}, stages); diff != "" {
		t.Errorf("stages:\n%s", diff)
	}
	if secret, err := backup.Secret(dir); err != nil || secret != from.Secret {
		t.Errorf("secret: %v", err)
	}
	if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(from.entries(), into.entries()); diff != "" {
		t.Errorf("log:\n%s", diff)
	}
	if diff := cmp.Diff(from.names(), into.names()); diff != "" {
		t.Errorf("names:\n%s", diff)
	}
	if got := into.content(spool.Key(stored)); got != "sound that is stored" {
		t.Errorf("the recording is %q", got)
	}
	// The one that was on its way is on its way again.
	for name, want := range map[string]string{
		waiting.FileName() + media.SealedExtension: "sound on its way", waiting.SidecarName(): sidecar(t, waiting),
	} {
		if raw, err := os.ReadFile(filepath.Join(into.SpoolDir, id, name)); err != nil || string(raw) != want {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
	if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("restored over something: %v", err)
	}
}

// Who is told of events is told on from the same place, when somebody says so; what happened after the back-up is not known there.
func TestReceiversComeBackPaused(t *testing.T) {
	from, into := newHouse(t), newHouse(t)
	id, _, _ := from.furnish() // 5 events
	info, err := from.Log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	letter := func(position uint64, dead bool) webhook.Letter {
		return webhook.Letter{
			Position: position, Consultation: id, Seq: position, Event: events.NewID(), Type: events.TypeConsultationOpened, Dead: dead,
			Attempts: 3, Code: "422", SetAsideAt: at, NextAt: at.Add(time.Hour),
		}
	}
	whole := webhook.Kept{
		ID: events.NewID(), URL: "https://mis.example/hook", Types: []events.Type{events.TypeConsultationOpened}, Secret: []byte{1, 0, 255},
		OldSecret: []byte("before"), OldUntil: &at, CreatedAt: at, CreatedBy: "admin:x", Position: 4, State: webhook.Active,
		Letters: []webhook.Letter{letter(2, true), letter(3, false)},
	}
	ahead := webhook.Kept{
		ID: events.NewID(), URL: "https://pay.example/", Types: []events.Type{}, Secret: []byte("s"), CreatedAt: at, CreatedBy: "x", Position: 9,
		State: webhook.Suspended, Reason: webhook.ReasonGone, Letters: []webhook.Letter{letter(7, true)},
	}
	for _, e := range []webhook.Kept{whole, ahead} {
		if err := from.Webhooks.Put(t.Context(), e, info.Created); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Make(t.Context(), from.Stores, dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); err != nil {
		t.Fatal(err)
	}
	got, err := into.Webhooks.All(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	whole.State, ahead.Position, ahead.Letters = webhook.Paused, 5, nil
	if diff := cmp.Diff([]webhook.Kept{whole, ahead}, got, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if _, err := backup.Restore(t.Context(), dir, backup.Stores{
		Log: newHouse(t).Log, Directory: newHouse(t).Directory, Webhooks: into.Webhooks, Blobs: newHouse(t).Blobs,
	}, nil); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("restored over receivers: %v", err)
	}
}

// Whoever was somebody before is the same one afterwards: otherwise one person could do what takes two.
func TestStaffAndCasesComeBack(t *testing.T) {
	from, into := newHouse(t), newHouse(t)
	id, _, _ := from.furnish()
	ann, err := from.Directory.Actor(t.Context(), "mis", "ann", "compliance", "Ann Ö.")
	if err != nil {
		t.Fatal(err)
	}
	hold := events.NewID()
	if err := from.Directory.PutHold(t.Context(), id, hold, "Az 7 O 12/26"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Make(t.Context(), from.Stores, dir, nil); err != nil {
		t.Fatal(err)
	}
	// Somebody has looked at the empty installation already.
	if _, err := into.Directory.Actor(t.Context(), "mis", "ann", "compliance", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*house{from, into} {
		if got, err := h.Directory.Actor(t.Context(), "mis", "ann", "compliance", ""); err != nil || got != ann {
			t.Errorf("ann is %s, was %s, %v", got, ann, err)
		}
	}
	wantStaff, err := from.Directory.AllStaff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantCases, err := from.Directory.AllCases(t.Context())
	if err != nil || len(wantCases) != 1 || wantCases[0].Hold != hold {
		t.Fatalf("%v %v", wantCases, err)
	}
	staff, err := into.Directory.AllStaff(t.Context())
	if diff := cmp.Diff(wantStaff, staff, cmpopts.IgnoreFields(directory.Staff{}, "CreatedAt")); diff != "" || err != nil {
		t.Errorf("%v; staff:\n%s", err, diff)
	}
	cases, err := into.Directory.AllCases(t.Context())
	if diff := cmp.Diff(wantCases, cases, cmpopts.EquateApproxTime(0)); diff != "" || err != nil {
		t.Errorf("%v; cases:\n%s", err, diff)
	}
}

func TestTheNextBackUpTakesWhatIsNew(t *testing.T) {
	from := newHouse(t)
	id, stored, _ := from.furnish()
	dir := t.TempDir()
	make1 := func() (bytes int64, m backup.Manifest) {
		t.Helper()
		m, err := backup.Make(t.Context(), from.Stores, dir, func(p backup.Progress) {
			if p.Stage == "blobs" {
				bytes = p.Bytes
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return bytes, m
	}
	make1()
	if bytes, _ := make1(); bytes != 0 {
		t.Errorf("%d bytes were copied although nothing is new", bytes)
	}
	from.record(id, "new")
	bytes, m := make1()
	if m.Blobs != 6 || bytes > 1000 {
		t.Errorf("%d blobs, %d bytes copied", m.Blobs, bytes)
	}
	// What rots in the house is not copied over what is right.
	if err := os.WriteFile(filepath.Join(from.blobDir, filepath.FromSlash(spool.Key(stored))), []byte("rotten"), 0o600); err != nil {
		t.Fatal(err)
	}
	make1()
	into := newHouse(t)
	if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); err != nil {
		t.Fatal(err)
	}
	if got := into.content(spool.Key(stored)); got != "sound that is stored" {
		t.Errorf("restored %q", got)
	}
}

func TestWhatTheLogNamesAndIsNotThereIsSaid(t *testing.T) {
	from, into := newHouse(t), newHouse(t)
	id, stored, _ := from.furnish()
	rotten := from.record(id, "will rot")
	if err := from.Blobs.Delete(t.Context(), spool.Key(stored)); err != nil {
		t.Fatal(err)
	}
	from.put(spool.Key(rotten), "has rot!")
	dir := t.TempDir()
	made, err := backup.Make(t.Context(), from.Stores, dir, nil)
	if !errors.Is(err, backup.ErrIncomplete) {
		t.Fatalf("got %v", err)
	}
	problems := map[string]string{}
	for _, m := range made.Missing {
		problems[m.Key] = m.Problem
	}
	if diff := cmp.Diff(map[string]string{spool.Key(stored): "missing", spool.Key(rotten): "damaged"}, problems); diff != "" {
		t.Errorf("missing:\n%s", diff)
	}
	if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); err != nil {
		t.Errorf("the rest cannot be restored: %v", err)
	}
}

func TestADamagedBackUpIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	from, into := newHouse(t), newHouse(t)
	_, stored, _ := from.furnish()
	whole := t.TempDir()
	if _, err := backup.Make(t.Context(), from.Stores, whole, nil); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		damage func(dir string) error
		want   error
	}{
		{"no manifest", func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) }, backup.ErrNoBackup},
		{"a log that was shortened", func(dir string) error { return os.Truncate(filepath.Join(dir, "log", "000000000001.events"), 300) }, backup.ErrDamaged},
		{"an event that was changed, digest and all", func(dir string) error { return forge(dir) }, events.ErrCorrupt},
		{"names that were changed", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "names.ndjson"), nil, 0o600)
		}, backup.ErrDamaged},
		{"an index without a recording", func(dir string) error { return os.Truncate(filepath.Join(dir, "blobs.ndjson"), 0) }, backup.ErrDamaged},
		{"a recording that was changed", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "blobs", filepath.FromSlash(spool.Key(stored))), []byte("sound that is st0red"), 0o600)
		}, backup.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Restore(t.Context(), dir, into.Stores, nil); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if len(into.entries()) != 0 || len(into.names()) != 0 {
				t.Error("something is in the log or in the directory")
			}
			for b := range into.Blobs.List(context.Background(), "") { // blobs are digested on the way
				if err := into.Blobs.Delete(t.Context(), b.Key); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// forge changes an event and everything in the back-up that would tell, but not the chain of the log.
func forge(dir string) error {
	name := filepath.Join(dir, "log", "000000000001.events")
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	forged := strings.Replace(string(raw), `"policy":"required"`, `"policy":"optional"`, 1)
	if err := os.WriteFile(name, []byte(forged), 0o600); err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return err
	}
	digest := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	changed := strings.Replace(string(manifest), digest(string(raw)), digest(forged), 1)
	if changed == string(manifest) {
		return fmt.Errorf("the manifest does not name the log")
	}
	return os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(changed), 0o600)
}

func TestAFolderWithSomethingElseIsLeftAlone(t *testing.T) {
	from := newHouse(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "holiday.jpg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Make(t.Context(), from.Stores, dir, nil); err == nil || !strings.Contains(err.Error(), "holiday.jpg") {
		t.Errorf("got %v", err)
	}
}
