package reindex

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/spool"
)

// sidecars are the ids of the segments that one consultation has a sidecar of, and where.
type sidecars struct {
	stored  map[string]bool   // in the blob store
	waiting map[string]string // in the spool: the folder of the room
	alone   []string          // media files in the blob store that have no sidecar
}

// find lists the segments of all consultations. It reads no file.
func find(ctx context.Context, blobs *blob.Store, spoolDir string) (map[string]*sidecars, error) {
	found := map[string]*sidecars{}
	of := func(id string) *sidecars {
		if found[id] == nil {
			found[id] = &sidecars{stored: map[string]bool{}, waiting: map[string]string{}}
		}
		return found[id]
	}
	media := map[string][]string{}
	for info, err := range blobs.List(ctx, "c/") {
		if err != nil {
			return nil, err
		}
		parts := strings.Split(info.Key, "/")
		if len(parts) != 4 || parts[2] != "segments" || !events.ValidID(parts[1]) {
			continue
		}
		id, ext, _ := strings.Cut(parts[3], ".")
		switch {
		case !events.ValidID(id):
		case ext == "json":
			of(parts[1]).stored[id] = true
		default:
			media[parts[1]] = append(media[parts[1]], id)
		}
	}
	for room, ids := range media {
		for _, id := range ids {
			if s := of(room); !s.stored[id] {
				s.alone = append(s.alone, id)
			}
		}
	}
	return found, findWaiting(spoolDir, of)
}

// findWaiting adds the sealed segments of the spool.
func findWaiting(dir string, of func(id string) *sidecars) error {
	if dir == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+media.SealedExtension))
	if err != nil {
		return err
	}
	for _, file := range files {
		room := filepath.Base(filepath.Dir(file))
		id, _, _ := strings.Cut(filepath.Base(file), ".")
		if events.ValidID(room) && events.ValidID(id) {
			of(room).waiting[id] = filepath.Dir(file)
		}
	}
	return nil
}

// file is one segment with a sidecar that can be believed.
type file struct {
	media.Segment
	key   string // in the blob store
	fault string // why it cannot be used: a cause as in consultation.completed; empty when it can
}

// Faults of files.
const (
	faultMissing = "missing"
	faultCorrupt = "corrupt"
)

// read reads all files of the consultation, and stores those that wait in the spool unless this is a dry run. problems tells
// in words what cannot be used.
func (r *run) read(ctx context.Context, found *sidecars) (files []file, problems []string, err error) {
	ids := make([]string, 0, len(found.stored)+len(found.waiting))
	for id := range found.stored {
		ids = append(ids, id)
	}
	for id := range found.waiting {
		if !found.stored[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		f, err := r.readOne(ctx, id, found)
		switch {
		case errors.Is(err, errUnusable):
			problems = append(problems, err.Error())
			continue
		case err != nil:
			return nil, nil, err
		case f.fault != "":
			problems = append(problems, fmt.Sprintf("segment %s is %s", id, f.fault))
		}
		files = append(files, f)
	}
	for _, id := range found.alone {
		if found.waiting[id] != "" {
			continue
		}
		problems = append(problems, fmt.Sprintf("segment %s has no sidecar: nobody knows whose it is and when it was", id))
	}
	return files, problems, nil
}

// errUnusable says that a sidecar is nothing to rebuild from.
var errUnusable = errors.New("cannot be used")

func (r *run) readOne(ctx context.Context, id string, found *sidecars) (file, error) {
	if found.stored[id] {
		s, err := r.sidecar(id, func() (io.ReadCloser, error) { return r.deps.Blobs.Get(ctx, r.key(id+media.SidecarExtension)) })
		if err != nil {
			return file{}, err
		}
		f := file{Segment: s, key: spool.Key(s)}
		f.fault, err = verify(s, func() (io.ReadCloser, error) { return r.deps.Blobs.Get(ctx, f.key) })
		if err != nil || f.fault == "" || found.waiting[id] == "" {
			return f, err
		}
	}
	return r.readWaiting(ctx, id, found.waiting[id])
}

// readWaiting reads a segment of the spool and brings a sound one into the blob store. The local files stay: the spool takes
// them away when it has seen that the store holds them and the log says so.
func (r *run) readWaiting(ctx context.Context, id, dir string) (file, error) {
	s, err := r.sidecar(id, func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, id+media.SidecarExtension)) })
	if err != nil {
		return file{}, err
	}
	f := file{Segment: s, key: spool.Key(s)}
	path := filepath.Join(dir, s.FileName()+media.SealedExtension)
	f.fault, err = verify(s, func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil || f.fault != "" || r.cfg.DryRun {
		return f, err
	}
	if _, err := r.deps.Blobs.PutFile(ctx, f.key, path); err != nil {
		return f, err
	}
	_, err = r.deps.Blobs.PutFile(ctx, r.key(s.SidecarName()), filepath.Join(dir, s.SidecarName()))
	return f, err
}

