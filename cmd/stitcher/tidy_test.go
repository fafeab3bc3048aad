package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"consilium/internal/blob"
	"consilium/internal/config"
)

// What is to go is said before it goes, what is young stays, and nobody is allowed to take away what a job may need.
func TestTidyByHand(t *testing.T) {
	data := t.TempDir()
	c := tidyCmd{Stitcher: config.Stitcher{Folder: config.Folder{Data: data}}, Keep: 48 * time.Hour}
	blobs, err := blob.Open(t.Context(), c.Blobs())
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	key := "chunks/" + strings.Repeat("a", 64)
	for _, name := range []string{key + ".ts", key + ".json"} {
		if _, err := blobs.Put(t.Context(), name, strings.NewReader("12345")); err != nil {
			t.Fatal(err)
		}
	}
	run := func(keep, later time.Duration, dry bool) string {
		t.Helper()
		var out bytes.Buffer
		c.Keep, c.DryRun = keep, dry
		if err := c.run(t.Context(), &out, time.Now().Add(later)); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := run(48*time.Hour, 47*time.Hour, false); got != "removed: 0 pieces, 0 bytes, and 0 bytes that were never finished; kept: 1 pieces\n" {
		t.Errorf("while it is young: %s", got)
	}
	for range 2 { // nothing is done, so it says so again
		if got := run(48*time.Hour, 49*time.Hour, true); !strings.HasPrefix(got, "to remove: 1 pieces, 10 bytes") {
			t.Errorf("dry: %s", got)
		}
	}
	if got := run(48*time.Hour, 49*time.Hour, false); !strings.HasPrefix(got, "removed: 1 pieces, 10 bytes") {
		t.Errorf("when it is old: %s", got)
	}
	if _, err := blobs.Stat(t.Context(), key+".ts"); err == nil {
		t.Error("it is still there")
	}
	c.Keep = time.Hour
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "at least") {
		t.Errorf("an hour: %v", err)
	}
}
