package middleware_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// ask is a page's request to the token endpoint.
func ask(v ...hubspot.Visitor) *http.Request {
	r := as(httptest.NewRequest("POST", "https://shop.example/chat/token", nil), v...)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "https://shop.example")
	return r
}

// wantUnstored: no answer of the endpoint may be kept by anybody.
func wantUnstored(t *testing.T, what string, h http.Header) {
	t.Helper()
	if got := h.Values("Cache-Control"); !cmp.Equal(got, []string{"private, no-store"}) {
		t.Errorf("%s: Cache-Control %q", what, got)
	}
	if got := h.Values("Vary"); !cmp.Equal(got, []string{"Cookie"}) {
		t.Errorf("%s: Vary %q", what, got)
	}
}

func TestTokenEndpoint(t *testing.T) {
	a := newApp(t)
	before := time.Now()
	w := serve(a.TokenHandler(), ask(ada))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	wantUnstored(t, "200", w.Header())
	var fields map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &fields); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	expires, err := time.Parse(time.RFC3339, fields["expiresAt"])
	if life := expires.Sub(before); err != nil || life < 12*time.Hour-time.Minute || life > 12*time.Hour+time.Minute {
		t.Errorf("expiresAt %q", fields["expiresAt"])
	}
	if err := a.hubspot.Verify(fields["email"], fields["token"]); err != nil {
		t.Error(err)
	}
	if len(fields) != 4 || fields["email"] != ada.Email || fields["visitor"] != marker(w) || fields["visitor"] == "" {
		t.Errorf("fields %v", fields)
	}
	// The page and the endpoint share one token.
	_, token := identity(t, serve(a.pages, navigation(ada)))
	if token != fields["token"] {
		t.Error("the page has another token")
	}
	wantCalls(t, a, 1)
}

func TestTokenEndpointMethods(t *testing.T) {
	a := newApp(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
		r := ask(ada)
		r.Method = method
		w := serve(a.TokenHandler(), r)
		if w.Code != 405 || w.Header().Get("Allow") != "POST" || w.Body.Len() != 0 {
			t.Errorf("%s: %d, Allow %q, %s", method, w.Code, w.Header().Get("Allow"), w.Body)
		}
		wantUnstored(t, method, w.Header())
	}
	wantCalls(t, a, 0)
}

func TestTokenEndpointOrigins(t *testing.T) {
	a := newApp(t)
	for name, tt := range map[string]struct {
		site, origin string
		want         int
	}{
		"same origin":                  {"same-origin", "https://shop.example", 200},
		"typed by the visitor":         {"none", "", 200},
		"mobile app":                   {"", "", 200},
		"old browser, same origin":     {"", "https://shop.example", 200},
		"cross site":                   {"cross-site", "https://eve.example", 403},
		"cross site, no Origin":        {"cross-site", "", 403},
		"sibling":                      {"same-site", "https://blog.shop.example", 403},
		"old browser, cross origin":    {"", "https://eve.example", 403},
		"old browser, opaque origin":   {"", "null", 403},
		"cross site claims our origin": {"cross-site", "https://shop.example", 403},
	} {
		r := ask(ada)
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Del("Origin")
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := serve(a.TokenHandler(), r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
		if has := strings.Contains(w.Body.String(), ada.Email); has != (tt.want == 200) {
			t.Errorf("%s: body %s", name, w.Body)
		}
		if len(w.Header().Values("Access-Control-Allow-Origin")) != 0 {
			t.Errorf("%s: %v", name, w.Header())
		}
		wantUnstored(t, name, w.Header())
	}
}

func TestTokenEndpointWithoutIdentity(t *testing.T) {
	no := func(*http.Request) bool { return false }
	yes := func(*http.Request) bool { return true }
	for name, tt := range map[string]struct {
		visitors []hubspot.Visitor
		cfg      hubspot.Config
		option   middleware.Option
		fault    hubspottest.Fault
	}{
		"nobody":         {nil, hubspot.Config{}, nil, hubspottest.Fault{}},
		"unverified":     {[]hubspot.Visitor{{Email: "ada@example.com"}}, hubspot.Config{}, nil, hubspottest.Fault{}},
		"no consent":     {[]hubspot.Visitor{ada}, hubspot.Config{}, middleware.WithConsent(no), hubspottest.Fault{}},
		"skipped":        {[]hubspot.Visitor{ada}, hubspot.Config{}, middleware.WithSkip(yes), hubspottest.Fault{}},
		"chat off":       {[]hubspot.Visitor{ada}, hubspot.Config{Chat: "off"}, nil, hubspottest.Fault{}},
		"chat anonymous": {[]hubspot.Visitor{ada}, hubspot.Config{Chat: "anonymous"}, nil, hubspottest.Fault{}},
		"no address":     {[]hubspot.Visitor{{Email: "ada", EmailVerified: true}}, hubspot.Config{}, nil, hubspottest.Fault{}},
		"refused":        {[]hubspot.Visitor{ada}, hubspot.Config{}, nil, hubspottest.Fault{Status: 400, Body: `{"message":"hubspot's words"}`}},
	} {
		option := tt.option
		if option == nil {
			option = middleware.WithSkip(nil)
		}
		tt.cfg.PortalID = hubspottest.PortalID
		a := newAppWith(t, tt.cfg, option)
		a.hubspot.Queue(tt.fault)
		w := serve(a.TokenHandler(), ask(tt.visitors...))
		if w.Code != 204 || w.Body.Len() != 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		wantUnstored(t, name, w.Header())
	}
}

// HubSpot in trouble: the page may come again, and hears nothing of HubSpot's.
func TestTokenEndpointWithoutHubSpot(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				a.hubspot.SetOutage(&fault)
				for range 3 { // the second and third meet what is remembered
					began := time.Now()
					w := serve(a.TokenHandler(), ask(ada))
					if took := time.Since(began); took > 4*time.Second {
						t.Errorf("took %v; the page waits five seconds", took)
					}
					seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
					if w.Code != 503 || err != nil || seconds < 1 || seconds > 60 || w.Body.Len() != 0 {
						t.Errorf("%d, Retry-After %q, body %q", w.Code, w.Header().Get("Retry-After"), w.Body)
					}
					wantUnstored(t, name, w.Header())
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// The page's script waits five seconds for the endpoint, so the endpoint answers
// before that, however long a call to HubSpot may take.
func TestTokenEndpointAnswersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID, Timeout: 10 * time.Second})
		a.hubspot.SetOutage(&hubspottest.Fault{Hang: true})
		began := time.Now()
		w := serve(a.TokenHandler(), ask(ada))
		if took := time.Since(began); w.Code != 503 || took >= 5*time.Second {
			t.Errorf("%d after %v", w.Code, took)
		}
		wantUnstored(t, "503", w.Header())
		time.Sleep(time.Minute)
	})
}

