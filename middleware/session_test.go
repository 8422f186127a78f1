package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
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
