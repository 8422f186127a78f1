package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestIdentifiedPage(t *testing.T) {
	a := newApp(t)
	wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
	wantAnonymous(t, serve(a.pages, navigation()))
	eve := hubspot.Visitor{Email: "eve@example.com", EmailVerified: true}
	wantIdentified(t, a, serve(a.pages, navigation(eve)), eve)
	wantCalls(t, a, 2)
}

// The call to HubSpot begins before the handler runs, for a page that is being
// opened by an identified visitor and for nothing else.
func TestEarlyStart(t *testing.T) {
	const page, anything = "text/html,application/xhtml+xml", "*/*"
	for _, tt := range []struct {
		method, dest, accept string
		early                bool
	}{
		{"GET", "document", page, true},
		{"HEAD", "document", page, true},
		{"GET", "document", anything, true},
		{"GET", "iframe", page, true},
		{"GET", "", page, true},
		{"HEAD", "", page, true},
		{"GET", "", "application/xml, text/html;q=0.9", true},
		{"GET", "", anything, false},
		{"GET", "", "application/json", false},
		{"GET", "", "", false},
		{"GET", "empty", page, false},
		{"GET", "empty", anything, false},
		{"GET", "script", anything, false},
		{"GET", "style", "text/css", false},
		{"GET", "image", "image/avif,*/*", false},
		{"GET", "worker", anything, false},
		{"POST", "document", page, false},
		{"POST", "empty", "application/json", false},
		{"PUT", "", page, false},
		{"DELETE", "document", page, false},
		{"OPTIONS", "", page, false},
	} {
		t.Run(fmt.Sprint(tt.method, " ", tt.dest, " ", tt.accept), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				calls := -1
				h := a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					synctest.Wait()
					calls = len(a.hubspot.Calls())
				}))
				for name, v := range map[string][]hubspot.Visitor{"identified": {ada}, "anonymous": nil} {
					a.tokens.Invalidate(t.Context(), ada)
					before := len(a.hubspot.Calls())
					r := navigation(v...)
					r.Method = tt.method
					r.Header.Del("Sec-Fetch-Dest")
					r.Header.Del("Accept")
					if tt.dest != "" {
						r.Header.Set("Sec-Fetch-Dest", tt.dest)
					}
					if tt.accept != "" {
						r.Header.Set("Accept", tt.accept)
					}
					serve(h, r)
					if early := calls-before == 1; early != (tt.early && len(v) > 0) {
						t.Errorf("%s: %d calls before the handler", name, calls-before)
					}
				}
			})
		})
	}
}

// A page that is rendered in answer to a form or to Turbo's fetch identifies too.
func TestLateStart(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		a := newApp(t)
		r := navigation(ada)
		r.Method = method
		r.Header.Set("Sec-Fetch-Dest", "empty")
		w := serve(a.pages, r)
		wantIdentified(t, a, w, ada)
		if cc := w.Header().Values("Cache-Control"); !slices.Equal(cc, []string{"private, no-store"}) {
			t.Errorf("%s: Cache-Control %q", method, cc)
		}
	}
}

// One response's headers must not be another's.
func TestHeadersAreNotShared(t *testing.T) {
	a := newApp(t)
	first := serve(a.pages, navigation(ada))
	first.Header()["Vary"][0] = "spoiled"
	first.Header()["Cache-Control"][0] = "public"
	second := serve(a.pages, navigation(ada))
	if got := second.Header()["Vary"][0] + " " + second.Header()["Cache-Control"][0]; got != "Cookie private, no-store" {
		t.Errorf("got %q", got)
	}
}

// A page waits for HubSpot as long as the render budget, and no longer.
func TestRenderBudget(t *testing.T) {
	for name, tt := range map[string]struct {
		budget  time.Duration
		fault   hubspottest.Fault
		handler time.Duration // what the page itself takes
		took    time.Duration
		known   bool
	}{
		"hanging":                       {0, hubspottest.Fault{Hang: true}, 0, 300 * time.Millisecond, false},
		"own budget":                    {50 * time.Millisecond, hubspottest.Fault{Hang: true}, 0, 50 * time.Millisecond, false},
		"too slow":                      {0, hubspottest.Fault{Latency: 301 * time.Millisecond}, 0, 300 * time.Millisecond, false},
		"slow":                          {0, hubspottest.Fault{Latency: 299 * time.Millisecond}, 0, 299 * time.Millisecond, true},
		"quick":                         {0, hubspottest.Fault{}, 0, 0, true},
		"slow while the page is made":   {0, hubspottest.Fault{Latency: 400 * time.Millisecond}, 500 * time.Millisecond, 500 * time.Millisecond, true},
		"started early, awaited late":   {0, hubspottest.Fault{Latency: 400 * time.Millisecond}, 200 * time.Millisecond, 400 * time.Millisecond, true},
		"dripping":                      {0, hubspottest.Fault{Drip: 100 * time.Millisecond}, 0, 300 * time.Millisecond, false},
		"hanging behind a slow page":    {0, hubspottest.Fault{Hang: true}, time.Second, 1300 * time.Millisecond, false},
		"reset, a retry, and no answer": {0, hubspottest.Fault{Reset: true}, time.Second, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID, RenderBudget: tt.budget})
				a.hubspot.SetOutage(&tt.fault)
				h := a.Handler(page(func(http.ResponseWriter, *http.Request) { time.Sleep(tt.handler) }))
				began := time.Now()
				w := serve(h, navigation(ada))
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.known {
					wantIdentified(t, a, w, ada)
				} else {
					wantAnonymous(t, w)
				}
				time.Sleep(time.Minute) // for the calls under way
			})
		})
	}
}

