package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	script := func(t *testing.T, dir, name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name    string
		program string
		files   map[string]string
		want    string // file name, or empty when wantErr says why
		wantErr string
	}{
		{name: "a program is found under its own name", program: "ffmpeg", files: map[string]string{"ffmpeg": "#!/bin/sh\n"}, want: "ffmpeg"},
		{name: "a browser is found under another name", program: "chromium", files: map[string]string{"google-chrome": "#!/bin/sh\n"}, want: "google-chrome"},
		{name: "the extended support release comes first", program: "firefox", files: map[string]string{"firefox": "#!/bin/sh\n", "firefox-esr": "#!/bin/sh\n"}, want: "firefox-esr"},
		{name: "what is missing is named", program: "ffprobe", wantErr: "ffprobe is not in PATH"},
		{
			name: "a script that stands in for a snap is passed over", program: "chromium",
			files: map[string]string{"chromium-browser": "#!/bin/sh\nexec /snap/bin/chromium \"$@\"\n", "google-chrome": "#!/bin/sh\n"}, want: "google-chrome",
		},
		{
			name: "a snap alone is not enough and the message says why", program: "firefox",
			files: map[string]string{"firefox": "#!/bin/sh\nexec /snap/bin/firefox \"$@\"\n"}, wantErr: "is a snap",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				script(t, dir, name, text)
			}
			t.Setenv("PATH", dir)
			got, err := find(tt.program)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("find(%q) = %q, %v; want an error with %q", tt.program, got, err, tt.wantErr)
				}
				return
			}
			if err != nil || got != filepath.Join(dir, tt.want) {
				t.Errorf("find(%q) = %q, %v; want %s", tt.program, got, err, tt.want)
			}
		})
	}
}

func TestSnapIsSeenThroughASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	snap := filepath.Join(dir, "snap")
	if err := os.WriteFile(snap, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "chromium")
	if err := os.Symlink(snap, link); err != nil {
		t.Fatal(err)
	}
	if !isSnap(link) {
		t.Errorf("isSnap(%s → %s) = false, want true", link, snap)
	}
}
