package recorder

import (
	"os"
	"syscall"
)

// datasync makes the bytes of f durable, and of its metadata only what is needed to read them back.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
