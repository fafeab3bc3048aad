package stitch

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// Orders that make no sense, and a tool that lies, hangs or dies.

// ordered asks for an archive with a sheet of these bytes.
func (w *world) ordered(raw []byte, change func(r *events.ArchiveRequested)) int {
	w.t.Helper()
	last, err := w.log.Last(w.t.Context(), w.consultation)
	if err != nil {
		w.t.Fatal(err)
	}
	key := "sheets/" + w.consultation + "/" + events.HashOf(raw) + ".json"
	if _, err := w.blobs.Put(w.t.Context(), key, bytes.NewReader(raw)); err != nil {
		w.t.Fatal(err)
	}
	w.requests++
	r := events.ArchiveRequested{Version: w.requests, ThroughSeq: last.Seq, Layout: "grid", Profile: "fast", Sheet: events.Blob{Key: key, SHA256: events.HashOf(raw)}}
	change(&r)
	w.say(100_000, "", r)
	return w.requests
}

// TestHostileOrders: what is ordered may be anything; what comes of it is an archive, or a failure that says why.
func TestHostileOrders(t *testing.T) {
	if testing.Short() {
		t.Skip("makes several archives")
	}
	hostileSheet := `{"title":"\u0000\u202e${jndi:ldap://x}\n\r%s","language":"../../x;%n","timeZone":"../../../../etc/passwd",` +
		`"participants":[{"id":"?","name":"` + strings.Repeat("A", 1<<16) + `"},{"id":"?","name":"` + strings.Repeat("👩\u200d👩\u200d👧\u200d👦\u202e", 400) + `"}]}`
	as := func(*events.ArchiveRequested) {}
	tests := []struct {
		name   string
		sheet  string
		change func(r *events.ArchiveRequested)
		code   string // of the failure; empty: there is an archive
		says   string // the failure's text, or the state of the sheet
	}{
		{"names that are none", hostileSheet, as, "", ""},
		{"a sheet that is empty", `{}`, as, "", ""},
		{"a sheet of nothing", ``, as, CodeSourceDamaged, "read render sheet"},
		{"a sheet that is no JSON", `#EXTM3U`, as, CodeSourceDamaged, "read render sheet"},
		{"a sheet in another form", `{"participants":{"a":1}}`, as, CodeSourceDamaged, "read render sheet"},
		{"a sheet without an end", strings.Repeat("[", 1<<16), as, CodeSourceDamaged, "read render sheet"},
		{"a sheet of two megabytes", `{"title":"` + strings.Repeat("x", 2<<20) + `"}`, as, "", "damaged"},
		{"a sheet that was changed", `{}`, func(r *events.ArchiveRequested) { r.Sheet.SHA256 = digestOf([]byte("x")) }, "", "damaged"},
		{"a sheet that is gone", `{}`, func(r *events.ArchiveRequested) { r.Sheet.Key = "sheets/gone.json" }, "", "erased"},
		{"a sheet outside of the blob store", `{}`, func(r *events.ArchiveRequested) { r.Sheet.Key = "../../../etc/passwd" }, "", "damaged"},
		{"a layout that nobody knows", `{}`, func(r *events.ArchiveRequested) { r.Layout = "overlay=0:0[x];movie=/etc/passwd" }, CodeRenderFailed, "layout"},
		{"a profile that nobody knows", `{}`, func(r *events.ArchiveRequested) { r.Profile = "../fast" }, CodeRenderFailed, "profile"},
		{"no event", `{}`, func(r *events.ArchiveRequested) { r.ThroughSeq = 0 }, "", ""},
		{"events that are not there yet", `{}`, func(r *events.ArchiveRequested) { r.ThroughSeq = 1 << 62 }, CodeSourceDamaged, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.join(0, ""), w.join(0, "")
			w.say(1000, "", events.ConsultationEnded{Reason: events.EndedClosed})
			raw := strings.Replace(strings.Replace(test.sheet, `"?"`, `"`+a.id+`"`, 1), `"?"`, `"`+b.id+`"`, 1)
			version := w.ordered([]byte(raw), test.change)
			if test.code != "" {
				if text := w.fails(t, w.worker(ffmpeg.Config{}, nil), version, test.code); !strings.Contains(text, test.says) {
					t.Errorf("the text of the failure: %s", text)
				}
				return
			}
			archive, _ := w.survived(t, version)
			if archive.frames != 30 || archive.manifest.SheetState != test.says {
				t.Errorf("%d frames, sheet %q", archive.frames, archive.manifest.SheetState)
			}
		})
	}
}

