package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The numbers that FreePort gives: below those that Linux gives out itself for port 0 (32768 and up), or the next socket
// of any program could take one between its choice and its use.
const firstPort, lastPort = 12000, 31999

// FreePort returns a number that nobody uses for TCP or for UDP on any interface, and that no other test of this machine
// is given until t ends. It is for programs that cannot be told to listen on port 0, or that come back on the same number.
func FreePort(t testing.TB) int {
	t.Helper()
	var last error
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		release, err := reserve(port)
		if err != nil {
			last = err
			continue
		}
		if last = tryPort(port); last == nil {
			t.Cleanup(release)
			return port
		}
		release()
	}
	t.Fatalf("find a free port: %v", last)
	return 0
}

// reserve keeps a number for this process by a locked file, and fails if another process, or another test of this one, has
// it. Nobody removes the file: a lock on a removed file would keep nobody away.
func reserve(port int) (func(), error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("consilium-port-%d", port))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("reserve port %d: %w", port, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("reserve port %d: %w", port, err)
	}
	return func() { f.Close() }, nil
}

func tryPort(port int) error {
	at := fmt.Sprintf(":%d", port)
	tcp, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", at)
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	return errors.Join(tcp.Close(), udp.Close())
}
