//go:build !linux

package portmux

import "net"

// retryEvenly needs Linux.
func retryEvenly(net.Conn) {}
