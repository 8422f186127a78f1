// Package middleware tells HubSpot's chat who a page's signed-in visitor is: it
// reads the visitor from the request, starts fetching the identification token
// early, and hands both to package snippet by way of the request's context.
//
//	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
//		user, ok := auth.UserFrom(r.Context()) // whatever your authentication left there
//		return hubspot.Visitor{Email: user.Email, EmailVerified: user.Verified}, ok
//	})
//	…
//	http.ListenAndServe(addr, auth.Handler(chat.Handler(mux)))
//
// The chat's handler goes inside the authentication and around the pages. A page
// never waits for HubSpot longer than the render budget (300 ms), and never fails
// because of it: without a token it carries the anonymous chat.
package middleware

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/credential"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seldom"
)

// TokenSource is where tokens come from: a [*hubspot.Tokens].
type TokenSource interface {
	Token(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error)
	Invalidate(ctx context.Context, v hubspot.Visitor)
}

// Middleware identifies the visitors of an application. It is safe for concurrent
// use.
type Middleware struct {
	tokens   TokenSource
	identify func(*http.Request) (hubspot.Visitor, bool)
	cfg      hubspot.Config
	log      *seldom.Logger

	skip            func(*http.Request) bool
	consent         func(*http.Request) bool
	trustUnverified bool
	trackingCookie  bool
	tokenPath       string
	crossOrigin     *http.CrossOriginProtection
	store           hubspot.Store // for FromEnv to give to its token source
	problems        []error       // with how it is made

	loaderSrc   string
	marker      marker
	fingerprint func(email string) string // printers do not look into it

	withheld atomic.Int64 // until then no page has a token, in nanoseconds
	onDemand atomic.Bool  // pages ask when the chat is wanted: so the last one did
}

const defaultTokenPath = "/hubspot-visitor/token"

// Option configures a [Middleware].
type Option func(*Middleware)

// WithConfig describes the account that the pages belong to: portal, region or
// loader URL, render budget and chat mode. [New] needs its PortalID, unless its
// Chat is off, and its StoreSecret or access token as the key for the marker
// cookie. [FromEnv] rejects this option.
func WithConfig(cfg hubspot.Config) Option {
	return func(m *Middleware) { m.cfg = cfg }
}

// WithSkip excludes requests: if skip reports true, the page carries the
// anonymous chat, even for a signed-in visitor. It is for administrators who view
// an account as its owner, or for certain paths. If skip panics, the request is
// excluded.
func WithSkip(skip func(*http.Request) bool) Option {
	return func(m *Middleware) { m.skip = skip }
}

// WithConsent sets a function that reports whether the visitor agreed to the
// chat. If it reports false, or panics, the page carries no part of the chat at
// all.
func WithConsent(consent func(*http.Request) bool) Option {
	return func(m *Middleware) { m.consent = consent }
}

// WithTokenPath sets the path, on the same origin, at which pages ask who is
// signed in. The default is /hubspot-visitor/token. Give the path as the browser
// sees it, including any prefix that a proxy or router strips, but unescaped. A page
// asks if its token did not come within the render budget, if it came from a cache,
// or if it has been open for a long time. "" turns the endpoint off: such pages are
// then anonymous.
//
// [Middleware.Handler] answers at this path and, since a prefix may have been
// stripped, at /hubspot-visitor/token; for any other path mount
// [Middleware.TokenHandler]. CSRF middleware that wants a token of its own in
// each POST has to exempt the endpoint, which takes no input, changes nothing,
// and refuses other origins by itself.
func WithTokenPath(path string) Option {
	return func(m *Middleware) {
		// A path on another origin would be given this visitor's cookies, or none; and one
		// that a browser writes in another way would never be answered.
		u, err := new(url.URL).Parse(path)
		m.check(err == nil && u.Path == path && !strings.Contains(path, "\\"), "WithTokenPath needs a path that begins with one slash, without query, fragment, dot segments and escapes")
		m.tokenPath = path
	}
}

// WithTrustedOrigins lets pages of these origins, such as
// https://www.example.com, ask the token endpoint. It is for proxies that do not
// pass on the Host that the browser sent, and for applications that answer pages
// of another origin (those also need headers for cross-origin resource sharing,
// which the application sets).
func WithTrustedOrigins(origins ...string) Option {
	return func(m *Middleware) {
		for _, origin := range origins {
			err := m.crossOrigin.AddTrustedOrigin(strings.ToLower(origin)) // as browsers write it
			m.check(err == nil, fmt.Sprint("WithTrustedOrigins: ", err))
		}
	}
}

