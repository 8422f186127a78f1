package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// shop is a small application with sessions, the chat, and what stands before it.
type shop struct {
	visitor    hubspot.Visitor // whose the session is; the owner of -email
	cookie     string          // what the check is given; the session's
	config     func(*hubspot.Config)
	client     []hubspot.ClientOption
	options    []middleware.Option
	snippet    []snippet.Option
	forVisitor []snippet.Option // in place of snippet
	silent     bool             // the page does not greet
	random     bool             // each page is another one
	misplaced  bool             // chat.Handler is outside of the authentication
	anonymous  bool             // HUBSPOT_CHAT is
	handler    http.HandlerFunc // before the page, inside of chat.Handler; may answer
	proxy      proxy
}

// proxy is what stands before an application.
type proxy func(http.Handler) http.Handler

var shopPage = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Shop</title>
<h1>Hello{{.Name}}</h1>{{.Random}}
{{.Chat}}`))

func signedIn(r *http.Request) bool {
	cookie, err := r.Cookie("session")
	return err == nil && cookie.Value == session
}

func (s shop) app(t *testing.T, cfg hubspot.Config) http.Handler {
	t.Helper()
	if s.visitor.Email == "" {
		s.visitor = hubspot.Visitor{Email: email, FirstName: "Yuri", EmailVerified: true}
	}
	if s.config != nil {
		s.config(&cfg)
	}
	client, err := hubspot.NewClient(cfg, s.client...)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	chat, err := middleware.New(tokens, func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	}, append(s.options, middleware.WithConfig(cfg), middleware.WithLogger(quiet))...)
	if err != nil {
		t.Fatal(err)
	}
	var page http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered := &answered{ResponseWriter: w}
		if s.handler != nil {
			if s.handler(answered, r); answered.already {
				return
			}
		}
		data, options := map[string]any{}, s.snippet
		if visitor, ok := middleware.VisitorFrom(r.Context()); ok {
			if !s.silent {
				data["Name"] = ", " + visitor.FirstName
			}
			if s.forVisitor != nil {
				options = s.forVisitor
			}
		}
		if s.random {
			data["Random"] = time.Now().String()
		}
		data["Chat"] = snippet.HTML(r.Context(), options...)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = shopPage.Execute(w, data)
	})
	authentication := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if signedIn(r) {
				r = r.WithContext(middleware.WithVisitor(r.Context(), s.visitor))
			}
			next.ServeHTTP(w, r)
		})
	}
	app := authentication(chat.Handler(page))
	if s.misplaced {
		app = chat.Handler(authentication(page))
	}
	if s.proxy != nil {
		app = s.proxy(app)
	}
	return app
}

// answered notices that a handler has answered.
type answered struct {
	http.ResponseWriter
	already bool
}

func (w *answered) WriteHeader(status int) {
	w.already = true
	w.ResponseWriter.WriteHeader(status)
}

// check is the program's answer about the shop's page, opened with s.cookie.
func (s shop) check(t *testing.T, cfg hubspot.Config, args ...string) printed {
	t.Helper()
	server := httptest.NewServer(s.app(t, cfg))
	t.Cleanup(server.Close)
	if s.cookie == "" {
		s.cookie = sessionCookie
	}
	return check(t, cfg, append([]string{"-page", server.URL + "/", "-cookie-file", file(t, s.cookie)}, args...)...)
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cookies")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// reply is an answer on its way to the browser.
type reply struct {
	status int
	header http.Header
	body   string
}

func record(app http.Handler, r *http.Request) *reply {
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return &reply{w.Code, w.Header(), w.Body.String()}
}

func (a *reply) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// pages is a proxy that changes pages.
func pages(change func(*http.Request, *reply)) proxy {
	return func(app http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := record(app, r)
			if r.Method == http.MethodGet {
				change(r, a)
			}
			a.send(w)
		})
	}
}

// headers is a proxy that sets headers of pages; "" takes one away.
func headers(pairs ...string) proxy {
	return pages(func(_ *http.Request, a *reply) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if a.header.Del(pairs[i]); pairs[i+1] != "" {
				a.header.Set(pairs[i], pairs[i+1])
			}
		}
	})
}

// posts is a proxy that treats POST requests in its own way.
func posts(treat func(w http.ResponseWriter, r *http.Request, app http.Handler)) proxy {
	return func(app http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				treat(w, r, app)
				return
			}
			app.ServeHTTP(w, r)
		})
	}
}

// keeps is a caching proxy that respects nothing: it keeps pages from the uses-th
// request on, by key, and tells so by the header, if that is not "".
func keeps(key func(*http.Request) string, uses int, header, value string) proxy {
	return func(app http.Handler) http.Handler {
		var mu sync.Mutex
		kept, asked := make(map[string]*reply), make(map[string]int)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				app.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			k := key(r)
			asked[k]++
			if a := kept[k]; a != nil {
				if header != "" {
					w.Header().Set(header, value)
				}
				a.send(w)
				return
			}
			a := record(app, r)
			if asked[k] >= uses {
				kept[k] = a
			}
			a.send(w)
		})
	}
}

func byURL(r *http.Request) string    { return r.URL.String() }
func byCookie(r *http.Request) string { return r.URL.String() + strings.Join(r.Header["Cookie"], "") }

var anyToken = regexp.MustCompile(`"identificationToken":"[^"]+"`)

