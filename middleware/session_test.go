package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// expired are the Set-Cookie values for the widget's cookies at a domain.
func expired(domain string, names ...string) (values []string) {
	if domain != "" {
		domain = "; Domain=" + domain
	}
	for _, name := range append(names, "messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message") {
		values = append(values, name+"=; Path=/"+domain+"; Max-Age=0; SameSite=Lax")
	}
	return values
}

func TestSignedOut(t *testing.T) {
	a := newApp(t)
	for host, domains := range map[string][]string{
		"shop.example":                    {"", "shop.example"},
		"www.shop.example":                {"", "shop.example"},
		"WWW.Shop.Example":                {"", "shop.example"},
		"www.shop.example:8443":           {"", "shop.example"},
		"shop.example.":                   {"", "shop.example"},
		"app.shop.example":                {"", "app.shop.example", "shop.example"},
		"www.app.shop.example":            {"", "app.shop.example", "shop.example"},
		"xn--bcher-kva.example":           {"", "xn--bcher-kva.example"},
		"localhost":                       {""},
		"localhost:8080":                  {""},
		"127.0.0.1":                       {""},
		"127.0.0.1:8080":                  {""},
		"10.11.12.13":                     {""},
		"[::1]":                           {""},
		"[::1]:8080":                      {""},
		"[2001:db8::1]:443":               {""},
		"":                                {""},
		"shop.example; Domain=example":    {""},
		"shop.example, other.example":     {""},
		"shop.example\r\nSet-Cookie: a=b": {""},
		"shop example":                    {""},
		"shop..example":                   {""},
		".shop.example":                   {""},
		"sh\u00f6p.example":               {""},
		"shop.example:80:80":              {""},
	} {
		var want []string
		for _, domain := range domains {
			want = append(want, expired(domain)...)
		}
		r := httptest.NewRequest("POST", "/logout", nil)
		r.Host = host
		w := httptest.NewRecorder()
		w.Header().Add("Set-Cookie", "session=; Max-Age=0")
		a.SignedOut(w, r)
		if diff := cmp.Diff(append([]string{"session=; Max-Age=0"}, want...), w.Header().Values("Set-Cookie")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", host, diff)
		}
	}
}

func TestClearTrackingCookie(t *testing.T) {
	a := newApp(t, middleware.WithTrackingCookie())
	r := httptest.NewRequest("POST", "https://shop.example/logout", nil)
	w := httptest.NewRecorder()
	a.SignedOut(w, r)
	want := append(expired("", "hubspotutk"), expired("shop.example", "hubspotutk")...)
	if diff := cmp.Diff(want, w.Header().Values("Set-Cookie")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// At log-out the visitor's token is forgotten, whoever calls SignedOut and
// wherever.
func TestSignedOutForgetsTheToken(t *testing.T) {
	for where, logout := range map[string]func(*app, *http.Request){
		"inside the middleware": func(a *app, r *http.Request) {
			serve(a.Handler(http.HandlerFunc(a.SignedOut)), r)
		},
		"outside": func(a *app, r *http.Request) { a.SignedOut(httptest.NewRecorder(), r) },
	} {
		a := newApp(t)
		eve := hubspot.Visitor{Email: "eve@example.com", EmailVerified: true}
		serve(a.pages, navigation(ada))
		serve(a.pages, navigation(eve))
		wantCalls(t, a, 2)
		r := navigation(ada)
		r.Method = "POST"
		logout(a, r)
		wantIdentified(t, a, serve(a.pages, navigation(eve)), eve)
		wantCalls(t, a, 2) // hers is still there
		wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
		if n := len(a.hubspot.Calls()); n != 3 {
			t.Errorf("%s: %d calls, want a third for the new log-in", where, n)
		}
	}
}

// broken is a token source that cannot forget.
type broken struct{ middleware.TokenSource }

func (broken) Invalidate(_ context.Context, v hubspot.Visitor) { panic("no " + v.Email) }

// Else the application would not come to end the session.
func TestSignedOutWithBrokenTokenSource(t *testing.T) {
	a := newApp(t)
	m, err := middleware.New(broken{a.tokens}, signedIn, middleware.WithConfig(hubspot.Config{PortalID: "12345678"}), middleware.WithLogger(a.log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []http.Handler{http.HandlerFunc(m.SignedOut), m.Handler(http.HandlerFunc(m.SignedOut))} {
		if w := serve(h, navigation(ada)); len(w.Header().Values("Set-Cookie")) != 6 || storable(w.Header()) != "" {
			t.Errorf("%v", w.Header())
		}
	}
	if lines := a.log.at("ERROR"); len(lines) != 1 || strings.Contains(lines[0], "no "+ada.Email) {
		t.Errorf("logged %q", lines)
	}
}

// The page of the log-out itself knows who the visitor was, even when the
// session ends before SignedOut is called.
func TestSignedOutAfterTheSessionEnded(t *testing.T) {
	a := newApp(t)
	serve(a.pages, navigation(ada))
	session := map[string]hubspot.Visitor{"s": ada}
	m, err := middleware.New(a.tokens, func(*http.Request) (hubspot.Visitor, bool) { v, ok := session["s"]; return v, ok },
		middleware.WithConfig(hubspot.Config{PortalID: "12345678"}), middleware.WithLogger(a.log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	logout := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		delete(session, "s")
		m.SignedOut(w, r)
	}))
	serve(logout, navigation(ada)) // a link: GET /logout
	serve(a.pages, navigation(ada))
	wantCalls(t, a, 2)
}

func TestSignedOutOfAnonymous(t *testing.T) {
	a := newApp(t)
	serve(a.pages, navigation(ada))
	a.SignedOut(httptest.NewRecorder(), navigation())
	serve(a.pages, navigation(ada))
	wantCalls(t, a, 1)
}

// From the sign-out on the request is nobody's: its page is anonymous, and no
// second token is made for who has left.
func TestPageOfTheSignOut(t *testing.T) {
	a := newApp(t)
	signOut := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.SignedOut(w, r)
		page(nil)(w, r)
	}))
	for _, method := range []string{"GET", "POST"} {
		f := marker(serve(a.pages, navigation(ada)))
		calls := len(a.hubspot.Calls())
		r := navigation(ada)
		r.Method = method
		r.Header.Set("Cookie", markerName+"="+f)
		w := serve(signOut, r)
		wantAnonymous(t, w)
		wantCalls(t, a, calls)
		if got := markers(w.Header()); len(got) != 1 || !strings.Contains(got[0], "Max-Age=0") {
			t.Errorf("%s: marker %q", method, got)
		}
		if why := storable(w.Header()); why != "" {
			t.Errorf("%s: %s", method, why)
		}
	}
}

