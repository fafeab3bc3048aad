package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The files of a back-up.
const (
	manifestFile = "manifest.json"
	logFolder    = "log"          // entries of the log, some thousand a file
	blobFolder   = "blobs"        // a file a blob, under its key
	namesFile    = "names.ndjson" // an entry of the directory a line
	staffFile    = "staff.ndjson" // an actor of events, or the case of a hold, a line
	webhooksFile = "webhooks.ndjson"
	indexFile    = "blobs.ndjson" // key, length and digest of a blob a line
	secretFile   = "api-secret"
)

// format is the version of all that.
const format = 1

// Manifest says what a back-up holds. It is written last: without it a folder is no back-up.
type Manifest struct {
	Format        int       `json:"format"`
	Made          time.Time `json:"made"`
	Last          uint64    `json:"last"` // place of the newest entry of the log
	Consultations int       `json:"consultations"`
	Blobs         int       `json:"blobs"`
	Bytes         int64     `json:"bytes"`   // of the blobs
	Files         []File    `json:"files"`   // everything but the blobs, which are in blobs.ndjson
	Missing       []Missing `json:"missing"` // what the log names and the blob store did not have, or had damaged
}

// File is one file of a back-up.
type File struct {
	Name   string `json:"name"` // relative to the folder, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Missing is a blob that could not be copied.
type Missing struct {
	Key     string `json:"key"`
	Problem string `json:"problem"` // "missing", "damaged"
}

// ErrNoBackup says that a folder is no complete back-up.
var ErrNoBackup = errors.New("this is no back-up")

// ReadManifest reads what a back-up holds. The error wraps os.ErrNotExist when the folder is none.
func ReadManifest(dir string) (Manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %s: %w", ErrNoBackup, manifestFile, err)
	}
	if m.Format != format {
		return Manifest{}, fmt.Errorf("%w of a form that this program knows: %d", ErrNoBackup, m.Format)
	}
	return m, nil
}

func (m Manifest) write(dir string) error {
	if m.Missing == nil {
		m.Missing = []Missing{}
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", manifestFile, err)
	}
	_, err = writeFile(dir, manifestFile, append(raw, '\n'))
	return err
}

// file finds a file by its name.
func (m Manifest) file(name string) (File, bool) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// writeFile writes a whole small file durably.
func writeFile(dir, name string, content []byte) (File, error) {
	return create(dir, name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// create writes a file durably: under another name first, synced, renamed, its folder synced.
func create(dir, name string, write func(io.Writer) error) (File, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	file, err := func() (File, error) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return File{}, err
		}
		f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return File{}, err
		}
		defer f.Close()
		sum := &counter{sum: sha256.New()}
		if err := write(io.MultiWriter(f, sum)); err != nil {
			return File{}, err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return File{}, err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return File{}, err
		}
		return File{Name: name, Bytes: sum.n, SHA256: hex.EncodeToString(sum.sum.Sum(nil))}, syncFolder(filepath.Dir(path))
	}()
	if err != nil {
		return File{}, fmt.Errorf("write %s: %w", name, err)
	}
	return file, nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// counter digests and counts.
type counter struct {
	sum interface {
		io.Writer
		Sum(b []byte) []byte
	}
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.sum.Write(b)
	c.n += int64(n)
	return n, err
}

// check reads a file of a back-up and holds it against the manifest.
func (f File) check(dir string) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Name)))
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.Bytes || got != f.SHA256 {
		return fmt.Errorf("%s is not the file that was backed up: %w", f.Name, ErrDamaged)
	}
	return nil
}

// ErrDamaged says that a file of a back-up has changed since.
var ErrDamaged = errors.New("the back-up is damaged")
