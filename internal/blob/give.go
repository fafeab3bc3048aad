package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errOtherBytes says that a file is not what its owner takes it for.
var errOtherBytes = errors.New("the file has other bytes")

// Give stores a file that its owner gives away: nobody writes into it any more, and its name may be removed afterwards. digest is its
// SHA-256, in hex, as the owner found it when it was finished. In a folder of the same file system the file itself becomes the blob
// and no byte of it is read: the digest is believed. Anywhere else it is copied, and one with another digest is refused. For the rest
// Give is Put.
func (s *Store) Give(ctx context.Context, key, path, digest string) (Info, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return Info{}, fmt.Errorf("put: %w", err)
	}
	if s.folder != "" {
		info, err := s.takeIn(key, path, digest)
		if err == nil {
			return info, nil
		}
		if !errors.Is(err, errNotOurs) {
			return Info{}, fmt.Errorf("put %s: %w", key, err)
		}
	}
	info, err := s.PutFile(ctx, key, path)
	if err == nil && info.SHA256 != digest {
		err = fmt.Errorf("put %s: %w", key, errOtherBytes)
		err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), key))
	}
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// errNotOurs says that a file cannot become a blob where it is.
var errNotOurs = errors.New("it has to be copied")

// takeIn gives a file a second name, which is that of a blob, and makes both durable. Nothing changes when it fails.
func (s *Store) takeIn(key, path, digest string) (Info, error) {
	about, err := os.Lstat(path)
	if err != nil {
		return Info{}, err
	}
	if !about.Mode().IsRegular() {
		return Info{}, errNotOurs
	}
	to := filepath.Join(s.folder, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return Info{}, err
	}
	between := fmt.Sprintf("%s.%s.tmp", to, rand.Text()) // as whatever is not finished is called, and cleared away
	if err := os.Link(path, between); err != nil {
		return Info{}, fmt.Errorf("%w: %w", errNotOurs, err) // another file system, or one without links
	}
	if err := errors.Join(sealFile(between), os.Rename(between, to)); err != nil {
		return Info{}, errors.Join(err, os.Remove(between))
	}
	if err := s.settle(key); err != nil {
		return Info{}, errors.Join(err, os.Remove(to))
	}
	return Info{Key: key, Bytes: about.Size(), SHA256: digest}, nil
}

// sealFile makes the bytes of a file durable, and lets only the process's user and group read them.
func sealFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o640), f.Sync(), f.Close())
}
