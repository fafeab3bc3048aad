package testenv

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// S3 is a real S3 server on this machine that keeps its objects in a folder.
type S3 struct {
	Dir     string // <Dir>/<bucket>/<key> is an object
	URL     string // "http://127.0.0.1:PORT"
	Process *Process
}

// The account of every S3.
const (
	s3User     = "consilium"
	s3Password = "consilium-tests-only"
	s3Region   = "us-east-1"
)

// StartS3 builds the server (a minute the first time) and starts it with an empty folder. The credentials are in the
// environment of this test from now on, and in Env for other processes. It stops with the test.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	return StartS3At(t, FreePort(t), t.TempDir())
}

// StartS3At is StartS3 on a port and a folder of the test's choice: the same server again after it was stopped.
func StartS3At(t testing.TB, port int, dir string) *S3 {
	t.Helper()
	program, err := buildS3()
	if err != nil {
		t.Fatal(err)
	}
	s := &S3{Dir: filepath.Join(dir, "objects"), URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	meta := filepath.Join(dir, "meta")
	for _, d := range []string{s.Dir, meta} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// The sidecar folder is for file systems without extended attributes.
	cmd := exec.Command(program, "--quiet", "--port", strings.TrimPrefix(s.URL, "http://"), "--region", s3Region,
		"posix", "--sidecar", meta, s.Dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s3User, "ROOT_SECRET_KEY="+s3Password)
	s.Process = StartProcess(t, "versitygw", cmd)
	for _, e := range s.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	s.await(t)
	return s
}

// await waits until the server answers; that it refuses a stranger is an answer.
func (s *S3) await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			answer.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-s.Process.Done():
			t.Fatalf("the S3 server ended:\n%s", s.Process.Output())
		case <-ctx.Done():
			t.Fatalf("the S3 server does not answer: %v\n%s", err, s.Process.Output())
		}
	}
}

// Env are the credentials, as the AWS libraries look for them.
func (s *S3) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s3User, "AWS_SECRET_ACCESS_KEY=" + s3Password, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// Bucket makes a bucket unless it is there and returns its address for blob.Open and CONSILIUM_BLOB_URL.
func (s *S3) Bucket(t testing.TB, name string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(s.Dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	return BucketURL(name, s.URL)
}

// BucketURL is the address of a bucket on the server at endpoint, which may be a proxy in front of an S3.
func BucketURL(name, endpoint string) string {
	q := url.Values{"region": {s3Region}, "endpoint": {endpoint}, "use_path_style": {"true"}}
	return "s3://" + name + "?" + q.Encode()
}

// Unfinished lists what uploads that were begun and neither ended nor given up have left in a bucket.
func (s *S3) Unfinished(t testing.TB, bucket string) []string {
	t.Helper()
	var left []string
	err := filepath.WalkDir(filepath.Join(s.Dir, bucket), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, string(filepath.Separator)+".sgwtmp"+string(filepath.Separator)) {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// buildS3 builds the server; ./task setup does the same beforehand.
var buildS3 = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	program := filepath.Join(root, "bin", "versitygw")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", fmt.Errorf("make the folder for the S3 server: %w", err)
	}
	lock, err := os.Create(program + ".lock")
	if err != nil {
		return "", fmt.Errorf("lock the S3 server: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the S3 server: %w", err)
	}
	cmd := exec.Command("go", "build", "-modfile=tools/s3/go.mod", "-buildvcs=false", "-o", program, "github.com/versity/versitygw/cmd/versitygw")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the S3 server (%s does it beforehand): %w\n%s", setupCommand, err, out)
	}
	return program, nil
})

// moduleRoot is the folder of go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