// The result of a call that a page could not wait for is there for the next.
func TestLateResultIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.hubspot.Queue(hubspottest.Fault{Latency: 2 * time.Second})
		wantAnonymous(t, serve(a.pages, navigation(ada)))
		time.Sleep(2 * time.Second)
		began := time.Now()
		wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		wantCalls(t, a, 1)
	})
}

func TestTheChatTwiceOnAPageWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.hubspot.SetOutage(&hubspottest.Fault{Hang: true})
		h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			first, second := snippet.HTML(r.Context()), snippet.HTML(r.Context())
			if first != second || first == "" {
				t.Errorf("two chats: %s and %s", first, second)
			}
		}))
		began := time.Now()
		serve(h, navigation(ada))
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Minute)
	})
}

func TestOneCallPerVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.hubspot.Queue(hubspottest.Fault{Latency: 100 * time.Millisecond})
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() { wantIdentified(t, a, serve(a.pages, navigation(ada)), ada) })
		}
		group.Wait()
		wantCalls(t, a, 1)
		for range 10 {
			wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
			time.Sleep(time.Minute)
		}
		wantCalls(t, a, 1)
	})
}

// A visitor who closes the tab ends the page's wait, not the call.
func TestClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.hubspot.Queue(hubspottest.Fault{Latency: 200 * time.Millisecond})
		r := navigation(ada)
		ctx, cancel := context.WithCancel(r.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		serve(a.pages, r.WithContext(ctx))
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Second)
		wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
		wantCalls(t, a, 1)
	})
}

type quoting struct{ email string }

func (q quoting) Error() string { return "user " + q.email }

func TestPanicsInTheApplicationsFunctions(t *testing.T) {
	var none map[string]int
	for name, tt := range map[string]struct {
		panics func()
		says   string
	}{
		"a string":        {func() { panic("user ada@example.com") }, "string"},
		"an error":        {func() { panic(quoting{"ada@example.com"}) }, "middleware_test.quoting"},
		"a visitor":       {func() { panic(ada) }, "hubspot.Visitor"},
		"a runtime error": {func() { none["ada@example.com"] = 1 }, "assignment to entry in nil map"},
		"nil":             {func() { panic(nil) }, "nil"},
	} {
		for function, option := range map[string]struct {
			identify func(*http.Request) (hubspot.Visitor, bool)
			option   middleware.Option
			chat     bool
		}{
			"identify": {func(*http.Request) (hubspot.Visitor, bool) { tt.panics(); return ada, true }, middleware.WithSkip(nil), true},
			"skip":     {signedIn, middleware.WithSkip(func(*http.Request) bool { tt.panics(); return false }), true},
			"consent":  {signedIn, middleware.WithConsent(func(*http.Request) bool { tt.panics(); return true }), false},
		} {
			a := newApp(t)
			m, err := middleware.New(a.tokens, option.identify, middleware.WithConfig(hubspot.Config{PortalID: "12345678"}),
				middleware.WithLogger(a.log.logger()), option.option)
			if err != nil {
				t.Fatal(err)
			}
			w := serve(m.Handler(page(nil)), navigation(ada))
			if option.chat {
				wantAnonymous(t, w)
			} else if got := w.Body.String(); got != "<!doctype html><title>Shop</title>" {
				t.Errorf("%s panics with %s: page %s", function, name, got)
			}
			wantCalls(t, a, 0)
			lines := a.log.at("ERROR")
			if len(lines) != 1 {
				t.Errorf("%s panics with %s: logged %q", function, name, lines)
				continue
			}
			for _, part := range []string{tt.says, "TestPanicsInTheApplicationsFunctions", "middleware_test.go"} {
				if !strings.Contains(lines[0], part) {
					t.Errorf("%s panics with %s: %q is not in the log: %s", function, name, part, lines[0])
				}
			}
			if strings.Contains(lines[0], "ada@") {
				t.Errorf("%s panics with %s: the value is in the log: %s", function, name, lines[0])
			}
		}
	}
}

// panicking is a slog.Handler of the application's.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("handler") }

func TestPanicsInTheLogger(t *testing.T) {
	a := newApp(t)
	a.hubspot.SetOutage(&hubspottest.Fault{Status: 503})
	log := middleware.WithLogger(slog.New(panicking{}))
	m, err := middleware.New(a.tokens, signedIn, middleware.WithConfig(hubspot.Config{PortalID: "12345678"}), log)
	if err != nil {
		t.Fatal(err)
	}
	wantAnonymous(t, serve(m.Handler(page(nil)), navigation(hubspot.Visitor{Email: ada.Email}))) // not verified
	wantAnonymous(t, serve(m.Handler(page(nil)), navigation(hubspot.Visitor{Email: "ada", EmailVerified: true})))
	misplaced := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page(nil)(w, r.WithContext(middleware.WithVisitor(r.Context(), ada)))
	})
	wantAnonymous(t, serve(m.Handler(misplaced), navigation()))
	if w := serve(m.TokenHandler(), ask(ada)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("the endpoint answered %d", w.Code)
	}
}

