package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Digest reads a whole blob back and gives its length and digest as the store holds them now. What Put returns was
// counted on the way there; this is the store's own word. A checksum that a store keeps beside a blob would be cheaper,
// but it tells what was once received, not what is there. In a folder the bytes come from the disk where the system lets
// us ask for that, not from memory.
func (s *Store) Digest(ctx context.Context, key string) (Info, error) {
	if err := s.forget(key); err != nil {
		return Info{}, fmt.Errorf("digest %s: %w", key, err)
	}
	r, err := s.Get(ctx, key)
	if err != nil {
		return Info{}, fmt.Errorf("digest: %w", err)
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err != nil {
		return Info{}, fmt.Errorf("digest %s: %w", key, err)
	}
	return Info{Key: key, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// forget makes the system drop its copy in memory of a synced file. That there is none is found later.
func (s *Store) forget(key string) error {
	if s.folder == "" || checkKey(key) != nil {
		return nil
	}
	f, err := os.Open(filepath.Join(s.folder, filepath.FromSlash(key)))
	if err != nil {
		return nil //nolint:nilerr // reading it says why
	}
	return errors.Join(dropCache(f), f.Close())
}
