package sfu

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// socketBuffer is what each media socket asks the kernel for, in bytes: the key frames of a full room arrive as a burst,
// and what the default buffer cannot hold is lost.
const socketBuffer = 4 << 20

// listen opens one UDP socket per address, all on one port. A socket per address, because an answer must leave from the
// address at which the question arrived, or a browser's ICE does not recognise it.
func listen(hostPort string, logger *slog.Logger) ([]*net.UDPConn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("media address %q: %w", hostPort, err)
	}
	resolved, err := net.ResolveUDPAddr("udp", hostPort)
	if err != nil {
		return nil, fmt.Errorf("media address %q: %w", hostPort, err)
	}
	var addrs []netip.Addr
	if host == "" || resolved.IP.IsUnspecified() {
		if addrs, err = machineAddrs(); err != nil {
			return nil, fmt.Errorf("media address %q: %w", hostPort, err)
		}
	} else {
		addrs = []netip.Addr{resolved.AddrPort().Addr().Unmap()}
	}
	// A free port on the first address may be taken on another: try some more.
	for attempt := 0; ; attempt++ {
		conns, err := listenAll(addrs, uint16(resolved.Port), logger)
		switch {
		case err == nil:
			return conns, nil
		case port != "0" || attempt == 20 || !errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("listen for media on %q: %w", hostPort, err)
		}
	}
}

// listenAll opens port on every address; port 0 is decided by the first. An address that cannot be used just now (an
// IPv6 address that is still being probed, say) is left out.
func listenAll(addrs []netip.Addr, port uint16, logger *slog.Logger) ([]*net.UDPConn, error) {
	var conns []*net.UDPConn
	for _, addr := range addrs {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
		if errors.Is(err, syscall.EADDRNOTAVAIL) && len(addrs) > 1 {
			logger.Warn("an address of this machine cannot take media", "error", err)
			continue
		}
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			return nil, err
		}
		// The kernel may grant less; then it is as good as it gets.
		_ = conn.SetReadBuffer(socketBuffer)
		_ = conn.SetWriteBuffer(socketBuffer)
		conns = append(conns, conn)
		port = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	if len(conns) == 0 {
		return nil, errors.New("this machine has no usable address")
	}
	return conns, nil
}

// machineAddrs lists the addresses of the machine that media can come to, loopback last.
func machineAddrs() ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || isBridge(i.Name) {
			continue
		}
		ifaceAddrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		for _, a := range ifaceAddrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || prefix.Addr().IsLinkLocalUnicast() {
				continue
			}
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int {
		return cmp.Compare(b2i(a.IsLoopback()), b2i(b.IsLoopback()))
	})
	return slices.Compact(addrs), nil
}

// isBridge tells interfaces that join containers or virtual machines of this host. Nobody outside can reach their
// addresses, and every one of them would cost each connection a round of checks.
func isBridge(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "lxcbr", "podman"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
