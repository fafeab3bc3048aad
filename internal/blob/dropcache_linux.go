package blob

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropCache asks the kernel to read the file from the disk the next time. A file system that cannot is no fault.
func dropCache(f *os.File) error {
	err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ESPIPE) {
		return nil
	}
	return err
}
