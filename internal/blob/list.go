package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"time"

	"gocloud.dev/blob"
)

// List gives the keys, lengths and times of all blobs whose key begins with prefix ("" = all), in the order of their keys. What
// is put or deleted meanwhile may be in it or not. A file in the folder, or an object in the bucket, that no Put can have
// made is left out. It is for back-ups and for what may go: what exists is known from the log.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		all := s.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			object, err := all.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Info{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			if object.IsDir || checkKey(object.Key) != nil || s.unfinished(object.Key) {
				continue
			}
			if !yield(Info{Key: object.Key, Bytes: object.Size, Stored: object.ModTime}, nil) {
				return
			}
		}
	}
}

// unfinished says whether a file of the folder is one that a Put is writing, or has left when its process was killed.
func (s *Store) unfinished(key string) bool {
	return s.folder != "" && path.Ext(key) == ".tmp"
}

// RemoveUnfinished removes what Puts of processes that were killed have left behind below a folder of the store and that
// was last written to before a moment, which must lie longer ago than any Put takes. It gives the bytes that it removed. A
// bucket has a rule of its own for that.
func (s *Store) RemoveUnfinished(ctx context.Context, folder string, before time.Time) (int64, error) {
	if s.folder == "" {
		return 0, nil
	}
	if err := checkKey(folder); err != nil {
		return 0, fmt.Errorf("remove unfinished: %w", err)
	}
	var sum int64
	root := filepath.Join(s.folder, filepath.FromSlash(folder))
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() || !s.unfinished(filepath.ToSlash(name)) {
			return unlessGone(err)
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().Before(before) {
			return unlessGone(err)
		}
		if err := os.Remove(name); err != nil {
			return unlessGone(err)
		}
		sum += info.Size()
		return nil
	})
	if err != nil {
		return sum, fmt.Errorf("remove unfinished: %w", err)
	}
	return sum, nil
}

// unlessGone forgets that a file is not there any more: its Put has ended, or another process has removed it.
func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