// inToken puts another token into pages, issued and expiring so long from then.
func inToken(issued, expires time.Duration) proxy {
	return pages(func(_ *http.Request, a *reply) {
		a.body = anyToken.ReplaceAllString(a.body, `"identificationToken":"`+jwt(time.Now().Add(issued), time.Now().Add(expires))+`"`)
	})
}

// jwt is a token of HubSpot's shape.
func jwt(issued, expires time.Time) string {
	payload := fmt.Sprintf(`{"iat":%d,"exp":%d}`, issued.Unix(), expires.Unix())
	return "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".AAAA"
}

func cacheControl(value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", value) }
}

// members lets in who is signed in, and answers others by refuse.
func members(refuse http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && !signedIn(r) {
			refuse(w, r)
		}
	}
}

func toLogin(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func debug(cfg *hubspot.Config) { cfg.Debug = true }

var onClick = []snippet.Option{snippet.WithLoad(snippet.LoadClick)}

const noSession = "session=0000000000000000"

// Each mistake that only a signed-in visitor's page shows is found, and nothing
// else with it.
func TestVisitorMistakes(t *testing.T) {
	hour := time.Hour
	var replica atomic.Pointer[http.HandlerFunc] // of the same application, with the default secret
	elsewhere := httptest.NewServer(answer(200, "text/html", "<h1>Sign in</h1>"))
	defer elsewhere.Close()
	down := hubspottest.NewServer(t)
	down.SetOutage(&hubspottest.Fault{Status: 503})

	for name, tt := range map[string]struct {
		shop
		want []string
	}{
		"none": {shop{}, nil},
		// Who it is.
		"no session": {shop{cookie: noSession}, []string{
			"identity as visitor: the page is anonymous; the page reads as for nobody. To mend it: most likely the cookies are of no session, or no more: sign in with a browser"}},
		"no session, it says so": {shop{cookie: noSession, config: debug}, []string{
			"identity as visitor: the page is anonymous, since identify says that nobody is signed in; the page reads as for nobody. To mend it: most likely the cookies are of no session"}},
		"no session, each page another": {shop{cookie: noSession, random: true}, []string{
			"identity as visitor: the page is anonymous. To mend it: if the cookies are of no session, sign in with a browser"}},
		"no session, on a click": {shop{cookie: noSession, snippet: onClick}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token knows nobody (204); the page reads as for nobody. To mend it: most likely the cookies are of no session"}},
		"handler outside of the authentication": {shop{misplaced: true}, []string{
			"identity as visitor: the page is anonymous; but the page reads otherwise than for nobody, so the application knows them. To mend it: put chat.Handler inside of the authentication, let identify read what that left in the request's context, and set EmailVerified where you have proof; HUBSPOT_DEBUG=true"}},
		"the same, it says so": {shop{misplaced: true, config: debug}, []string{
			"identity as visitor: the page is anonymous, since identify says that nobody is signed in; but the page reads otherwise than for nobody, so the application knows them. To mend it: put chat.Handler inside of the authentication"}},
		"the same, on a click": {shop{misplaced: true, snippet: onClick, config: debug}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token knows nobody (204), since identify says that nobody is signed in; but the page reads otherwise than for nobody"}},
		"unverified": {shop{visitor: hubspot.Visitor{Email: email, FirstName: "Yuri"}, config: debug}, []string{
			"identity as visitor: the page is anonymous, since the visitor's EmailVerified is false. To mend it: set EmailVerified in what identify returns"}},
		"unverified, on a click": {shop{visitor: hubspot.Visitor{Email: email, FirstName: "Yuri"}, config: debug, snippet: onClick}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token knows nobody (204), since the visitor's EmailVerified is false. To mend it: set EmailVerified"}},
		"no address": {shop{visitor: hubspot.Visitor{Email: "you", FirstName: "Yuri", EmailVerified: true}, config: debug}, []string{
			`identity as visitor: the page is anonymous, since the visitor's Email `}},
		"skipped": {shop{options: []middleware.Option{middleware.WithSkip(signedIn)}}, []string{
			"identity as visitor: this page never identifies anybody. To mend it: if WithSkip"}},
		"without consent": {shop{options: []middleware.Option{middleware.WithConsent(func(r *http.Request) bool { return !signedIn(r) })}}, []string{
			"page part as visitor: the page has none"}},
		"somebody else": {shop{visitor: hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}}, []string{
			"identity as visitor: it is somebody else's than -email's"}},
		"somebody else, on a click": {shop{visitor: hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}, snippet: onClick}, []string{
			"identity as visitor: it is somebody else's than -email's"}},
		"HubSpot is down": {shop{config: func(cfg *hubspot.Config) { cfg.APIURL, cfg.Debug = down.URL, true }}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token has no token for now (503): no token",
			"identity as visitor: the page knows the visitor and has no token, on the second view either, since no token"}},
		"expired": {shop{proxy: inToken(-15*hour, -3*hour)}, []string{
			"identity as visitor: the token expired 3h0m0s ago"}},
		"nearly expired": {shop{proxy: inToken(-11*hour, hour/6)}, []string{
			"identity as visitor: the token is good for 10m0s only"}},
		"a replica is anonymous": {shop{proxy: anonymously(3)}, []string{
			"identity as visitor: of two pages only one identifies the visitor"}},
		"the first page is": {shop{proxy: anonymously(2)}, []string{
			"identity as visitor: of two pages only one identifies the visitor"}},
		"a replica has no token": {shop{proxy: func(app http.Handler) http.Handler {
			var n atomic.Int32
			return pages(func(r *http.Request, a *reply) {
				if n.Add(1) == 3 {
					a.body = anyToken.ReplaceAllString(a.body, `"identificationToken":""`)
				}
			})(app)
		}}, []string{"identity as visitor: of two pages only one identifies the visitor"}},
		"everybody is the visitor": {shop{proxy: func(app http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set("Cookie", sessionCookie)
				app.ServeHTTP(w, r)
			})
		}}, []string{"visitor on the page: it identifies a visitor", "token endpoint: POST /hubspot-visitor/token names a visitor"}},
		// The page itself.
		"members, no session": {shop{cookie: noSession, handler: members(toLogin)}, []string{
			"page as visitor: it is redirected to http://127.0.0.1"}},
		"members, refused": {shop{cookie: noSession, handler: members(answer(401, "text/html", ""))}, []string{
			"page: it answers 401", "page as visitor: it answers 401. To mend it: the cookies may be of no session"}},
		"signed in elsewhere": {shop{proxy: func(app http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if signedIn(r) {
					http.Redirect(w, r, elsewhere.URL+"/login", http.StatusFound)
					return
				}
				app.ServeHTTP(w, r)
			})
		}}, []string{"page as visitor: it is redirected to another host, 127.0.0.1:"}},
		"broken for the visitor": {shop{proxy: pages(func(r *http.Request, a *reply) {
			if signedIn(r) {
				a.status = 500
			}
		})}, []string{"page as visitor: it answers 500"}},
		"another loader for the visitor": {shop{proxy: pages(func(r *http.Request, a *reply) {
			if signedIn(r) {
				a.body += `<script src="//js.hs-scripts.com/12345678.js"></script>`
			}
		})}, []string{"page part as visitor: HubSpot's scripts are included 2 times", "page part as visitor: a loader comes from js.hs-scripts.com"}},
		"the same mistake for both": {shop{proxy: pages(func(_ *http.Request, a *reply) {
			a.body += `<script>window.hsConversationsSettings = { loadImmediately: true };</script>`
		})}, []string{"page's own settings: a script behind the page part assigns"}},
		// The token endpoint.
		"CSRF": {shop{proxy: posts(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(403) })}, []string{
			"token endpoint: POST /hubspot-visitor/token is refused (403)"}},
		"CSRF with a session": {shop{proxy: posts(func(w http.ResponseWriter, r *http.Request, app http.Handler) {
			if signedIn(r) {
				w.WriteHeader(400)
				return
			}
			app.ServeHTTP(w, r)
		})}, []string{"token endpoint as visitor: POST /hubspot-visitor/token is refused (400). To mend it: exempt it from the CSRF middleware"}},
		"no cookies with POST": {shop{proxy: posts(withoutCookies)}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token knows nobody (204), although the page knows the visitor. To mend it: let the proxy pass cookies on with POST"}},
		"no cookies with POST, on a click": {shop{proxy: posts(withoutCookies), snippet: onClick}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token knows nobody (204); but the page reads otherwise"}},
		"the endpoint's answer is another's": {shop{proxy: posts(func(w http.ResponseWriter, r *http.Request, app http.Handler) {
			a := record(app, r)
			a.body = strings.ReplaceAll(a.body, email, "ada@example.com")
			a.send(w)
		})}, []string{"token endpoint as visitor: POST /hubspot-visitor/token names somebody else than the page"}},
		"the endpoint's answer is kept": {shop{proxy: posts(func(w http.ResponseWriter, r *http.Request, app http.Handler) {
			a := record(app, r)
			if a.status == 200 {
				a.header.Set("Cache-Control", "max-age=60")
			}
			a.send(w)
		})}, []string{"token endpoint as visitor: POST /hubspot-visitor/token may be kept by caches"}},
		// The marker.
		"no Set-Cookie": {shop{proxy: headers("Set-Cookie", "")}, []string{
			"marker as visitor: the cookie hubspot_visitor_12345678 is neither set nor there"}},
		"HttpOnly": {shop{proxy: pages(func(_ *http.Request, a *reply) {
			for i := range a.header["Set-Cookie"] {
				a.header["Set-Cookie"][i] += "; HttpOnly"
			}
		})}, []string{"marker as visitor: something has made the cookie hubspot_visitor_12345678 HttpOnly"}},
		"another's": {shop{proxy: headers("Set-Cookie", ""), cookie: sessionCookie + "; hubspot_visitor_12345678=0123456789abcdef"}, []string{
			"marker as visitor: the cookie hubspot_visitor_12345678 is another visitor's"}},
		"no Set-Cookie, on a click": {shop{snippet: onClick, proxy: func(app http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				a := record(app, r)
				a.header.Del("Set-Cookie")
				a.send(w)
			})
		}}, []string{"marker as visitor: the cookie hubspot_visitor_12345678 is neither set nor there"}},
		"replicas with other secrets": {shop{config: func(cfg *hubspot.Config) { cfg.StoreSecret = hubspot.NewSecret(strings.Repeat("a", 32)) }, proxy: posts(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			replica.Load().ServeHTTP(w, r)
		})}, []string{"marker as visitor: two answers have different fingerprints of the same visitor"}},
		// Caches.
		"made public on the way": {shop{proxy: headers("Cache-Control", "public, max-age=600")}, []string{
			"caching: caches may give it to everybody",
			"caching as visitor: it holds what is one visitor's, and caches may keep it: Cache-Control: public, max-age=600"}},
		"made private only": {shop{proxy: headers("Cache-Control", "private, max-age=60")}, []string{
			"caching as visitor: it holds what is one visitor's, and its Cache-Control is private, max-age=60 instead of private, no-store"}},
		"no Cache-Control": {shop{proxy: headers("Cache-Control", "")}, []string{
			"caching as visitor: it holds what is one visitor's, and caches may keep it: there is no Cache-Control: private, no-store"}},
		"at the CDN": {shop{proxy: pages(func(r *http.Request, a *reply) {
			if signedIn(r) {
				a.header.Set("Surrogate-Control", "max-age=60")
			}
		})}, []string{"caching as visitor: it holds what is one visitor's, and caches may keep it: Surrogate-Control: max-age=60"}},
		"no Vary": {shop{proxy: headers("Vary", "Accept-Encoding")}, []string{
			"caching: Vary: Cookie is missing",
			"caching as visitor: Vary: Cookie is missing from a page that is one visitor's"}},
		"a cache by URL": {shop{proxy: keeps(byURL, 1, "", "")}, []string{
			"identity as visitor: the page is anonymous, although the token endpoint knows the visitor. To mend it: let no cache before the application give them nobody's page"}},
		"a cache by URL that says so": {shop{proxy: keeps(byURL, 1, "CF-Cache-Status", "HIT"), config: debug}, []string{
			"identity as visitor: the page is anonymous, since identify says that nobody is signed in, although the token endpoint knows the visitor: a cache gave them nobody's (Cf-Cache-Status: HIT)"}},
		"a cache by URL, later": {shop{proxy: keeps(byURL, 2, "X-Cache", "HIT")}, []string{
			"copies as visitor: after the visitor, nobody is given the visitor's page"}},
		"a cache by cookie": {shop{proxy: keeps(byCookie, 1, "X-Cache", "Hit from cloudfront")}, []string{
			"copies as visitor: a page that is one visitor's came out of a cache (X-Cache: Hit from cloudfront)"}},
		"an old copy": {shop{proxy: headers("Age", "17")}, []string{"copies as visitor: a page that is one visitor's came out of a cache (Age: 17)"}},
		// Pages for everybody.
		"public and greeting": {shop{handler: cacheControl("public, max-age=60")}, []string{
			"copies as visitor: caches may give it to everybody (Cache-Control: public, max-age=60), and the visitor's page differs from nobody's"}},
		"public, greeting, on a click": {shop{handler: cacheControl("s-maxage=60"), snippet: onClick}, []string{
			"copies as visitor: caches may give it to everybody (Cache-Control: s-maxage=60), and the visitor's page differs"}},
		"other options for the visitor": {shop{snippet: onClick, forVisitor: append(onClick, snippet.WithFallback("mailto:you@example.org"))}, []string{
			"copies as visitor: the visitor's page part differs from nobody's"}},
		"public, with a token": {shop{handler: cacheControl("public, max-age=60"), silent: true, proxy: pages(func(r *http.Request, a *reply) {
			if signedIn(r) {
				a.body = strings.Replace(a.body, `"identificationToken":""`, `"identificationToken":"eyJ0"`, 1)
			}
		})}, []string{
			"identity as visitor: the page says that it is the same for everybody, and holds an identity",
			"caching as visitor: it holds what is one visitor's, and caches may keep it: Cache-Control: public, max-age=60"}},
		"public, handler outside of the authentication": {shop{misplaced: true, handler: cacheControl("public, max-age=60"), silent: true, config: debug}, []string{
			"token endpoint as visitor: POST /hubspot-visitor/token knows nobody (204), since identify says that nobody is signed in"}},
		"no endpoint, on a click": {shop{snippet: onClick, options: []middleware.Option{middleware.WithTokenPath("")}}, []string{
			"token endpoint: there is none, and the page is the same for everybody"}},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			other := http.HandlerFunc(shop{}.app(t, account(emulator)).ServeHTTP)
			replica.Store(&other)
			tt.check(t, account(emulator)).expect(t, tt.want...)
		})
	}
}

