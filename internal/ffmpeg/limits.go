package ffmpeg

import "fmt"

// maxMemory bounds what one process may have of memory of its own, in bytes. Nine pictures of 4096x2304, which is the most
// that an input may have, in VP9 and AV1 take 0.95 GB; what needs twice as much was made to. A test has less.
var maxMemory = 2 << 30

// bounded is the command that runs a program with so much memory and no more: what it asks for beyond that it does not get,
// and it ends with an error, in place of what else runs on the machine. Nor does it leave a picture of its memory behind, in
// which people could be seen. A shell does that in a millisecond: who was started as another user cannot be bounded from
// here without a right that containers do not have. Where a limit is lower already, it stays.
func bounded(path string, args []string) (string, []string) {
	script := fmt.Sprintf(`ulimit -c 0 2>/dev/null; ulimit -d %d 2>/dev/null; exec "$0" "$@"`, maxMemory>>10)
	return "/bin/sh", append([]string{"-c", script, path}, args...)
}