// Outside of the chat's handler the sign-out protects its response by itself.
func TestSignOutElsewhere(t *testing.T) {
	a := newApp(t)
	r := navigation(ada)
	r.Header.Set("Cookie", markerName+"="+marker(serve(a.pages, navigation(ada))))
	w := httptest.NewRecorder()
	a.SignedOut(w, r)
	if got := markers(w.Header()); len(got) != 1 || !strings.Contains(got[0], "Max-Age=0") || storable(w.Header()) != "" {
		t.Errorf("%v", w.Header())
	}
}

// With HubSpot at 450 ms the first page after the sign-in is identified: the call
// begins in the sign-in handler, and each of the two responses waits for it
// within the render budget.
func TestSignedIn(t *testing.T) {
	for where, wrap := range map[string]func(*app, http.Handler) http.Handler{
		"inside of the chat's handler": func(a *app, h http.Handler) http.Handler { return a.Handler(h) },
		"elsewhere":                    func(_ *app, h http.Handler) http.Handler { return h },
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				a.hubspot.SetOutage(&hubspottest.Fault{Latency: 450 * time.Millisecond})
				signIn := wrap(a, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					a.SignedIn(w, r, ada)
					http.Redirect(w, r, "/account", http.StatusSeeOther)
				}))
				began := time.Now()
				r := navigation()
				r.Method = "POST"
				w := serve(signIn, r)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("the sign-in took %v", took)
				}
				if why := storable(w.Header()); why != "" || len(markers(w.Header())) != 1 {
					t.Errorf("%s, markers %q", why, markers(w.Header()))
				}
				first := navigation(ada)
				first.Header.Set("Cookie", markerName+"="+marker(w))
				began = time.Now()
				page := serve(a.pages, first)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("the first page took %v", took)
				}
				wantIdentified(t, a, page, ada)
				if got := markers(page.Header()); got != nil {
					t.Errorf("the page sets %q again", got)
				}
				wantCalls(t, a, 1)
			})
		})
	}
}

// A page in the sign-in's own response is the new visitor's.
func TestPageOfTheSignIn(t *testing.T) {
	a := newApp(t)
	w := serve(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.SignedIn(w, r, ada)
		page(nil)(w, r)
	})), navigation())
	wantIdentified(t, a, w, ada)
	if marker(w) != marker(serve(a.pages, navigation(ada))) {
		t.Errorf("marker %q", marker(w))
	}
}

// One response ends a session and begins another: what the widget kept goes, whoever
// it was. A browser from before the chat brings no marker.
func TestSignedOutAndInAtOnce(t *testing.T) {
	a := newApp(t)
	w := serve(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.SignedOut(w, r)
		a.SignedIn(w, r, ada)
	})), navigation(hubspot.Visitor{Email: "grace@example.com", EmailVerified: true}))
	set := w.Header().Values("Set-Cookie")
	for _, want := range expired("shop.example") {
		if !slices.Contains(set, want) {
			t.Errorf("no %q in %q", want, set)
		}
	}
	if marker(w) != marker(serve(a.pages, navigation(ada))) {
		t.Errorf("marker %q", marker(w))
	}
}

