package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
)

// request is what the middleware knows of one request: who it is, found out when
// it is first needed, and what its response has been told so far. The page part
// can be drawn on one goroutine while the headers leave on another.
type request struct {
	m    *Middleware
	http *http.Request
	out  boundary
	over ended

	identifyOnce, consentOnce sync.Once

	mu       sync.Mutex // of all below
	who      who
	consent  bool
	fate     fate
	drawn    bool          // a page part was given…
	varies   bool          // …that depends on who asks
	token    hubspot.Token // the visitor's, once it came
	given    hubspot.Token // to the page
	refused  bool          // HubSpot does not accept this visitor
	deadline time.Time     // end of the render budget, which begins with the first wait
}

// fate is what caches may do with the response.
type fate int

const (
	undecided fate = iota
	private        // nothing: it may hold a token
	left           // whatever the application said: no token may follow
)

func (m *Middleware) newRequest(w http.ResponseWriter, r *http.Request) *request {
	q := &request{m: m, http: r, over: ended{r.Context()}}
	q.out = boundary{ResponseWriter: w, q: q, header: w.Header()}
	return q
}

// is answers "who is it?"; the application is asked once.
func (q *request) is() who {
	q.identifyOnce.Do(func() {
		is := q.m.find(q.http)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.who = is
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.who
}

// become makes the rest of the request another visitor's, or nobody's: the
// response carries their cookies.
func (q *request) become(is who) {
	q.is() // or else the application is asked later
	q.mu.Lock()
	defer q.mu.Unlock()
	q.who, q.token, q.refused, q.fate = is, hubspot.Token{}, false, private
}

// chats reports whether the page may carry the chat at all.
func (q *request) chats() bool {
	q.consentOnce.Do(func() { q.consent = q.m.cfg.Chat != hubspot.ChatOff && q.m.consents(q.http) })
	return q.consent
}

// prefetch begins to fetch the token: the sooner, the less the page waits.
func (q *request) prefetch() {
	if is := q.is(); is.ok && q.chats() {
		token, err := q.m.token(&q.over, is.visitor)
		q.conclude(token, err)
	}
}

// ended is a context whose time is over: with it the token source answers from
// memory, or begins a call and does not wait for it.
type ended struct{ context.Context }

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (*ended) Done() <-chan struct{} { return closed }
func (*ended) Err() error            { return context.Canceled }

// Chat is what the page part may know, for package snippet.
func (q *request) Chat(ctx context.Context) identity.Chat {
	m := q.m
	chat := identity.Chat{PortalID: m.cfg.PortalID, LoaderSrc: m.loaderSrc, Endpoint: m.tokenPath, Debug: m.cfg.Debug}
	if !q.chats() {
		chat.Off, chat.Reason = true, "HUBSPOT_CHAT is off, or WithConsent reports no consent"
		return chat
	}
	is := q.is()
	chat.Claim, chat.Reason = q.draw(is)
	switch {
	case chat.Claim == identity.Never:
		chat.Endpoint = ""
	case chat.Claim == identity.Anybody && is.ok && chat.Endpoint == "":
		m.log.Seldom(ctx, slog.LevelWarn, "public", "middleware: a page that caches may share does not identify its visitor; with a token path it could")
	case is.reason == notSignedIn:
		m.hint(ctx)
	case chat.Reason == "":
		chat.Token, chat.Reason = q.wait(ctx, is.visitor)
		if q.isRefused() {
			chat.Claim = identity.Nobody
		}
	}
	return chat
}

// draw decides whose page part this is.
func (q *request) draw(is who) (claim, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drawn = true
	switch {
	case is.never:
		q.varies = true
		return identity.Never, is.reason
	// Fail closed: what a cache may hand to others must not carry a token.
	case q.fate == left, q.fate == undecided && public(q.out.header), q.m.overruled.Load():
		return identity.Anybody, "caches may share this page, so it is the same for everybody"
	case !is.ok:
		q.varies = true
		return identity.Nobody, is.reason
	}
	q.fate = private
	return q.m.fingerprint(is.visitor.Email), ""
}

// hint tells the operator of the one mistake that looks as if nobody were signed
// in.
func (m *Middleware) hint(ctx context.Context) {
	if _, ok := VisitorFrom(ctx); ok {
		m.misplaced.Do(func() {
			m.log.WarnContext(ctx, "middleware: a page's context holds a visitor that identify did not see: the chat's handler belongs inside of the authentication (said once)")
		})
	}
}

// wait is the visitor's token, or why there is none, within the render budget.
func (q *request) wait(ctx context.Context, v hubspot.Visitor) (token hubspot.Token, reason string) {
	token, deadline := q.budget()
	if token.Reveal() == "" {
		limited, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		var err error
		token, err = q.m.token(limited, v)
		reason = q.conclude(token, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.who.visitor.Email != v.Email { // signed out meanwhile
		return hubspot.Token{}, "the visitor signed out"
	}
	q.given = token
	return token, reason
}

// budget is the token, if it is here, and when the page stops to wait for it.
func (q *request) budget() (hubspot.Token, time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.token.Reveal() == "" && q.deadline.IsZero() {
		q.deadline = time.Now().Add(q.m.budget())
	}
	return q.token, q.deadline
}

// conclude notes what the token source answered. The reason is for the page: it
// has no word of HubSpot's.
func (q *request) conclude(token hubspot.Token, err error) (reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.token = token
	q.refused = errors.Is(err, hubspot.ErrInvalidVisitor)
	switch {
	case err == nil:
		return ""
	case q.refused:
		return "HubSpot does not accept this visitor's address"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "the token did not come within the render budget"
	}
	for _, why := range []error{hubspot.ErrUnauthorized, hubspot.ErrMissingScope, hubspot.ErrForbidden, hubspot.ErrDailyLimit, hubspot.ErrRateLimited, hubspot.ErrUnavailable, hubspot.ErrCoolingDown} {
		if errors.Is(err, why) {
			return "no token for now: " + why.Error()
		}
	}
	return "no token for now, see the log"
}

func (q *request) isDrawn() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drawn
}

// leave lets a response go as the application made it.
func (q *request) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fate = left
}

func (q *request) isRefused() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refused
}

func (q *request) personal() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fate == private
}

