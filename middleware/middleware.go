// Package middleware tells HubSpot's chat who a page's signed-in visitor is: it
// reads the visitor from the request, fetches the identification token early,
// and carries both in the context to where package snippet puts them into the
// page.
//
//	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
//		user, ok := auth.UserFrom(r.Context()) // whatever your authentication left there
//		return hubspot.Visitor{Email: user.Email, EmailVerified: user.Verified}, ok
//	})
//	…
//	http.ListenAndServe(addr, auth.Handler(chat.Handler(mux)))
//
// The chat's handler goes inside the authentication and around the pages. A
// page never waits longer than the render budget (300 ms) for HubSpot, and never
// fails because of it: without a token it carries the anonymous chat.
package middleware

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
)

// TokenSource is where the tokens come from: a [*hubspot.Tokens].
type TokenSource interface {
	Token(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error)
	Invalidate(ctx context.Context, v hubspot.Visitor)
}

// Middleware identifies the visitors of an application. It may be used
// concurrently.
type Middleware struct {
	tokens   TokenSource
	identify func(*http.Request) (hubspot.Visitor, bool)
	cfg      hubspot.Config
	logger   *slog.Logger

	skip            func(*http.Request) bool
	consent         func(*http.Request) bool
	trustUnverified bool
	trackingCookie  bool
	tokenPath       string

	loaderSrc      string
	fingerprints   *seal.Sealer
	unverifiedOnce sync.Once
	crossOrigin    *http.CrossOriginProtection
}

// Option changes what New builds.
type Option func(*Middleware)

// WithConfig tells the account that the pages belong to: portal, region or
// loader URL, render budget, chat mode. [FromEnv] sets it; without it pages
// carry no chat, unless package snippet is told the portal.
func WithConfig(cfg hubspot.Config) Option {
	return func(m *Middleware) { m.cfg = cfg }
}

// WithSkip excludes requests: where skip reports true, the page carries the
// anonymous chat, even for a signed-in visitor. For administrators who look at
// an account as its owner, or for paths. A skip that panics excludes.
func WithSkip(skip func(*http.Request) bool) Option {
	return func(m *Middleware) { m.skip = skip }
}

// WithConsent asks whether the visitor agreed to the chat: where consent
// reports false, or panics, the page carries nothing of it at all.
func WithConsent(consent func(*http.Request) bool) Option {
	return func(m *Middleware) { m.consent = consent }
}

// WithTokenPath tells pages where [Middleware.TokenHandler] is mounted: a path
// on the same origin, such as /chat/token. A page whose token did not come
// within the render budget then asks there, and so does a page that has been
// open for longer than its token is good.
func WithTokenPath(path string) Option {
	return func(m *Middleware) { m.tokenPath = path }
}

// WithTrackingCookie makes [Middleware.ClearCookies] expire hubspotutk too, the
// cookie of HubSpot's tracking code, as HubSpot's mobile kits do at log-out.
func WithTrackingCookie() Option {
	return func(m *Middleware) { m.trackingCookie = true }
}

// WithLogger sets where the middleware logs, and with FromEnv the token source
// too. Default slog.Default().
func WithLogger(logger *slog.Logger) Option {
	return func(m *Middleware) {
		if logger != nil {
			m.logger = logger
		}
	}
}

// DangerouslyTrustUnverifiedEmail identifies visitors whose EmailVerified is
// false. Whoever can sign up with a stranger's address then reads that
// stranger's chats. It is for applications whose every account is made by its
// operator, and for trying things out.
func DangerouslyTrustUnverifiedEmail() Option {
	return func(m *Middleware) { m.trustUnverified = true }
}

// FromEnv is New with the token source and the configuration that the HUBSPOT_*
// environment variables describe (see [hubspot.Config]). All problems come in
// one joined error.
func FromEnv(identify func(*http.Request) (hubspot.Visitor, bool), options ...Option) (*Middleware, error) {
	cfg, err := hubspot.ConfigFromEnv()
	options = append([]Option{WithConfig(cfg)}, options...)
	m := build(options)
	if err := errors.Join(err, m.problems(identify)); err != nil {
		return nil, err
	}
	if !m.identifies() {
		return New(nil, identify, options...)
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{
		Account:     cfg.PortalID,
		StoreSecret: cfg.StoreSecret,
		Logger:      m.logger,
	})
	if err != nil {
		return nil, err
	}
	return New(tokens, identify, options...)
}

