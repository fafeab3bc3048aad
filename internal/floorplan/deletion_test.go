package floorplan

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// deleters are the only rooms that may delete from the blob store, and what each deletes there. None of it is lost by that.
var deleters = map[string]string{
	"internal/blob":   "what it was asked to put and could not sync",
	"internal/stitch": "chunks, which can be made again, and notes of those made during the call",
	"internal/backup": "its own copies, and what it was restoring and found damaged",
}

// deletes are calls that delete a blob, and statements that delete names.
var deletes = regexp.MustCompile(`\.Delete\((ctx|context\.)|(?i)delete\s+from\s+directory\.(consultations|participants)\b`)

// TestOnlyTheseRoomsDelete fails on a package that begins to delete recordings, archives, render sheets or names: as long as a hold
// is in force nobody may, so it has to ask consultation.State.MayErase, in the command that puts the deletion into the log, and a
// test has to show that what is held is refused. Then it gets a row above.
func TestOnlyTheseRoomsDelete(t *testing.T) {
	found := map[string]bool{}
	for _, top := range []string{"cmd", "internal", "migrations"} {
		err := filepath.WalkDir(filepath.Join(root(t), top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			rel, err := filepath.Rel(root(t), filepath.Dir(path))
			if err != nil || plan[filepath.ToSlash(rel)] == testsOnly {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			call := deletes.Find(source)
			if call == nil {
				return nil
			}
			found[filepath.ToSlash(rel)] = true
			if deleters[filepath.ToSlash(rel)] == "" {
				t.Errorf("%s deletes (%s): nothing may be deleted of a consultation that is held", path, call)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for room := range deleters {
		if !found[room] {
			t.Errorf("%s deletes no more: it needs no row", room)
		}
	}
}
