package recorder

import (
	"errors"
	"os"
	"syscall"
)

// datasync makes the bytes of f durable, and of its metadata only what is needed to read them back. The file may be
// closed meanwhile.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = syscall.Fdatasync(int(fd)); failed != syscall.EINTR {
				return
			}
		}
	})
	return errors.Join(err, failed)
}
