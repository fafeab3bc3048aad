package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"consilium/internal/auth"
	"consilium/internal/blob"
	"consilium/internal/consultation"
	"consilium/internal/events"
)

// archiveFiles are the files of an archive version and their media types.
var archiveFiles = map[string]string{
	"archive.mp4":    "video/mp4",
	"manifest.json":  "application/json",
	"chapters.vtt":   "text/vtt; charset=utf-8",
	"events.vtt":     "text/vtt; charset=utf-8",
	"thumbnails.vtt": "text/vtt; charset=utf-8",
	"thumbnails.jpg": "image/jpeg",
	"peaks.json":     "application/json",
	failureFile:      "text/plain; charset=utf-8",
}

// mediaTypeOf finds the media type of a file of an archive, empty when there is no such file. Beside the files that every
// version may have there is one for each participant's voice, where that was ordered.
func mediaTypeOf(file string) string {
	if participant, ok := strings.CutPrefix(file, "voice-"); ok {
		if id, ok := strings.CutSuffix(participant, ".m4a"); ok && events.ValidID(id) {
			return "audio/mp4"
		}
	}
	return archiveFiles[file]
}

// failureFile is what is known of a version that failed; no other file of it exists.
const failureFile = "failure.txt"

// actionFor says what must be allowed to read a file: pictures and sound, or words about them.
func actionFor(file string) auth.Action {
	switch file {
	case "manifest.json", "chapters.vtt", "events.vtt", failureFile:
		return auth.ViewManifest
	default:
		return auth.ViewArchive
	}
}

func (s *Server) routeFiles() {
	s.mux.HandleFunc("GET "+prefix+"/consultations/{id}/archives/{version}/{file}", s.archiveFile)
}

// archiveFile serves one file of an archive, with ranges (RFC 9110 §14) so that a player can seek.
func (s *Server) archiveFile(w http.ResponseWriter, r *http.Request) {
	if err := s.serveArchiveFile(w, r); err != nil {
		writeProblem(w, problemOf(s.deps.Logger, err))
	}
}

func (s *Server) serveArchiveFile(w http.ResponseWriter, r *http.Request) error {
	who, err := s.callerOf(r)
	if err != nil {
		return err
	}
	id, file := r.PathValue("id"), r.PathValue("file")
	if err := who.may(actionFor(file), id, ""); err != nil {
		return err
	}
	mediaType := mediaTypeOf(file)
	version, err := strconv.Atoi(r.PathValue("version"))
	if mediaType == "" || err != nil || version < 1 || !events.ValidID(id) {
		return blob.ErrNotFound
	}
	if actionFor(file) == auth.ViewArchive {
		if err := s.mayWatch(r, who, id, version); err != nil {
			return err
		}
	}
	key, digest, err := s.placeOf(r.Context(), id, version, file)
	if err != nil {
		return err
	}
	info, err := s.deps.Blobs.Stat(r.Context(), key)
	if err != nil {
		return err
	}
	content := &blobContent{ctx: r.Context(), store: s.deps.Blobs, key: key, size: info.Bytes}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", fmt.Sprintf(`"%s-%d-%s"`, digest[:min(16, len(digest))], info.Bytes, file))
	if r.URL.Query().Has("download") {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{
			"filename": fmt.Sprintf("consultation-%s-v%d%s", id, version, path.Ext(file)),
		}))
	}
	if unit, _, _ := strings.Cut(r.Header.Get("Range"), "="); unit != "bytes" {
		r.Header.Del("Range") // a unit that we do not know is as none (RFC 9110 §14.2); net/http would refuse it
	}
	ranged := &rangeWriter{ResponseWriter: w}
	http.ServeContent(ranged, r, file, time.Time{}, content)
	if ranged.refused {
		return problem(http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable", "The file does not have that range.")
	}
	return nil
}

// rangeWriter keeps back the text with which net/http refuses a range: a refusal of ours is a problem document.
type rangeWriter struct {
	http.ResponseWriter
	refused bool
}

func (w *rangeWriter) WriteHeader(status int) {
	if w.refused = status == http.StatusRequestedRangeNotSatisfiable; !w.refused {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *rangeWriter) Write(b []byte) (int, error) {
	if w.refused {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is wrapped.
func (w *rangeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// placeOf finds where a file of a version lies, and a digest that changes with it.
func (s *Server) placeOf(ctx context.Context, id string, version int, file string) (key, digest string, err error) {
	if file == failureFile {
		return s.failure(ctx, id, version)
	}
	rendered, err := s.rendered(ctx, id, version)
	return path.Join(path.Dir(rendered.Key), file), rendered.SHA256, err
}

// failure finds what the stitcher left of a version that failed. It is read seldom, so it is not remembered.
func (s *Server) failure(ctx context.Context, id string, version int) (key, digest string, err error) {
	for stored, err := range s.deps.Log.Read(ctx, id, 1) {
		if err != nil {
			return "", "", err
		}
		if f, ok := stored.Event.(events.ArchiveFailed); ok && f.Version == version && f.Detail != nil {
			return f.Detail.Key, f.Detail.SHA256, nil
		}
	}
	return "", "", blob.ErrNotFound
}

// rendered finds the event that says where a version is; archives are immutable and only the log knows them. The first
// event of a version counts: a second one is dropped by every reader.
func (s *Server) rendered(ctx context.Context, id string, version int) (events.ArchiveRendered, error) {
	key := renderedKey{id, version}
	if known, ok := s.archived.get(key); ok {
		return known, nil
	}
	found := events.ArchiveRendered{}
	exists := false
	for stored, err := range s.deps.Log.Read(ctx, id, 1) {
		if err != nil {
			return found, err
		}
		exists = true
		if r, ok := stored.Event.(events.ArchiveRendered); ok && r.Version == version && found.Key == "" {
			found = r
		}
	}
	switch {
	case !exists:
		return found, consultation.ErrUnknown
	case found.Key == "":
		return found, blob.ErrNotFound
	}
	s.archived.put(key, found)
	return found, nil
}

// blobContent is a blob as http.ServeContent wants it. Seeking costs nothing; reading opens the range from there on.
type blobContent struct {
	ctx   context.Context // of the one request that this reader lives in
	store *blob.Store
	key   string
	size  int64
	at    int64
	open  io.ReadCloser
}

func (b *blobContent) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if offset != b.at {
		b.Close()
		b.at = offset
	}
	return offset, nil
}

func (b *blobContent) Read(p []byte) (int, error) {
	if b.at >= b.size {
		return 0, io.EOF
	}
	if b.open == nil {
		r, err := b.store.Range(b.ctx, b.key, b.at, b.size-b.at)
		if err != nil {
			return 0, err
		}
		b.open = r
	}
	n, err := b.open.Read(p)
	b.at += int64(n)
	return n, err
}

// Close ends the range that is being read.
func (b *blobContent) Close() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open = nil
	return err
}
