package portmux

import (
	"net"

	"golang.org/x/sys/unix"
)

// retryEvenly lets what is lost on a connection with little traffic be sent again at even distances, up to six times,
// instead of each time twice as long after. Signaling is such traffic: a few small messages of which each waits for the
// one before, so that on a link that loses much the doubled waits are what a person waits for.
func retryEvenly(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // a kernel that cannot sends as it always did
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS, 1)
	})
}