func TestPageOfAPanicSaysSo(t *testing.T) {
	a := newApp(t)
	m, err := middleware.New(a.tokens, func(*http.Request) (hubspot.Visitor, bool) { panic("user ada@example.com") },
		middleware.WithConfig(hubspot.Config{PortalID: "12345678", Debug: true}), middleware.WithLogger(a.log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	w := serve(m.Handler(page(nil)), navigation(ada))
	wantAnonymous(t, w)
	if got := w.Body.String(); !strings.Contains(got, "identify panicked, see the log") || strings.Contains(got, "nobody is signed in") {
		t.Errorf("the page does not say it: %s", got)
	}
}

// Templates that are executed straight into the response send the headers first.
func TestPageThatHasBegunSaysWhy(t *testing.T) {
	a := newApp(t)
	m, err := middleware.New(a.tokens, signedIn,
		middleware.WithConfig(hubspot.Config{PortalID: "12345678", Debug: true}), middleware.WithLogger(a.log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	begun := func(header string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", header)
			io.WriteString(w, "<!doctype html><title>Shop</title>")
			page(nil)(w, r)
		}
	}
	unverified := navigation(hubspot.Visitor{Email: ada.Email})
	for _, c := range []struct{ header, says string }{
		{"no-cache", "EmailVerified is false"},
		{"public, max-age=60", "the same for everybody"},
	} {
		w := serve(m.Handler(begun(c.header)), unverified)
		wantAnonymous(t, w)
		if got := w.Body.String(); !strings.Contains(got, c.says) {
			t.Errorf("%s: the page does not say %q: %s", c.header, c.says, got[:200])
		}
	}
}

func signedIn(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }

func TestIdentifyIsCalledOnce(t *testing.T) {
	a := newApp(t)
	calls := 0
	m, err := middleware.New(a.tokens, func(r *http.Request) (hubspot.Visitor, bool) { calls++; return signedIn(r) },
		middleware.WithConfig(hubspot.Config{PortalID: "12345678"}))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		snippet.HTML(r.Context())
		m.SignedOut(w, r)
		snippet.HTML(r.Context())
	}))
	serve(h, navigation(ada))
	if calls != 1 {
		t.Errorf("identify was called %d times", calls)
	}
	// A request that wants nothing of the chat costs nothing.
	calls = 0
	r := navigation(ada)
	r.Header.Set("Sec-Fetch-Dest", "image")
	serve(m.Handler(http.NotFoundHandler()), r)
	if calls != 0 {
		t.Errorf("identify was called %d times for an image", calls)
	}
}

// A stranger who signed up with somebody's address must not read their threads.
func TestUnverifiedEmailStaysAnonymous(t *testing.T) {
	a := newApp(t)
	unverified := hubspot.Visitor{Email: "ada@example.com"}
	for range 5 {
		wantAnonymous(t, serve(a.pages, navigation(unverified)))
	}
	wantCalls(t, a, 0)
	lines := a.log.at("WARN", "ERROR")
	if len(lines) != 1 || !strings.Contains(lines[0], "EmailVerified") {
		t.Errorf("logged %q, want it said once", lines)
	}
	if strings.Contains(a.log.String(), "ada@") {
		t.Errorf("the e-mail is in the log")
	}
	trusting := newApp(t, middleware.DangerouslyTrustUnverifiedEmail())
	wantIdentified(t, trusting, serve(trusting.pages, navigation(unverified)), unverified)
}

func TestSkip(t *testing.T) {
	a := newApp(t, middleware.WithSkip(func(r *http.Request) bool { return r.URL.Query().Has("as-admin") }))
	r := navigation(ada)
	r.URL.RawQuery = "as-admin"
	w := serve(a.pages, r)
	wantAnonymous(t, w)
	wantCalls(t, a, 0)
	if cc := w.Header().Get("Cache-Control"); cc != "" {
		t.Errorf("Cache-Control %q", cc)
	}
	wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
}

func TestWithoutConsentNothingIsEmitted(t *testing.T) {
	a := newApp(t, middleware.WithConsent(func(r *http.Request) bool { return r.URL.Query().Has("agreed") }))
	for who, v := range map[string][]hubspot.Visitor{"identified": {ada}, "anonymous": nil} {
		w := serve(a.pages, navigation(v...))
		if got := w.Body.String(); got != "<!doctype html><title>Shop</title>" {
			t.Errorf("%s: page %s", who, got)
		}
	}
	wantCalls(t, a, 0)
	r := navigation(ada)
	r.URL.RawQuery = "agreed"
	wantIdentified(t, a, serve(a.pages, r), ada)
}

