package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"consilium/internal/media"
)

// writeSidecar writes the description of a segment beside its file: whole or not at all, and synced, the name apart.
// The name is synced with the folder.
func writeSidecar(dir string, s media.Segment) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode sidecar of %s: %w", s.ID, err)
	}
	path := filepath.Join(dir, s.SidecarName())
	if err := writeSynced(path+temporary, append(b, '\n')); err != nil {
		_ = os.Remove(path + temporary) // a full disk leaves half of it; what stays is swept at the next start
		return fmt.Errorf("write sidecar of %s: %w", s.ID, err)
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return fmt.Errorf("name sidecar of %s: %w", s.ID, err)
	}
	return nil
}

// temporary is the ending of a sidecar that is being written.
const temporary = ".tmp"

func readSidecar(path string) (media.Segment, error) {
	var s media.Segment
	b, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read sidecar: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read sidecar %s: %w", path, err)
	}
	return s, nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// makeFolder makes the folder of a room below dir; both names are durable when it returns.
func makeFolder(dir, room string) (string, error) {
	path := filepath.Join(dir, room)
	err := os.Mkdir(path, 0o750)
	switch {
	case errors.Is(err, os.ErrExist):
		return path, nil
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(path, 0o750); err != nil {
			return "", fmt.Errorf("make folder of a room: %w", err)
		}
		if err := syncFolder(filepath.Dir(dir)); err != nil {
			return "", err
		}
	case err != nil:
		return "", fmt.Errorf("make folder of a room: %w", err)
	}
	return path, syncFolder(dir)
}
