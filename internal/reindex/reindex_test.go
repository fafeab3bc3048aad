package reindex_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/events/appender"
	"consilium/internal/events/natslog"
	"consilium/internal/media"
	"consilium/internal/reindex"
	"consilium/internal/timeline"
)

// sheets knows nobody.
type sheets struct{}

func (sheets) SheetOf(_ context.Context, id string, _ map[string]string) ([]byte, error) {
	return fmt.Appendf(nil, `{"consultation":%q}`, id), nil
}

// hour is an hour of one camera in files of half a minute, in a blob store.
func hour(t *testing.T, blobs *blob.Store) (id string, ids []string) {
	t.Helper()
	room, owner, track, connection := events.NewID(), events.NewID(), events.NewID(), events.NewID()
	began := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	const half = 30 * 90000
	for n := range int64(120) {
		at := began.Add(time.Duration(n) * 30 * time.Second)
		s := media.Segment{
			ID: events.NewID(), Room: room, Owner: owner, Track: track, Connection: connection, Source: media.Screen, SSRC: 7,
			Codec: media.VP8, ClockRate: 90000, FirstRTP: n * half, LastRTP: (n+1)*half - 3000, EndRTP: (n+1)*half - 3000, Frames: 900,
			Arrival: at.Add(40 * time.Millisecond), Width: 640, Height: 360, OpenReason: "rotation", CloseReason: "rotation",
		}
		for k := range int64(6) {
			sent := at.Add(time.Duration(k) * 5 * time.Second)
			s.Anchors = append(s.Anchors, media.Anchor{
				Kind: media.AnchorSR, RTP: n*half + k*450000, NTP: sent.Add(time.Hour), Arrival: sent.Add(20 * time.Millisecond), RTT: 40 * time.Millisecond,
			})
		}
		file := media.AppendIVFHeader(nil, media.IVFHeader{Codec: media.VP8, Width: 640, Height: 360, Den: 90000, Num: 1, Frames: 900})
		for k := range int64(900) {
			file = media.AppendIVFFrameHeader(file, 10, k*3000)
			file = append(file, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 128, 2, 104, 1) // a keyframe of 640x360 (RFC 6386 §9.1)
		}
		s.Bytes, s.SHA256 = int64(len(file)), events.HashOf(file)
		put(t, blobs, "c/"+room+"/segments/"+s.FileName(), file)
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		put(t, blobs, "c/"+room+"/segments/"+s.SidecarName(), raw)
		ids = append(ids, s.ID)
	}
	return room, ids
}

func put(t *testing.T, blobs *blob.Store, key string, b []byte) {
	t.Helper()
	if _, err := blobs.Put(t.Context(), key, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
}

// TestAnHourIsRebuiltIntoTheRealLog needs more events than go into one append, on JetStream.
func TestAnHourIsRebuiltIntoTheRealLog(t *testing.T) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	server, err := natslog.Start(t.Context(), natslog.ServerConfig{DataDir: t.TempDir(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	log, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	blobs, err := blob.Open(t.Context(), "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	id, ids := hour(t, blobs)

	var results []reindex.Result
	began := time.Now()
	err = reindex.Run(t.Context(), reindex.Config{Node: "n"}, reindex.Deps{
		Log: log, Appender: appender.New(log, logger, nil), Blobs: blobs, Sheets: sheets{}, Now: time.Now, Logger: logger,
	}, func(r reindex.Result) { results = append(results, r) })
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Segments != 120 || results[0].Length.Round(time.Minute) != time.Hour {
		t.Fatalf("results are %+v", results)
	}
	t.Logf("%d events of %d files in %v", results[0].Events, results[0].Segments, time.Since(began).Round(time.Millisecond))
	history, err := events.ReadAll(t.Context(), log, id)
	if err != nil {
		t.Fatal(err)
	}
	tl, err := timeline.Build(history, 0)
	if err != nil {
		t.Fatal(err)
	}
	tr := tl.Participants[0].Tracks[0]
	var shown []string
	for i, c := range tr.Clips {
		shown = append(shown, c.Segment)
		if want := tr.Clips[0].StartNS + int64(i)*30e9; c.Quality != timeline.QualitySR || time.Duration(c.StartNS-want).Abs() > time.Millisecond {
			t.Errorf("clip %d lies at %d by %s, want %d by reports", i, c.StartNS, c.Quality, want)
		}
	}
	if d := cmp.Diff(ids, shown); d != "" || len(tr.Gaps) > 0 || tr.Source != media.Screen {
		t.Errorf("source %s, gaps %v, segments:\n%s", tr.Source, tr.Gaps, d)
	}
	if n := len(history); n != results[0].Events || slices.ContainsFunc(history[1:], func(e events.Stored) bool { return e.CausationID != history[0].ID }) {
		t.Errorf("%d events, or not all of them say that they were rebuilt", n)
	}
}
