package powercut

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script makes a trace of lines such as `write(3, "a", 1) = 1`; a number and a colon in front name the thread.
func script(lines ...string) string {
	var b strings.Builder
	for i, line := range lines {
		thread := "1"
		if n, rest, ok := strings.Cut(line, ": "); ok && len(n) == 1 {
			thread, line = n, rest
		}
		fmt.Fprintf(&b, "%s 17000000%02d.000000001 %s\n", thread, i, line)
	}
	return b.String()
}

// play gives a disk after a trace.
func play(t testing.TB, trace string) *Disk {
	t.Helper()
	d := NewDisk("/d")
	if err := Read(strings.NewReader(trace), d.Do); err != nil {
		t.Fatal(err)
	}
	return d
}

// tree reads the files below a folder, by their path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		found[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func survive(t testing.TB, d *Disk, m Model, seed uint64) map[string]string {
	t.Helper()
	dest := t.TempDir()
	if err := d.Write(dest, m, rand.New(rand.NewPCG(seed, 1))); err != nil {
		t.Fatal(err)
	}
	return tree(t, dest)
}

func TestOnlyWhatWasSyncedSurvivesForSure(t *testing.T) {
	open := `openat(AT_FDCWD, "/d/a", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3`
	folder := `openat(AT_FDCWD, "/d", O_RDONLY|O_CLOEXEC) = 4`
	for _, tt := range []struct {
		name  string
		trace []string
		want  map[string]string
	}{
		{"a file that was never synced is gone", []string{open, folder, `write(3, "abc", 3) = 3`, `fsync(4) = 0`}, map[string]string{"a": ""}},
		{"a name whose folder was never synced is gone", []string{open, `write(3, "abc", 3) = 3`, `fsync(3) = 0`}, map[string]string{}},
		{"both synced", []string{open, folder, `write(3, "abc", 3) = 3`, `fdatasync(3) = 0`, `fsync(4) = 0`}, map[string]string{"a": "abc"}},
		{"what is written after the sync is gone", []string{open, folder, `fsync(4) = 0`, `write(3, "abc", 3) = 3`, `fsync(3) = 0`, `write(3, "def", 3) = 3`}, map[string]string{"a": "abc"}},
		{"a sync that fails is none", []string{open, folder, `fsync(4) = 0`, `write(3, "abc", 3) = 3`, `fsync(3) = -1 EIO (Input/output error)`}, map[string]string{"a": ""}},
		{"a write that began before the sync and ended during it is not covered", []string{open, folder, `fsync(4) = 0`, `write(3, "abc", 3 <unfinished ...>`, `2: fsync(3 <unfinished ...>`, `<... write resumed>) = 3`, `2: <... fsync resumed>) = 0`}, map[string]string{"a": ""}},
		{"a sync that has not ended covers nothing", []string{open, folder, `fsync(4) = 0`, `write(3, "abc", 3) = 3`, `2: fsync(3 <unfinished ...>`}, map[string]string{"a": ""}},
		{"a short write is as long as it says", []string{open, folder, `fsync(4) = 0`, `write(3, "abc", 3) = 2`, `fsync(3) = 0`}, map[string]string{"a": "ab"}},
		{"a rename counts when the folder is synced", []string{open, folder, `fsync(4) = 0`, `renameat(AT_FDCWD, "/d/a", AT_FDCWD, "/d/b") = 0`}, map[string]string{"a": ""}},
		{"and then it does", []string{open, folder, `renameat(AT_FDCWD, "/d/a", AT_FDCWD, "/d/b") = 0`, `fsync(4) = 0`}, map[string]string{"b": ""}},
		{"what is removed may come back", []string{open, folder, `fsync(4) = 0`, `unlinkat(AT_FDCWD, "/d/a", 0) = 0`}, map[string]string{"a": ""}},
		{"places in the file", []string{open, folder, `fsync(4) = 0`, `pwrite64(3, "xyz", 3, 2) = 3`, `lseek(3, 1, SEEK_SET) = 1`, `write(3, "\0\x01\"", 3) = 3`, `ftruncate(3, 4) = 0`, `fsync(3) = 0`}, map[string]string{"a": "\x00\x00\x01\""}},
		{"pieces", []string{open, folder, `fsync(4) = 0`, `writev(3, [{iov_base="ab", iov_len=2}, {iov_base="]}", iov_len=2}], 2) = 4`, `fsync(3) = 0`}, map[string]string{"a": "ab]}"}},
		{"a number that is used again while it is being closed", []string{open, folder, `fsync(4) = 0`, `close(3 <unfinished ...>`, `2: openat(AT_FDCWD, "/d/b", O_WRONLY|O_CREAT, 0600) = 3`, `<... close resumed>)          = 0`, `2: write(3, "abc", 3) = 3`, `2: fsync(3) = 0`, `fsync(4) = 0`}, map[string]string{"a": "", "b": "abc"}},
		{"folders below", []string{`mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, `openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, `write(3, "abc", 3) = 3`, `fsync(3) = 0`, `openat(AT_FDCWD, "/d/x", O_RDONLY) = 5`, `fsync(5) = 0`, folder, `fsync(4) = 0`}, map[string]string{"x/a": "abc"}},
		{"a folder whose own name was never synced is gone with all that is in it", []string{`mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, `openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, `write(3, "abc", 3) = 3`, `fsync(3) = 0`, `openat(AT_FDCWD, "/d/x", O_RDONLY) = 5`, `fsync(5) = 0`}, map[string]string{}},
		{"a folder that is removed before the end of the last removal in it is written", []string{`mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, `openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, folder, `unlinkat(AT_FDCWD, "/d/x/a", 0 <unfinished ...>`, `2: unlinkat(AT_FDCWD, "/d/x", AT_REMOVEDIR) = 0`, `<... unlinkat resumed>) = 0`, `fsync(4) = 0`}, map[string]string{}},
		{"a file in a folder whose making another thread has not been told of", []string{folder, `mkdirat(AT_FDCWD, "/d/x", 0700 <unfinished ...>`, `2: openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, `2: write(3, "abc", 3) = 3`, `2: fsync(3) = 0`, `<... mkdirat resumed>) = 0`, `openat(AT_FDCWD, "/d/x", O_RDONLY) = 5`, `fsync(5) = 0`, `fsync(4) = 0`}, map[string]string{"x/a": "abc"}},
		{"a file in a folder that two other threads are making", []string{folder, `mkdirat(AT_FDCWD, "/d/x", 0700 <unfinished ...>`, `3: mkdirat(AT_FDCWD, "/d/x", 0700 <unfinished ...>`, `2: openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, `2: write(3, "abc", 3) = 3`, `2: fsync(3) = 0`, `<... mkdirat resumed>) = -1 EEXIST (File exists)`, `3: <... mkdirat resumed>) = 0`, `openat(AT_FDCWD, "/d/x", O_RDONLY) = 5`, `fsync(5) = 0`, `fsync(4) = 0`}, map[string]string{"x/a": "abc"}},
		{"a folder that is made anew before the end of its removal is written", []string{`mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, folder, `unlinkat(AT_FDCWD, "/d/x", AT_REMOVEDIR <unfinished ...>`, `2: mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, `<... unlinkat resumed>) = 0`, `2: openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, `2: write(3, "abc", 3) = 3`, `2: fsync(3) = 0`, `openat(AT_FDCWD, "/d/x", O_RDONLY) = 5`, `fsync(5) = 0`, `fsync(4) = 0`}, map[string]string{"x/a": "abc"}},
		{"a file that is opened by a name before the end of the renaming is written", []string{open, folder, `renameat(AT_FDCWD, "/d/a", AT_FDCWD, "/d/b" <unfinished ...>`, `2: openat(AT_FDCWD, "/d/b", O_RDWR) = 5`, `2: write(5, "abc", 3) = 3`, `2: fsync(5) = 0`, `<... renameat resumed>) = 0`, `fsync(4) = 0`}, map[string]string{"b": "abc"}},
		{"a file that is removed by a name before the end of the renaming is written", []string{open, folder, `renameat(AT_FDCWD, "/d/a", AT_FDCWD, "/d/b" <unfinished ...>`, `2: unlinkat(AT_FDCWD, "/d/b", 0) = 0`, `<... renameat resumed>) = 0`, `fsync(4) = 0`}, map[string]string{}},
		{"what lies elsewhere is nobody's business", []string{`openat(AT_FDCWD, "/e", O_RDWR|O_CREAT, 0600) = 3`, `write(3, "abc", 3) = 3`, `read(9, "= 7", 3) = 3`}, map[string]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, survive(t, play(t, script(tt.trace...)), Synced, 1)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestChanceShowsEveryResult(t *testing.T) {
	half := strings.Repeat("a", 512)
	trace := script(`openat(AT_FDCWD, "/d/a", O_RDWR|O_CREAT, 0600) = 3`, `openat(AT_FDCWD, "/d", O_RDONLY) = 4`, `fsync(4) = 0`,
		`write(3, "`+half+half+`", 1024) = 1024`, `renameat(AT_FDCWD, "/d/a", AT_FDCWD, "/d/b") = 0`)
	d := play(t, trace)
	seen := map[Model]map[string]bool{Torn: {}, Journal: {}}
	for seed := range uint64(200) {
		for m, results := range seen {
			for name, content := range survive(t, d, m, seed) {
				results[fmt.Sprintf("%s %d %d", name, len(content), strings.Count(content, "a"))] = true
			}
		}
	}
	for _, want := range []string{"a 0 0", "a 512 512", "a 1024 512", "a 1024 1024", "b 0 0", "b 1024 512", "b 1024 1024"} {
		if !seen[Torn][want] {
			t.Errorf("torn: %s never came, only %v", want, seen[Torn])
		}
	}
	for result := range seen[Journal] {
		var name string
		var size, letters int
		if _, err := fmt.Sscan(result, &name, &size, &letters); err != nil || size != letters {
			t.Errorf("journal: %s is no beginning of what was written", result)
		}
	}
}

func TestAJournalKeepsTheOrderOfNames(t *testing.T) {
	d := play(t, script(`mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, `openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`,
		`write(3, "abc", 3) = 3`, `fsync(3) = 0`, `renameat(AT_FDCWD, "/d/x/a", AT_FDCWD, "/d/x/b") = 0`, `renameat(AT_FDCWD, "/d/x/b", AT_FDCWD, "/d/x/c") = 0`))
	seen := map[string]bool{}
	for seed := range uint64(100) {
		got := survive(t, d, Journal, seed)
		if len(got) != 1 {
			t.Fatalf("after a sync of the file its names are there: %v", got)
		}
		for name, content := range got {
			seen[name] = true
			if content != "abc" {
				t.Errorf("%s is %q", name, content)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("names: %v, want each of the three at times", seen)
	}
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	open := `openat(AT_FDCWD, "/d/a", O_RDWR|O_CREAT, 0600) = 3`
	for _, line := range []string{
		`copy_file_range(9, NULL, 3, NULL, 5, 0) = 5`, `mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000`,
		`symlinkat("/x", AT_FDCWD, "/d/l") = 0`, `renameat(AT_FDCWD, "/e", AT_FDCWD, "/d/e") = 0`, `fallocate(3, FALLOC_FL_PUNCH_HOLE, 0, 5) = 0`,
		`openat(AT_FDCWD, "/d/unknown", O_RDONLY) = 5`, `write(3, "abc"..., 30) = 30`, `<... openat resumed>) = 3`, `nonsense`,
	} {
		d := NewDisk("/d")
		if err := Read(strings.NewReader(script(open, line)), d.Do); err == nil {
			t.Errorf("%s was taken", line)
		}
	}
}

func TestAFolderIsRemovedEmpty(t *testing.T) {
	d := NewDisk("/d")
	trace := script(`mkdirat(AT_FDCWD, "/d/x", 0700) = 0`, `openat(AT_FDCWD, "/d/x/a", O_RDWR|O_CREAT, 0600) = 3`, `unlinkat(AT_FDCWD, "/d/x", AT_REMOVEDIR) = 0`)
	if err := Read(strings.NewReader(trace), d.Do); err == nil || !strings.Contains(err.Error(), "1 names in it") {
		t.Errorf("got %v", err)
	}
}

var victim = flag.String("victim", "", "do things to files in this folder, as the program that is traced")

func TestMain(m *testing.M) {
	flag.Parse()
	if *victim != "" {
		if err := havoc(*victim); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// havoc does what programs do to files, from several threads.
func havoc(dir string) error {
	failed := make(chan error)
	for worker := range 4 {
		go func() {
			dice := rand.New(rand.NewPCG(uint64(worker), 7))
			home := filepath.Join(dir, fmt.Sprint("w", worker))
			err := os.MkdirAll(filepath.Join(home, "deep"), 0o700)
			for i := range 60 {
				if err != nil {
					break
				}
				err = one(home, i, dice)
			}
			failed <- err
		}()
	}
	var all error
	for range 4 {
		all = errors.Join(all, <-failed)
	}
	return all
}

func one(home string, i int, dice *rand.Rand) error {
	path := filepath.Join(home, fmt.Sprint("f", i%9))
	flags := []int{os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_TRUNC, os.O_WRONLY | os.O_CREATE | os.O_APPEND}[dice.IntN(3)]
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	data := make([]byte, dice.IntN(9000))
	for n := range data {
		data[n] = byte(dice.Uint32())
	}
	_, err = f.Write(data)
	if flags&os.O_APPEND == 0 {
		_, seeking := f.Seek(int64(dice.IntN(5000)), 0)
		_, reading := f.Read(make([]byte, 10))
		if flags&os.O_RDWR == 0 || reading != nil {
			reading = nil
		}
		_, writing := f.Write([]byte("\"\\), = 5\n\x00\x001 <unfinished ...>"))
		_, placing := f.WriteAt(data[:len(data)/2], int64(dice.IntN(9000)))
		err = errors.Join(err, seeking, reading, writing, placing)
	}
	if dice.IntN(3) == 0 {
		err = errors.Join(err, f.Truncate(int64(dice.IntN(4000))))
	}
	if dice.IntN(2) == 0 {
		err = errors.Join(err, f.Sync())
	}
	err = errors.Join(err, f.Close())
	switch dice.IntN(5) {
	case 0:
		err = errors.Join(err, os.Rename(path, filepath.Join(home, "deep", fmt.Sprint("g", dice.IntN(4)))))
	case 1:
		err = errors.Join(err, os.Rename(path, filepath.Join(home, fmt.Sprint("h", dice.IntN(4)))))
	case 2:
		err = errors.Join(err, os.Remove(path))
	case 3:
		sub := filepath.Join(home, "sub")
		err = errors.Join(err, os.MkdirAll(sub, 0o700), os.WriteFile(filepath.Join(sub, "x"), data, 0o600))
		if dice.IntN(2) == 0 {
			err = errors.Join(err, os.RemoveAll(sub))
		}
	}
	return err
}

// What a real program did to real files is what the trace says it did.
func TestARealTraceGivesTheRealFiles(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("%v; ./task setup installs it", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, trace := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	if out, err := exec.Command(strace, append(Arguments(trace), self, "-victim", dir)...).CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, out)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, calls := NewDisk(dir), 0
	if err := Read(f, func(c Call) error { calls++; return d.Do(c) }); err != nil {
		t.Fatal(err)
	}
	want := tree(t, dir)
	if diff := cmp.Diff(want, survive(t, d, Everything, 1)); diff != "" {
		t.Errorf("files (-real +replayed):\n%.2000s", diff)
	}
	if calls < 1000 || len(want) < 20 || d.Open() != 0 {
		t.Errorf("%d calls, %d files, %d still open: too little happened", calls, len(want), d.Open())
	}
}