// anonymously is a proxy that asks for the nth page without cookies.
func anonymously(nth int) proxy {
	return func(app http.Handler) http.Handler {
		var mu sync.Mutex
		n := 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodGet {
				n++
			}
			if r.Method == http.MethodGet && n == nth {
				r.Header.Del("Cookie")
			}
			app.ServeHTTP(w, r)
		})
	}
}

func withoutCookies(w http.ResponseWriter, r *http.Request, app http.Handler) {
	r.Header.Del("Cookie")
	app.ServeHTTP(w, r)
}

// What an application may choose is no mistake, nor that HubSpot is slow at first.
func TestVisitorChoices(t *testing.T) {
	asked := make(chan struct{})
	for name, tt := range map[string]struct {
		shop
		says []string
	}{
		"private": {shop{}, []string{
			"✓ page as visitor: opened with the visitor's cookies, ",
			"✓ token endpoint as visitor: POST /hubspot-visitor/token answers the visitor with 200 and a token, uncached",
			"✓ identity as visitor: -email's, with a token in the page, good for 12h0m0s",
			"✓ marker as visitor: the cookie hubspot_visitor_12345678 is the visitor's",
			"✓ caching as visitor: Cache-Control: private, no-store; Vary: Cookie",
			"✓ copies as visitor: each page came from the application itself",
			"✓ chat as visitor: HubSpot has one for the page's visitor",
		}},
		"other letters": {shop{visitor: hubspot.Visitor{Email: "You@Example.com", EmailVerified: true}}, []string{"✓ identity as visitor: -email's"}},
		"on a click":    {shop{snippet: onClick}, []string{"✓ identity as visitor: -email's, with a token by the token endpoint", "✓ copies as visitor: the page part is the same as nobody's", "✓ marker as visitor"}},
		"public": {shop{silent: true, handler: cacheControl("public, max-age=60"), proxy: keeps(byURL, 1, "Age", "7")}, []string{
			"✓ identity as visitor: -email's, with a token by the token endpoint", "✓ copies as visitor: the page is the same as nobody's"}},
		"public, each page another": {shop{random: true, handler: cacheControl("public, max-age=60")}, []string{"✓ copies as visitor"}},
		"no endpoint":               {shop{options: []middleware.Option{middleware.WithTokenPath("")}}, []string{"✓ identity as visitor", "- not checked: token endpoint as visitor"}},
		"for members":               {shop{handler: members(toLogin)}, []string{"✓ page: nobody is redirected to http://127.0.0.1", "✓ identity as visitor"}},
		"refused to others":         {shop{handler: members(answer(403, "text/html", ""))}, []string{"✓ page: nobody is answered 403", "✓ identity as visitor"}},
		"anonymous":                 {shop{anonymous: true}, []string{"- not checked: identity as visitor (HUBSPOT_CHAT is anonymous)"}},
		"anonymous, on a click":     {shop{anonymous: true, snippet: onClick}, []string{"- not checked: identity as visitor (HUBSPOT_CHAT is anonymous)", "- not checked: token endpoint (HUBSPOT_CHAT is anonymous)"}},
		"late": {shop{
			config: func(cfg *hubspot.Config) { cfg.RenderBudget = time.Millisecond },
			client: []hubspot.ClientOption{hubspot.WithHTTPClient(&http.Client{Transport: after(asked)})},
			proxy: posts(func(w http.ResponseWriter, r *http.Request, app http.Handler) {
				if signedIn(r) {
					close(asked)
				}
				app.ServeHTTP(w, r)
			}),
		}, []string{"✓ identity as visitor: -email's, with a token in the page, on its second view: on the first HubSpot was slower"}},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			cfg := account(emulator)
			if tt.anonymous {
				cfg.Chat = "anonymous"
			}
			p := tt.check(t, cfg)
			p.expect(t)
			for _, line := range tt.says {
				if !strings.Contains(p.out, line) {
					t.Errorf("it does not say %q:\n%s", line, p.out)
				}
			}
		})
	}
}

