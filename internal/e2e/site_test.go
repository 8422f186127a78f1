package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
//	/logout           ends it and says so to the chat; /forget only ends it
//	/help             never identifies
//	/snippet?as=…     begins a session, too; the chat's HTML alone, for scripts that swap pages
//	/part?as=…        the same as JSON, with the cookies, for responses that arrive later
//	everything else   a page with the chat
type site struct {
	t       *testing.T
	hubspot *hubspottest.Server
	tokens  *hubspot.Tokens
	url     string
	chat    *middleware.Middleware

	head, body, foot string            // added to every page: foot behind the chat; NONCE is replaced
	header           map[string]string // of every page; NONCE is replaced
	options          []snippet.Option
	attributes       string                                       // of the body
	page             func(path string, chat template.HTML) string // instead of the layout
	twice            bool                                         // every page has the chat twice
	without          string                                       // the path of a page that has none
	pause            map[string]time.Duration                     // before the pages of these paths
	files            map[string]string                            // served as they are
	charset          string                                       // of pages
	wrap             func(http.Handler) http.Handler

	mu       sync.Mutex
	sessions map[string]string
	asked    int // requests to the token endpoint
}

// endpoint is where the library answers by default.
const endpoint = "/hubspot-visitor/token"

// configure changes a site before it starts.
type configure struct {
	hubspot    hubspot.Config
	middleware []middleware.Option
	listen     func(http.Handler) *httptest.Server
	emulator   *hubspottest.Server
	front      func(http.Handler) http.Handler // between browsers and HubSpot
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
	if c.front != nil {
		front := httptest.NewServer(c.front(s.hubspot.Handler()))
		t.Cleanup(front.Close)
		c.hubspot.LoaderURL = front.URL
	}
	if c.hubspot.RenderBudget == 0 {
		c.hubspot.RenderBudget = 5 * time.Second // a busy machine is no reason for a late token
	}
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
	mux.HandleFunc("/snippet", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, snippet.HTML(r.Context(), s.options...))
	})
	mux.HandleFunc("/fragment", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<p>fragment</p>%s", snippet.HTML(r.Context(), s.options...))
	})
	h := s.count(s.chat.Handler(mux))
	if s.wrap != nil {
		h = s.wrap(h)
	}
	server := c.listen(s.parts(s.authenticate(h)))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// count notes the questions to the token endpoint.
func (s *site) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == endpoint {
			s.mu.Lock()
			s.asked++
			s.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// parts answers /part?as=… with the page part of a visitor and the cookies that
// its response would set, in a browser that brings none.
func (s *site) parts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/part" {
			next.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Cookie")
		r.URL.Path = "/snippet"
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", "application/json")
		err := json.NewEncoder(w).Encode(map[string]any{"html": rec.Body.String(), "cookies": rec.Header()["Set-Cookie"]})
		if err != nil {
			s.t.Error(err)
		}
	})
}

// authenticate is the application's own: a cookie names a session that the
// server knows.
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
			s.begin(w, email)
		}
		if email != "" {
			r = r.WithContext(middleware.WithVisitor(r.Context(), hubspot.Visitor{Email: email, EmailVerified: true}))
		}
		next.ServeHTTP(w, r)
	})
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	s.begin(w, r.FormValue("as"))
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

// begin begins a session. Its cookie is one that the tests' scripts can set, too.
func (s *site) begin(w http.ResponseWriter, email string) {
	id := rand.Text() // two sites of one host shall not share it
	s.mu.Lock()
	s.sessions[id] = email
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/"})
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
	clear(s.sessions)
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

var layout = template.Must(template.New("page").Funcs(template.FuncMap{
	"raw":   func(s string) template.HTML { return template.HTML(s) },
	"attrs": func(s string) template.HTMLAttr { return template.HTMLAttr(s) },
}).Parse(
	`<!doctype html><html><head><title>{{.Path}}</title>{{raw .Head}}</head>
<body {{attrs .Attrs}}><h1>{{.Path}}</h1><nav><a id="to-a" href="/a">a</a> <a id="to-b" href="/b">b</a> <a id="to-help" href="/help">help</a></nav>
<form method="post" action="/logout"><button id="to-logout">log out</button></form>
<form method="post" action="/login"><button id="to-first" name="as" value="first@example.com">first</button>
<button id="to-second" name="as" value="second@example.com">second</button></form>
{{raw .Body}}{{.Chat}}{{.Again}}{{raw .Foot}}</body></html>`))

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
	time.Sleep(s.pause[r.URL.Path])
	nonce := rand.Text()
	ctx := context.WithValue(r.Context(), nonceKey{}, nonce)
	w.Header().Set("Content-Type", "text/html"+s.charset)
	for name, value := range s.header {
		w.Header().Set(name, strings.ReplaceAll(value, "NONCE", nonce))
	}
	var chat, again template.HTML
	if r.URL.Path != s.without {
		chat = snippet.HTML(ctx, s.options...)
		if s.twice {
			again = snippet.HTML(ctx, s.options...)
		}
	}
	if s.page != nil {
		fmt.Fprint(w, s.page(r.URL.Path, chat))
		return
	}
	own := func(html string) string { return strings.ReplaceAll(html, "NONCE", nonce) }
	var b strings.Builder
	if err := layout.Execute(&b, map[string]any{
		"Path": r.URL.Path, "Head": own(s.head), "Body": own(s.body), "Foot": own(s.foot), "Chat": chat, "Again": again, "Attrs": s.attributes,
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

// wantApart fails the test if a chat was told of two visitors.
func (s *site) wantApart() {
	s.t.Helper()
	told := map[string]string{}
	for _, m := range s.hubspot.WidgetMessages() {
		before, again := told[m.MessagesUtk]
		// What an anonymous visitor began goes on after signing in.
		if again && before != "" && before != m.Contact {
			s.t.Errorf("the chat of %q was told of %q (%s)", before, m.Contact, m.Type)
		}
		told[m.MessagesUtk] = m.Contact
	}
}