// With debug the page says what went wrong, in this library's words.
func TestReasonsOfErrors(t *testing.T) {
	for want, err := range map[string]error{
		"no token: hubspot: the visitor is not acceptable":         hubspot.ErrInvalidVisitor,
		"no token: hubspot: the access token is not accepted":      hubspot.ErrUnauthorized,
		"the access token lacks a scope":                           hubspot.ErrMissingScope,
		"no token: hubspot: the account may not identify visitors": hubspot.ErrForbidden,
		"the day&#39;s are used up":                                hubspot.ErrDailyLimit,
		"no token: hubspot: too many calls":                        hubspot.ErrRateLimited,
		"no token: hubspot: not available":                         hubspot.ErrUnavailable,
		"no token: hubspot: not asked for now":                     hubspot.ErrCoolingDown,
		"no token, see the log":                                    errors.New("ada@example.com is no friend"),
		"the token did not come within the render budget":          context.DeadlineExceeded,
	} {
		m, problem := middleware.New(source(func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.Token{}, fmt.Errorf("ada@example.com: %w", err)
		}), signedIn, middleware.WithConfig(hubspot.Config{PortalID: hubspottest.PortalID, Debug: true}), middleware.WithLogger((&logs{}).logger()))
		if problem != nil {
			t.Fatal(problem)
		}
		if body := serve(m.Handler(page(nil)), navigation(ada)).Body.String(); !strings.Contains(body, want+" -->") || strings.Contains(body, "ada@") {
			t.Errorf("%v: want %q in %s", err, want, body)
		}
	}
}

// Whether a page has the chat depends on who asks, even where the chat is the same for
// all who agreed, and where it comes after the headers.
func TestPagesWithConsentVary(t *testing.T) {
	agreed := func(r *http.Request) bool { return strings.Contains(r.Header.Get("Cookie"), "agreed") }
	early := func(cacheControl string, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Cache-Control", cacheControl)
			_ = http.NewResponseController(w).Flush()
			next.ServeHTTP(w, r)
		})
	}
	declared := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public, max-age=60") }
	for name, tt := range map[string]struct {
		page http.Handler
		vary bool // where nobody is asked for consent
	}{
		"the chat":              {page(nil), true},
		"public":                {page(declared), false},
		"on demand":             {onDemand(""), false},
		"public, on demand":     {onDemand("public, max-age=60"), false},
		"after the headers":     {early("no-cache", page(nil)), true},
		"public, after them":    {early("public, max-age=60", page(nil)), false},
		"on demand, after them": {early("public, max-age=60", onDemand("")), false},
		"at once and on demand": {page(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, snippet.HTML(r.Context())+snippet.HTML(r.Context(), snippet.WithLoad(snippet.LoadManual)))
		}), true},
	} {
		free, asking := newApp(t), newApp(t, middleware.WithConsent(agreed))
		for who, r := range map[string]*http.Request{"agreed": navigation(), "did not": navigation()} {
			if who == "agreed" {
				r.Header.Set("Cookie", "agreed=yes")
			}
			if got := visit(t, asking.Handler(tt.page), r).Header.Get("Vary"); got != "Cookie" {
				t.Errorf("%s, who %s: Vary %q", name, who, got)
			}
			if left := visit(t, asking.Handler(early("no-cache", page(nil))), r, ada).Header.Get("Cache-Control"); (left == "no-cache") != (who == "did not") {
				t.Errorf("signed in, who %s: Cache-Control %q", who, left)
			}
			if got := visit(t, free.Handler(tt.page), navigation()).Header.Get("Vary"); (got == "Cookie") != tt.vary {
				t.Errorf("%s, nobody is asked: Vary %q", name, got)
			}
		}
	}
}

// With debug the page says why it has no chat, whenever that would load.
func TestPageWithoutConsentSaysSo(t *testing.T) {
	no := middleware.WithConsent(func(*http.Request) bool { return false })
	a := newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID, Debug: true}, no)
	for _, load := range []snippet.Load{snippet.LoadImmediate, snippet.LoadClick} {
		w := serve(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = snippet.Render(r.Context(), w, snippet.WithLoad(load))
		})), navigation(ada))
		if got := w.Body.String(); got != "<!-- hubspot-visitor: HUBSPOT_CHAT is off, or WithConsent reports no consent -->\n" {
			t.Errorf("%s: %q", load, got)
		}
	}
}

func TestChatModes(t *testing.T) {
	for mode, want := range map[string]string{"": "identified", "on": "identified", "off": "nothing", "anonymous": "anonymous"} {
		a := newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID, Chat: mode})
		w := serve(a.pages, navigation(ada))
		switch want {
		case "identified":
			wantIdentified(t, a, w, ada)
			wantCalls(t, a, 1)
		case "anonymous":
			wantAnonymous(t, w)
			wantCalls(t, a, 0)
		case "nothing":
			if got := w.Body.String(); got != "<!doctype html><title>Shop</title>" {
				t.Errorf("chat %q: page %s", mode, got)
			}
			wantCalls(t, a, 0)
		}
		if cc := w.Header().Get("Cache-Control"); want != "identified" && cc != "" {
			t.Errorf("chat %q: Cache-Control %q", mode, cc)
		}
	}
}

