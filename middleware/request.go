package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
)

// request is what the middleware knows of one request. Everything is found out
// when it is first needed, and once.
type request struct {
	m      *Middleware
	ctx    context.Context
	header http.Header // of the response
	http   *http.Request

	consent func() bool
	visitor func() (hubspot.Visitor, bool) // who may be identified
	token   func() <-chan answer           // begins to fetch the token
	chat    func() identity.Chat
}

type answer struct {
	token hubspot.Token
	err   error
}

func (m *Middleware) newRequest(ctx context.Context, header http.Header, r *http.Request) *request {
	q := &request{m: m, ctx: ctx, header: header, http: r}
	q.consent = sync.OnceValue(q.askConsent)
	q.visitor = sync.OnceValues(q.findVisitor)
	q.token = sync.OnceValue(q.fetchToken)
	q.chat = sync.OnceValue(q.decide)
	return q
}

func (q *request) shared() *identity.Request {
	return &identity.Request{
		LoaderSrc: q.m.loaderSrc,
		TokenPath: q.m.tokenPath,
		Chat:      q.chat,
		Visitor:   q.visitor,
	}
}

// prepare marks the response as this visitor's own, if there is one to identify,
// and may begin to ask for the token: the sooner, the less the page waits.
func (q *request) prepare(begin bool) {
	if _, ok := q.visitor(); !ok || !q.consent() {
		return
	}
	protect(q.header)
	if begin {
		q.token()
	}
}

// decide is what the page may know. It is called when the template is at the
// chat, and the only thing that waits.
func (q *request) decide() identity.Chat {
	if q.m.cfg.Chat == hubspot.ChatOff || !q.consent() {
		return identity.Chat{Off: true}
	}
	v, ok := q.visitor()
	if !ok {
		return identity.Chat{}
	}
	// Fail closed: what a cache hands to others must not carry a token.
	if sharable(q.header) {
		q.m.logger.WarnContext(q.ctx, "middleware: a page that caches may share (Cache-Control) does not identify its visitor")
		return identity.Chat{}
	}
	protect(q.header)
	chat := identity.Chat{Fingerprint: q.m.fingerprint(v)}
	timer := time.NewTimer(q.m.budget())
	defer timer.Stop()
	select {
	case a := <-q.token():
		if a.token.Email() == v.Email { // or else no identity at all
			chat.Token = a.token
		}
		chat.Late = a.err != nil && !errors.Is(a.err, hubspot.ErrInvalidVisitor)
		if a.err != nil {
			q.m.logger.DebugContext(q.ctx, "middleware: no token for this page", "error", a.err)
		}
	case <-timer.C:
		chat.Late = true
		q.m.logger.DebugContext(q.ctx, "middleware: no token within the render budget")
	case <-q.ctx.Done():
	}
	return chat
}

func (q *request) askConsent() (ok bool) {
	if q.m.consent == nil {
		return true
	}
	// Fail closed: without an answer there is no consent.
	defer q.recover("consent", func() { ok = false })
	return q.m.consent(q.http)
}

// findVisitor is who may be identified. Whatever goes wrong here leaves the
// visitor anonymous: that is the state in which nobody sees another's chat.
func (q *request) findVisitor() (v hubspot.Visitor, ok bool) {
	if !q.m.identifies() {
		return v, false
	}
	defer q.recover("identify", func() { v, ok = hubspot.Visitor{}, false })
	if q.m.skip != nil && q.m.skip(q.http) {
		return v, false
	}
	v, ok = q.m.identify(q.http)
	if !ok {
		return hubspot.Visitor{}, false
	}
	if q.m.trustUnverified {
		v.EmailVerified = true
	}
	if !v.EmailVerified {
		q.m.unverifiedOnce.Do(func() {
			q.m.logger.WarnContext(q.ctx, "middleware: visitors without EmailVerified stay anonymous: identified, they could read the chats of the address's owner (said once)")
		})
		return hubspot.Visitor{}, false
	}
	return v, true
}

// recover keeps a page alive when a function of the application panics. It is to
// be deferred. The panic's value is logged only if it is the runtime's: others
// may quote the visitor.
func (q *request) recover(function string, whenPanicking func()) {
	p := recover()
	if p == nil {
		return
	}
	whenPanicking()
	what := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	q.m.logger.ErrorContext(q.ctx, "middleware: "+function+" panicked; the visitor stays anonymous",
		slog.String("panic", what), slog.String("stack", string(debug.Stack())))
}

var errNoReturn = errors.New("middleware: the token source did not return")

// fetchToken asks the token source, off the request's own goroutine.
func (q *request) fetchToken() <-chan answer {
	done := make(chan answer, 1)
	v, _ := q.visitor()
	go func() {
		a := answer{err: errNoReturn}
		defer func() { done <- a }()
		defer q.recover("the token source", func() {})
		a.token, a.err = q.m.tokens.Token(q.ctx, v)
	}()
	return done
}

// fingerprint is what a browser remembers of its visitor: enough to notice
// another one, too little to tell who it was.
func (m *Middleware) fingerprint(v hubspot.Visitor) string {
	return m.fingerprints.Name("fingerprint " + m.cfg.PortalID + " " + v.Email)[:16]
}
