package natslog

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Credentials are how a stitcher reaches the embedded server of a live process on the same machine.
type Credentials struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
}

// CredentialsPath is the file in a data folder that holds them, readable only by its owner, while live runs.
func CredentialsPath(dataDir string) string {
	return filepath.Join(dataDir, "run", "nats.json")
}

// ReadCredentials reads them. The error is fs.ErrNotExist when no live process has this data folder.
func ReadCredentials(dataDir string) (Credentials, error) {
	raw, err := os.ReadFile(CredentialsPath(dataDir))
	if err != nil {
		return Credentials{}, fmt.Errorf("find the event log of the live process: %w", err)
	}
	var c Credentials
	if err := json.Unmarshal(raw, &c); err != nil {
		return Credentials{}, fmt.Errorf("read %s: %w", CredentialsPath(dataDir), err)
	}
	return c, nil
}

// write puts the file in place as a whole: nobody ever reads half of it.
func (c Credentials) write(dataDir string) (err error) {
	path := CredentialsPath(dataDir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	raw, err := json.Marshal(c) //nolint:gosec // the file is how the stitcher gets the password; its mode is 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "nats.json.*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = f.Write(append(raw, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
