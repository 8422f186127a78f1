package middleware

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// boundary is the one place where a response leaves the application. Headers
// freeze when they leave, and handlers set them at any time before: only here is
// it known whether a response that holds a token is one that no cache keeps.
//
// It is a thin http.ResponseWriter: nothing is copied or held back, and whatever
// the writer below can do goes through (see writer). Pusher is the exception
// among net/http's interfaces: browsers do not take pushes any more.
type boundary struct {
	http.ResponseWriter
	q       *request
	header  http.Header // kept: a page part can be drawn while net/http's writer is in use
	touched atomic.Bool // somebody asked for them since they were last protected
	guarded int         // how many there were then
	fate    fate        // decided when the headers leave
	begun   bool        // and the body follows

	overruled bool         // somebody further out made a private response public
	body      bytes.Buffer // what was written since: writes can cut a token in two
}

// writer is b with those of net/http's optional interfaces that the writer below
// has: applications ask for them by type assertion. Each kind is one pointer, so
// that none costs an allocation.
func (b *boundary) writer() http.ResponseWriter {
	if _, hijacks := b.ResponseWriter.(http.Hijacker); hijacks {
		return hijackWriter{flushWriter{b}} // who hijacks flushes, too
	}
	if _, flushes := b.ResponseWriter.(http.Flusher); flushes {
		return flushWriter{b}
	}
	return b
}

type (
	flushWriter  struct{ *boundary }
	hijackWriter struct{ flushWriter }
)

func (w flushWriter) Flush() { _ = w.FlushError() }

// CloseNotify is for gin, which streams nothing without it. Where the writer below
// has none, nobody is notified.
func (w flushWriter) CloseNotify() <-chan bool {
	if below, ok := w.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok {
		return below.CloseNotify()
	}
	return nil
}

func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

func (b *boundary) Header() http.Header {
	b.touched.Store(true)
	return b.header
}

// Unwrap is for http.ResponseController.
func (b *boundary) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *boundary) WriteHeader(status int) {
	if b.fate != undecided || status >= 200 || status == http.StatusSwitchingProtocols { // others go ahead of the headers
		b.leave(status, nil, false)
	}
	b.ResponseWriter.WriteHeader(status)
	b.check()
}

func (b *boundary) Write(p []byte) (int, error) {
	return b.begin(p, endsPage(p)).Write(p)
}

func (b *boundary) WriteString(s string) (int, error) {
	if b.sniffs() {
		return b.Write([]byte(s))
	}
	return io.WriteString(b.begin(nil, endsPage(s)), s)
}

// ReadFrom lets net/http send files without copying them.
func (b *boundary) ReadFrom(r io.Reader) (int64, error) {
	if b.sniffs() {
		return io.Copy(struct{ io.Writer }{b}, r)
	}
	return io.Copy(b.begin(nil, false), r)
}

// sniffs reports whether the type is found out by what the body begins with.
func (b *boundary) sniffs() bool { return !b.begun && b.header["Content-Type"] == nil }

// FlushError is for http.ResponseController, and sends the headers.
func (b *boundary) FlushError() error {
	b.leave(http.StatusOK, nil, false)
	defer b.check()
	return http.NewResponseController(b.ResponseWriter).Flush()
}

// endsPage reports whether a handler writes a page to its end, as templates do
// that are executed into a buffer.
func endsPage[T string | []byte](body T) bool {
	end := string(body[max(0, len(body)-32):])
	return strings.HasSuffix(strings.TrimRight(end, " \t\r\n"), "</html>")
}

// leave settles what caches may do with the response, and keeps it so: a writer
// further out may keep the headers until the first byte, or longer, and what the
// application sets meanwhile would count there.
func (b *boundary) leave(status int, start []byte, whole bool) {
	switch b.fate {
	case undecided:
		b.fate = b.q.settle(status, start, whole)
	case private:
		// Pages are written in hundreds of parts: it costs next to nothing where nobody
		// asked for the headers, none came, and Cache-Control stayed.
		if asked := b.touched.Swap(false); asked || len(b.header) != b.guarded || !isPrivate(b.header[cacheControl]) {
			if !asked {
				b.check() // somebody further out, where a compressor kept the headers until now
			}
			protect(b.header)
			b.guarded = len(b.header)
		}
	}
}

// begin comes before each part of the body, and gives the writer for it. start is
// what the part begins with, whole tells that nothing of the page follows.
func (b *boundary) begin(start []byte, whole bool) io.Writer {
	implicit, first := b.fate == undecided, !b.begun
	b.begun = true
	b.leave(http.StatusOK, start, whole)
	if b.fate == private && first {
		// The headers go alone, to see what becomes of them before the body follows. Who
		// sniffs for the type further out would take nothing for text.
		if b.header["Content-Type"] == nil && isHTML(http.DetectContentType(start)) {
			b.header.Set("Content-Type", "text/html; charset=utf-8")
		}
		if implicit {
			b.ResponseWriter.WriteHeader(http.StatusOK)
		}
		_, _ = b.ResponseWriter.Write(nil)
		b.check()
	}
	if b.overruled {
		return &b.body
	}
	return b.ResponseWriter
}

// check looks whether a handler further out overruled what settle decided: too
// late for the headers, and in time for the body.
func (b *boundary) check() {
	if b.fate == private && !b.overruled && !protected(b.header) {
		b.overruled = true
		b.q.withhold("middleware: a handler outside of this one lets caches share a visitor's page; its token is kept out of it: put the chat's handler outside of that one")
	}
}

// withhold keeps tokens out of pages for a minute: they are the same for everybody.
func (q *request) withhold(why string) {
	q.m.withheld.Store(time.Now().Add(time.Minute).UnixNano())
	q.m.log.Seldom(q.http.Context(), slog.LevelError, why, why)
}

func (m *Middleware) withholds() bool {
	until := m.withheld.Load()
	return until != 0 && time.Now().UnixNano() < until // the clock is slower than all else
}

// finish is called when the handler has returned.
func (b *boundary) finish() {
	switch {
	case b.overruled:
		b.release()
	case b.fate == undecided:
		// The response is empty, or somebody further out writes it, perhaps past this
		// writer: cookies leave with it, and no token any more.
		exposed := !protected(b.header)
		b.q.settle(0, nil, true)
		b.q.mu.Lock()
		b.q.returned = true
		bypassed := exposed && b.q.given != hubspot.Token{} && b.q.http.Context().Err() == nil
		b.q.mu.Unlock()
		if bypassed {
			b.q.withhold("middleware: a page with a token, which caches may keep, is not written to the ResponseWriter that this handler passed on; pages have no token for a minute: whatever adapts the handler to a framework has to pass that writer on")
		}
	case b.fate == private:
		// http.TimeoutHandler and its like send the headers after this. They are gone
		// through: whoever asked for them before may have changed what they kept.
		protect(b.header)
	}
}

// release writes what was held, with blanks for what identifies the visitor.
func (b *boundary) release() {
	body := b.body.Bytes()
	if token := b.q.given; token.Reveal() != "" {
		// Without its claim the page is nobody's in particular: its script asks.
		for _, secret := range []string{token.Reveal(), token.Email(), b.q.m.fingerprint(token.Email())} {
			if !bytes.Contains(body, []byte(secret)) {
				panic(http.ErrAbortHandler) // it is in there in another form, compressed or escaped: better no page
			}
			body = bytes.ReplaceAll(body, []byte(secret), bytes.Repeat([]byte(" "), len(secret)))
		}
	}
	_, _ = b.ResponseWriter.Write(body) // the client has left if this fails
}
