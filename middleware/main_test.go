package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const loader = `src="//js.hs-scripts.com/12345678.js"`

var ada = hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}

// app is an application with the middleware around its pages, and HubSpot
// emulated in memory.
type app struct {
	*middleware.Middleware
	hubspot *hubspottest.Server
	tokens  *hubspot.Tokens
	log     *logs
	pages   http.Handler
}

func newApp(t *testing.T, options ...middleware.Option) *app {
	t.Helper()
	return newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID}, options...)
}

func newAppWith(t *testing.T, cfg hubspot.Config, options ...middleware.Option) *app {
	t.Helper()
	a := &app{hubspot: hubspottest.New(), log: &logs{}}
	t.Cleanup(a.hubspot.Close)
	logger := a.log.logger()
	cfg.AccessToken = hubspottest.AccessToken
	client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(a.hubspot.Client()))
	if err != nil {
		t.Fatal(err)
	}
	a.tokens, err = hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	identify := func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }
	options = append([]middleware.Option{middleware.WithConfig(cfg), middleware.WithLogger(logger)}, options...)
	a.Middleware, err = middleware.New(a.tokens, identify, options...)
	if err != nil {
		t.Fatal(err)
	}
	a.pages = a.Handler(page(nil))
	return a
}

// page renders the chat, after what before does.
func page(before func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if before != nil {
			before(w, r)
		}
		fmt.Fprintf(w, "<!doctype html><title>Shop</title>%s", snippet.HTML(r.Context()))
	}
}

// navigation is the request of a browser that opens a page.
func navigation(v ...hubspot.Visitor) *http.Request {
	r := httptest.NewRequest("GET", "https://shop.example/account", nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return as(r, v...)
}

func as(r *http.Request, v ...hubspot.Visitor) *http.Request {
	ctx := context.WithoutCancel(r.Context())
	if len(v) > 0 {
		ctx = middleware.WithVisitor(ctx, v[0])
	}
	return r.WithContext(ctx)
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var (
	emailInPage = regexp.MustCompile(`"identificationEmail":"([^"]*)"`)
	tokenInPage = regexp.MustCompile(`"identificationToken":"([^"]*)"`)
)

// identity is what a page tells HubSpot's widget; "" and "" for the anonymous.
func identity(t *testing.T, w *httptest.ResponseRecorder) (email, token string) {
	t.Helper()
	if w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	if !strings.Contains(w.Body.String(), loader) {
		t.Errorf("no loader in %s", w.Body)
	}
	return identityIn(t, w.Body.String())
}

func identityIn(t *testing.T, body string) (email, token string) {
	t.Helper()
	if !strings.Contains(body, "hsConversationsSettings") {
		t.Fatalf("no chat in %s", body)
	}
	quoted := func(match []string) (s string) {
		if match == nil {
			return ""
		}
		if err := json.Unmarshal([]byte(`"`+match[1]+`"`), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	return quoted(emailInPage.FindStringSubmatch(body)), quoted(tokenInPage.FindStringSubmatch(body))
}

func wantIdentified(t *testing.T, a *app, w *httptest.ResponseRecorder, v hubspot.Visitor) {
	t.Helper()
	email, token := identity(t, w)
	if email != v.Email {
		t.Errorf("the page is for %q, want %q", email, v.Email)
	}
	if err := a.hubspot.Verify(email, token); err != nil {
		t.Error(err)
	}
}

func wantAnonymous(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if email, token := identity(t, w); email != "" || token != "" {
		t.Errorf("the page is for %q, with token %q", email, token)
	}
}

func wantCalls(t *testing.T, a *app, want int) {
	t.Helper()
	if got := len(a.hubspot.Calls()); got != want {
		t.Errorf("%d calls to HubSpot, want %d", got, want)
	}
}

// logs collects JSON lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// at are the lines of these levels.
func (l *logs) at(levels ...string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		for _, level := range levels {
			if strings.Contains(line, `"level":"`+level+`"`) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