// New makes a Middleware. identify says who the visitor of a request is: it
// reads what the application's own authentication left in the request's
// context, and never a query, header or form that the client chose. It reports
// false for somebody who is not signed in, is called at most once per request,
// concurrently, and should be quick. An identify that panics leaves the visitor
// anonymous; the panic is logged.
//
// All problems come in one joined error.
func New(tokens TokenSource, identify func(*http.Request) (hubspot.Visitor, bool), options ...Option) (*Middleware, error) {
	m := build(options)
	m.tokens, m.identify = tokens, identify
	errs := []error{m.problems(identify), m.cfg.Validate()}
	if tokens == nil && m.identifies() {
		errs = append(errs, errors.New("middleware: there is no token source"))
	}
	// Without any secret the fingerprints are this process's own: browsers that
	// meet several replicas then forget an anonymous chat between them.
	secret := cmp.Or(string(m.cfg.FingerprintSecret()), rand.Text()+rand.Text())
	sealer, err := seal.New([]byte(secret))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	m.fingerprints, m.loaderSrc = sealer, m.cfg.LoaderSrc()
	return m, nil
}

// problems are those of the call, not of the configuration.
func (m *Middleware) problems(identify func(*http.Request) (hubspot.Visitor, bool)) error {
	var errs []error
	if identify == nil {
		errs = append(errs, errors.New("middleware: there is no identify function"))
	}
	// A path on another origin would be given this visitor's cookies, or none.
	if p := m.tokenPath; p != "" && (!strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//")) {
		errs = append(errs, errors.New("middleware: WithTokenPath needs a path that begins with one slash"))
	}
	return errors.Join(errs...)
}

func build(options []Option) *Middleware {
	m := &Middleware{logger: slog.Default(), crossOrigin: http.NewCrossOriginProtection()}
	for _, option := range options {
		option(m)
	}
	return m
}

// Handler wraps an application's pages: mux, router or single handler. For each
// request it puts what package snippet needs into the context. For a page that
// is opened (not for its scripts, pictures and API calls) by a signed-in
// visitor, it also marks the response as private and begins to fetch the token,
// while next does its work.
//
// It does not wrap the ResponseWriter. So it cannot see what is written to another
// one: whatever buffers responses, such as http.TimeoutHandler, belongs outside.
// And where a handler fetches HTML parts by requests that ask for */*, without
// htmx's HX-Request, the privacy headers are set by the snippet: render such parts
// into a buffer before you write them.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel() // ends the wait for a token that the page did not ask for
		q := m.newRequest(ctx, w.Header(), r)
		if opens := opensPage(r); opens || fetchesPage(r) {
			q.prepare(opens)
		}
		next.ServeHTTP(w, r.WithContext(identity.With(ctx, q.shared())))
	})
}

// opensPage tells navigations from the other requests of a browser. Sec-Fetch-Dest
// says so outright; older browsers name text/html only when they open a page.
func opensPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document", "iframe":
		return true
	case "":
		return takesHTML(r)
	}
	return false
}

// fetchesPage tells the requests by which Turbo, htmx and their like get HTML:
// it may carry the chat, and caches have to know before it is written.
func fetchesPage(r *http.Request) bool {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "empty" {
		return false
	}
	return takesHTML(r) || r.Header.Get("HX-Request") == "true"
}

func takesHTML(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		if strings.Contains(accept, "text/html") {
			return true
		}
	}
	return false
}

func (m *Middleware) identifies() bool { return m.cfg.Chat == "" || m.cfg.Chat == hubspot.ChatOn }

func (m *Middleware) budget() time.Duration {
	return cmp.Or(m.cfg.RenderBudget, 300*time.Millisecond)
}

type visitorKey struct{}

// WithVisitor is ctx with a visitor, for applications (and tests) whose
// authentication puts the visitor there itself; identify is then
//
//	func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }
func WithVisitor(ctx context.Context, v hubspot.Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// VisitorFrom is the visitor that [WithVisitor] put into ctx, if it did.
func VisitorFrom(ctx context.Context) (hubspot.Visitor, bool) {
	v, ok := ctx.Value(visitorKey{}).(hubspot.Visitor)
	return v, ok
}