func TestWithoutMiddleware(t *testing.T) {
	w := serve(page(nil), navigation(ada))
	if got := w.Body.String(); w.Code != 200 || got != "<!doctype html><title>Shop</title>" {
		t.Errorf("status %d, page %s", w.Code, got)
	}
}

// HubSpot wants the token with exactly the address that it was made for.
func TestExactEmail(t *testing.T) {
	for _, email := range []string{"Ada+Chat@Example.COM", "jos\u00e9@example.com", "o'brien&co@example.com"} {
		a := newApp(t)
		v := hubspot.Visitor{Email: email, EmailVerified: true}
		wantIdentified(t, a, serve(a.pages, navigation(v)), v)
	}
}

// source is somebody's own token source.
type source func(context.Context, hubspot.Visitor) (hubspot.Token, error)

func (s source) Token(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return s(ctx, v)
}
func (s source) Invalidate(context.Context, hubspot.Visitor) {}

func TestForeignTokenSources(t *testing.T) {
	for name, s := range map[string]source{
		"another's token": func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.NewToken("value", "eve@example.com", time.Now()), nil
		},
		"zero token": func(context.Context, hubspot.Visitor) (hubspot.Token, error) { return hubspot.Token{}, nil },
		"panic":      func(context.Context, hubspot.Visitor) (hubspot.Token, error) { panic("ada@example.com") },
		"error": func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.Token{}, errors.New("no")
		},
		"hangs": func(ctx context.Context, _ hubspot.Visitor) (hubspot.Token, error) {
			<-ctx.Done()
			return hubspot.Token{}, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logs{}
				m, err := middleware.New(s, signedIn, middleware.WithConfig(hubspot.Config{PortalID: "12345678"}), middleware.WithLogger(log.logger()))
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				w := serve(m.Handler(page(nil)), navigation(ada))
				wantAnonymous(t, w)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("took %v", took)
				}
				for _, private := range []string{"ada@", "eve@"} {
					if strings.Contains(log.String()+w.Body.String(), private) {
						t.Errorf("%s is in %s or %s", private, log, w.Body)
					}
				}
			})
		})
	}
}

// A token source is asked for those only who may be identified.
func TestSourceIsAskedForNobodyElse(t *testing.T) {
	asked := source(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		t.Errorf("asked for %+v", v)
		return hubspot.Token{}, errors.New("no")
	})
	yes, no := func(*http.Request) bool { return true }, func(*http.Request) bool { return false }
	for name, tt := range map[string]struct {
		visitor []hubspot.Visitor
		cfg     hubspot.Config
		option  middleware.Option
	}{
		"anonymous":      {nil, hubspot.Config{}, middleware.WithSkip(no)},
		"unverified":     {[]hubspot.Visitor{{Email: ada.Email}}, hubspot.Config{}, middleware.WithSkip(no)},
		"no address":     {[]hubspot.Visitor{{EmailVerified: true}}, hubspot.Config{}, middleware.WithSkip(no)},
		"skipped":        {[]hubspot.Visitor{ada}, hubspot.Config{}, middleware.WithSkip(yes)},
		"no consent":     {[]hubspot.Visitor{ada}, hubspot.Config{}, middleware.WithConsent(no)},
		"chat off":       {[]hubspot.Visitor{ada}, hubspot.Config{Chat: "off"}, middleware.WithSkip(no)},
		"chat anonymous": {[]hubspot.Visitor{ada}, hubspot.Config{Chat: "anonymous"}, middleware.WithSkip(no)},
	} {
		tt.cfg.PortalID = hubspottest.PortalID
		identify := func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }
		m, err := middleware.New(asked, identify, middleware.WithConfig(tt.cfg), middleware.WithLogger((&logs{}).logger()), tt.option)
		if err != nil {
			t.Fatal(err)
		}
		flushed := pages(func(h http.Header) { h.Set("Content-Type", "text/html") })["flushed"]
		for _, h := range []http.Handler{m.Handler(page(nil)), m.Handler(flushed), m.TokenHandler()} {
			for _, r := range []*http.Request{navigation(tt.visitor...), ask(tt.visitor...)} {
				if body := serve(h, r).Body.String(); strings.Contains(body, ada.Email) {
					t.Errorf("%s: %s", name, body)
				}
			}
		}
	}
}

// The visitor signs out while the page waits for the token.
func TestSignOutWhileThePageWaits(t *testing.T) {
	var leave func()
	tokens := source(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		leave()
		return hubspot.NewToken("value", v.Email, time.Now()), nil
	})
	m, err := middleware.New(tokens, signedIn, middleware.WithConfig(hubspot.Config{PortalID: hubspottest.PortalID}))
	if err != nil {
		t.Fatal(err)
	}
	left := false
	r := as(httptest.NewRequest("GET", "/", nil), ada) // opens no page: nothing is fetched early
	w := serve(m.Handler(page(func(w http.ResponseWriter, r *http.Request) {
		leave = func() { left = true; m.SignedOut(w, r) }
	})), r)
	wantAnonymous(t, w)
	if !left {
		t.Error("the page did not wait")
	}
	if !strings.Contains(w.Body.String(), `data-hubspot-visitor=""`) || marker(w) != "" {
		t.Errorf("the page claims to be somebody's: %v, %s", w.Header(), w.Body)
	}
}

