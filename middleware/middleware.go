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
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/credential"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seldom"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
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
	log      *seldom.Logger

	skip            func(*http.Request) bool
	consent         func(*http.Request) bool
	trustUnverified bool
	trackingCookie  bool
	tokenPath       string
	crossOrigin     *http.CrossOriginProtection
	store           hubspot.Store // for FromEnv to give to its token source
	problems        []error       // with how it is made

	loaderSrc    string
	marker       marker
	sealer       *seal.Sealer
	fingerprints *tokencache.Cache[string] // by address: a keyed hash on each page costs more than all else

	withheld atomic.Int64 // until then no page has a token, in nanoseconds
	onDemand atomic.Bool  // pages ask when the chat is wanted: so the last one did
}

// maxFingerprints bounds what is remembered of them: about 200 bytes each.
const maxFingerprints = 50_000

const defaultTokenPath = "/hubspot-visitor/token"

// Option changes what New builds.
type Option func(*Middleware)

// WithConfig tells the account that the pages belong to: portal, region or
// loader URL, render budget, chat mode. [New] needs its PortalID, unless its Chat is
// off, and its StoreSecret or access token to key the marker cookie; [FromEnv]
// refuses it.
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

// WithTokenPath sets the path, on the same origin, at which pages ask who is
// signed in, instead of /hubspot-visitor/token: as the browser sees it, where a
// proxy or a router strips a prefix. A page asks whose token did not come within
// the render budget, one that a cache kept, and one that has been open for long.
// "" turns the endpoint off: such pages are then anonymous.
//
// [Middleware.Handler] answers there itself, and at /hubspot-visitor/token, which is
// what is left of it where a prefix was stripped; for another path mount
// [Middleware.TokenHandler]. A middleware against cross-site
// request forgery that wants a token of its own in each POST has to exempt it: it
// takes no input, changes nothing, and refuses other origins by itself.
func WithTokenPath(path string) Option {
	return func(m *Middleware) {
		// A path on another origin would be given this visitor's cookies, or none.
		local := strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "?#\\")
		m.check(local || path == "", "WithTokenPath needs a path that begins with one slash, without query and fragment")
		m.tokenPath = path
	}
}

// WithTrustedOrigins lets pages of these origins, such as https://www.example.com,
// ask the token endpoint: where a proxy does not pass on the Host that the browser
// asked for, and where the application answers pages of another origin (which
// takes headers for cross-origin resource sharing besides, the application's own).
func WithTrustedOrigins(origins ...string) Option {
	return func(m *Middleware) {
		for _, origin := range origins {
			err := m.crossOrigin.AddTrustedOrigin(origin)
			m.check(err == nil, fmt.Sprint("WithTrustedOrigins: ", err))
		}
	}
}

// WithTrackingCookie makes hubspotutk go, too, the cookie of HubSpot's tracking
// code, where the visitor signs out or another one comes: with the response, and
// in the page. HubSpot's mobile kits do so at sign-out.
func WithTrackingCookie() Option {
	return func(m *Middleware) { m.trackingCookie = true }
}

// WithLogger sets where the middleware logs, and with FromEnv the token source
// too. Default slog.Default(), which is always package snippet's.
func WithLogger(logger *slog.Logger) Option {
	return func(m *Middleware) { m.log = seldom.New(logger) }
}

// WithStore lets the token source that [FromEnv] makes share its tokens with the
// application's other replicas; package redisstore is such a store. It needs
// HUBSPOT_STORE_SECRET, the same on every replica. Default nil, for none. With
// [New] it is an error: that token source has its Store in its TokensConfig.
func WithStore(store hubspot.Store) Option {
	return func(m *Middleware) { m.store = store }
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

// New makes a Middleware. identify says who the visitor of a request is: it
// reads what the application's own authentication left in the request's
// context, and never a query, header or form that the client chose. It reports
// false for somebody who is not signed in, is called at most once per request,
// concurrently, and should be quick. An identify that panics leaves the visitor
// anonymous; the panic is logged.
//
// All problems come in one joined error.
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
	m.sealer, m.loaderSrc, m.marker = sealer, m.cfg.LoaderSrc(), marker{"hubspot_visitor_" + m.cfg.PortalID}
	m.fingerprints = tokencache.New(maxFingerprints, func(*string) bool { return false })
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

// Handler wraps an application's pages: mux, router or single handler. For each
// request it puts what package snippet needs into the context. When a signed-in
// visitor opens a page, it begins to fetch the token while next does its work.
//
// It is the boundary between the visitor's identity and caches: when the headers
// leave, a response that holds a token, or may come to hold one, becomes private,
// no-store, with Vary: Cookie and without any header by which a content delivery
// network would keep it, whatever next set and when. A page that next declared
// public (Cache-Control: public, s-maxage or a max-age that is not private) gets
// no token; it is the same for everybody, and its script asks the token endpoint.
// Other responses are left alone, except that anonymous pages vary by cookie.
//
// The chat's handler belongs inside of the authentication, and outside of
// whatever sets caching headers. The ResponseWriter that next gets can do what
// the one before could (Flush, Hijack, ReadFrom, http.ResponseController).
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

// Stats is what the token source has counted so far, if it counts: the one of
// [FromEnv] and every [*hubspot.Tokens] do. It asks nobody, and may be called at
// any time.
//
// It is for dashboards and alerts. FailedAccount rises while HubSpot refuses the
// credential, scope or region, FailedVisitor and GateClosed together where it
// refuses everybody, as for want of a plan: nobody gets a new token until the
// operator mends it; GateClosed is one more than GateOpened while HubSpot is left alone;
// StoreErrors rises while the replicas do not share.
//
// None of it belongs into a readiness or liveness probe. A page without a token
// carries the anonymous chat and is as good as any, and what is wrong at HubSpot
// is wrong for every replica: such a probe would take all of them away for it. What
// a replica cannot do without, FromEnv and [New] refuse to start without.
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
	switch get(r.Header, "Sec-Fetch-Dest") {
	case "document", "iframe":
		return true
	case "":
		return strings.Contains(get(r.Header, "Accept"), "text/html")
	}
	return false
}

func (m *Middleware) identifies() bool { return m.cfg.Chat == "" || m.cfg.Chat == hubspot.ChatOn }

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
