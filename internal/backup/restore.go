package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/media"
)

// ErrNotEmpty says that there is something already where a back-up is to be restored.
var ErrNotEmpty = errors.New("there is something already")

// Secret gives the secret that signs tokens, as it is in a back-up.
func Secret(dir string) (string, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return "", err
	}
	if f, ok := m.file(secretFile); !ok {
		return "", fmt.Errorf("%w: it has no %s", ErrNoBackup, secretFile)
	} else if err := f.check(dir); err != nil {
		return "", err
	}
	raw, err := os.ReadFile(filepath.Join(dir, secretFile))
	return strings.TrimRight(string(raw), "\r\n"), err
}

// Restore copies a back-up into stores that are empty. Everything in the back-up
// is checked against its digests and the chains of the log before the first byte is written. What is in the log last was
// written last: after an error, begin again with empty stores. tell may be nil.
func Restore(ctx context.Context, dir string, into Stores, tell func(Progress)) (Manifest, error) {
	r := &restorer{dir: dir, into: into, tell: throttled(tell), found: newFindings()}
	if r.into.Logger == nil {
		r.into.Logger = slog.New(slog.DiscardHandler)
	}
	if err := r.restore(ctx); err != nil {
		return r.m, fmt.Errorf("restore %s: %w", dir, err)
	}
	return r.m, nil
}

// restorer is one Restore.
type restorer struct {
	dir   string
	into  Stores
	tell  func(Progress)
	m     Manifest
	blobs *blob.Store // of the back-up
	found *findings
}

func (r *restorer) restore(ctx context.Context) (err error) {
	if r.m, err = ReadManifest(r.dir); err != nil {
		return err
	}
	if err := r.empty(ctx); err != nil {
		return err
	}
	index, err := r.check()
	if err != nil {
		return err
	}
	if r.blobs, err = openBlobs(ctx, r.dir); err != nil {
		return err
	}
	defer r.blobs.Close()
	if err := r.copyBlobs(ctx, index); err != nil {
		return err
	}
	if err := r.refillSpool(ctx); err != nil {
		return err
	}
	if err := r.copyNames(ctx); err != nil {
		return err
	}
	if err := r.copyStaff(ctx); err != nil {
		return err
	}
	if err := r.copyWebhooks(ctx); err != nil {
		return err
	}
	return r.copyLog(ctx)
}

// empty refuses to restore over something.
func (r *restorer) empty(ctx context.Context) error {
	info, err := r.into.Log.Info(ctx)
	switch {
	case err != nil:
		return err
	case info.Last != 0:
		return fmt.Errorf("%w: the event log has %d events", ErrNotEmpty, info.Last)
	}
	for c, err := range r.into.Directory.All(ctx) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: the directory knows consultation %s", ErrNotEmpty, c.ID)
	}
	told, err := r.into.Webhooks.All(ctx, 0)
	switch {
	case err != nil:
		return err
	case len(told) > 0:
		return fmt.Errorf("%w: webhook %s", ErrNotEmpty, told[0].ID)
	}
	for b, err := range r.into.Blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: the blob store has %s", ErrNotEmpty, b.Key)
	}
	waiting, err := filepath.Glob(filepath.Join(r.into.SpoolDir, "*", "*"))
	if err == nil && len(waiting) > 0 {
		return fmt.Errorf("%w: recordings wait in %s", ErrNotEmpty, r.into.SpoolDir)
	}
	return err
}