var problem = regexp.MustCompile(`HUBSPOT_[A-Z_]+|identify|token source|WithConfig is|WithTokenPath|WithTrustedOrigins|WithStore`)

func problems(err error) (names []string) {
	if err == nil {
		return nil
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, "middleware: ") && !strings.HasPrefix(line, "hubspot: ") {
			names = append(names, "without the package's name: "+line)
		}
		names = append(names, problem.FindString(line))
	}
	slices.Sort(names)
	return names
}

func TestNewProblems(t *testing.T) {
	tokens := source(nil)
	for name, tt := range map[string]struct {
		tokens   middleware.TokenSource
		identify func(*http.Request) (hubspot.Visitor, bool)
		options  []middleware.Option
		want     []string
	}{
		"good":               {tokens, signedIn, nil, nil},
		"no portal":          {tokens, signedIn, []middleware.Option{middleware.WithConfig(hubspot.Config{})}, []string{"HUBSPOT_PORTAL_ID"}},
		"no identify":        {tokens, nil, nil, []string{"identify"}},
		"no tokens":          {nil, signedIn, nil, []string{"token source"}},
		"off needs none":     {nil, signedIn, []middleware.Option{middleware.WithConfig(hubspot.Config{Chat: "off"})}, nil},
		"anonymous, no call": {nil, signedIn, []middleware.Option{middleware.WithConfig(hubspot.Config{Chat: "anonymous", PortalID: "1"})}, nil},
		"path":               {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("/chat/token")}, nil},
		"path without slash": {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("chat/token")}, []string{"WithTokenPath"}},
		"path elsewhere":     {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("https://eve.example/token")}, []string{"WithTokenPath"}},
		"path to a host":     {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("//eve.example/token")}, []string{"WithTokenPath"}},
		"path with a query":  {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("/token?a=b")}, []string{"WithTokenPath"}},
		"host behind a tab":  {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("/\t/eve.example/token")}, []string{"WithTokenPath"}},
		"path with escapes":  {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("/caf%C3%A9/token")}, []string{"WithTokenPath"}},
		"path with dots":     {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("/a/../token")}, []string{"WithTokenPath"}},
		"path beyond ASCII":  {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("/café/token")}, nil},
		"path off":           {tokens, signedIn, []middleware.Option{middleware.WithTokenPath("")}, nil},
		"origin":             {tokens, signedIn, []middleware.Option{middleware.WithTrustedOrigins("https://www.shop.example")}, nil},
		"not an origin":      {tokens, signedIn, []middleware.Option{middleware.WithTrustedOrigins("www.shop.example")}, []string{"WithTrustedOrigins"}},
		"store":              {tokens, signedIn, []middleware.Option{middleware.WithStore(new(records))}, []string{"WithStore"}},
		"no store":           {tokens, signedIn, []middleware.Option{middleware.WithStore(nil)}, nil},
		"everything": {nil, nil, []middleware.Option{middleware.WithTokenPath("x"), middleware.WithConfig(hubspot.Config{Region: "mars1", PortalID: "x", RenderBudget: -1})},
			[]string{"HUBSPOT_PORTAL_ID", "HUBSPOT_REGION", "HUBSPOT_RENDER_BUDGET", "WithTokenPath", "identify", "token source"}},
	} {
		account := middleware.WithConfig(hubspot.Config{PortalID: "12345678"})
		m, err := middleware.New(tt.tokens, tt.identify, append([]middleware.Option{account}, tt.options...)...)
		if diff := cmp.Diff(tt.want, problems(err)); diff != "" || (m == nil) != (err != nil) {
			t.Errorf("%s (-want +got):\n%s\n%v", name, diff, err)
		}
	}
}

// A key of this process alone makes other visitors of all after a restart.
func TestMarkerWithoutAKey(t *testing.T) {
	for _, tt := range []struct {
		cfg    hubspot.Config
		warned bool
	}{
		{hubspot.Config{PortalID: "1"}, true},
		{hubspot.Config{PortalID: "1", AccessToken: hubspot.NewSecret("pat-na1-1")}, false},
		{hubspot.Config{PortalID: "1", StoreSecret: hubspot.NewSecret("0123456789abcdef0123456789abcdef")}, false},
		{hubspot.Config{PortalID: "1", Chat: hubspot.ChatAnonymous}, false},
	} {
		log := &logs{}
		if _, err := middleware.New(source(nil), signedIn, middleware.WithConfig(tt.cfg), middleware.WithLogger(log.logger())); err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(log.String(), "HUBSPOT_STORE_SECRET"); warned != tt.warned {
			t.Errorf("%+v: warned %v", tt.cfg, warned)
		}
	}
}