// after lets calls to HubSpot pass once begin is closed.
type after chan struct{}

func (begin after) RoundTrip(r *http.Request) (*http.Response, error) {
	<-begin
	return http.DefaultTransport.RoundTrip(r)
}

// The token's own troubles with HubSpot are seen, too: an application may have
// another account's than the check.
func TestChatAsVisitor(t *testing.T) {
	emulator, another := hubspottest.NewServer(t), hubspottest.NewServer(t)
	p := shop{config: func(cfg *hubspot.Config) { cfg.APIURL = another.URL }}.check(t, account(emulator))
	p.expect(t, "chat as visitor: HubSpot's chat refuses e-mail and token (")
}

// With -json each finding has a name of its own.
func TestVisitorJSON(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	p := shop{proxy: posts(withoutCookies)}.check(t, account(emulator), "-json")
	var got struct {
		OK     bool
		Checks []struct{ Check, Status, Detail, Mend string }
	}
	if err := json.Unmarshal([]byte(p.out), &got); err != nil {
		t.Fatalf("%v:\n%s", err, p.out)
	}
	seen := make(map[string]string)
	for _, one := range got.Checks {
		seen[one.Check] = one.Status
	}
	for check, want := range map[string]string{
		"page": "passed", "token endpoint": "passed", "page as visitor": "passed", "page part as visitor": "passed", "token endpoint as visitor": "failed",
		"identity as visitor": "passed", "marker as visitor": "passed", "caching as visitor": "passed", "copies as visitor": "passed", "chat as visitor": "passed",
	} {
		if seen[check] != want {
			t.Errorf("%s is %q, want %s", check, seen[check], want)
		}
	}
	if got.OK || p.code != 1 {
		t.Errorf("ok is %v, exit code %d", got.OK, p.code)
	}
}

