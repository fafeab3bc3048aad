//go:build !linux

package recorder

import "os"

// datasync makes the bytes of f durable.
func datasync(f *os.File) error {
	return f.Sync()
}
