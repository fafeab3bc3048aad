// Package backup copies a whole installation into a folder and out of it again: the event log, the names, who is told of events,
// the blobs and the secret that signs tokens.
//
// In come the stores of a product that may be running; out goes a folder whose manifest names every file with its digest,
// or the other way round. The copy does not need the programs that made it: the log is text, blobs are files, names are
// JSON lines. It never changes what it copies from and never restores over something.
//
// The order is what makes a copy of a running product whole: first the place in the log up to which it is copied, then
// everything that the log names up to there. Since bytes are stored before the fact that names them, they are there.
package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"consilium/internal/blob"
	"consilium/internal/directory"
	"consilium/internal/events/natslog"
	"consilium/internal/webhook"
)

// Stores are what is copied, or copied into.
type Stores struct {
	Log       *natslog.Log
	Directory *directory.Directory
	Webhooks  *webhook.Keeper
	Blobs     *blob.Store
	SpoolDir  string // segments on their way to the blob store
	Secret    string // signs tokens; on restoring: ignored
	Logger    *slog.Logger
}

// Progress is how far a copy is. It is told a few times a second at most.
type Progress struct {
	Stage       string // "log", "names", "blobs"
	Done, Total int64  // log: entries; blobs: how many. Total 0: not known
	Bytes       int64  // that had to be copied so far
}

// ErrIncomplete says that a back-up was made as far as possible, and that something that the log names is not there. The
// manifest lists it.
var ErrIncomplete = errors.New("the back-up lacks something that the log names")

// Make copies everything into dir. What an earlier Make has put there is used again where it is still right, so that
// the second copy into a folder takes what is new. tell may be nil. The manifest that it returns is the one in dir.
func Make(ctx context.Context, from Stores, dir string, tell func(Progress)) (Manifest, error) {
	m := &maker{from: from, dir: dir, tell: throttled(tell), found: newFindings()}
	if m.from.Logger == nil {
		m.from.Logger = slog.New(slog.DiscardHandler)
	}
	made, err := m.make(ctx)
	if err != nil {
		return made, fmt.Errorf("back up to %s: %w", dir, err)
	}
	if len(made.Missing) > 0 {
		return made, fmt.Errorf("back up to %s: %w: %d blobs", dir, ErrIncomplete, len(made.Missing))
	}
	return made, nil
}

// maker is one Make.
type maker struct {
	from  Stores
	dir   string
	tell  func(Progress)
	old   Manifest // of the back-up before, zero when there is none
	found *findings
}

func (m *maker) make(ctx context.Context) (Manifest, error) {
	if err := m.open(); err != nil {
		return Manifest{}, err
	}
	info, err := m.from.Log.Info(ctx)
	if err != nil {
		return Manifest{}, err
	}
	made := Manifest{Format: format, Made: time.Now().UTC(), Last: info.Last}
	files, err := m.copyLog(ctx, info.Last)
	if err != nil {
		return Manifest{}, err
	}
	made.Files = files
	made.Consultations = m.found.consultations()
	names, err := m.copyNames(ctx)
	if err != nil {
		return Manifest{}, err
	}
	staff, err := m.copyStaff(ctx)
	if err != nil {
		return Manifest{}, err
	}
	webhooks, err := m.copyWebhooks(ctx, info.Last)
	if err != nil {
		return Manifest{}, err
	}
	made.Files = append(made.Files, names, staff, webhooks)
	index, missing, err := m.copyBlobs(ctx)
	if err != nil {
		return Manifest{}, err
	}
	made.Missing = missing
	for _, b := range index {
		made.Blobs++
		made.Bytes += b.Bytes
	}
	for _, write := range []func() (File, error){
		func() (File, error) { return writeIndex(m.dir, index) },
		func() (File, error) { return writeFile(m.dir, secretFile, []byte(m.from.Secret+"\n")) },
	} {
		f, err := write()
		if err != nil {
			return Manifest{}, err
		}
		made.Files = append(made.Files, f)
	}
	return made, made.write(m.dir)
}

// open makes the folder, or looks at what the back-up before left in it.
func (m *maker) open() error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	old, err := ReadManifest(m.dir)
	switch {
	case err == nil:
		m.old = old
	case errors.Is(err, os.ErrNotExist):
		entries, err := os.ReadDir(m.dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			switch e.Name() {
			case logFolder, blobFolder, namesFile, staffFile, webhooksFile, indexFile, secretFile: // of a back-up that was interrupted
			default:
				return fmt.Errorf("the folder holds %s, which is no part of a back-up: name an empty folder", filepath.Join(m.dir, e.Name()))
			}
		}
	default:
		return err
	}
	return nil
}

// throttled calls tell a few times a second, and always when a stage begins or ends.
func throttled(tell func(Progress)) func(Progress) {
	if tell == nil {
		return func(Progress) {}
	}
	var last time.Time
	var stage string
	return func(p Progress) {
		if now := time.Now(); p.Stage != stage || p.Done == p.Total || now.Sub(last) > 250*time.Millisecond {
			last, stage = now, p.Stage
			tell(p)
		}
	}
}
