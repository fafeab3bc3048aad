package ffmpeg

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const saidByDebian12 = `ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers
built with gcc 12 (Debian 12.2.0-14+deb12u1)
configuration: --prefix=/usr --enable-gpl --enable-libx264
libavutil      57. 28.100 / 57. 28.101
libavcodec     59. 37.100 / 59. 37.100

Exiting with exit code 0
`

func TestWhatAnFFmpegSaysOfItself(t *testing.T) {
	got := aboutFrom(saidByDebian12)
	want := About{Version: "ffmpeg 5.1.9-0+deb12u1", Libraries: "libavutil 57.28.101, libavcodec 59.37.100", Digest: got.Digest}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Digest) != 64 {
		t.Errorf("digest %q (-want +got):\n%s", got.Digest, diff)
	}
	if other := aboutFrom("ffmpeg version 6"); other.Digest == got.Digest || other.Version != "ffmpeg 6" || other.Libraries != "" {
		t.Errorf("of another one: %+v", other)
	}
}

// One that is installed in the place of another is asked anew, without a restart of ours; one that stays is not.
func TestAnotherFFmpegIsNoticed(t *testing.T) {
	path := script(t, "")
	dir := filepath.Dir(path)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	install := func(version string) {
		t.Helper()
		text := "#!/bin/sh\necho asked >>" + dir + "/asked; chmod a+w " + dir + "/asked\necho ffmpeg version " + version + "\n"
		// No process may begin while the script is open for writing: it would inherit that, and the script could not be run.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o755), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	tool, _ := newTool(t, Config{Path: path})
	for _, version := range []string{"1", "2-longer"} {
		install(version)
		for range 3 {
			if got, err := tool.About(t.Context()); err != nil || got.Version != "ffmpeg "+version {
				t.Fatalf("got %+v, %v; want %s", got, err, version)
			}
		}
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil || string(asked) != "asked\nasked\n" {
		t.Errorf("two were asked: %q, %v", asked, err)
	}
}
