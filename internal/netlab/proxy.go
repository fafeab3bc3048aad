package netlab

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
)

// proxy is an HTTP proxy in a namespace that passes CONNECT to port 443 and nothing else (RFC 9110 §9.3.6).
type proxy struct {
	at       *namespace
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

// newProxy serves at an address of the namespace until close.
func newProxy(at *namespace, address string) (*proxy, error) {
	p := &proxy{at: at, conns: map[net.Conn]bool{}}
	err := at.do(func() (err error) {
		p.listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.running.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.keep(conn)
			p.running.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

func (p *proxy) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	request, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	if _, port, err := net.SplitHostPort(request.Host); request.Method != http.MethodConnect || err != nil || port != "443" {
		_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\n\r\n")
		return
	}
	var out net.Conn
	err = p.at.do(func() (err error) {
		out, err = net.Dial("tcp", request.Host)
		return err
	})
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	p.keep(out)
	defer out.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	p.running.Go(func() {
		_, _ = io.Copy(out, in) // who hangs up ends both directions
		out.Close()
	})
	_, _ = io.Copy(conn, out)
}
