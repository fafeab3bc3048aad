package stitch

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginToSettle lets the kernel begin to bring a file to the disk, while it is looked at: whoever makes sure of it later has less to
// wait for. Whether it does so is its own affair.
func beginToSettle(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
