package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Folder is the place that is the file system under a folder. It is there when the folder is, or one above it.
func Folder(name, path string) Place {
	return Place{Name: name, Space: func(context.Context) (Space, error) { return spaceOf(path) }}
}

func spaceOf(path string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(existing(path), &s); err != nil {
		return Space{}, fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	block := int64(s.Bsize)                                                          //nolint:unconvert // its type differs between systems
	return Space{Free: int64(s.Bavail) * block, Total: int64(s.Blocks) * block}, nil //nolint:gosec,unconvert // as above
}

// existing is path or the nearest folder above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// Apart leaves out folders that lie on the file system of one before: their figures would be the same. paths are by name,
// in order.
func Apart(names, paths []string) []Place {
	var all []Place
	var known []uint64
	for i, path := range paths {
		var st unix.Stat_t
		if err := unix.Stat(existing(path), &st); err == nil {
			device := uint64(st.Dev) //nolint:gosec,unconvert // its type differs between systems
			if slices.Contains(known, device) {
				continue
			}
			known = append(known, device)
		}
		all = append(all, Folder(names[i], path))
	}
	return all
}
