package stitch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The work folder of a job:
//
//	s0000.seg …       segments, checked
//	c0000/ …          chunks being made, each in a folder of its own
//	pieces/<key>.ts   finished chunks; <key> is a digest of all that they are made of
//	audio-<key>.m4a   the finished sound
//	archive.mp4 …     what goes into the blob store
const piecesFolder = "pieces"

// staleAfter is how long the folder of a job that nobody works on is kept: another machine may have finished it.
const staleAfter = 24 * time.Hour

// sweep makes the work folder and removes what jobs left there long ago.
func (w *Worker) sweep() error {
	if err := os.MkdirAll(w.cfg.Dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(w.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if e.IsDir() && w.cfg.Now().Sub(info.ModTime()) > staleAfter {
			if err := os.RemoveAll(filepath.Join(w.cfg.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// jobFolder makes the folder of a job, or finds what an earlier run left of it.
func (w *Worker) jobFolder(consultation string, version int) (string, error) {
	dir := filepath.Join(w.cfg.Dir, fmt.Sprintf("%s-%d", consultation, version))
	for _, d := range []string{dir, filepath.Join(dir, piecesFolder)} {
		if err := w.openFolder(d); err != nil {
			return "", err
		}
	}
	now := w.cfg.Now()
	return dir, os.Chtimes(dir, now, now)
}

// create opens a new file that ffmpeg may read. Its folder is closed to everybody else.
func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) //nolint:gosec // ffmpeg runs as another user
}

// writeFile writes a file that ffmpeg may read.
func writeFile(path string, content []byte) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// openFolder makes a folder that ffmpeg may write into.
func (w *Worker) openFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return w.deps.FFmpeg.Own(dir)
}
