package e2e_test

import (
	"context"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

const (
	first  = "first@example.com"
	second = "second@example.com"
	third  = "third@example.com"
)

// site is an application with server-rendered pages and sessions of its own:
//
//	/login?as=…       begins a session (the tests' short cut past a log-in form)
//	/logout           ends it and clears the cookies; /forget only ends it
//	/help             never identifies
//	/snippet?as=…     the chat's HTML alone, for scripts that swap pages
//	/token            the token endpoint
//	everything else   a page with the chat
type site struct {
	t       *testing.T
	hubspot *hubspottest.Server
	tokens  *hubspot.Tokens
	url     string
	chat    *middleware.Middleware

	head, body, foot string            // added to every page: foot behind the chat
	header           map[string]string // of every page; NONCE is replaced
	options          []snippet.Option
	files            map[string]string // served as they are
	charset          string            // of pages
	wrap             func(http.Handler) http.Handler

	mu       sync.Mutex
	sessions map[string]string
	asked    int // requests to the token endpoint
}

// configure changes a site before it starts.
type configure struct {
	hubspot    hubspot.Config
	middleware []middleware.Option
	listen     func(http.Handler) *httptest.Server
	emulator   *hubspottest.Server
}

func newSite(t *testing.T, with ...func(*site, *configure)) *site {
	t.Helper()
	c := &configure{listen: httptest.NewServer}
	s := &site{t: t, sessions: map[string]string{}, charset: "; charset=utf-8", header: map[string]string{}, files: map[string]string{}}
	for _, f := range with {
		f(s, c)
	}
	if c.emulator == nil {
		c.emulator = hubspottest.NewServer(t)
	}
	s.hubspot = c.emulator
	cfg := c.hubspot
	cfg.AccessToken, cfg.PortalID, cfg.APIURL = hubspottest.AccessToken, hubspottest.PortalID, s.hubspot.URL
	if cfg.LoaderURL == "" {
		cfg.LoaderURL = s.hubspot.URL
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	s.tokens, err = hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	options := []middleware.Option{
		middleware.WithConfig(cfg), middleware.WithLogger(quiet),
		middleware.WithSkip(func(r *http.Request) bool { return r.URL.Path == "/help" }),
	}
	identify := func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }
	s.chat, err = middleware.New(s.tokens, identify, append(options, c.middleware...)...)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.servePage)
	mux.HandleFunc("/login", s.login)
	mux.HandleFunc("/logout", s.logout)
	mux.HandleFunc("/forget", s.forget)
	mux.Handle("/assets/", snippet.ScriptHandler())
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		s.chat.TokenHandler().ServeHTTP(w, r)
	})
	mux.HandleFunc("/snippet", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, snippet.HTML(r.Context(), s.options...))
	})
	var h http.Handler = s.chat.Handler(mux)
	if s.wrap != nil {
		h = s.wrap(h)
	}
	server := c.listen(s.authenticate(h))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// authenticate is the application's own: a cookie names a session that the
// server knows. /snippet may name the visitor outright.
func (s *site) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		email := ""
		if cookie, err := r.Cookie("session"); err == nil {
			s.mu.Lock()
			email = s.sessions[cookie.Value]
			s.mu.Unlock()
		}
		if r.URL.Path == "/snippet" && r.URL.Query().Has("as") {
			email = r.URL.Query().Get("as")
		}
		if email != "" {
			r = r.WithContext(middleware.WithVisitor(r.Context(), hubspot.Visitor{Email: email, EmailVerified: true}))
		}
		next.ServeHTTP(w, r)
	})
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	id := fmt.Sprint("s", len(s.sessions))
	s.sessions[id] = r.FormValue("as")
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true})
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r)
	s.forget(w, r)
}

func (s *site) forget(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie("session"); err == nil {
		s.mu.Lock()
		delete(s.sessions, cookie.Value)
		s.mu.Unlock()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// endSessions ends every session on the server: browsers are not told.
func (s *site) endSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.sessions {
		s.sessions[id] = ""
	}
}

func (s *site) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

type nonceKey struct{}

func nonceFrom(ctx context.Context) string {
	nonce, _ := ctx.Value(nonceKey{}).(string)
	return nonce
}

var layout = template.Must(template.New("page").Funcs(template.FuncMap{"raw": func(s string) template.HTML { return template.HTML(s) }}).Parse(
	`<!doctype html><html><head><title>{{.Path}}</title>{{raw .Head}}</head>
<body><h1>{{.Path}}</h1><nav><a id="to-a" href="/a">a</a> <a id="to-b" href="/b">b</a> <a id="to-help" href="/help">help</a>
<a id="to-logout" href="/logout">log out</a> <a id="to-first" href="/login?as=first@example.com">first</a> <a id="to-second" href="/login?as=second@example.com">second</a></nav>
{{raw .Body}}{{.Chat}}{{raw .Foot}}</body></html>`))

func (s *site) servePage(w http.ResponseWriter, r *http.Request) {
	if content, ok := s.files[r.URL.Path]; ok {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, content)
		return
	}
	if r.URL.Path == "/favicon.ico" {
		http.NotFound(w, r)
		return
	}
	const nonce = "bm9uY2U"
	ctx := context.WithValue(r.Context(), nonceKey{}, nonce)
	w.Header().Set("Content-Type", "text/html"+s.charset)
	for name, value := range s.header {
		w.Header().Set(name, strings.ReplaceAll(value, "NONCE", nonce))
	}
	var b strings.Builder
	if err := layout.Execute(&b, map[string]any{
		"Path": r.URL.Path, "Head": s.head, "Body": s.body, "Foot": s.foot, "Chat": snippet.HTML(ctx, s.options...),
	}); err != nil {
		s.t.Error(err)
	}
	fmt.Fprint(w, b.String())
}

// contacts are the inbox's chats as "contact: message, message", with * for the
// badge and "?" for the Unknown Visitor.
func (s *site) contacts() (list []string) {
	for _, chat := range s.hubspot.Inbox() {
		who := chat.Contact
		if who == "" {
			who = "?"
		}
		if chat.Identified {
			who += "*"
		}
		list = append(list, who+": "+strings.Join(chat.Messages, ", "))
	}
	return list
}

func (s *site) wantContacts(want ...string) {
	s.t.Helper()
	got := s.contacts()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Errorf("the inbox has %q, want %q", got, want)
	}
}