// The endpoint takes nothing that a client says: who can choose the address can
// read its owner's chats.
func TestTokenEndpointIgnoresInput(t *testing.T) {
	a := newApp(t)
	for name, r := range map[string]*http.Request{
		"query": httptest.NewRequest("POST", "https://shop.example/chat/token?email=eve@example.com", nil),
		"form":  httptest.NewRequest("POST", "https://shop.example/chat/token", strings.NewReader("email=eve@example.com")),
		"JSON":  httptest.NewRequest("POST", "https://shop.example/chat/token", strings.NewReader(`{"email":"eve@example.com"}`)),
		"header": func() *http.Request {
			r := httptest.NewRequest("POST", "https://shop.example/chat/token", nil)
			r.Header.Set("X-Email", "eve@example.com")
			r.Header.Set("From", "eve@example.com")
			return r
		}(),
	} {
		if name == "form" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if w := serve(a.TokenHandler(), as(r)); w.Code != 204 {
			t.Errorf("%s, not signed in: %d %s", name, w.Code, w.Body)
		}
		w := serve(a.TokenHandler(), as(r, ada))
		if w.Code != 200 || strings.Contains(w.Body.String(), "eve@") || !strings.Contains(w.Body.String(), ada.Email) {
			t.Errorf("%s, signed in: %d %s", name, w.Code, w.Body)
		}
	}
	for _, call := range a.hubspot.Calls() {
		if call.Email != ada.Email {
			t.Errorf("HubSpot was asked for %q", call.Email)
		}
	}
}

// The ten-line integration has the endpoint: the chat's handler answers there.
func TestHandlerAnswersAtTheTokenPath(t *testing.T) {
	for path, option := range map[string]middleware.Option{
		"/hubspot-visitor/token": middleware.WithSkip(nil),
		"/chat/token":            middleware.WithTokenPath("/chat/token"),
	} {
		a := newApp(t, option)
		h := a.Handler(http.NotFoundHandler())
		r := ask(ada)
		r.URL.Path = path
		if w := serve(h, r); w.Code != 200 || !strings.Contains(w.Body.String(), ada.Email) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		r.Method = "GET" // the application's own
		if w := serve(h, r); w.Code != 404 {
			t.Errorf("GET %s: %d", path, w.Code)
		}
		if w := serve(a.pages, navigation(ada)); !strings.Contains(w.Body.String(), `"`+path+`"`) {
			t.Errorf("%s is not in the page %s", path, w.Body)
		}
	}
	// Below a prefix that a router strips.
	below := newApp(t, middleware.WithTokenPath("/shop/hubspot-visitor/token"))
	r := ask(ada)
	r.URL.Path = "/shop/hubspot-visitor/token"
	if w := serve(http.StripPrefix("/shop", below.Handler(http.NotFoundHandler())), r); w.Code != 200 || !strings.Contains(w.Body.String(), ada.Email) {
		t.Errorf("below a prefix: %d %s", w.Code, w.Body)
	}
	a := newApp(t, middleware.WithTokenPath(""))
	r = ask(ada)
	r.URL.Path = "/hubspot-visitor/token"
	if w := serve(a.Handler(http.NotFoundHandler()), r); w.Code != 404 {
		t.Errorf("turned off: %d", w.Code)
	}
	r.URL.Path = ""
	if w := serve(a.Handler(http.NotFoundHandler()), r); w.Code != 404 {
		t.Errorf("turned off, empty path: %d", w.Code)
	}
}

