package hubspottest

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// Client returns an HTTP client that reaches this server in memory, whatever host
// the URL names: https://api.hubapi.com works as well as
// https://api-eu1.hubapi.com or a name of your own. Requests and answers still go
// through net/http's transport and server, over net.Pipe and without TLS.
//
// The client does no real I/O, and all its goroutines start in the caller's
// bubble, so it works inside testing/synctest. Each call returns a client with
// its own connections, which it reuses. [Server.Close] closes them.
func (s *Server) Client() *http.Client {
	p := &pipes{
		server: &http.Server{Handler: s.handler},
		open:   map[net.Conn]struct{}{},
	}
	transport := &http.Transport{
		DialContext:         p.dial,
		DialTLSContext:      p.dial,
		MaxIdleConnsPerHost: 100,
	}
	s.onClose(func() {
		p.close()
		transport.CloseIdleConnections()
	})
	return &http.Client{Transport: transport}
}

// pipes makes connections to a server that listens nowhere. It ends them itself
// instead of by http.Server.Close, whose WaitGroup belongs to the bubble that
// used it: a server closed after the bubble would crash the program.
type pipes struct {
	server *http.Server

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{} // the server's ends
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, net.ErrClosed
	}
	p.open[server] = struct{}{}
	p.mu.Unlock()
	// Serve returns as soon as it has started the connection's own goroutine, so
	// there is no accepting goroutine to stop later.
	_ = p.server.Serve(&single{conn: &pipe{server, p}}) // always single's io.EOF
	return client, nil
}

func (p *pipes) close() {
	p.mu.Lock()
	open := p.open
	p.closed, p.open = true, nil
	p.mu.Unlock()
	for conn := range open {
		_ = conn.Close()
	}
}

// pipe is the server's end of a connection.
type pipe struct {
	net.Conn
	of *pipes
}

func (c *pipe) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// single is a listener with one connection.
type single struct{ conn net.Conn }

func (l *single) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, io.EOF
	}
	conn := l.conn
	l.conn = nil
	return conn, nil
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
