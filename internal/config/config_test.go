package config

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"consilium/internal/auth"
)

// live is a command line as cmd/live has one.
type live struct {
	File
	Serve struct{ Live }   `cmd:"" default:"withargs"`
	Token struct{ Secret } `cmd:""`
}

// parse reads a command line of live. The environment of the test counts.
func parse(t *testing.T, args ...string) (live, error) {
	t.Helper()
	var cli live
	k, err := kong.New(&cli, append(Options(), kong.Name("live"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) { t.Error("exit") }))...)
	if err != nil {
		return cli, err
	}
	_, err = k.Parse(args)
	return cli, err
}

// clean takes every setting of ours out of the environment.
func clean(t *testing.T) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "CONSILIUM_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	clean(t)
	cli, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	data, err := filepath.Abs("var")
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := Live{
		Process: Process{Node: host}, Secret: Secret{Folder: Folder{Data: data}}, Log: Log{LogLevel: "info", LogFormat: "text"},
		Recording: Recording{SegmentLength: 30 * time.Second},
		Listen:    "127.0.0.1:8080", MediaListen: ":8080",
	}
	if diff := cmp.Diff(want, cli.Serve.Live); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got, want := cli.Serve.Blobs(), "file://"+data+"/blobs"; got != want {
		t.Errorf("Blobs = %s, want %s", got, want)
	}
	if got := cli.Serve.BaseURL(); got != "http://127.0.0.1:8080" {
		t.Errorf("BaseURL = %s", got)
	}
	if w := cli.Serve.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %v", w)
	}
}

// TestSources sets the same setting in several places.
func TestSources(t *testing.T) {
	const env = "CONSILIUM_LISTEN"
	file := write(t, "# our clinic\n\nCONSILIUM_LISTEN = \"127.0.0.1:3\"\nexport CONSILIUM_DATA='/srv/consilium'\nCONSILIUM_URL=https://a.example/?x=1\n")
	right := write(t, "CONSILIUM_LISTEN=127.0.0.1:3\n")
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want string
		bad  string
	}{
		{name: "nothing", want: "127.0.0.1:8080"},
		{name: "the environment", env: map[string]string{env: "127.0.0.1:2"}, want: "127.0.0.1:2"},
		{name: "an empty variable is one that is not set", env: map[string]string{env: ""}, want: "127.0.0.1:8080"},
		{name: "a flag wins over the environment", env: map[string]string{env: "127.0.0.1:2"}, args: []string{"--listen=127.0.0.1:1"}, want: "127.0.0.1:1"},
		{name: "a file", args: []string{"--config=" + right}, want: "127.0.0.1:3"},
		{name: "a file that the environment names", env: map[string]string{"CONSILIUM_CONFIG": right}, want: "127.0.0.1:3"},
		{name: "a flag wins over the file", args: []string{"--config=" + right, "--listen=127.0.0.1:1"}, want: "127.0.0.1:1"},
		{name: "the environment wins over the file", env: map[string]string{env: "127.0.0.1:2"}, args: []string{"--config=" + right}, want: "127.0.0.1:2"},
		{name: "an empty variable leaves it to the file", env: map[string]string{env: ""}, args: []string{"--config=" + right}, want: "127.0.0.1:3"},
		{name: "what a file says is checked", args: []string{"--config=" + file}, bad: "CONSILIUM_URL"},
		{name: "a file that is not there", args: []string{"--config=/no/such/file"}, bad: "/no/such/file"},
		{name: "a file that is not there, from the environment", env: map[string]string{"CONSILIUM_CONFIG": "/no/such/file"}, bad: "/no/such/file"},
		{name: "a misspelt name", args: []string{"--config=" + write(t, "CONSILIUM_LISTENS=:1")}, bad: "CONSILIUM_LISTENS"},
		{name: "a foreign name", args: []string{"--config=" + write(t, "PATH=/bin")}, bad: "line 1"},
		{name: "a line without a value", args: []string{"--config=" + write(t, "\nCONSILIUM_LISTEN")}, bad: "line 2"},
		{name: "a name twice", args: []string{"--config=" + write(t, "CONSILIUM_LISTEN=:1\nCONSILIUM_LISTEN=:2")}, bad: "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clean(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			cli, err := parse(t, tt.args...)
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if cli.Serve.Listen != tt.want {
				t.Errorf("listen = %s, want %s", cli.Serve.Listen, tt.want)
			}
		})
	}
}