// A page that never identifies is given no endpoint.
func TestSkippedPageHasNoEndpoint(t *testing.T) {
	a := newApp(t, middleware.WithSkip(func(r *http.Request) bool { return r.URL.Path == "/help" }))
	r := navigation(ada)
	r.URL.Path = "/help"
	if w := serve(a.pages, r); strings.Contains(w.Body.String(), "/hubspot-visitor/token") {
		t.Errorf("page %s", w.Body)
	}
}

// A proxy that rewrites Host makes a page's own request look foreign, to browsers
// without Sec-Fetch-Site: unless the origin is trusted.
func TestTrustedOrigins(t *testing.T) {
	for name, tt := range map[string]struct {
		options []middleware.Option
		want    int
	}{
		"not trusted": {nil, 403},
		"trusted":     {[]middleware.Option{middleware.WithTrustedOrigins("https://eve.example", "https://www.shop.example")}, 200},
		"capitals":    {[]middleware.Option{middleware.WithTrustedOrigins("https://WWW.Shop.example")}, 200},
		"another":     {[]middleware.Option{middleware.WithTrustedOrigins("https://eve.example")}, 403},
	} {
		a := newApp(t, tt.options...)
		for _, site := range []string{"", "cross-site", "same-site"} {
			r := ask(ada)
			r.Host = "10.0.0.1:8080"
			r.Header.Del("Sec-Fetch-Site")
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
			r.Header.Set("Origin", "https://www.shop.example")
			if w := serve(a.TokenHandler(), r); w.Code != tt.want {
				t.Errorf("%s, Sec-Fetch-Site %q: %d, want %d", name, site, w.Code, tt.want)
			}
		}
	}
}

// A request that WithSkip excludes is no word about who is signed in: the browser
// keeps its marker.
func TestEndpointOfASkippedRequest(t *testing.T) {
	a := newApp(t, middleware.WithSkip(func(*http.Request) bool { return true }))
	for _, v := range [][]hubspot.Visitor{nil, {ada}} {
		r := ask(v...)
		r.Header.Set("Cookie", markerName+"=0123456789abcdef")
		if w := serve(a.TokenHandler(), r); w.Code != http.StatusNoContent || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%d, %v", w.Code, w.Header())
		}
	}
}

// With debug the endpoint says why it names nobody, and never who somebody is.
func TestEndpointReasons(t *testing.T) {
	unverified := hubspot.Visitor{Email: "eve@example.com"}
	for _, debug := range []bool{false, true} {
		a := newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID, Debug: debug})
		for want, v := range map[string][]hubspot.Visitor{"EmailVerified": {unverified}, "nobody is signed in": nil, "": {ada}} {
			r := as(httptest.NewRequest("POST", "https://shop.example/hubspot-visitor/token", nil), v...)
			h := serve(a.pages, r).Header()
			got := h.Get("Hubspot-Visitor-Reason")
			if !debug {
				want = ""
			}
			if _, said := h["Hubspot-Visitor-Reason"]; said != (want != "") {
				t.Errorf("debug %t: %v, want %q", debug, h, want)
			}
			if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "@") {
				t.Errorf("debug %t: the reason is %q, want %q", debug, got, want)
			}
		}
	}
	a := newAppWith(t, hubspot.Config{PortalID: hubspottest.PortalID, Debug: true})
	a.hubspot.Queue(hubspottest.Fault{Status: 400, Body: `{"message":"hubspot's words"}`})
	if w := serve(a.TokenHandler(), ask(ada)); w.Code != 204 || w.Header().Get("Hubspot-Visitor-Reason") != "no token: hubspot: the visitor is not acceptable" {
		t.Errorf("refused: %d, %q", w.Code, w.Header().Get("Hubspot-Visitor-Reason"))
	}
}