// WithTrackingCookie also expires hubspotutk, the cookie of HubSpot's tracking
// code, when the visitor signs out or another one comes: with the response, and
// in the page. HubSpot's mobile kits do so at sign-out.
func WithTrackingCookie() Option {
	return func(m *Middleware) { m.trackingCookie = true }
}

// WithLogger sets where the middleware logs and, with [FromEnv], where the token
// source does. The default is slog.Default(), which package snippet always uses.
func WithLogger(logger *slog.Logger) Option {
	return func(m *Middleware) { m.log = seldom.New(logger) }
}

// WithStore lets the token source that [FromEnv] makes share its tokens with the
// application's other replicas; package redisstore provides such a store. It
// needs HUBSPOT_STORE_SECRET, the same on every replica. The default nil means no
// store. With [New] this option is an error: set the Store in the token source's
// TokensConfig instead.
func WithStore(store hubspot.Store) Option {
	return func(m *Middleware) { m.store = store }
}

// DangerouslyTrustUnverifiedEmail identifies visitors whose EmailVerified is
// false: whoever can sign up with a stranger's address can then read that
// stranger's chats. It is for applications whose operator makes every account,
// and for experiments.
func DangerouslyTrustUnverifiedEmail() Option {
	return func(m *Middleware) { m.trustUnverified = true }
}

// FromEnv is like [New], with the token source and configuration that the
// HUBSPOT_* environment variables describe (see [hubspot.Config]). The error
// joins all problems.
func FromEnv(identify func(*http.Request) (hubspot.Visitor, bool), options ...Option) (*Middleware, error) {
	cfg, err := hubspot.ConfigFromEnv()
	m := build(identify, options)
	m.check(m.cfg == hubspot.Config{}, "WithConfig is for New: FromEnv reads the environment")
	m.cfg = cfg
	m.check(m.store == nil || !m.identifies() || os.Getenv("HUBSPOT_STORE_SECRET") != "",
		"HUBSPOT_STORE_SECRET is missing, which WithStore needs: 32 or more random characters, the same on every replica")
	if err := errors.Join(append(m.problems, err)...); err != nil {
		return nil, err
	}
	if !m.identifies() {
		return m.finish(nil)
	}
	client, err1 := hubspot.NewClient(cfg)
	tokens, err2 := hubspot.NewTokens(client, hubspot.TokensConfig{
		Account:     cfg.PortalID,
		Store:       m.store,
		StoreSecret: cfg.StoreSecret,
		Logger:      m.log.To,
	})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return m.finish(tokens)
}

// New returns a Middleware. identify says who the visitor of a request is: it
// reads what the application's own authentication left in the request's context,
// and never a query, header or form that the client chose. It reports false if
// nobody is signed in. It is called at most once per request, concurrently for
// different requests, and should be quick. If identify panics, the visitor is
// anonymous and the panic is logged.
//
// The error joins all problems.
func New(tokens TokenSource, identify func(*http.Request) (hubspot.Visitor, bool), options ...Option) (*Middleware, error) {
	m := build(identify, options)
	m.check(m.store == nil, "WithStore is for FromEnv: the token source that New is given has its Store in hubspot.TokensConfig")
	return m.finish(tokens)
}

// finish makes m, which build began, ready for requests.
func (m *Middleware) finish(tokens TokenSource) (*Middleware, error) {
	m.tokens = tokens
	m.check(m.cfg.PortalID != "" || m.cfg.Chat == hubspot.ChatOff, "WithConfig does not tell the PortalID (HUBSPOT_PORTAL_ID)")
	m.check(tokens != nil || !m.identifies(), "there is no token source")
	fromFile, _ := credential.Read(m.cfg.AccessTokenFile) // "" without a file; ConfigFromEnv reported an error
	secret := cmp.Or(m.cfg.StoreSecret.Reveal(), m.cfg.AccessToken.Reveal(), fromFile)
	if secret == "" && m.identifies() {
		m.log.Log(context.Background(), slog.LevelWarn, "middleware: neither StoreSecret (HUBSPOT_STORE_SECRET) nor AccessToken is known, to key the marker cookie: after a restart, and at each other replica, visitors look like others, and what HubSpot's widget keeps in their browsers is expired")
	}
	sealer, err := seal.New([]byte(cmp.Or(secret, rand.Text()+rand.Text())))
	if err := errors.Join(append(m.problems, m.cfg.Validate(), err)...); err != nil {
		return nil, err
	}
	m.loaderSrc, m.marker = m.cfg.LoaderSrc(), marker{"hubspot_visitor_" + m.cfg.PortalID}
	m.fingerprint, m.store = fingerprints(sealer, m.cfg.PortalID), nil
	if !m.identifies() {
		m.tokenPath = ""
	}
	return m, nil
}

