package backup

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"consilium/internal/blob"
	"consilium/internal/media"
	"consilium/internal/spool"
)

// atOnce is how many blobs are copied at the same time.
const atOnce = 4

// chunkPrefix begins the keys of what stitchers keep for each other: it can be made again, and is large.
const chunkPrefix = "chunks/"

// blobEntry is one line of the index of blobs.
type blobEntry struct {
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// openBlobs opens the blobs of a back-up as a store.
func openBlobs(ctx context.Context, dir string) (*blob.Store, error) {
	path, err := filepath.Abs(filepath.Join(dir, blobFolder))
	if err != nil {
		return nil, err
	}
	return blob.Open(ctx, (&url.URL{Scheme: "file", Path: path}).String())
}

// shelf is the blobs of a back-up while it is made. It is safe for concurrent use.
type shelf struct {
	*maker
	store *blob.Store

	mu     sync.Mutex           // guards what follows
	before map[string]blobEntry // of the back-up before
	index  map[string]blobEntry
	faults map[string]Missing
	done   int64
	bytes  int64 // copied now
}

// copyBlobs copies what is on its way to the blob store, then what the store has, and says what the log names and neither
// had. In this order nothing slips through that is carried over meanwhile.
func (m *maker) copyBlobs(ctx context.Context) ([]blobEntry, []Missing, error) {
	store, err := openBlobs(ctx, m.dir)
	if err != nil {
		return nil, nil, err
	}
	defer store.Close()
	s := &shelf{maker: m, store: store, before: map[string]blobEntry{}, index: map[string]blobEntry{}, faults: map[string]Missing{}}
	if f, ok := m.old.file(indexFile); ok {
		entries, err := readIndex(m.dir)
		if err != nil || f.check(m.dir) != nil {
			entries = nil // copied anew
		}
		for _, e := range entries {
			s.before[e.Key] = e
		}
	}
	if err := s.copySpool(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.copyStore(ctx); err != nil {
		return nil, nil, err
	}
	for key := range m.found.named {
		if _, ok := s.index[key]; !ok && !s.keepOld(ctx, key) && !m.found.sheets[key] { // a sheet may have been erased
			if _, known := s.faults[key]; !known {
				s.faults[key] = Missing{key, "missing"}
			}
		}
	}
	m.tell(Progress{Stage: "blobs", Done: s.done, Total: s.done, Bytes: s.bytes})
	return s.sorted(), s.missing(), nil
}

// copyStore copies every blob of the store that is not here yet.
func (s *shelf) copyStore(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(atOnce)
	for info, err := range s.from.Blobs.List(ctx, "") {
		if err != nil {
			return errors.Join(err, work.Wait())
		}
		if ctx.Err() != nil {
			break
		}
		if strings.HasPrefix(info.Key, chunkPrefix) {
			continue
		}
		work.Go(func() error { return s.take(ctx, info) })
	}
	return work.Wait()
}

// take copies one blob unless it is here. One that is not what the log says is left where it is and named; a copy
// of it that is right stays.
func (s *shelf) take(ctx context.Context, info blob.Info) error {
	want := s.found.named[info.Key]
	if s.have(ctx, info, want) {
		return nil
	}
	if s.keepOld(ctx, info.Key) {
		s.from.Logger.Error("a blob has another length than the copy that agrees with the log; the copy is kept", "key", info.Key)
		return nil
	}
	r, err := s.from.Blobs.Get(ctx, info.Key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil // it was erased meanwhile
	}
	if err != nil {
		return err
	}
	defer r.Close()
	copied, err := s.store.Put(ctx, info.Key, r)
	if err != nil {
		return err
	}
	if want != "" && copied.SHA256 != want {
		s.from.Logger.Error("a blob is not what the log says", "key", info.Key)
		s.mu.Lock()
		s.faults[info.Key] = Missing{info.Key, "damaged"}
		s.mu.Unlock()
		return s.store.Delete(ctx, info.Key)
	}
	s.add(blobEntry{copied.Key, copied.Bytes, copied.SHA256}, copied.Bytes)
	return nil
}

// have says whether a blob is here from before, and notes it then: with the digest that the log names, or, where it names
// none, with the same length. Blobs never change.
func (s *shelf) have(ctx context.Context, info blob.Info, want string) bool {
	s.mu.Lock()
	_, noted := s.index[info.Key]
	old, ok := s.before[info.Key]
	s.mu.Unlock()
	if noted {
		return true
	}
	if !ok || old.Bytes != info.Bytes || want != "" && old.SHA256 != want || !s.holds(ctx, old) {
		return false
	}
	s.add(old, 0)
	return true
}

// keepOld notes a blob that the store has no more, or damaged, and that a back-up before has as the log names it.
func (s *shelf) keepOld(ctx context.Context, key string) bool {
	want := s.found.named[key]
	s.mu.Lock()
	old, ok := s.before[key]
	s.mu.Unlock()
	if want == "" || !ok || old.SHA256 != want || !s.holds(ctx, old) {
		return false
	}
	s.add(old, 0)
	return true
}

// holds says whether the file of an entry is still there with its length.
func (s *shelf) holds(ctx context.Context, e blobEntry) bool {
	info, err := s.store.Stat(ctx, e.Key)
	return err == nil && info.Bytes == e.Bytes
}

func (s *shelf) add(e blobEntry, copied int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index[e.Key] = e
	s.done++
	s.bytes += copied
	s.tell(Progress{Stage: "blobs", Done: s.done, Bytes: s.bytes})
}

// copySpool copies segments that are closed and not stored yet, to where they will be stored. One that is stored
// meanwhile is found in the store.
func (s *shelf) copySpool(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(s.from.SpoolDir, "*", "*"+media.SealedExtension))
	if err != nil || s.from.SpoolDir == "" {
		return err
	}
	for _, file := range files {
		if err := s.copySealed(ctx, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copy %s: %w", file, err)
		}
	}
	return nil
}

func (s *shelf) copySealed(ctx context.Context, file string) error {
	base := strings.TrimSuffix(file, media.SealedExtension)
	sidecar := strings.TrimSuffix(base, filepath.Ext(base)) + media.SidecarExtension
	raw, err := os.ReadFile(sidecar)
	if err != nil {
		return err
	}
	var seg media.Segment
	if err := json.Unmarshal(raw, &seg); err != nil || filepath.Base(base) != seg.FileName() || filepath.Base(filepath.Dir(base)) != seg.Room {
		s.from.Logger.Error("a sealed segment has no readable sidecar and is not copied", "file", file)
		return nil
	}
	key := spool.Key(seg)
	if !s.have(ctx, blob.Info{Key: key, Bytes: seg.Bytes}, seg.SHA256) {
		copied, err := s.store.PutFile(ctx, key, file)
		if err != nil {
			return err
		}
		if copied.SHA256 != seg.SHA256 {
			s.from.Logger.Error("a sealed segment is not what was sealed", "file", file)
			return s.store.Delete(ctx, key)
		}
		s.add(blobEntry{copied.Key, copied.Bytes, copied.SHA256}, copied.Bytes)
	}
	if s.have(ctx, blob.Info{Key: sidecarKey(key), Bytes: int64(len(raw))}, "") {
		return nil
	}
	beside, err := s.store.Put(ctx, sidecarKey(key), strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	s.add(blobEntry{beside.Key, beside.Bytes, beside.SHA256}, beside.Bytes)
	return nil
}

// sidecarKey is the key of what is said of a segment.
func sidecarKey(segment string) string {
	return strings.TrimSuffix(segment, filepath.Ext(segment)) + media.SidecarExtension
}

func (s *shelf) sorted() []blobEntry {
	all := make([]blobEntry, 0, len(s.index))
	for _, e := range s.index {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b blobEntry) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

func (s *shelf) missing() []Missing {
	all := make([]Missing, 0, len(s.faults))
	for _, f := range s.faults {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Missing) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

func writeIndex(dir string, index []blobEntry) (File, error) {
	return create(dir, indexFile, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		lines := json.NewEncoder(out)
		for _, e := range index {
			if err := lines.Encode(e); err != nil {
				return fmt.Errorf("encode %s: %w", e.Key, err)
			}
		}
		return out.Flush()
	})
}

func readIndex(dir string) ([]blobEntry, error) {
	f, err := os.Open(filepath.Join(dir, indexFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []blobEntry
	lines := json.NewDecoder(bufio.NewReader(f))
	for {
		var e blobEntry
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", indexFile, err)
		}
		all = append(all, e)
	}
}