// TestHostileTools: that the tool ends with 0 means nothing, and that it does not end is not waited for.
func TestHostileTools(t *testing.T) {
	if testing.Short() {
		t.Skip("makes several archives")
	}
	const drawing = `case "$*" in *libx264*) `
	tests := []struct {
		name  string
		tool  string // a case of a shell script, before the true tool
		code  string // of the failure; empty: there is an archive
		cards bool   // in place of the chunk with the picture
		says  string // the text of the failure of the archive, or of the chunk
		long  bool   // left to the long forms
	}{
		{name: "it says a hundred megabytes", tool: drawing + `head -c 100000000 /dev/zero | tr '\0' x >&2; echo >&2 ;; esac`, long: true},
		{name: "it makes nothing of pictures and is content", tool: drawing + `[ -e t0.ivf ] && exit 0 ;; esac`, cards: true, says: "0 frames instead of"},
		{name: "it is killed whenever it draws", tool: drawing + `[ -e t0.ivf ] && { echo 'out of memory' >&2; kill -9 $$; } ;; esac`, cards: true, says: "out of memory", long: true},
		{name: "it leaves an empty file", tool: drawing + `[ -e t0.ivf ] && { ffmpeg "$@"; : >out.ts; exit 0; } ;; esac`, cards: true, says: "RENDER-FAILED", long: true},
		{name: "it leaves half a file", tool: drawing + `[ -e t0.ivf ] && { ffmpeg "$@"; truncate -s 9400 out.ts; exit 0; } ;; esac`, cards: true, says: "the chunk holds"},
		{name: "it draws nothing at all", tool: drawing + `exit 0 ;; esac`, code: CodeRenderFailed, says: "0 frames instead of", long: true},
		{name: "the disk is full", tool: drawing + `echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1 ;; esac`, code: CodeNoSpace, says: "No space left"},
		{name: "it never ends", tool: drawing + `[ -e t0.ivf ] && sleep 600 ;; esac`, cards: true, says: "time limit passed", long: true},
	}
	good := newSources(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.long && os.Getenv(hostileEnv) == "" {
				t.Skip("only with " + hostileEnv + "=all")
			}
			w := newWorld(t)
			a := w.join(0, "")
			a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, good.two)
			version := w.end(hostileLength, "fast")
			worker := w.worker(ffmpeg.Config{Path: w.script(test.tool + "\nexec ffmpeg \"$@\"")}, nil)
			if test.code != "" {
				if text := w.fails(t, worker, version, test.code); !strings.Contains(text, test.says) {
					t.Errorf("the text of the failure: %s", text)
				}
				return
			}
			w.within(t, 5*time.Minute, func() error { return worker.Make(t.Context(), w.consultation, version) })
			w.leftNothing(t, worker)
			archive := w.open(version)
			failures := archive.manifest.Failures
			if !test.cards {
				archive.shows(15, "the picture", 640, 100, blue)
				if len(failures) > 0 {
					t.Errorf("failures: %+v", failures)
				}
				return
			}
			archive.shows(15, "the card", 640, 100, card)
			if len(failures) != 1 || !strings.Contains(string(w.get(failures[0].Detail.Key)), test.says) {
				t.Errorf("failures: %+v", failures)
			}
			if gaps := archive.manifest.Timeline.Participants[0].Tracks[0].Gaps; len(gaps) == 0 || gaps[0].Cause != "corrupt" {
				t.Errorf("gaps of the timeline: %+v", gaps)
			}
		})
	}
}

// fails makes a version that must fail, and gives what is told about it.
func (w *world) fails(t *testing.T, worker *Worker, version int, code string) string {
	t.Helper()
	w.within(t, 2*time.Minute, func() error { return worker.Make(t.Context(), w.consultation, version) })
	failed, ok := w.result(version).(events.ArchiveFailed)
	if !ok || failed.Code != code || failed.Detail == nil {
		t.Fatalf("got %+v, want a failure %s", w.result(version), code)
	}
	text := w.get(failed.Detail.Key)
	if events.HashOf(text) != failed.Detail.SHA256 || !strings.HasPrefix(string(text), code) || len(text) < len(code)+10 {
		t.Errorf("the text of the failure: %q", text)
	}
	w.leftNothing(t, worker)
	return string(text)
}