func build(identify func(*http.Request) (hubspot.Visitor, bool), options []Option) *Middleware {
	m := &Middleware{
		identify:    identify,
		log:         seldom.New(nil),
		tokenPath:   defaultTokenPath,
		crossOrigin: http.NewCrossOriginProtection(),
	}
	m.check(identify != nil, "there is no identify function")
	for _, option := range options {
		option(m)
	}
	return m
}

func (m *Middleware) check(ok bool, problem string) {
	if !ok {
		m.problems = append(m.problems, errors.New("middleware: "+problem))
	}
}

// Handler wraps an application's pages: a mux, a router or a single handler. It
// puts into each request's context what package snippet needs. When a signed-in
// visitor opens a page, it starts to fetch the token while next does its work.
//
// Handler keeps visitors' identities out of caches. A response that holds a
// token, or may come to hold one, becomes private, no-store when its headers
// leave, with Vary: Cookie and without any header by which a content delivery
// network would keep it, whatever next set and when. A page that next declared
// public (Cache-Control: public, s-maxage, or a max-age that is not private) gets
// no token: it is the same for everybody, and its script asks the token endpoint.
// Other responses are left alone, except that anonymous pages get Vary: Cookie.
//
// The chat's handler goes inside the authentication and outside anything that
// sets caching headers. The exception is a cache of whole pages in the application
// itself: it goes outside, and has to obey Cache-Control; inside, it would keep one
// visitor's page for everybody. The ResponseWriter given to next supports whatever
// the original one does (Flush, Hijack, ReadFrom, http.ResponseController).
//
// POST requests to the token path are answered here (see [WithTokenPath]).
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && m.tokenPath != "" && (r.URL.Path == m.tokenPath || r.URL.Path == defaultTokenPath) {
			m.serveToken(w, r)
			return
		}
		q := m.newRequest(w, r)
		if opensPage(r) {
			q.prefetch()
		}
		next.ServeHTTP(q.out.writer(), r.WithContext(identity.With(r.Context(), q)))
		q.out.finish()
	})
}

// Stats returns what the token source has counted so far, or zeros if it does not
// count; every [*hubspot.Tokens] does, including the one of [FromEnv]. It makes
// no calls and may be used at any time.
//
// Stats is for dashboards and alerts. FailedAccount rises while HubSpot refuses
// the credential, scope or region; FailedVisitor and GateClosed rise together
// while it refuses everybody, for example because of the plan. In both cases
// nobody gets a new token until the operator fixes it. GateClosed is one more
// than GateOpened while HubSpot is left alone. StoreErrors rises while replicas
// do not share tokens.
//
// Do not use these counters in a readiness or liveness probe. A page without a
// token works, with the anonymous chat, and trouble at HubSpot affects every
// replica: such a probe would take all of them down. [FromEnv] and [New] already
// fail if something is missing that a replica cannot do without.
func (m *Middleware) Stats() hubspot.Stats {
	if counting, ok := m.tokens.(interface{ Stats() hubspot.Stats }); ok {
		return counting.Stats()
	}
	return hubspot.Stats{}
}

// opensPage tells navigations from the other requests of a browser. Sec-Fetch-Dest
// says so outright; older browsers name text/html only when they open a page.
func opensPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	dest := get(r.Header, "Sec-Fetch-Dest")
	return dest == "document" || dest == "iframe" || dest == "" && strings.Contains(get(r.Header, "Accept"), "text/html")
}

func (m *Middleware) identifies() bool { return m.cfg.Chat == "" || m.cfg.Chat == hubspot.ChatOn }

type visitorKey struct{}

// WithVisitor returns a copy of ctx with a visitor, for applications (and tests)
// whose authentication puts the visitor there itself; identify is then
//
//	func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }
func WithVisitor(ctx context.Context, v hubspot.Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// VisitorFrom returns the visitor that [WithVisitor] put into ctx, if any.
func VisitorFrom(ctx context.Context) (hubspot.Visitor, bool) {
	v, ok := ctx.Value(visitorKey{}).(hubspot.Visitor)
	return v, ok
}