// givenToken is the token that a page part has, if any.
func (q *request) givenToken() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.given.Reveal()
}

// token asks the token source. One that is not this library's own may panic, or
// not return when its context ends.
func (m *Middleware) token(ctx context.Context, v hubspot.Visitor) (token hubspot.Token, err error) {
	if tokens, ok := m.tokens.(*hubspot.Tokens); ok {
		token, err = tokens.Token(ctx, v)
	} else {
		token, err = flight.Guard(ctx, func(ctx context.Context) (hubspot.Token, error) { return m.tokens.Token(ctx, v) })
	}
	if err == nil && (token.Email() != v.Email || token.Reveal() == "") {
		return hubspot.Token{}, errWrongToken // fail closed: no identity rather than another's
	}
	return token, err
}

var errWrongToken = errors.New("middleware: the token source's token is empty or for another visitor")

// settle decides, at the moment when the headers leave, what caches may do with
// the response: the one rule of the boundary. start is what the body begins with,
// whole tells that nothing of the page follows it. It can be called again while
// the headers are still here.
func (q *request) settle(status int, start []byte, whole bool) {
	h := q.out.header
	page := isPage(status, h, start)
	if !page && !q.personal() {
		q.leave()
		return
	}
	chats := q.chats()
	// The chat may still come, and then it is too late for the headers.
	open := page && chats && !whole && !q.isDrawn() && !public(h)
	if open {
		q.prefetch() // tells whether HubSpot refuses the visitor, too
	}
	brought := q.m.marker.of(q.http)
	q.mu.Lock()
	defer q.mu.Unlock()
	dependent := page && (q.varies || open)
	switch {
	case q.fate == private:
	case open && q.who.ok && !q.refused:
		q.fate = private
	// The first page after a session is over takes the marker away.
	case dependent && brought != "" && !q.who.never && !public(h):
		q.fate = private
	default:
		q.fate = left
		if dependent {
			varyByCookie(h)
		}
		return
	}
	protect(h)
	if q.who.never {
		return
	}
	wanted := identity.Nobody
	// A visitor whom HubSpot refuses has no marker: page and endpoint would set and
	// expire it in turn.
	if q.who.ok && chats && !q.refused {
		wanted = q.m.fingerprint(q.who.visitor.Email)
	}
	if wanted != brought {
		q.m.marker.put(h, q.http, wanted)
	}
}

// isPage reports whether a response is HTML for a visitor, or may turn out to be.
func isPage(status int, h http.Header, start []byte) bool {
	if status < 200 || status >= 300 && status < 400 || status == http.StatusNoContent {
		return false
	}
	kind := h.Get("Content-Type")
	if kind == "" {
		if len(start) == 0 || h.Get("Content-Encoding") != "" {
			return true // nobody knows yet
		}
		kind = http.DetectContentType(start) // as net/http will
	}
	for _, html := range [...]string{"text/html", "application/xhtml+xml"} {
		if len(kind) >= len(html) && strings.EqualFold(kind[:len(html)], html) {
			return true
		}
	}
	return false
}