// What a page echoes is not printed: the cookies, and whom it names.
func TestVisitorSecrets(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	const former = "cafe0123456789ab"
	p := shop{
		visitor: hubspot.Visitor{Email: "ada@example.com", EmailVerified: true},
		cookie:  sessionCookie + "; former=" + former,
		proxy: pages(func(r *http.Request, a *reply) {
			if signedIn(r) {
				a.header.Set("Cache-Control", `private, no-store, x="`+session+`", y=ada@example.com, z=ada%40example.com, c="`+former+`"`)
				a.header.Add("Set-Cookie", "former=; Max-Age=0")
			}
		}),
	}.check(t, account(emulator))
	p.expect(t, "identity as visitor: it is somebody else's")
	if strings.Contains(p.out, "ada%40") || strings.Contains(p.out, former) || !strings.Contains(p.out, `y=[redacted]`) {
		t.Errorf("printed:\n%s", p.out)
	}
}

func TestCookieFile(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	cfg := account(emulator)
	server := httptest.NewServer(shop{}.app(t, cfg))
	defer server.Close()
	page := server.URL + "/"
	for name, content := range map[string]string{
		"value":       sessionCookie,
		"line":        sessionCookie + "\r\n",
		"more lines":  sessionCookie + "\nand more\n",
		"header":      "cookie: theme=dark; " + sessionCookie + ";\n",
		"odd values":  `consent={"chat": true, "x": [1,2]}; ` + sessionCookie + `; empty=`,
		"the browser": "hubspot_visitor_12345678=0123456789abcdef; " + sessionCookie,
	} {
		p := check(t, cfg, "-page", page, "-cookie-file", file(t, content))
		p.expect(t)
		if !strings.Contains(p.out, "✓ identity as visitor") {
			t.Errorf("%s:\n%s", name, p.out)
		}
	}
	if p := check(t, cfg, "-page", page, "-cookie-file", "-"); p.code != 0 || !strings.Contains(p.out, "✓ identity as visitor") {
		t.Errorf("standard input:\n%s", p.out)
	}

	for name, args := range map[string][]string{
		"no page":      {"-cookie-file", file(t, sessionCookie)},
		"emulated":     {"-emulate", "-cookie-file", file(t, sessionCookie)},
		"no file":      {"-page", page, "-cookie-file", filepath.Join(t.TempDir(), "none")},
		"not a file":   {"-page", page, "-cookie-file", sessionCookie},
		"a folder":     {"-page", page, "-cookie-file", t.TempDir()},
		"empty":        {"-page", page, "-cookie-file", file(t, "\n")},
		"no name":      {"-page", page, "-cookie-file", file(t, session)},
		"curl's jar":   {"-page", page, "-cookie-file", file(t, "# Netscape HTTP Cookie File\n"+sessionCookie)},
		"another line": {"-page", page, "-cookie-file", file(t, "GET / HTTP/1.1\n"+sessionCookie)},
		"control":      {"-page", page, "-cookie-file", file(t, sessionCookie+"\x00")},
	} {
		p := start(t, unread, append([]string{"-email", email}, args...)...)
		if p.code != 2 || p.out != "" || !strings.Contains(p.err, "hubspot-check: -") {
			t.Errorf("%s: %d\n%s%s", name, p.code, p.out, p.err)
		}
	}
}

