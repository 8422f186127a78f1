package middleware

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
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

	mu       sync.Mutex // of all below
	asked    bool       // the application was, for the next two
	who      who
	off      bool          // the page carries no chat at all: does not change any more
	token    hubspot.Token // of who, once it came
	refused  bool          // HubSpot does not accept who
	deadline time.Time     // end of the render budget, once somebody waited
	fate     fate
	expire   bool          // the widget's cookies, which are another's
	open     bool          // the page began as an anonymous visitor's
	returned bool          // the handler, with nothing written: whoever draws now may write past the boundary
	drawn    bool          // a page part was given…
	varies   bool          // …that depends on who asks…
	asks     bool          // …or that is the same for everybody, and asks…
	given    hubspot.Token // …and this is in it
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

// is answers "who is it?", and after it q.off can be read; the application is
// asked once.
func (q *request) is() who {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.asked {
		q.asked, q.off = true, true // fail closed, where the application ends the goroutine
		q.who, q.off = q.m.find(q.http), !q.m.chats(q.http)
	}
	return q.who
}

// become makes the rest of the request another visitor's, or nobody's: the
// response carries their cookies. out tells that somebody left.
func (q *request) become(is who, out bool) {
	q.is() // or else the application is asked later
	q.mu.Lock()
	defer q.mu.Unlock()
	q.who, q.token, q.refused, q.expire = is, hubspot.Token{}, false, q.expire || out
	if q.fate != left { // or else it is too late for cookies, and for a token
		q.fate = private
	}
}

// prefetch begins to fetch the token: the sooner, the less the page waits.
func (q *request) prefetch() {
	if is := q.is(); is.ok && !q.off && !q.m.onDemand.Load() {
		_, _ = q.fetch(&q.over, is)
	}
}

// ended is a context whose time is over: with it the token source answers from
// memory, or begins a call and does not wait for it.
type ended struct{ context.Context }

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (*ended) Done() <-chan struct{} { return closed }
func (*ended) Err() error            { return context.Canceled }

// fetch asks the token source for the token of is, and keeps what it answers. A
// source that is not this library's own may panic, or not return when ctx ends.
func (q *request) fetch(ctx context.Context, is who) (token hubspot.Token, err error) {
	if tokens, ok := q.m.tokens.(*hubspot.Tokens); ok {
		token, err = tokens.Token(ctx, is.visitor)
	} else {
		token, err = flight.Guard(ctx, func(ctx context.Context) (hubspot.Token, error) { return q.m.tokens.Token(ctx, is.visitor) })
	}
	if err == nil && (token.Email() != is.visitor.Email || token.Reveal() == "") {
		token, err = hubspot.Token{}, errWrongToken // fail closed: no identity rather than another's
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.who.fingerprint == is.fingerprint { // nobody signed out meanwhile
		q.token, q.refused = token, errors.Is(err, hubspot.ErrInvalidVisitor)
	}
	return token, err
}

var errWrongToken = errors.New("middleware: the token source's token is empty or for another visitor")

// Chat is what the page part may know, for package snippet: the only thing that
// waits, within the render budget.
func (q *request) Chat(ctx context.Context, onDemand bool) identity.Chat {
	m := q.m
	if m.onDemand.Load() != onDemand {
		m.onDemand.Store(onDemand)
	}
	is := q.is()
	chat := identity.Chat{
		Off: q.off, PortalID: m.cfg.PortalID, LoaderSrc: m.loaderSrc, Endpoint: m.tokenPath,
		TrackingCookie: m.trackingCookie, Debug: m.cfg.Debug,
	}
	chat.Claim, chat.Reason = q.draw(is, onDemand)
	switch {
	case chat.Claim == identity.Never:
		chat.Endpoint = ""
	case (chat.Claim == identity.Anybody || chat.Claim == identity.Ask) && is.ok && chat.Endpoint == "":
		m.log.Seldom(ctx, slog.LevelWarn, "public", "middleware: a page that is the same for everybody does not identify its visitor; with a token path it could")
	case is.reason == notSignedIn:
		// The one mistake that looks as if nobody were signed in.
		if _, ok := VisitorFrom(ctx); ok {
			m.log.Once(ctx, slog.LevelWarn, "middleware: a page's context holds a visitor that identify did not see: the chat's handler belongs inside of the authentication")
		}
	case chat.Reason == "" && chat.Claim != identity.Ask:
		q.await(ctx, is, &chat)
	}
	return chat
}

// draw decides whose page part this is.
func (q *request) draw(is who, onDemand bool) (claim, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drawn = true
	q.varies = q.varies || q.m.consent != nil
	switch {
	case q.off:
		return identity.Nobody, "HUBSPOT_CHAT is off, or WithConsent reports no consent"
	case is.never:
		q.varies = true
		return identity.Never, is.reason
	case onDemand:
		q.asks = true
		return identity.Ask, ""
	case q.open && !is.ok: // the headers themselves are somebody else's by now
		return identity.Anybody, is.reason
	// Fail closed: what a cache may hand to others must not carry a token.
	case q.fate == left, q.returned, q.fate == undecided && public(q.out.header), q.m.withholds():
		return identity.Anybody, "caches may share this page, so it is the same for everybody"
	case !is.ok:
		q.varies = true
		return identity.Nobody, is.reason
	}
	if q.fate == undecided {
		q.fate = private
		protect(q.out.header) // for whoever writes past the boundary
	}
	return is.fingerprint, ""
}

// within is ctx until the render budget is used up, which begins with the first
// wait.
func (q *request) within(ctx context.Context) (context.Context, context.CancelFunc) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deadline.IsZero() {
		q.deadline = time.Now().Add(cmp.Or(q.m.cfg.RenderBudget, 300*time.Millisecond))
	}
	return context.WithDeadline(ctx, q.deadline)
}

