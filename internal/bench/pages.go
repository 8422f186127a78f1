package main

import (
	"bufio"
	"context"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/csrf"
	"github.com/justinas/nosurf"
	gocache "github.com/patrickmn/go-cache"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// pages measures what a request costs. The peers do a similar thing, a value of
// the visitor's put into a page through the request's context: two protections
// against request forgery, and html/template with the script written by hand.
func pages(out *report) {
	out.title("Requests: the library's share, on one processor")

	const rounds, operations = 21, 20_000
	inline, file, anonymous, asset := chatPages()
	forged, token, byHand, value, valueAsset := peerPages()
	harness := contender{"the harness", serving(part(func(*http.Request) string { return "<p>" }), navigation())}

	got := compete(rounds, operations, inline, forged, token, byHand, bare(), copying())
	out.own("identified page, script inline", got[0], allocations(got[0], 8), nanoseconds(got[0], 1500))
	out.beside(forged.name, got[1], 0.33)
	out.beside(token.name, got[2], 1)
	out.beside(byHand.name, got[3], 0.33)
	out.beside("the same, unprotected", got[4], 0)
	out.beside("a copy of its text", got[5], 0)

	got = compete(rounds, operations, file)
	out.own("identified page, script as a file", got[0], allocations(got[0], 8), nanoseconds(got[0], 1000))

	got = compete(rounds, operations, anonymous, value)
	out.own("anonymous page, script inline", got[0], allocations(got[0], 6), nanoseconds(got[0], 600))
	out.beside(value.name, got[1], 0)

	got = compete(rounds, operations, asset, valueAsset)
	out.own("no page: a style sheet", got[0], allocations(got[0], 6), nanoseconds(got[0], 300))
	out.beside(valueAsset.name, got[1], 0)

	got = compete(rounds, operations, harness)
	out.own("the harness, part of every figure above", got[0], allocations(got[0], 0))
}

func chatPages() (inline, file, anonymous, asset contender) {
	chat := func(signedIn bool) *middleware.Middleware {
		return newChat(newTokens(creatorFunc(created), 0), signedIn)
	}
	asFile := snippet.WithScriptPath("/assets")
	page := part(func(r *http.Request) string { return string(snippet.HTML(r.Context())) })
	filePart := snippet.FuncMap(asFile)["hubspotChat"].(func(any) template.HTML) // as templates have it
	filePage := part(func(r *http.Request) string { return string(filePart(r)) })

	contend := func(h http.Handler, r *http.Request, with, without string) contender {
		remember(h, r) // the marker
		body := body(h, r)
		check(strings.Contains(body, with) && !strings.Contains(body, without), "not the page that is to be measured: "+body)
		return contender{"hubspot-visitor", serving(h, r)}
	}
	const loader = "js.hs-scripts.com/" + portalID
	inline = contend(chat(true).Handler(page), navigation(), tokenValue, "application/json")
	file = contend(chat(true).Handler(filePage), navigation(), tokenValue, "widget.load")
	anonymous = contend(chat(false).Handler(page), navigation(), loader, tokenValue)
	asset = contend(chat(true).Handler(http.HandlerFunc(style)), forStyle(), "p{}", loader)
	return inline, file, anonymous, asset
}

// copying is a string of a page part's length, which each visitor needs anew, alone.
func copying() contender {
	text := partOfNobody()
	return contender{"a copy of its text", func(b *testing.B) {
		b.ReportAllocs()
		copied := "" // and looked at, or else the compiler leaves the copy out
		for range b.N {
			copied = strings.Clone(text)
		}
		check(copied == text, "another text")
	}}
}

// bare is the least that the same page costs: it does with a token in go-cache what
// the library does, and never looks at what becomes of the headers, at the marker,
// the token's life or the visitor's fields.
func bare() contender {
	text := partOfNobody()
	before, after, found := strings.Cut(text, `"identificationEmail":"","identificationToken":""`)
	check(found, "not the page that is to be measured: "+text)

	tokens := gocache.New(gocache.NoExpiration, 0)
	tokens.Set(ada.Email, tokenValue, gocache.NoExpiration)
	type tokenKey struct{}
	block := new(strings.Builder) // that of one processor, see package snippet
	drawn := part(func(r *http.Request) string {
		token, _ := r.Context().Value(tokenKey{}).(string)
		if block.Cap()-block.Len() < len(text)+1024 {
			block.Reset()
			block.Grow(8 * len(text))
		}
		begin := block.Len()
		for _, s := range [...]string{before, `"identificationEmail":"`, ada.Email, `","identificationToken":"`, token, `"`, after} {
			block.WriteString(s)
		}
		return block.String()[begin:]
	})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := tokens.Get(ada.Email)
		w.Header()["Cache-Control"] = []string{"private, no-store"}
		w.Header()["Vary"] = []string{"Cookie"}
		drawn.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
	})
	check(strings.Contains(body(h, navigation()), tokenValue), "a page without a token")
	return contender{"the same, unprotected", serving(h, navigation())}
}