// A page of two accounts: each has its own marker, and its own sign-out.
func TestSignedOutOfTwoAccounts(t *testing.T) {
	shop := newApp(t)
	support := newAppWith(t, hubspot.Config{PortalID: "87654321"})
	h := support.Handler(shop.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shop.SignedOut(w, r)
		support.SignedOut(w, r)
	})))
	r := navigation(ada)
	r.Header.Set("Cookie", markerName+"=0123456789abcdef; hubspot_visitor_87654321=fedcba9876543210")
	set := serve(h, r).Header().Values("Set-Cookie")
	for _, name := range []string{markerName, "hubspot_visitor_87654321"} {
		if n := len(slices.DeleteFunc(slices.Clone(set), func(line string) bool { return !strings.HasPrefix(line, name+"=;") })); n != 1 {
			t.Errorf("%s expires %d times: %q", name, n, set)
		}
	}
}

// A page that answers the sign-in itself waits once, not for each of the two.
func TestSignedInAndThePageWaitOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.hubspot.SetOutage(&hubspottest.Fault{Hang: true})
		began := time.Now()
		wantAnonymous(t, serve(a.Handler(page(func(w http.ResponseWriter, r *http.Request) { a.SignedIn(w, r, ada) })), navigation()))
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("the page took %v", took)
		}
		time.Sleep(10 * time.Second) // for the call under way
	})
}

// Who may not be identified gets no marker at the sign-in either.
func TestSignedInWithoutIdentity(t *testing.T) {
	yes, no := func(*http.Request) bool { return true }, func(*http.Request) bool { return false }
	for name, tt := range map[string]struct {
		visitor hubspot.Visitor
		cfg     hubspot.Config
		option  middleware.Option
	}{
		"unverified": {hubspot.Visitor{Email: ada.Email}, hubspot.Config{}, middleware.WithSkip(nil)},
		"no address": {hubspot.Visitor{EmailVerified: true}, hubspot.Config{}, middleware.WithSkip(nil)},
		"skipped":    {ada, hubspot.Config{}, middleware.WithSkip(yes)},
		"no consent": {ada, hubspot.Config{}, middleware.WithConsent(no)},
		"chat off":   {ada, hubspot.Config{Chat: "off"}, middleware.WithSkip(nil)},
		"anonymous":  {ada, hubspot.Config{Chat: "anonymous"}, middleware.WithSkip(nil)},
	} {
		tt.cfg.PortalID = hubspottest.PortalID
		a := newAppWith(t, tt.cfg, tt.option)
		for _, h := range []http.Handler{
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.SignedIn(w, r, tt.visitor) }),
			a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.SignedIn(w, r, tt.visitor) })),
		} {
			if w := serve(h, navigation()); markers(w.Header()) != nil {
				t.Errorf("%s: %q", name, markers(w.Header()))
			}
		}
		wantCalls(t, a, 0)
	}
}

// A change of visitor without a sign-out expires the widget's cookies, too; what an
// anonymous visitor left stays for when they sign in.
func TestChangeOfVisitorExpiresTheWidgetsCookies(t *testing.T) {
	a := newApp(t)
	own := marker(serve(a.pages, navigation(ada)))
	for name, tt := range map[string]struct {
		brought string
		visitor []hubspot.Visitor
		want    bool
	}{
		"first page":       {"", []hubspot.Visitor{ada}, false},
		"steady":           {own, []hubspot.Visitor{ada}, false},
		"another signs in": {"0123456789abcdef", []hubspot.Visitor{ada}, true},
		"session over":     {own, nil, true},
		"always anonymous": {"", nil, false},
	} {
		for _, r := range []*http.Request{navigation(tt.visitor...), ask(tt.visitor...)} {
			r.Header.Set("Cookie", markerName+"="+tt.brought)
			h := a.pages
			if r.Method == "POST" {
				h = a.TokenHandler()
			}
			set := serve(h, r).Header().Values("Set-Cookie")
			if got := slices.Contains(set, "messagesUtk=; Path=/; Domain=shop.example; Max-Age=0; SameSite=Lax"); got != tt.want {
				t.Errorf("%s, %s: %q", name, r.Method, set)
			}
		}
	}
}

// Behind a proxy that rewrites Host, X-Forwarded-Host names the public one.
func TestSignedOutBehindAProxy(t *testing.T) {
	a := newApp(t)
	for forwarded, domains := range map[string][]string{
		"www.shop.example":           {"", "shop.example"},
		"shop.example; Domain=x.com": {""},
		"10.0.0.1:8080":              {""},
	} {
		r := httptest.NewRequest("POST", "/logout", nil)
		r.Host = "10.0.0.1:8080"
		r.Header.Set("X-Forwarded-Host", forwarded)
		w := httptest.NewRecorder()
		a.SignedOut(w, r)
		var want []string
		for _, domain := range domains {
			want = append(want, expired(domain)...)
		}
		if diff := cmp.Diff(want, w.Header().Values("Set-Cookie")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", forwarded, diff)
		}
	}
}
