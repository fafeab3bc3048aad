package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"consilium/internal/auth"
)

// secretFile is the API secret's file in the data folder.
const secretFile = "api-secret"

// Secret is what a command needs to make and check tokens.
type Secret struct {
	Folder

	APISecret string `name:"api-secret" env:"CONSILIUM_API_SECRET" help:"Text that signs tokens, at least 16 characters. Empty: made once and kept in the data folder."`
	Issuers   string `name:"issuers" env:"CONSILIUM_ISSUERS" type:"path" help:"JSON file of other systems whose tokens are believed, with their public keys."`
}

// Validate says everything that is wrong at once.
func (s Secret) Validate() error {
	var errs []error
	if s.APISecret != "" && len(s.APISecret) < auth.MinSecret {
		errs = append(errs, fmt.Errorf("CONSILIUM_API_SECRET: it has %d characters and needs at least %d; without it one is made in the data folder",
			len(s.APISecret), auth.MinSecret))
	}
	if s.Issuers != "" {
		errs = append(errs, checkFile("CONSILIUM_ISSUERS", s.Issuers))
	}
	return errors.Join(errs...)
}

// Authority makes and checks tokens with the secret and the issuers.
func (s Secret) Authority(now func() time.Time) (*auth.Authority, error) {
	secret := []byte(s.APISecret)
	if len(secret) == 0 {
		var err error
		if secret, err = LoadSecret(s.Data); err != nil {
			return nil, err
		}
	}
	var issuers []auth.Issuer
	if s.Issuers != "" {
		raw, err := os.ReadFile(s.Issuers)
		if err != nil {
			return nil, fmt.Errorf("CONSILIUM_ISSUERS: %w", err)
		}
		if issuers, err = auth.ParseIssuers(raw); err != nil {
			return nil, fmt.Errorf("CONSILIUM_ISSUERS: %w", err)
		}
	}
	return auth.New(secret, issuers, now)
}

// LoadSecret reads the API secret from the data folder and makes it when there is none: 64 characters, readable for the
// owner only. The bytes of the file, without the line's end, are the secret, exactly as in CONSILIUM_API_SECRET. Two
// processes that start at the same time get the same one.
func LoadSecret(data string) ([]byte, error) {
	path := filepath.Join(data, secretFile)
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.MkdirAll(data, folderMode()); err != nil {
		return nil, fmt.Errorf("make the API secret: %w", err)
	}
	if err := makeSecret(path); err != nil {
		return nil, fmt.Errorf("make the API secret: %w", err)
	}
	return readSecret(path)
}

// folderMode closes the data folder to others; as root it lets PostgreSQL's user pass through to its own folder.
func folderMode() fs.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the API secret: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return nil, fmt.Errorf("the API secret in %s can be read by others: chmod 600 %s, or remove it to get a new one", path, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the API secret: %w", err)
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if len(secret) < auth.MinSecret {
		return nil, fmt.Errorf("the API secret in %s has %d characters and needs at least %d: remove the file to get a new one", path, len(secret), auth.MinSecret)
	}
	return []byte(secret), nil
}

// makeSecret writes a whole file and then gives it the name, unless another process was quicker.
func makeSecret(path string) error {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), secretFile+".*.part") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(random) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