// Ctrl-C ends it, too, while standard input is waited for.
func TestCookiesThatNobodyWrites(t *testing.T) {
	stdin, write := io.Pipe()
	defer write.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, err bytes.Buffer
	code := run(ctx, []string{"-email", email, "-page", "http://127.0.0.1:1/", "-cookie-file", "-"}, unread, stdin, &out, &err)
	if code != 2 || !strings.Contains(err.String(), "hubspot-check: -cookie-file was not read to its end") {
		t.Errorf("%d\n%s%s", code, out.String(), err.String())
	}
}

// The cookies go to the page's own host: not where it redirects to, not to
// HubSpot, and not in the clear where the page is not.
func TestCookiesStayHome(t *testing.T) {
	var mu sync.Mutex
	var brought []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		brought = append(brought, r.Header["Cookie"]...)
		answer(200, "text/javascript", "")(w, r)
	}))
	defer other.Close()
	emulator := hubspottest.NewServer(t)
	cfg := account(emulator)
	shop{proxy: pages(func(_ *http.Request, a *reply) {
		a.body += `<script src="` + other.URL + `/a.js"></script>`
	}), snippet: []snippet.Option{snippet.WithoutLoader()}}.check(t, cfg).expect(t, "page's loader: HubSpot's loader is not in the page")
	server := httptest.NewServer(http.RedirectHandler(other.URL+"/b", http.StatusFound))
	defer server.Close()
	check(t, cfg, "-page", server.URL, "-cookie-file", file(t, sessionCookie)).expect(t, "page: it is no HTML", "page as visitor: it is redirected to another host")
	if len(brought) > 0 {
		t.Errorf("another host was sent %d cookies", len(brought))
	}

	for _, tt := range []struct {
		page, to string
		want     bool
	}{
		{"https://www.example.com/", "https://www.example.com/account", true},
		{"https://www.example.com/", "http://www.example.com/", false},
		{"https://www.example.com/", "https://example.com/", false},
		{"https://www.example.com/", "https://www.example.com.evil.example/", false},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080/x", true},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8081/", false},
	} {
		to, _ := url.Parse(tt.to)
		if got := newCookies(sessionCookie, tt.page).belong(to); got != tt.want {
			t.Errorf("from %s to %s: %v", tt.page, tt.to, got)
		}
	}
	at := func(address string) (v view) {
		v.url, _ = url.Parse(address)
		return v
	}
	for _, tt := range [][3]string{
		{"http://www.example.com/a?b", "https://www.example.com/a", "https://www.example.com/a?b"},
		{"http://www.example.com/", "http://www.example.com/", "http://www.example.com/"},
		{"http://example.com/", "https://www.example.com/", "http://example.com/"},
		{"https://www.example.com:8443/", "https://www.example.com/", "https://www.example.com:8443/"},
	} {
		if got := secure(tt[0], at(tt[1])); got != tt[2] {
			t.Errorf("asked %s, nobody at %s: %s", tt[0], tt[1], got)
		}
	}
}