func (r *run) key(name string) string { return "c/" + r.id + "/segments/" + name }

// sidecar reads a sidecar and checks that everything in it may become an event: ids that are ids, and a file of a known
// codec.
func (r *run) sidecar(id string, open func() (io.ReadCloser, error)) (media.Segment, error) {
	unusable := func(why string) (media.Segment, error) {
		return media.Segment{}, fmt.Errorf("segment %s %w: %s", id, errUnusable, why)
	}
	in, err := open()
	if isMissing(err) {
		return unusable("its sidecar is gone")
	}
	if err != nil {
		return media.Segment{}, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxSidecar))
	if err != nil {
		return media.Segment{}, fmt.Errorf("read sidecar of %s: %w", id, err)
	}
	var s media.Segment
	switch err := json.Unmarshal(raw, &s); {
	case err != nil:
		return unusable("its sidecar is no JSON of a segment")
	case s.ID != id || s.Room != r.id:
		return unusable("its sidecar speaks of another one")
	case !events.ValidID(s.Owner) || !events.ValidID(s.Track) || s.Connection != "" && !events.ValidID(s.Connection):
		return unusable("its sidecar names no participant or track")
	case !slices.Contains([]media.Codec{media.VP8, media.VP9, media.AV1, media.H264, media.Opus}, s.Codec):
		return unusable("its codec is not known")
	case !plausible(s.Arrival):
		return unusable("its time makes no sense")
	case s.Frames <= 0 || s.LastRTP < s.FirstRTP || s.SHA256 == "":
		return unusable("it was never closed")
	}
	s.Source, s.OpenReason, s.CloseReason = plainSource(s.Source), plainReason(s.OpenReason), plainReason(s.CloseReason)
	return s, nil
}

// code is what reasons look like. Anything else would be a text of unknown origin in the log.
var code = regexp.MustCompile(`^[a-z_]{1,32}$`)

func plainReason(s string) string {
	if code.MatchString(s) {
		return s
	}
	return events.ReasonUnknown
}

// plausible says whether a time can be one of a recording, or of a sender's clock, however wrong that is. Others have no
// form in JSON once they are moved a little.
func plausible(t time.Time) bool {
	return t.Year() >= 1900 && t.Year() <= 2200
}

// maxSidecar bounds what is read of a sidecar; real ones have some kilobytes.
const maxSidecar = 1 << 20

// plainSource is the source if it is one: nothing else may become an event.
func plainSource(s media.Source) media.Source {
	if slices.Contains([]media.Source{media.Microphone, media.Camera, media.Screen, media.Device}, s) {
		return s
	}
	return ""
}

// verify reads a media file and holds it against its sidecar: length and digest, and what its container says of itself.
func verify(s media.Segment, open func() (io.ReadCloser, error)) (fault string, err error) {
	in, err := open()
	if isMissing(err) {
		return faultMissing, nil
	}
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum, counted := sha256.New(), &counter{}
	all := io.TeeReader(in, io.MultiWriter(sum, counted))
	sound, err := scan(s, all)
	if err == nil {
		_, err = io.Copy(io.Discard, all)
	}
	if err != nil {
		return "", fmt.Errorf("read segment %s: %w", s.ID, err)
	}
	if !sound || counted.n != s.Bytes || hex.EncodeToString(sum.Sum(nil)) != s.SHA256 {
		return faultCorrupt, nil
	}
	return "", nil
}

// scan says whether the container is whole and holds what the sidecar says.
func scan(s media.Segment, in io.Reader) (bool, error) {
	if s.Codec == media.Opus {
		ogg, err := media.ScanOgg(in)
		if errors.Is(err, media.ErrNotOgg) {
			return false, nil
		}
		return ogg.Packets == s.Frames && ogg.Samples == s.EndRTP-s.FirstRTP, err
	}
	ivf, err := media.ScanIVF(in)
	if errors.Is(err, media.ErrNotIVF) {
		return false, nil
	}
	return int64(len(ivf.Frames)) == s.Frames && ivf.Header.Codec == s.Codec &&
		ivf.Header.Width == s.Width && ivf.Header.Height == s.Height, err
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

func isMissing(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, fs.ErrNotExist)
}
