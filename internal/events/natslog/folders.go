package natslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// folders makes the names of the server's files durable. The server syncs what it writes into a file before it answers,
// but never the folder that has the file's name, so that after a power cut a file system may have forgotten a file with
// everything in it. ext4 and xfs do not, because a sync of a new file takes its name along; POSIX promises nothing.
type folders struct {
	events string // the folder with the blocks of the event log

	mu     sync.Mutex // guards synced
	synced time.Time  // when the folder had changed last, at its newest sync
}

// syncFolders syncs every folder of the store, and watches the one that gets new files while the server runs: with the
// watcher of a server before, if there was one.
func syncFolders(store string, before *folders) (*folders, error) {
	f := &folders{}
	err := filepath.WalkDir(store, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server has put something away
		}
		if err != nil || !e.IsDir() {
			return err
		}
		if filepath.Base(path) == "msgs" && filepath.Base(filepath.Dir(path)) == eventsStream {
			f.events = path
		}
		return syncFolder(path)
	})
	if err == nil {
		err = syncFolder(filepath.Dir(store))
	}
	if err == nil && f.events == "" {
		err = fmt.Errorf("there is no folder %s/msgs in it", eventsStream)
	}
	if err != nil {
		return nil, fmt.Errorf("sync the folders of %s: %w", store, err)
	}
	if before != nil {
		return before, nil
	}
	return f, nil
}

// sync syncs the folder of the event log if a file was made in it since the last time: once every 8 MB of events.
func (f *folders) sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.events)
	if err != nil {
		return fmt.Errorf("sync the folder of the event log: %w", err)
	}
	if info.ModTime().Equal(f.synced) {
		return nil
	}
	if err := syncFolder(f.events); err != nil {
		return fmt.Errorf("sync the folder of the event log: %w", err)
	}
	f.synced = info.ModTime()
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