// check holds every file against the manifest, the log against its chains, and what the log names against the blobs.
func (r *restorer) check() ([]blobEntry, error) {
	for _, f := range r.m.Files {
		if err := f.check(r.dir); err != nil {
			return nil, err
		}
	}
	for e, err := range readLog(r.dir, r.m) {
		if err == nil {
			err = r.found.note(e)
		}
		if err != nil {
			return nil, err
		}
		r.tell(Progress{Stage: "check", Done: int64(e.Sequence), Total: int64(r.m.Last)})
	}
	if got := r.found.next - 1; got != r.m.Last {
		return nil, fmt.Errorf("the log has %d entries instead of %d: %w", got, r.m.Last, ErrDamaged)
	}
	index, err := readIndex(r.dir)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for _, e := range index {
		known[e.Key] = e.SHA256
	}
	absent := map[string]bool{}
	for _, m := range r.m.Missing {
		absent[m.Key] = true
		r.into.Logger.Error("the back-up lacks a blob that the log names", "key", m.Key, "problem", m.Problem)
	}
	for key, want := range r.found.named {
		if known[key] != want && !absent[key] && !r.found.sheets[key] {
			return nil, fmt.Errorf("the log names %s, and the back-up does not have it so: %w", key, ErrDamaged)
		}
	}
	return index, nil
}

// copyBlobs copies every blob, digested on the way.
func (r *restorer) copyBlobs(ctx context.Context, index []blobEntry) error {
	var done, bytes int64
	results := make(chan int64, atOnce)
	told := make(chan struct{})
	go func() { // ends when results is closed
		defer close(told)
		for n := range results {
			done, bytes = done+1, bytes+n
			r.tell(Progress{Stage: "blobs", Done: done, Total: int64(len(index)), Bytes: bytes})
		}
	}()
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(atOnce)
	for _, e := range index {
		work.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := r.copyBlob(ctx, e); err != nil {
				return fmt.Errorf("blob %s: %w", e.Key, err)
			}
			results <- e.Bytes
			return nil
		})
	}
	err := work.Wait()
	close(results)
	<-told
	return err
}

func (r *restorer) copyBlob(ctx context.Context, e blobEntry) error {
	in, err := r.blobs.Get(ctx, e.Key)
	if err != nil {
		return err
	}
	defer in.Close()
	copied, err := r.into.Blobs.Put(ctx, e.Key, in)
	if err != nil {
		return err
	}
	if copied.SHA256 != e.SHA256 || copied.Bytes != e.Bytes {
		return errors.Join(ErrDamaged, r.into.Blobs.Delete(ctx, e.Key))
	}
	return nil
}

// refillSpool puts segments that were closed and, as far as this log knows, not stored back on their way: the next start
// finds them and says so.
func (r *restorer) refillSpool(ctx context.Context) error {
	for segment, consultation := range r.found.sealed {
		raw, err := r.read(ctx, "c/"+consultation+"/segments/"+segment+media.SidecarExtension)
		if errors.Is(err, blob.ErrNotFound) {
			r.into.Logger.Warn("a recording was not stored when the back-up was made and is not in it", "segment", segment, "consultation", consultation)
			continue
		}
		if err != nil {
			return err
		}
		var seg media.Segment
		if err := json.Unmarshal(raw, &seg); err != nil || seg.ID != segment || seg.Room != consultation {
			return fmt.Errorf("sidecar of segment %s: %w", segment, ErrDamaged)
		}
		content, err := r.read(ctx, "c/"+consultation+"/segments/"+seg.FileName())
		if err != nil {
			return err
		}
		for name, bytes := range map[string][]byte{seg.SidecarName(): raw, seg.FileName() + media.SealedExtension: content} {
			if _, err := writeFile(r.into.SpoolDir, consultation+"/"+name, bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *restorer) read(ctx context.Context, key string) ([]byte, error) {
	in, err := r.blobs.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

func (r *restorer) copyNames(ctx context.Context) error {
	n := int64(0)
	for c, err := range readNames(r.dir) {
		if err != nil {
			return err
		}
		if err := r.into.Directory.Put(ctx, c); err != nil {
			return err
		}
		n++
		r.tell(Progress{Stage: "names", Done: n})
	}
	return nil
}

func (r *restorer) copyLog(ctx context.Context) error {
	return r.into.Log.Restore(ctx, readLog(r.dir, r.m), func(through uint64) {
		r.tell(Progress{Stage: "log", Done: int64(through), Total: int64(r.m.Last)}) //nolint:gosec // far below 2^63
	})
}
