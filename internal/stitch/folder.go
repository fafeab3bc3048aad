package stitch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// The work folder, Config.Dir, has one folder for each process that is alive, and nothing in it matters when that process
// has ended: finished chunks lie in the blob store.
//
//	lock              held while a process cleans up and makes its folder
//	w-123/lock        held as long as the process lives
//	w-123/segments/   checked segments by digest, for all the work of the process
//	w-123/a-…/        an archive on its way: finished chunks, sound, the file
//	w-123/c-…/        a chunk on its way
const (
	lockFile       = "lock"
	segmentsFolder = "segments"
)

// folder is the process's own part of the work folder.
type folder struct {
	dir  string
	lock *os.File
}

// openWorkFolder removes what processes left behind that have ended, and makes a folder for this one.
func openWorkFolder(root string) (*folder, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	door, err := lock(filepath.Join(root, lockFile), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer door.Close()
	if err := sweep(root); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(root, "w-")
	if err != nil {
		return nil, err
	}
	f := &folder{dir: dir}
	if f.lock, err = lock(filepath.Join(dir, lockFile), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, err
	}
	return f, os.Mkdir(filepath.Join(dir, segmentsFolder), 0o700)
}

// lock opens a file that is locked until it is closed or the process ends, however it ends.
func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// sweep removes all folders of root but those whose process lives.
func sweep(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(root, e.Name())
		free, err := lock(filepath.Join(dir, lockFile), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(dir), free.Close()); err != nil {
			return err
		}
	}
	return nil
}

// close removes the folder.
func (f *folder) close() error {
	return errors.Join(os.RemoveAll(f.dir), f.lock.Close())
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

// makeFolder makes a new folder in the process's own that ffmpeg may write into. kind says what it is for.
func (w *Worker) makeFolder(kind string) (string, error) {
	dir, err := os.MkdirTemp(w.folder.dir, kind+"-")
	if err != nil {
		return "", err
	}
	return dir, w.deps.FFmpeg.Own(dir)
}