// await puts the visitor's token into chat, or why there is none.
func (q *request) await(ctx context.Context, is who, chat *identity.Chat) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.token.Reveal() == "" {
		q.mu.Unlock()
		limited, cancel := q.within(ctx)
		defer cancel()
		_, err := q.fetch(limited, is)
		q.mu.Lock()
		chat.Reason = why(err)
	}
	switch {
	case q.who.fingerprint != is.fingerprint:
		chat.Claim, chat.Reason = identity.Nobody, "the visitor signed out"
	case q.refused:
		chat.Claim = identity.Nobody // as the marker, see settle
	case q.given == hubspot.Token{}, q.given == q.token:
		chat.Token, q.given = q.token, q.token
	default:
		chat.Reason = "the response has another token" // which has to be found, see release
	}
}

// why says it in words for the page: none of HubSpot's.
func why(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "the token did not come within the render budget"
	}
	for _, reason := range []error{
		hubspot.ErrInvalidVisitor, hubspot.ErrUnauthorized, hubspot.ErrMissingScope, hubspot.ErrForbidden,
		hubspot.ErrDailyLimit, hubspot.ErrRateLimited, hubspot.ErrUnavailable, hubspot.ErrCoolingDown,
	} {
		if errors.Is(err, reason) {
			return "no token: " + reason.Error()
		}
	}
	return "no token, see the log"
}

// settle decides, when the headers leave, what caches may do with the response:
// the one rule of the boundary. start is what the body begins with, whole tells
// that nothing of the page follows it. It can be called again while the headers are
// still here.
func (q *request) settle(status int, start []byte, whole bool) fate {
	h := q.out.header
	q.mu.Lock()
	defer q.mu.Unlock()
	page := isPage(status, h, start)
	if !page && !q.drawn && q.fate == undecided {
		q.fate = left // a style sheet, an answer of an API: most responses
		return left
	}
	// The chat may still come, and then it is too late for the headers.
	later := page && !whole && !q.drawn
	open := later && !public(h) && !q.m.withholds()
	// A page part with consent in it, or still to come, depends on who asks even
	// where it is the same for all who agreed.
	dependent := q.varies || later && q.m.consent != nil
	if open || dependent && later {
		q.mu.Unlock()
		if q.is(); open {
			q.prefetch() // tells whether HubSpot refuses the visitor
		}
		q.mu.Lock()
		open = open && !q.off
	}
	dependent = dependent || open
	brought, wanted := q.m.marker.of(q.http), q.who.fingerprint
	if q.off || q.refused {
		// A visitor whom HubSpot refuses has no marker: page and endpoint would set and
		// expire it in turn.
		wanted = identity.Nobody
	}
	switch {
	case q.fate == private:
	case open && q.who.ok && !q.refused:
		q.fate = private
	// The first page after a session is over takes the marker away. A page that asks
	// must not ask in the name of somebody who has left.
	case (dependent && brought != "" || q.asks && brought != wanted) && !q.who.never && !public(h):
		q.fate = private
	default:
		q.fate, q.open = left, open
		if dependent {
			varyByCookie(h)
		}
		return left
	}
	protect(h)
	if wanted != brought && !q.who.never {
		q.m.marker.put(h, q.http, wanted)
		// An anonymous visitor's widget stays for when they sign in.
		q.expire = q.expire || brought != identity.Nobody
	}
	if q.expire {
		q.m.expireWidgetCookies(h, q.http)
		q.expire = false
	}
	return private
}
