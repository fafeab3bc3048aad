package main

import (
	"context"
	"math"
	"net/url"
	"path/filepath"

	"consilium/internal/disk"
)

// watchDisk looks at everything that can become full: the file systems of data, of blobs and of the private database,
// and the event log, which has a limit of its own.
func (l *live) watchDisk(ctx context.Context) (err error) {
	names, paths := []string{"data"}, []string{l.cfg.Data}
	if u, err := url.Parse(l.cfg.Blobs()); err == nil && u.Scheme == "file" {
		names, paths = append(names, "blobs"), append(paths, filepath.FromSlash(u.Path))
	}
	if l.databaseDir != "" {
		names, paths = append(names, "database"), append(paths, l.databaseDir)
	}
	warn, refuse, err := l.cfg.Thresholds()
	if err != nil {
		return err
	}
	places := append(disk.Apart(names, paths), disk.Place{
		Name: "log", Space: l.logSpace, // the sizes that an operator sets are meant for disks
		Warn: disk.Threshold{Bytes: math.MaxInt64, Share: 0.10}, Refuse: disk.Threshold{Bytes: math.MaxInt64, Share: 0.02},
	})
	l.disk, err = disk.New(ctx, disk.Config{
		Places: places, Warn: warn, Refuse: refuse, History: filepath.Join(l.cfg.Data, "disk-history.json"), Logger: l.logger,
		Registerer: l.metrics.Registerer(),
	})
	if err != nil {
		return err
	}
	l.parts.run("disk watch", l.disk.Run)
	return nil
}

// logSpace is the room that the limit of the event log leaves.
func (l *live) logSpace(ctx context.Context) (disk.Space, error) {
	used, limit, err := l.log.Size(ctx)
	switch {
	case err != nil:
		return disk.Space{}, err
	case limit == 0:
		return disk.Space{Free: math.MaxInt64 - used, Total: math.MaxInt64}, nil
	}
	return disk.Space{Free: max(0, limit-used), Total: limit}, nil
}
