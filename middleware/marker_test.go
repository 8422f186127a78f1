package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

const markerName = "hubspot_visitor_12345678"

// markers are the Set-Cookie lines of the marker.
func markers(h http.Header) (lines []string) {
	for _, line := range h.Values("Set-Cookie") {
		if strings.HasPrefix(line, markerName+"=") {
			lines = append(lines, line)
		}
	}
	return lines
}

// marker is the marker that a response sets; "" for none.
func marker(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == markerName {
			return c.Value
		}
	}
	return ""
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{16}$`)

// The fingerprint tells visitors apart without telling who they are. Page,
// marker and endpoint have the same.
func TestFingerprint(t *testing.T) {
	a := newApp(t)
	of := func(v hubspot.Visitor) string {
		t.Helper()
		w := serve(a.pages, navigation(v))
		f := marker(w)
		if !fingerprint.MatchString(f) {
			t.Errorf("marker %q", f)
		}
		if !strings.Contains(w.Body.String(), `"`+f+`"`) {
			t.Errorf("%q is not the claim of the page %s", f, w.Body)
		}
		if at := marker(serve(a.TokenHandler(), ask(v))); at != f {
			t.Errorf("the endpoint sets %q, the page %q", at, f)
		}
		return f
	}
	one := of(ada)
	for _, other := range []string{"eve@example.com", "ada@example.org"} {
		if of(hubspot.Visitor{Email: other, EmailVerified: true}) == one {
			t.Errorf("%s and ada@example.com have one fingerprint", other)
		}
	}
	// Neither another name nor other letters' case make another person.
	for _, same := range []hubspot.Visitor{
		{Email: ada.Email, FirstName: "Ada", EmailVerified: true},
		{Email: "Ada@Example.COM", EmailVerified: true},
	} {
		if of(same) != one {
			t.Errorf("%v has another fingerprint", same)
		}
	}
	elsewhere := newAppWith(t, hubspot.Config{PortalID: "87654321"})
	for _, c := range serve(elsewhere.pages, navigation(ada)).Result().Cookies() {
		if c.Name != "hubspot_visitor_87654321" || c.Value == one {
			t.Errorf("at another portal: %v", c)
		}
	}
}

func TestMarkerAttributes(t *testing.T) {
	a := newApp(t)
	const plain, secure = "; Path=/; SameSite=Lax", "; Path=/; Secure; SameSite=Lax"
	for url, tt := range map[string]struct {
		proto, want string
	}{
		"https://shop.example/": {"", secure},
		"http://shop.example/":  {"", plain},
		"http://10.0.0.1:8080/": {"https", secure},
	} {
		r := as(httptest.NewRequest("GET", url, nil), ada)
		if tt.proto != "" {
			r.Header.Set("X-Forwarded-Proto", tt.proto)
		}
		w := serve(a.pages, r)
		if got, want := markers(w.Header()), markerName+"="+marker(w)+tt.want; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %s", url, got, want)
		}
	}
}

// The marker is set only where it differs from what the request brought, and
// never on a response that caches may share.
func TestMarker(t *testing.T) {
	a := newApp(t, middleware.WithSkip(func(r *http.Request) bool { return r.URL.Path == "/help" }),
		middleware.WithConsent(func(r *http.Request) bool { return r.URL.Path != "/no-consent" }))
	f := marker(serve(a.pages, navigation(ada)))
	const gone = markerName + "=; Path=/; Max-Age=0; Secure; SameSite=Lax"
	set := markerName + "=" + f + "; Path=/; Secure; SameSite=Lax"
	public := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public, max-age=60") }
	json := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") }
	for name, tt := range map[string]struct {
		cookie  string
		visitor []hubspot.Visitor
		path    string
		before  func(http.ResponseWriter, *http.Request)
		want    []string
		private bool
	}{
		"first page":                      {"", []hubspot.Visitor{ada}, "/", nil, []string{set}, true},
		"steady":                          {f, []hubspot.Visitor{ada}, "/", nil, nil, true},
		"among others":                    {"x; a=b; " + markerName + "=" + f, []hubspot.Visitor{ada}, "/", nil, nil, true},
		"another's":                       {"0123456789abcdef", []hubspot.Visitor{ada}, "/", nil, []string{set}, true},
		"anonymous":                       {"", nil, "/", nil, nil, false},
		"session over":                    {f, nil, "/", nil, []string{gone}, true},
		"unverified":                      {f, []hubspot.Visitor{{Email: ada.Email}}, "/", nil, []string{gone}, true},
		"no address":                      {f, []hubspot.Visitor{{Email: "ada", EmailVerified: true}}, "/", nil, []string{gone}, true},
		"skipped":                         {f, []hubspot.Visitor{ada}, "/help", nil, nil, false},
		"skipped, none":                   {"", []hubspot.Visitor{ada}, "/help", nil, nil, false},
		"public":                          {"", []hubspot.Visitor{ada}, "/", public, nil, false},
		"public, session over":            {f, nil, "/", public, nil, false},
		"without consent":                 {"", []hubspot.Visitor{ada}, "/no-consent", nil, nil, false},
		"JSON that holds the page part":   {"", []hubspot.Visitor{ada}, "/", json, []string{set}, true},
		"JSON with an anonymous one":      {"", nil, "/", json, nil, false},
		"JSON with one, the session over": {f, nil, "/", json, []string{gone}, true},
	} {
		r := navigation(tt.visitor...)
		r.URL.Path = tt.path
		if tt.cookie != "" {
			r.Header.Set("Cookie", markerName+"="+tt.cookie)
			if strings.Contains(tt.cookie, "=") {
				r.Header.Set("Cookie", tt.cookie)
			}
		}
		w := serve(a.Handler(page(tt.before)), r)
		if diff := cmp.Diff(tt.want, markers(w.Header())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if private := w.Header().Get("Cache-Control") == "private, no-store"; private != tt.private {
			t.Errorf("%s: Cache-Control %q", name, w.Header().Get("Cache-Control"))
		}
	}
}

// A visitor whom HubSpot refuses for good has no marker: page and endpoint would
// set and expire it in turn.
func TestRefusedVisitorHasNoMarker(t *testing.T) {
	a := newApp(t)
	a.hubspot.SetOutage(&hubspottest.Fault{Status: 400, Body: `{"status":"error","category":"VALIDATION_ERROR"}`})
	for range 3 {
		w := serve(a.pages, navigation(ada))
		wantAnonymous(t, w)
		if got := markers(w.Header()); got != nil {
			t.Errorf("page: %q", got)
		}
		if w := serve(a.TokenHandler(), ask(ada)); w.Code != 204 || markers(w.Header()) != nil {
			t.Errorf("endpoint: %d %q", w.Code, markers(w.Header()))
		}
	}
}

func TestMarkerAtTheEndpoint(t *testing.T) {
	a := newApp(t)
	w := serve(a.TokenHandler(), ask(ada))
	f := marker(w)
	if got := markers(w.Header()); len(got) != 1 || !fingerprint.MatchString(f) {
		t.Errorf("signed in: %q", got)
	}
	over := ask()
	over.Header.Set("Cookie", markerName+"="+f)
	if got := markers(serve(a.TokenHandler(), over).Header()); len(got) != 1 || !strings.Contains(got[0], "Max-Age=0") {
		t.Errorf("session over: %q", got)
	}
	a.hubspot.SetOutage(&hubspottest.Fault{Status: 503})
	if w := serve(a.TokenHandler(), ask(hubspot.Visitor{Email: "eve@example.com", EmailVerified: true})); w.Code != 503 || !fingerprint.MatchString(marker(w)) {
		t.Errorf("no token for now: %d %q", w.Code, markers(w.Header()))
	}
}