// TestOneFileForBoth gives the stitcher a file that also holds what only live knows.
func TestOneFileForBoth(t *testing.T) {
	clean(t)
	path := write(t, "CONSILIUM_LISTEN=127.0.0.1:3\nCONSILIUM_BLOB_URL=s3://archive?region=eu-central-1\n")
	var cli struct {
		File
		Stitcher
	}
	k, err := kong.New(&cli, append(Options(), kong.Name("stitcher"), kong.Exit(func(int) { t.Error("exit") }))...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse([]string{"--config", path}); err != nil {
		t.Fatal(err)
	}
	if got := cli.Blobs(); got != "s3://archive?region=eu-central-1" {
		t.Errorf("Blobs = %s", got)
	}
}

// TestNamesOfTheContract lists every variable, so that none is renamed by accident.
func TestNamesOfTheContract(t *testing.T) {
	clean(t)
	k, err := kong.New(&struct{ Live }{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, flag := range flagsOf(k.Model.Node) {
		for _, env := range flag.Envs {
			got = append(got, env+" --"+flag.Name)
			if want := "--" + strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(env, "CONSILIUM_")), "_", "-"); "--"+flag.Name != want {
				t.Errorf("%s is the flag --%s", env, flag.Name)
			}
			if flag.Help == "" {
				t.Errorf("%s has no help", env)
			}
		}
	}
	want := []string{
		"CONSILIUM_DATA --data", "CONSILIUM_API_SECRET --api-secret", "CONSILIUM_ISSUERS --issuers",
		"CONSILIUM_LOG_LEVEL --log-level", "CONSILIUM_LOG_FORMAT --log-format",
		"CONSILIUM_NATS_URL --nats-url", "CONSILIUM_BLOB_URL --blob-url", "CONSILIUM_NODE --node",
		"CONSILIUM_RECEIPTS --receipts", "CONSILIUM_SEGMENT_LENGTH --segment-length", "CONSILIUM_DISK_WARN --disk-warn", "CONSILIUM_DISK_REFUSE --disk-refuse",
		"CONSILIUM_WEBHOOK_ALLOW --webhook-allow",
		"CONSILIUM_LISTEN --listen", "CONSILIUM_MEDIA_LISTEN --media-listen", "CONSILIUM_PUBLIC_ADDR --public-addr",
		"CONSILIUM_ICE_LITE --ice-lite", "CONSILIUM_ICE_SERVERS --ice-servers",
		"CONSILIUM_TLS_CERT --tls-cert", "CONSILIUM_TLS_KEY --tls-key", "CONSILIUM_URL --url", "CONSILIUM_DATABASE_URL --database-url",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	pemFile := write(t, "x")
	right := Live{Listen: "127.0.0.1:8080", MediaListen: ":8080", Recording: Recording{SegmentLength: 30 * time.Second}}
	tests := []struct {
		name   string
		change func(*Live)
		bad    string // part of the error; empty: none
		secret string // must not be in the error
	}{
		{name: "the defaults", change: func(*Live) {}},
		{name: "everything given", change: func(l *Live) {
			l.NATSURL, l.BlobURL, l.DatabaseURL = "nats://a:4222, tls://b:4222", "file:///srv/blobs", "postgres://u:p@h/d"
			l.URL, l.PublicAddr, l.Node = "https://c.example/", "203.0.113.7, 2001:db8::7", "node-1.a"
			l.TLSCert, l.TLSKey, l.APISecret = pemFile, pemFile, strings.Repeat("s", 16)
		}},
		{name: "PostgreSQL's other form", change: func(l *Live) { l.DatabaseURL = "host=/run/postgresql user=consilium" }},
		{name: "a port only", change: func(l *Live) { l.Listen = "8080" }, bad: "CONSILIUM_LISTEN"},
		{name: "a port that is too large", change: func(l *Live) { l.MediaListen = ":80800" }, bad: "CONSILIUM_MEDIA_LISTEN"},
		{name: "a port with a name", change: func(l *Live) { l.Listen = ":http" }, bad: "CONSILIUM_LISTEN"},
		{name: "a public name", change: func(l *Live) { l.PublicAddr = "turn.example" }, bad: "CONSILIUM_PUBLIC_ADDR"},
		{name: "the address of everything", change: func(l *Live) { l.PublicAddr = "0.0.0.0" }, bad: "CONSILIUM_PUBLIC_ADDR"},
		{name: "a certificate without its key", change: func(l *Live) { l.TLSCert = pemFile }, bad: "both or none"},
		{name: "a certificate that is not there", change: func(l *Live) { l.TLSCert, l.TLSKey = "/no/cert", pemFile }, bad: "/no/cert"},
		{name: "a page below a path", change: func(l *Live) { l.URL = "https://c.example/consilium" }, bad: "CONSILIUM_URL"},
		{name: "an address without a scheme", change: func(l *Live) { l.URL = "c.example" }, bad: "CONSILIUM_URL"},
		{name: "a log elsewhere", change: func(l *Live) { l.NATSURL = "http://u:hunter2@h" }, bad: "CONSILIUM_NATS_URL", secret: "hunter2"},
		{name: "another database", change: func(l *Live) { l.DatabaseURL = "mysql://u:hunter2@h/d" }, bad: "CONSILIUM_DATABASE_URL", secret: "hunter2"},
		{name: "a database address that cannot be read", change: func(l *Live) { l.DatabaseURL = "postgres://u:hunter2%@h/d" }, bad: "CONSILIUM_DATABASE_URL", secret: "hunter2"},
		{name: "blobs in a relative folder", change: func(l *Live) { l.BlobURL = "file://blobs" }, bad: "CONSILIUM_BLOB_URL"},
		{name: "blobs by FTP", change: func(l *Live) { l.BlobURL = "ftp://u:hunter2@h" }, bad: "CONSILIUM_BLOB_URL", secret: "hunter2"},
		{name: "a short secret", change: func(l *Live) { l.APISecret = "hunter2" }, bad: "CONSILIUM_API_SECRET", secret: "hunter2"},
		{name: "a node with a slash", change: func(l *Live) { l.Node = "a/b" }, bad: "CONSILIUM_NODE"},
		{name: "issuers that are not there", change: func(l *Live) { l.Issuers = "/no/issuers" }, bad: "CONSILIUM_ISSUERS"},
		{name: "segments of half a second", change: func(l *Live) { l.SegmentLength = 500 * time.Millisecond }, bad: "CONSILIUM_SEGMENT_LENGTH"},
		{name: "segments of an hour", change: func(l *Live) { l.SegmentLength = time.Hour }, bad: "CONSILIUM_SEGMENT_LENGTH"},
		{name: "two faults are both named", change: func(l *Live) { l.Listen, l.URL = "x", "y" }, bad: "CONSILIUM_URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := right
			tt.change(&l)
			err := l.Validate()
			switch {
			case tt.bad == "" && err != nil:
				t.Errorf("error = %v", err)
			case tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)):
				t.Errorf("error = %v, want one about %s", err, tt.bad)
			case tt.secret != "" && strings.Contains(err.Error(), tt.secret):
				t.Errorf("the error gives the password away: %v", err)
			}
		})
	}
}

