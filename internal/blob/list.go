package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"

	"gocloud.dev/blob"
)

// List gives the keys and lengths of all blobs whose key begins with prefix ("" = all), in the order of their keys. What
// is put or deleted meanwhile may be in it or not. A file in the folder, or an object in the bucket, that no Put can have
// made is left out. It is for back-ups: what exists is known from the log.
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
			if !yield(Info{Key: object.Key, Bytes: object.Size}, nil) {
				return
			}
		}
	}
}

// unfinished says whether a file of the folder is one that a Put is writing, or has left when its process was killed.
func (s *Store) unfinished(key string) bool {
	return s.folder != "" && path.Ext(key) == ".tmp"
}
