package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// makeFolder makes the folder of a file URL durably and returns its absolute path.
func makeFolder(u *url.URL) (string, error) {
	path := filepath.FromSlash(u.Path)
	switch u.Host {
	case "", "localhost":
	case ".":
		path = "." + path
	default:
		return "", fmt.Errorf("host %q: a file URL is file:///folder", u.Host)
	}
	if u.Path == "" {
		return "", errors.New("no folder in the URL")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	missing := path
	for {
		if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the folder is the operator's setting
			break
		}
		missing = filepath.Dir(missing)
	}
	if err := os.MkdirAll(path, 0o750); err != nil { //nolint:gosec // the folder is the operator's setting
		return "", err
	}
	return path, syncFolders(path, missing)
}

// settle makes the name of a blob durable: it syncs the folder of key and those above it up to the store's own. Those
// that have not changed cost next to nothing, and none can be missed when two Puts make the same folder at once.
func (s *Store) settle(key string) error {
	if s.folder == "" {
		return nil
	}
	return syncFolders(filepath.Dir(filepath.Join(s.folder, filepath.FromSlash(key))), s.folder)
}

// syncFolders syncs the folder low and all above it up to and with high.
func syncFolders(low, high string) error {
	for at := low; ; at = filepath.Dir(at) {
		if err := syncFolder(at); err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
		if at == high || at == filepath.Dir(at) {
			return nil
		}
	}
}

func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // below the operator's folder: keys are checked
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