func TestBaseURLAndWarnings(t *testing.T) {
	tests := []struct {
		name  string
		live  Live
		want  string
		warns bool
	}{
		{name: "on this machine only", live: Live{Listen: "127.0.0.1:8080"}, want: "http://127.0.0.1:8080"},
		{name: "for everybody without TLS", live: Live{Listen: ":8080"}, want: "http://localhost:8080", warns: true},
		{name: "for everybody, IPv6, without TLS", live: Live{Listen: "[::]:8080"}, want: "http://localhost:8080", warns: true},
		{name: "for everybody with TLS", live: Live{Listen: "0.0.0.0:8443", TLSCert: "c", TLSKey: "k"}, want: "https://localhost:8443"},
		{name: "behind a proxy with TLS", live: Live{Listen: ":8080", URL: "https://c.example/"}, want: "https://c.example"},
		{name: "a secret that is not long", live: Live{Listen: "localhost:8080", Secret: Secret{APISecret: "sixteen letters!"}}, want: "http://localhost:8080", warns: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.live.BaseURL(); got != tt.want {
				t.Errorf("BaseURL = %s, want %s", got, tt.want)
			}
			if got := tt.live.Warnings(); (len(got) > 0) != tt.warns {
				t.Errorf("warnings: %v", got)
			}
		})
	}
}

func TestLoadSecret(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "data")
	secrets := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range secrets { // as several commands that start at the same time
		wg.Go(func() {
			var err error
			if secrets[i], err = LoadSecret(data); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if len(s) != 64 || !bytes.Equal(s, secrets[0]) {
			t.Fatalf("secrets differ or are short: %d bytes", len(s))
		}
	}
	found, err := os.ReadDir(data)
	if err != nil || len(found) != 1 {
		t.Fatalf("files = %v, error = %v", found, err)
	}
	path := filepath.Join(data, found[0].Name())
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, error = %v", info.Mode(), err)
	}
	if other, err := LoadSecret(t.TempDir()); err != nil || bytes.Equal(other, secrets[0]) {
		t.Errorf("another folder has the same secret, or error = %v", err)
	}

	t.Run("one that others can read is refused", func(t *testing.T) {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSecret(data); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("one that was cut is refused", func(t *testing.T) {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("short\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSecret(data); err == nil || !strings.Contains(err.Error(), "5 characters") {
			t.Errorf("error = %v", err)
		}
	})
}

// TestAuthority makes a token with one command's settings and checks it with another's.
func TestAuthority(t *testing.T) {
	clean(t)
	data := t.TempDir()
	cli, err := parse(t, "token", "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	mint, err := cli.Token.Authority(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := mint.Mint(auth.Claims{Subject: "s", Role: auth.RoleService}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := LoadSecret(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONSILIUM_API_SECRET", string(secret))
	if cli, err = parse(t, "--data", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	check, err := cli.Serve.Authority(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check.Verify(token); err != nil {
		t.Errorf("the secret of the file and of the environment are not the same: %v", err)
	}

	t.Run("issuers that cannot be read are an error", func(t *testing.T) {
		s := Secret{Folder: Folder{Data: data}, Issuers: write(t, "{}")}
		if _, err := s.Authority(time.Now); err == nil || !strings.Contains(err.Error(), "CONSILIUM_ISSUERS") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	l := Live{Listen: "127.0.0.1:1", DatabaseURL: "postgres://u:hunter2@h/d", Stores: Stores{NATSURL: "nats://u:hunter2@h"}, Secret: Secret{APISecret: "hunter2hunter2hunter2"}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "live", l)
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "127.0.0.1:1") {
		t.Errorf("%s", log.String())
	}
}