func environment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "HUBSPOT_") {
			t.Setenv(name, value)
			os.Unsetenv(name)
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func TestFromEnv(t *testing.T) {
	s := hubspottest.NewServer(t)
	european := strings.Replace(hubspottest.AccessToken.Reveal(), "na1", "eu1", 1)
	s.SetAccessToken(european)
	environment(t, map[string]string{"HUBSPOT_ACCESS_TOKEN": european, "HUBSPOT_PORTAL_ID": hubspottest.PortalID, "HUBSPOT_API_URL": s.URL})
	log := &logs{}
	m, err := middleware.FromEnv(signedIn, middleware.WithLogger(log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	w := serve(m.Handler(page(nil)), navigation(ada))
	if !strings.Contains(w.Body.String(), ada.Email) || !strings.Contains(w.Body.String(), `src="//js-eu1.hs-scripts.com/12345678.js"`) {
		t.Errorf("page %s", w.Body)
	}
	if calls := s.Calls(); len(calls) != 1 || calls[0].Email != ada.Email {
		t.Errorf("calls %+v", calls)
	}
	// The token source logs where the middleware logs.
	if !strings.Contains(log.String(), "token created") {
		t.Errorf("log %s", log)
	}
}

func TestFromEnvWithoutCredential(t *testing.T) {
	for _, mode := range []string{"off", "anonymous"} {
		environment(t, map[string]string{"HUBSPOT_CHAT": mode, "HUBSPOT_PORTAL_ID": "12345678"})
		m, err := middleware.FromEnv(signedIn)
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		w := serve(m.Handler(page(nil)), navigation(ada))
		if has := strings.Contains(w.Body.String(), loader); has != (mode == "anonymous") || strings.Contains(w.Body.String(), ada.Email) {
			t.Errorf("%s: page %s", mode, w.Body)
		}
		// Nothing to invalidate and no token, but no trouble either.
		m.SignedOut(serve(m.Handler(page(nil)), navigation(ada)), navigation(ada))
		r := navigation(ada)
		r.Method = "POST"
		if w := serve(m.TokenHandler(), r); w.Code != 204 {
			t.Errorf("%s: token endpoint %d", mode, w.Code)
		}
	}
}

// Whoever starts for the first time sees everything that is wrong, once.
func TestFromEnvProblemsAllAtOnce(t *testing.T) {
	environment(t, map[string]string{"HUBSPOT_REGION": "mars1"})
	_, err := middleware.FromEnv(nil, middleware.WithTokenPath("elsewhere"), middleware.WithConfig(hubspot.Config{PortalID: "1"}))
	want := []string{"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PORTAL_ID", "HUBSPOT_REGION", "WithConfig is", "WithTokenPath", "identify"}
	if diff := cmp.Diff(want, problems(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", diff, err)
	}
}

// records is a store of the application's own.
type records struct {
	sync.Map
	written chan struct{} // gets a value for each
}

func (r *records) Get(_ context.Context, key string) ([]byte, bool, error) {
	value, ok := r.Load(key)
	if !ok {
		return nil, false, nil
	}
	return value.([]byte), true, nil
}

func (r *records) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	r.Store(key, value)
	r.written <- struct{}{}
	return nil
}

func (r *records) Delete(_ context.Context, key string) error {
	r.Map.Delete(key)
	return nil
}

// Replicas with the same environment and store make one call for a visitor.
func TestFromEnvWithStore(t *testing.T) {
	s := hubspottest.NewServer(t)
	environment(t, map[string]string{
		"HUBSPOT_ACCESS_TOKEN": hubspottest.AccessToken.Reveal(), "HUBSPOT_PORTAL_ID": hubspottest.PortalID,
		"HUBSPOT_API_URL": s.URL, "HUBSPOT_STORE_SECRET": "one secret for all of the replicas",
	})
	store := &records{written: make(chan struct{}, 1)}
	var tokens []string
	for range 3 {
		m, err := middleware.FromEnv(signedIn, middleware.WithStore(store))
		if err != nil {
			t.Fatal(err)
		}
		email, token := identity(t, serve(m.Handler(page(nil)), navigation(ada)))
		if email != ada.Email {
			t.Errorf("the page is for %q", email)
		}
		tokens = append(tokens, token)
		if len(tokens) == 1 {
			select {
			case <-store.written:
			case <-time.After(10 * time.Second):
				t.Fatal("the token does not get into the store")
			}
		}
		hits := int64(min(len(tokens)-1, 1))
		if got := m.Stats(); got.StoreHits != hits || got.Created != 1-hits || got.StoreErrors != 0 {
			t.Errorf("replica %d: %+v", len(tokens), got)
		}
	}
	if calls := s.Calls(); len(calls) != 1 || tokens[1] != tokens[0] || tokens[2] != tokens[0] {
		t.Errorf("%d calls, and the pages have %d different tokens", len(calls), len(slices.Compact(tokens)))
	}
	store.Range(func(key, value any) bool {
		if record := fmt.Sprintf("%s %s", key, value); strings.Contains(record, "ada@") || strings.Contains(record, tokens[0]) {
			t.Errorf("the store has %s", record)
		}
		return true
	})
}

func TestFromEnvWithStoreProblems(t *testing.T) {
	good := map[string]string{"HUBSPOT_ACCESS_TOKEN": "pat-na1-0123", "HUBSPOT_PORTAL_ID": "12345678"}
	for name, tt := range map[string]struct {
		env   map[string]string
		store hubspot.Store
		want  []string
	}{
		"no secret":               {nil, new(records), []string{"HUBSPOT_STORE_SECRET"}},
		"empty secret":            {map[string]string{"HUBSPOT_STORE_SECRET": ""}, new(records), []string{"HUBSPOT_STORE_SECRET"}},
		"short secret":            {map[string]string{"HUBSPOT_STORE_SECRET": "short"}, new(records), []string{"HUBSPOT_STORE_SECRET"}},
		"secret":                  {map[string]string{"HUBSPOT_STORE_SECRET": strings.Repeat("s", 32)}, new(records), nil},
		"no secret, and others":   {map[string]string{"HUBSPOT_REGION": "mars1", "HUBSPOT_PORTAL_ID": ""}, new(records), []string{"HUBSPOT_PORTAL_ID", "HUBSPOT_REGION", "HUBSPOT_STORE_SECRET"}},
		"others but the secret":   {map[string]string{"HUBSPOT_REGION": "mars1", "HUBSPOT_STORE_SECRET": strings.Repeat("s", 32)}, new(records), []string{"HUBSPOT_REGION"}},
		"no store":                {nil, nil, nil},
		"nobody is identified":    {map[string]string{"HUBSPOT_CHAT": "anonymous"}, new(records), nil},
		"there is no chat at all": {map[string]string{"HUBSPOT_CHAT": "off"}, new(records), nil},
	} {
		environment(t, good)
		for variable, value := range tt.env {
			t.Setenv(variable, value)
		}
		m, err := middleware.FromEnv(signedIn, middleware.WithStore(tt.store))
		if diff := cmp.Diff(tt.want, problems(err)); diff != "" || (m == nil) != (err != nil) {
			t.Errorf("%s (-want +got):\n%s\n%v", name, diff, err)
		}
	}
}

func TestStats(t *testing.T) {
	a := newApp(t)
	for range 3 {
		serve(a.pages, navigation(ada))
	}
	if got := a.Stats(); got.Created != 1 || got.Misses == 0 || got.Entries != 1 {
		t.Errorf("%+v", got)
	}
	// HubSpot in trouble is counted, and no trouble of the application's.
	a.hubspot.SetOutage(&hubspottest.Fault{Status: 503})
	wantAnonymous(t, serve(a.pages, navigation(hubspot.Visitor{Email: "eve@example.com", EmailVerified: true})))
	if got := a.Stats(); got.FailedOutage == 0 {
		t.Errorf("%+v", got)
	}
	// Somebody's own token source need not count.
	m, err := middleware.New(source(nil), signedIn, middleware.WithConfig(hubspot.Config{PortalID: "1"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Stats(); got != (hubspot.Stats{}) {
		t.Errorf("%+v", got)
	}
}

// Nothing panics on an application's configuration.
func TestNilOptions(t *testing.T) {
	a := newApp(t, middleware.WithSkip(nil), middleware.WithConsent(nil))
	wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)

	m, err := middleware.New(a.tokens, signedIn, middleware.WithConfig(hubspot.Config{PortalID: "12345678"}), middleware.WithLogger(nil))
	if err != nil {
		return // to refuse it is as good
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("WithLogger(nil): the page panics: %v", p)
		}
	}()
	wantAnonymous(t, serve(m.Handler(page(nil)), navigation(hubspot.Visitor{Email: "ada@example.com"})))
}

func TestVisitorFrom(t *testing.T) {
	if v, ok := middleware.VisitorFrom(t.Context()); ok || !cmp.Equal(v, hubspot.Visitor{}) {
		t.Errorf("%v, %v", v, ok)
	}
	want := hubspot.Visitor{Email: "ada@example.com", FirstName: "Ada", EmailVerified: true, AgentContext: map[string]string{"a": "b"}}
	if v, ok := middleware.VisitorFrom(middleware.WithVisitor(t.Context(), want)); !ok || !cmp.Equal(v, want) {
		t.Errorf("%v, %v", v, ok)
	}
}

// README.md has every reason that a page can say, as the page says it.
func TestREADMEHasEveryReason(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n| The page says | Do |\n|---|---|\n")
	section, _, _ = strings.Cut(section, "\n\n")
	var source strings.Builder
	for _, file := range []string{"visitor.go", "request.go", "session.go", "../snippet/snippet.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	var said strings.Builder
	for row := range strings.SplitSeq(section, "\n") {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for reason := range strings.SplitSeq(cell, "; ") {
			reason = regexp.MustCompile(` ?(…| \(.*\))$`).ReplaceAllString(reason, "")
			if reason != "the visitor's Email" && !strings.Contains(source.String(), `"`+reason) {
				t.Errorf("README.md: no page says %q", reason)
			}
			said.WriteString(reason + "\n")
		}
	}
	reasons := regexp.MustCompile(`(?:[rR]eason:|[rR]eason =|notSignedIn =|because\(|return identity\.\w+,|return) "([A-Za-z][^"]+ [^"]+)"`).FindAllStringSubmatch(source.String(), -1)
	if len(reasons) < 10 {
		t.Errorf("only %d reasons in the source", len(reasons))
	}
	for _, reason := range reasons {
		if start, _, _ := strings.Cut(reason[1], ":"); reason[1] != "the visitor's " && !strings.Contains(said.String(), start) {
			t.Errorf("README.md does not have %q", reason[1])
		}
	}
}
