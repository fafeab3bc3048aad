// Package blob keeps bytes under keys: a thin cover over gocloud.dev/blob that digests what it writes and makes it durable
// before it says so.
//
// In come keys and readers; out go lengths, SHA-256 digests and readers. The same calls work on a folder and on S3, and
// one suite of tests holds both to it. The package never changes what it stores and knows nothing of what the bytes mean.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file://
	_ "gocloud.dev/blob/s3blob"   // s3://
	"gocloud.dev/gcerrors"
)

// ErrNotFound says that there is nothing under a key.
var ErrNotFound = errors.New("no such blob")

// Info describes a stored blob.
type Info struct {
	Key    string
	Bytes  int64
	SHA256 string // hex; empty from Stat and List

	// Stored is when the bytes were written, by the clock of the store, to the second at best; zero but from Stat and List.
	Stored time.Time
}

// Store is one folder or bucket. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	folder string // absolute path, "" when the store is not a folder
}

// Open opens a store by URL: file:///absolute/folder (made when it is not there; file://./relative works too) or
// s3://bucket?region=… with the parameters of gocloud.dev/blob/s3blob. Close it when it is not needed any more.
//
// A folder is always opened with no_tmp_dir=true, so that the last step of a Put is a rename within one file system, and
// with metadata=skip, so that it holds the blobs and nothing else. Only the process's user and group can read them.
func Open(ctx context.Context, rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	s := &Store{}
	if u.Scheme == "file" {
		if s.folder, err = makeFolder(u); err != nil {
			return nil, fmt.Errorf("open blob store %s: %w", u.Redacted(), err)
		}
		q := u.Query()
		q.Set("no_tmp_dir", "true")
		q.Set("metadata", "skip")
		q.Set("dir_file_mode", "0750")
		u = &url.URL{Scheme: "file", Path: s.folder, RawQuery: q.Encode()}
	}
	if s.bucket, err = blob.OpenBucket(ctx, u.String()); err != nil {
		return nil, fmt.Errorf("open blob store %s: %w", u.Redacted(), err)
	}
	return s, nil
}

// Close lets go of the store. Readers that are still open may fail.
func (s *Store) Close() error {
	if err := s.bucket.Close(); err != nil {
		return fmt.Errorf("close blob store: %w", err)
	}
	return nil
}

// Put stores everything that r gives under key, over what was there. When it returns without an error the bytes are
// durable: on a folder, file, folder and newly made parent folders are synced. When it fails, nothing new is under the
// key.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, fmt.Errorf("put: %w", err)
	}
	info, err := s.write(ctx, key, r)
	if err != nil {
		return Info{}, fmt.Errorf("put %s: %w", key, err)
	}
	if err := s.settle(key); err != nil {
		err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), key))
		return Info{}, fmt.Errorf("put %s: %w", key, err)
	}
	return info, nil
}

// PutFile is Put with the content of a file.
func (s *Store) PutFile(ctx context.Context, key, path string) (Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return Info{}, fmt.Errorf("put %s: %w", key, err)
	}
	defer f.Close()
	return s.Put(ctx, key, f)
}

// write gives the bytes to the bucket. The blob appears under its key only when the writer is closed, which is not
// done, or done under a canceled context, after any error.
func (s *Store) write(ctx context.Context, key string, r io.Reader) (Info, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var file *os.File // of a folder: the temporary file
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: contentType(key),
		BeforeWrite: func(as func(any) bool) error {
			if as(&file) {
				return file.Chmod(0o640)
			}
			return nil
		},
	})
	if err != nil {
		return Info{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), r)
	if err == nil && s.folder != "" {
		if file == nil {
			err = errors.New("the folder's temporary file cannot be synced: it is not known")
		} else {
			err = file.Sync()
		}
	}
	if err != nil {
		cancel()
		_ = w.Close() // under a canceled context it only cleans up; err says why
		return Info{}, err
	}
	if err := w.Close(); err != nil {
		return Info{}, err
	}
	return Info{Key: key, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// Get opens a blob for reading from its start to its end. The caller closes it.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	return s.Range(ctx, key, 0, -1)
}

// Range opens n bytes of a blob from offset off on, or all the rest when n is negative; a blob that is shorter gives
// less. The caller closes it.
func (s *Store) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	if off < 0 {
		return nil, fmt.Errorf("get %s: negative offset %d", key, off)
	}
	r, err := s.bucket.NewRangeReader(ctx, key, off, n, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, notFound(err))
	}
	return r, nil
}

// Stat gives the length of a blob.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, fmt.Errorf("stat: %w", err)
	}
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return Info{}, fmt.Errorf("stat %s: %w", key, notFound(err))
	}
	return Info{Key: key, Bytes: a.Size, Stored: a.ModTime}, nil
}

// Delete removes a blob. That there is none is not an error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	switch err := notFound(s.bucket.Delete(ctx, key)); {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := s.settle(key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func notFound(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return ErrNotFound
	}
	return err
}
