package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"consilium/internal/auth"
)

// Text is the API secret, as set or as kept in the data folder; it is made when there is none.
func (s Secret) Text() (string, error) {
	if s.APISecret != "" {
		return s.APISecret, nil
	}
	raw, err := LoadSecret(s.Data)
	return string(raw), err
}

// Restorable says why secret cannot become the API secret of the data folder: there is another one.
func (s Secret) Restorable(secret string) error {
	if len(secret) < auth.MinSecret {
		return fmt.Errorf("the API secret to restore has %d characters and needs at least %d", len(secret), auth.MinSecret)
	}
	if s.APISecret != "" {
		return nil // that one counts
	}
	have, err := readSecret(filepath.Join(s.Data, secretFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case string(have) != secret:
		return fmt.Errorf("%s is another secret than the one to restore: remove it first", filepath.Join(s.Data, secretFile))
	}
	return nil
}

// Restore puts secret into the data folder unless another one is set.
func (s Secret) Restore(secret string) error {
	if err := s.Restorable(secret); err != nil || s.APISecret != "" {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.Data, secretFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("restore the API secret: %w", err)
	}
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("restore the API secret: %w", err)
	}
	return nil
}