// Cookies are kept as a browser keeps them.
func TestCookiesAreKept(t *testing.T) {
	c := newCookies(`a=1; b="2"; c=x,y`, "https://www.example.com/")
	h := http.Header{"Set-Cookie": {"a=3; Path=/", "b=; Max-Age=0", `d="4"`, "e=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "c=z; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}}
	for _, one := range (&http.Response{Header: h}).Cookies() {
		c.keep(one)
	}
	if got, want := c.pairs, []string{"a=3", `d="4"`, "c=z"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Each cache has its own header to say that it answered.
func TestFromCache(t *testing.T) {
	for line, want := range map[string]bool{
		"Age: 1": true, "Age: 0": false, "X-Cache: HIT": true, "X-Cache: MISS": false, "X-Cache: MISS, HIT": true, "X-Cache: Hit from cloudfront": true,
		"X-Cache: RefreshHit from cloudfront": true, "X-Cache: TCP_MEM_HIT from a23-1": true, "X-Cache: Miss from cloudfront": false, "X-Cache-Status: HIT": true,
		"X-Cache-Status: BYPASS": false, "CF-Cache-Status: HIT": true, "CF-Cache-Status: DYNAMIC": false, "CF-Cache-Status: REVALIDATED": true, "X-Vercel-Cache: HIT": true,
		"X-Proxy-Cache: hit": true, "Cache-Status: edge; hit; ttl=30": true, "Cache-Status: edge; fwd=uri-miss": false, "X-Cache-Hits: 0": false,
		"Cache-Control: hit": false, "X-Cache: white": false,
	} {
		name, value, _ := strings.Cut(line, ": ")
		h := http.Header{}
		h.Set(name, value)
		if got := fromCache(h); (got != "") != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// A page whose loader another script brings looks like one whose loader was taken
// away: the scripts tell.
func TestWithoutLoader(t *testing.T) {
	bundle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := `add("https:\/\/js.hs-scripts.com\/12345678.js")`
		if r.URL.Path == "/other.js" {
			text = `alert()`
		}
		kind := "text/javascript"
		if r.URL.Path == "/page" {
			kind = "text/html"
		}
		answer(200, kind, text)(w, r)
	}))
	defer bundle.Close()
	script := func(path string) func(http.Header, string) string {
		return before(endOfBody, `<script src="`+bundle.URL+path+`"></script>`)
	}
	for name, tt := range map[string]struct {
		page func(http.Header, string) string
		want []string
	}{
		"brought":   {script("/bundle.js"), nil},
		"not there": {nil, []string{"page's loader: HubSpot's loader is not in the page, though the page part is, and no script of the page is seen to bring it. To mend it: without snippet.WithoutLoader, look for what takes foreign scripts out of pages"}},
		"no script": {script("/page"), []string{"page's loader: HubSpot's loader is not in the page"}},
		"others":    {script("/other.js"), []string{"page's loader: HubSpot's loader is not in the page"}},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			cfg := account(emulator)
			app := application{chat: []snippet.Option{snippet.WithoutLoader()}, page: func(h http.Header, body string) string {
				h.Del("Content-Security-Policy")
				if tt.page != nil {
					body = tt.page(h, body)
				}
				return body
			}}
			p := check(t, cfg, "-page", app.serve(t, cfg))
			p.expect(t, tt.want...)
			if tt.want == nil && !strings.Contains(p.out, "✓ page's loader: left to the page or its tag manager") {
				t.Errorf("printed:\n%s", p.out)
			}
		})
	}

	page, _ := url.Parse("https://www.example.com/")
	m := parseMarkup([]byte(`<script>(function(w,d,s,l,i){j.src='https://www.googletagmanager.com/gtm.js?id='+i})(window,document,'script','dataLayer','GTM-ABC123')</script>
<script src="/app.js"></script><script>"GTM-NONE"</script><script data-hubspot-visitor="" src="/chat.js"></script><script data-hubspot-visitor="" src="/chat.js"></script>`))
	if got, want := scripts(m, m.parts()[1], page), []string{"https://www.googletagmanager.com/gtm.js?id=GTM-ABC123", "https://www.example.com/app.js"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
