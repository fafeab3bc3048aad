package testenv

import (
	"errors"
	"fmt"
	"net"
	"testing"
)

// FreePort returns a number that is free for TCP and for UDP on all interfaces at this moment. Nobody holds it: use it
// soon, and only for programs that cannot be told to listen on port 0.
func FreePort(t testing.TB) int {
	t.Helper()
	var last error
	for range 20 {
		port, err := freePort()
		if err == nil {
			return port
		}
		last = err
	}
	t.Fatalf("find a free port: %v", last)
	return 0
}

func freePort() (int, error) {
	tcp, err := net.Listen("tcp", ":0")
	if err != nil {
		return 0, err
	}
	port := tcp.Addr().(*net.TCPAddr).Port
	udp, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		return 0, errors.Join(err, tcp.Close())
	}
	return port, errors.Join(tcp.Close(), udp.Close())
}