func partOfNobody() string {
	page := part(func(r *http.Request) string { return string(snippet.HTML(r.Context())) })
	return body(newChat(newTokens(creatorFunc(created), 0), false).Handler(page), navigation())
}

// newChat is the middleware of an application where Ada is signed in, or nobody.
func newChat(tokens *hubspot.Tokens, signedIn bool) *middleware.Middleware {
	return must(middleware.New(tokens,
		func(*http.Request) (hubspot.Visitor, bool) { return ada, signedIn },
		middleware.WithConfig(hubspot.Config{PortalID: portalID}),
		middleware.WithLogger(quiet),
	))
}

func peerPages() (gorilla, surf, byHand, value, valueAsset contender) {
	contend := func(name string, h http.Handler, r *http.Request, with string) contender {
		remember(h, r) // the secret
		check(strings.Contains(body(h, r), with), "not the page that is to be measured: "+name)
		return contender{name, serving(h, r)}
	}
	gorilla = contend("gorilla/csrf", csrf.Protect([]byte(strings.Repeat("k", 32)), csrf.Path("/"))(
		part(func(r *http.Request) string { return string(csrf.TemplateField(r)) })), navigation(), `name="gorilla.csrf.Token"`)
	surf = contend("justinas/nosurf", nosurf.New(part(nosurf.Token)), navigation(), "==")

	data := &struct{ Email, Token, Src string }{ada.Email, tokenValue, "//js.hs-scripts.com/" + portalID + ".js"}
	byHand = contend("html/template, by hand", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = htmlType
		_ = handWritten.Execute(w, data)
	}), navigation(), tokenValue)

	value = contend("one context value", contextValue(part(func(r *http.Request) string { return signedInName(r.Context()) })), navigation(), ada.FirstName)
	valueAsset = contend("one context value", contextValue(http.HandlerFunc(style)), forStyle(), "p{}")
	return gorilla, surf, byHand, value, valueAsset
}

// handWritten is what HubSpot's documentation of the chat asks a page to do.
var handWritten = template.Must(template.New("chat").Parse(`<script>
window.hsConversationsSettings = {
  loadImmediately: false,
  identificationEmail: {{.Email}},
  identificationToken: {{.Token}}
};
function loadChat() { window.HubSpotConversations.widget.load(); }
if (window.HubSpotConversations) {
  loadChat();
} else {
  window.hsConversationsOnReady = [loadChat];
}
</script>
<script id="hs-script-loader" async defer src="{{.Src}}"></script>
`))

type userKey struct{}

func contextValue(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, ada)))
	})
}

func signedInName(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(hubspot.Visitor)
	return user.FirstName
}

// Header values are made once: handlers that make them anew would be counted.
var (
	htmlType = []string{"text/html; charset=utf-8"}
	cssType  = []string{"text/css; charset=utf-8"}
)

// part is a handler that writes one part of a page and nothing else.
func part(render func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = htmlType
		_, _ = io.WriteString(w, render(r))
	})
}

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = cssType
	_, _ = io.WriteString(w, "p{}")
}

func navigation() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Cookie", "session=0123456789abcdef0123456789abcdef")
	return r
}

func forStyle() *http.Request {
	r := navigation()
	r.Header.Set("Accept", "text/css,*/*;q=0.1")
	r.Header.Set("Sec-Fetch-Dest", "style")
	return r
}

// remember puts the cookies that h sets into r, as the browser does: from then on
// it is one of many requests of a visit.
func remember(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		r.Header.Set("Cookie", fmt.Sprintf("%s; %s=%s", r.Header.Get("Cookie"), c.Name, c.Value))
	}
}

func body(h http.Handler, r *http.Request) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	check(len(w.Result().Cookies()) == 0, "the page still sets a cookie")
	return w.Body.String()
}

func serving(h http.Handler, r *http.Request) func(*testing.B) {
	return func(b *testing.B) {
		w := &writer{header: http.Header{}}
		b.ReportAllocs()
		for range b.N {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
	}
}

// writer is a ResponseWriter that costs nothing, and can do what net/http's can.
type writer struct{ header http.Header }

func (w *writer) Header() http.Header               { return w.header }
func (w *writer) WriteHeader(int)                   {}
func (w *writer) Write(p []byte) (int, error)       { return len(p), nil }
func (w *writer) WriteString(s string) (int, error) { return len(s), nil }
func (w *writer) Flush()                            {}
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}
