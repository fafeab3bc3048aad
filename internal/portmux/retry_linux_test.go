package portmux

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatIsLostIsSentAgainAtEvenDistances(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	retryEvenly(conn)
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var on int
	if e := raw.Control(func(fd uintptr) {
		on, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_THIN_LINEAR_TIMEOUTS)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	if on != 1 {
		t.Error("the waits of the connection double")
	}
}
