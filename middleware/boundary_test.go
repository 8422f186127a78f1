package middleware_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// answer is a response as it arrived.
type answer struct {
	*http.Response
	body string
}

// wire is a real connection, where headers freeze as they do in production.
type wire struct {
	t       *testing.T
	server  *httptest.Server
	handler http.Handler // of the request under way
}

func newWire(t *testing.T) *wire {
	wi := &wire{t: t}
	wi.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wi.handler.ServeHTTP(w, r) }))
	t.Cleanup(wi.server.Close)
	return wi
}

// visit sends a request to h. who is signed in.
func (wi *wire) visit(h http.Handler, r *http.Request, who ...hubspot.Visitor) answer {
	wi.t.Helper()
	wi.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(who) > 0 {
			r = r.WithContext(middleware.WithVisitor(r.Context(), who[0]))
		}
		h.ServeHTTP(w, r)
	})
	r.URL.Scheme, r.URL.Host, r.RequestURI, r.Host = "http", wi.server.Listener.Addr().String(), "", ""
	client := *wi.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r.WithContext(wi.t.Context()))
	if err != nil {
		wi.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		wi.t.Fatal(err)
	}
	return answer{res, string(body)}
}

func visit(t *testing.T, h http.Handler, r *http.Request, who ...hubspot.Visitor) answer {
	t.Helper()
	return newWire(t).visit(h, r, who...)
}

// hasToken reports whether a body holds an identification token.
func hasToken(t *testing.T, body string) bool {
	t.Helper()
	_, token := identityIn(t, body)
	return strings.TrimSpace(token) != ""
}

// storable is what somebody between server and browser may think of a response,
// from RFC 9111 and the vendors' manuals: each of these headers alone makes one of
// them keep it.
func storable(h http.Header) (why string) {
	if got := h.Values("Cache-Control"); len(got) != 1 || got[0] != "private, no-store" {
		return fmt.Sprintf("Cache-Control %q", got)
	}
	if !slices.Contains(h.Values("Vary"), "Cookie") && h.Get("Vary") != "*" {
		return fmt.Sprintf("Vary %q", h.Values("Vary"))
	}
	for _, name := range []string{
		"Expires", "X-Accel-Expires", "Surrogate-Control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control",
		"Vercel-CDN-Cache-Control", "Netlify-CDN-Cache-Control", "X-LiteSpeed-Cache-Control", "Akamai-Cache-Control", "Edge-Control",
	} {
		if h.Get(name) != "" {
			return name + ": " + h.Get(name)
		}
	}
	return ""
}

var streamed = template.Must(template.New("").Parse(`<!doctype html><title>Shop</title><p>` + strings.Repeat("text ", 2000) + `</p>{{call .}}</html>`))

func shop(w http.ResponseWriter, chat template.HTML) {
	fmt.Fprintf(w, "<!doctype html><title>Shop</title>%s</html>", chat)
}

// pages are the ways in which handlers write a page, by whether the header set
// comes before the chat is rendered.
func pages(set func(http.Header)) map[string]http.Handler {
	handle := func(f http.HandlerFunc) http.Handler { return f }
	buffered := handle(func(w http.ResponseWriter, r *http.Request) {
		set(w.Header())
		chat := snippet.HTML(r.Context())
		shop(w, chat)
	})
	after := handle(func(w http.ResponseWriter, r *http.Request) {
		chat := snippet.HTML(r.Context())
		set(w.Header())
		shop(w, chat)
	})
	stream := handle(func(w http.ResponseWriter, r *http.Request) {
		set(w.Header())
		_ = streamed.Execute(w, func() template.HTML { return snippet.HTML(r.Context()) })
	})
	return map[string]http.Handler{
		"buffered":  buffered,
		"set after": after,
		"streamed":  stream,
		"headers first": handle(func(w http.ResponseWriter, r *http.Request) {
			set(w.Header())
			w.WriteHeader(http.StatusOK)
			shop(w, snippet.HTML(r.Context()))
		}),
		"flushed": handle(func(w http.ResponseWriter, r *http.Request) {
			set(w.Header())
			_ = http.NewResponseController(w).Flush() // TimeoutHandler's cannot
			shop(w, snippet.HTML(r.Context()))
		}),
		"copied": handle(func(w http.ResponseWriter, r *http.Request) {
			set(w.Header())
			b := &bytes.Buffer{}
			b.WriteString("<!doctype html><title>Shop</title>")
			b.WriteString(string(snippet.HTML(r.Context())))
			_, _ = io.Copy(w, io.LimitReader(b, 1<<20))
		}),
		"set at the very end": handle(func(w http.ResponseWriter, r *http.Request) {
			shop(w, snippet.HTML(r.Context()))
			set(w.Header())
		}),
		"TimeoutHandler inside, buffered":  http.TimeoutHandler(buffered, time.Minute, ""),
		"TimeoutHandler inside, set after": http.TimeoutHandler(after, time.Minute, ""),
		"TimeoutHandler inside, streamed":  http.TimeoutHandler(stream, time.Minute, ""),
	}
}

var cacheHeaders = []struct{ name, value string }{
	{"", ""},
	{"Cache-Control", "no-cache"}, {"Cache-Control", "private, no-cache"}, {"Cache-Control", "must-revalidate"}, {"Cache-Control", "immutable"},
	{"Cache-Control", "max-age=0"}, {"Cache-Control", "stale-while-revalidate=600"}, {"Cache-Control", `private="Set-Cookie"`},
	{"Cache-Control", `no-cache="Set-Cookie", max-age=60`}, {"Cache-Control", "public"}, {"Cache-Control", "public, max-age=60"},
	{"Cache-Control", "s-maxage=60"}, {"Cache-Control", "max-age=60"}, {"Cache-Control", "private"}, {"cache-control", "public, max-age=60"},
	{"Expires", "Thu, 01 Jan 2099 00:00:00 GMT"}, {"Etag", `"1"`}, {"Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT"}, {"Vary", "Accept-Encoding"}, {"Vary", "*"},
	{"X-Accel-Expires", "600"}, {"X-Accel-Expires", "@4102444800"}, {"Surrogate-Control", "max-age=600"}, {"Cdn-Cache-Control", "max-age=600"},
	{"Cloudflare-Cdn-Cache-Control", "max-age=600"}, {"Vercel-Cdn-Cache-Control", "max-age=600"}, {"Netlify-Cdn-Cache-Control", "public, max-age=600"},
	{"X-Litespeed-Cache-Control", "public,max-age=600"}, {"Akamai-Cache-Control", "max-age=600"}, {"Edge-Control", "cache-maxage=600s"},
}

var requests = map[string]func() *http.Request{
	"GET": func() *http.Request { return navigation() },
	"POST": func() *http.Request {
		r := navigation()
		r.Method = "POST"
		return r
	},
	"fetch": func() *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Sec-Fetch-Dest", "empty")
		r.Header.Set("Accept", "*/*")
		return r
	},
	"frame": func() *http.Request {
		r := navigation()
		r.Header.Set("Sec-Fetch-Dest", "frame")
		return r
	},
	"no Sec-Fetch headers": func() *http.Request { return httptest.NewRequest("GET", "/", nil) },
}

// No response with a token is one that anybody else may store: whatever the
// request is, however the page is written, and whatever the application says and
// when.
func TestNoTokenIsStorable(t *testing.T) {
	a, wire := newApp(t), newWire(t)
	identified := 0
	for _, header := range cacheHeaders {
		set := func(h http.Header) {
			if header.name != "" {
				h[header.name] = []string{header.value}
			}
		}
		for way, handler := range pages(set) {
			for kind, request := range requests {
				got := wire.visit(a.Handler(handler), request(), ada)
				if !hasToken(t, got.body) {
					continue
				}
				identified++
				if why := storable(got.Header); why != "" {
					t.Errorf("%s, %s, %s %s: a token with %s", kind, way, header.name, header.value, why)
				}
			}
		}
	}
	// Each page without a public header is identified; of the others, those that
	// learn of it too late.
	t.Logf("%d of %d pages identified", identified, len(cacheHeaders)*len(pages(nil))*len(requests))
	if identified < 1000 {
		t.Errorf("only %d pages were identified", identified)
	}
}

// A header that takes another's place once the chat is drawn is noticed, too, up
// to the end where somebody further out keeps the headers until then, and where
// the handler kept the headers since before: the visitor is identified, and no
// cache keeps the page.
func TestHeaderInPlaceOfAnother(t *testing.T) {
	a, cookie := newApp(t), ""
	cookie = markerName + "=" + marker(serve(a.pages, navigation(ada)))
	timeout := func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") }
	late := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&deferring{ResponseWriter: w, status: http.StatusOK, after: 2}, r)
		})
	}
	for name, tt := range map[string]struct {
		outside func(http.Handler) http.Handler
		write   func(w http.ResponseWriter, replace func(), chat template.HTML)
	}{
		"before the first byte": {nil, func(w http.ResponseWriter, replace func(), chat template.HTML) {
			replace()
			shop(w, chat)
		}},
		"after the last byte, TimeoutHandler outside": {timeout, func(w http.ResponseWriter, replace func(), chat template.HTML) {
			shop(w, chat)
			replace()
		}},
		"between two bytes, and the first is kept outside": {late, func(w http.ResponseWriter, replace func(), chat template.HTML) {
			fmt.Fprint(w, "<!doctype html>")
			replace()
			shop(w, chat)
		}},
	} {
		for _, kept := range []bool{false, true} {
			h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h.Set("Content-Type", "text/html; charset=utf-8")
				h.Set("Vary", "Cookie")
				h.Set("X-Draft", "1")
				tt.write(w, func() {
					if !kept {
						h = w.Header()
					}
					h.Del("X-Draft")
					h.Set("Cdn-Cache-Control", "max-age=600")
					h.Set("Vary", "Accept-Encoding")
				}, snippet.HTML(r.Context()))
			}))
			if tt.outside != nil {
				h = tt.outside(h)
			}
			r := navigation()
			r.Header.Set("Cookie", cookie) // no cookie will be set
			got := visit(t, h, r, ada)
			if !hasToken(t, got.body) {
				t.Errorf("%s, kept %v: not identified: %s", name, kept, got.body)
			}
			if why := storable(got.Header); why != "" {
				t.Errorf("%s, kept %v: a token with %s", name, kept, why)
			}
		}
	}
	wantNoLog(t, a)
}

// What is public for the application stays so, as it was declared, and carries
// nobody's identity: neither the signed-in visitor's nor a marker.
func TestPublicPagesAreTheSameForEverybody(t *testing.T) {
	for _, header := range [][2]string{
		{"Cache-Control", "public"}, {"Cache-Control", "PUBLIC, max-age=60"}, {"Cache-Control", "s-maxage=60"}, {"Cache-Control", "max-age=60"},
		{"Cache-Control", `private="Set-Cookie", max-age=60`}, {"Cache-Control", `no-cache="Set-Cookie", max-age=60`},
		{"Cdn-Cache-Control", "max-age=60"}, {"X-Accel-Expires", "60"}, {"Surrogate-Control", "max-age=60"},
	} {
		a := newApp(t)
		all := pages(func(h http.Header) { h.Set(header[0], header[1]) })
		for _, way := range []string{"buffered", "streamed", "headers first", "flushed", "copied"} {
			h := a.Handler(all[way])
			signedIn, anonymous := visit(t, h, navigation(), ada), visit(t, h, navigation())
			if signedIn.body != anonymous.body {
				t.Errorf("%s, %q: two people get two pages:\n%s\n%s", way, header, signedIn.body, anonymous.body)
			}
			for _, got := range []answer{signedIn, anonymous} {
				if got.Header.Get(header[0]) != header[1] || got.Header.Get("Vary") != "" || got.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s, %q: left with %v", way, header, got.Header)
				}
			}
			if hasToken(t, signedIn.body) || strings.Contains(signedIn.body, ada.Email) {
				t.Errorf("%s, %q: identified", way, header)
			}
		}
		wantNoLog(t, a) // the page's script asks the endpoint
	}
}

// What left as public stays so, whatever becomes of the headers afterwards: on the
// way they cannot be changed any more.
func TestPublicHeadersThatAreTakenBack(t *testing.T) {
	a := newApp(t)
	got := visit(t, a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "<!doctype html>")
		_ = http.NewResponseController(w).Flush()
		w.Header().Del("Cache-Control")
		shop(w, snippet.HTML(r.Context()))
	})), navigation(), ada)
	if hasToken(t, got.body) || strings.Contains(got.body, ada.Email) || got.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("%v %s", got.Header, got.body)
	}
	if !strings.Contains(got.body, `data-hubspot-visitor="*"`) {
		t.Errorf("the page does not ask: %s", got.body)
	}
}

// A page that began as an anonymous visitor's may be kept, for anonymous visitors:
// once somebody has signed in, it asks, and so it does where they left again.
func TestPageThatBeganAnonymous(t *testing.T) {
	for name, then := range map[string]func(*app, http.ResponseWriter, *http.Request){
		"nothing":       func(*app, http.ResponseWriter, *http.Request) {},
		"signs in":      func(a *app, w http.ResponseWriter, r *http.Request) { a.SignedIn(w, r, ada) },
		"and out":       func(a *app, w http.ResponseWriter, r *http.Request) { a.SignedIn(w, r, ada); a.SignedOut(w, r) },
		"is signed out": func(a *app, w http.ResponseWriter, r *http.Request) { a.SignedOut(w, r) },
	} {
		a := newApp(t)
		got := visit(t, a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_ = http.NewResponseController(w).Flush()
			then(a, w, r)
			shop(w, snippet.HTML(r.Context()))
		})), navigation())
		if hasToken(t, got.body) || !strings.Contains(got.body, `data-hubspot-visitor="*"`) {
			t.Errorf("%s: %v %s", name, got.Header, got.body)
		}
	}
}

func wantNoLog(t *testing.T, a *app) {
	t.Helper()
	if lines := a.log.at("WARN", "ERROR"); len(lines) > 0 {
		t.Errorf("logged %q", lines)
	}
}

// Without an endpoint the visitor of a public page is anonymous: said once a
// minute.
func TestPublicPagesWithoutAnEndpoint(t *testing.T) {
	a := newApp(t, middleware.WithTokenPath(""))
	h := a.Handler(page(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public") }))
	serve(h, navigation())
	serve(a.Handler(page(nil)), navigation())
	wantNoLog(t, a) // nobody misses anything
	for range 200 {
		wantAnonymous(t, serve(h, navigation(ada)))
	}
	if lines := a.log.at("WARN", "ERROR"); len(lines) != 1 || !strings.Contains(lines[0], "the same for everybody") {
		t.Errorf("200 views, logged %q", lines)
	}
}

// Responses that hold nothing of a visitor's leave as the application made them.
func TestOtherResponsesAreLeftAlone(t *testing.T) {
	write := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			w.Header().Set("Etag", `"1"`)
			fmt.Fprint(w, body)
		}
	}
	for name, h := range map[string]http.Handler{
		"asset":                       write("text/css", "p{}"),
		"JSON":                        write("application/json", `{"a":1}`),
		"sniffed text":                write("", "hello"),
		"HTML without chat, buffered": write("text/html; charset=utf-8", "<!doctype html><p>no chat</p></html>\n"),
		"the same, sniffed":           write("", "<!doctype html><p>no chat</p></html>\n"),
		"redirect":                    http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }),
		"not modified":                http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }),
		"events": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "data: 1\n\n")
		}),
		"sniffed picture, copied": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader("GIF89a"+strings.Repeat(" ", 1000)), 1000))
		}),
		"nothing":    http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		"no content": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	} {
		a := newApp(t)
		for who, v := range map[string][]hubspot.Visitor{"signed in": {ada}, "anonymous": nil} {
			r := navigation()
			r.Header.Set("Cookie", markerName+"=0123456789abcdef")
			got := visit(t, a.Handler(h), r, v...)
			for _, header := range []string{"Cache-Control", "Vary", "Set-Cookie"} {
				if value := got.Header.Get(header); value != "" {
					t.Errorf("%s, %s: %s %q", name, who, header, value)
				}
			}
		}
	}
}

// HTML on which the chat may still come is protected before it comes.
func TestPagesWithoutChatYet(t *testing.T) {
	a := newApp(t)
	for name, h := range map[string]http.HandlerFunc{
		"HTML begun":       func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html><p>") },
		"a line end first": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\r\n") }, // of a template's
		"status, no type":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"flushed, no type": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"compressed, no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, "<!doctype html><p>")
			z.Close()
		},
	} {
		if got := visit(t, a.Handler(h), navigation(), ada); storable(got.Header) != "" {
			t.Errorf("%s: %s", name, storable(got.Header))
		}
		if got := visit(t, a.Handler(h), navigation()); got.Header.Get("Cache-Control") != "" || got.Header.Get("Vary") != "Cookie" {
			t.Errorf("%s, anonymous: %v", name, got.Header)
		}
	}
}

// Two anonymous pages are byte for byte the same, and vary by cookie.
func TestAnonymousPages(t *testing.T) {
	a := newApp(t)
	first, second := visit(t, a.pages, navigation()), visit(t, a.pages, navigation(), hubspot.Visitor{Email: ada.Email})
	if first.body != second.body {
		t.Errorf("two anonymous pages:\n%s\n%s", first.body, second.body)
	}
	for _, got := range []answer{first, second} {
		if diff := cmp.Diff([]string{"Cookie"}, got.Header.Values("Vary")); diff != "" || got.Header.Get("Cache-Control") != "" {
			t.Errorf("%v", got.Header)
		}
	}
}

// keeper is a cache of pages within the application, which obeys Cache-Control.
type keeper struct {
	next   http.Handler
	record bool // as httptest.ResponseRecorder has it, with headers of its own
	header http.Header
	body   []byte
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k.body == nil {
		var body bytes.Buffer
		header := w.Header()
		if recorder := httptest.NewRecorder(); k.record {
			k.next.ServeHTTP(recorder, r)
			header, body = recorder.Header(), *recorder.Body
			maps.Copy(w.Header(), header)
			_, _ = w.Write(body.Bytes())
		} else {
			k.next.ServeHTTP(teeing{w, &body}, r)
		}
		if !strings.Contains(header.Get("Cache-Control"), "no-store") {
			k.header, k.body = header.Clone(), body.Bytes()
		}
		return
	}
	maps.Copy(w.Header(), k.header)
	_, _ = w.Write(k.body)
}

type teeing struct {
	http.ResponseWriter
	body *bytes.Buffer
}

func (w teeing) Write(p []byte) (int, error) {
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// A cache of the application's finds outside of the chat's handler what others do;
// inside, too, where the headers that it looks at are the chat's.
func TestCacheWithinTheApplication(t *testing.T) {
	bob := hubspot.Visitor{Email: "bob@example.com", EmailVerified: true}
	for name, tt := range map[string]struct{ record, inside bool }{
		"outside":              {false, false},
		"outside, as recorded": {true, false},
		"inside":               {false, true},
	} {
		a := newApp(t)
		var h http.Handler
		if k := (&keeper{next: a.pages, record: tt.record}); tt.inside {
			k.next = page(nil)
			h = a.Handler(k)
		} else {
			h = k
		}
		for _, who := range [][]hubspot.Visitor{{ada}, {bob}, nil, {bob}} {
			got := visit(t, h, navigation(), who...)
			for _, v := range []hubspot.Visitor{ada, bob} {
				if mine := len(who) > 0 && who[0].Email == v.Email; !mine && strings.Contains(got.body, v.Email) {
					t.Errorf("%s: %v sees the page of %s", name, who, v.Email)
				}
			}
			if why := storable(got.Header); hasToken(t, got.body) && why != "" {
				t.Errorf("%s: %v has a token with %s", name, who, why)
			}
		}
	}
}

// overruling is an outer handler that makes every response public.
func overruling(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(overruler{w}, r) })
}

type overruler struct{ http.ResponseWriter }

func (w overruler) WriteHeader(status int) {
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.ResponseWriter.WriteHeader(status)
}

func (w overruler) Flush() {
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.ResponseWriter.(http.Flusher).Flush()
}

// An outer handler that has the last word on headers does not get the token: the
// page goes on without it, and the operator hears of it.
func TestOverruledByAnOuterHandler(t *testing.T) {
	for _, way := range []string{"buffered", "streamed", "headers first", "flushed", "copied"} {
		a := newApp(t)
		h := overruling(a.Handler(pages(func(http.Header) {})[way]))
		for range 3 {
			got := visit(t, h, navigation(), ada)
			if !strings.Contains(got.body, "<title>Shop</title>") || hasToken(t, got.body) {
				t.Errorf("%s: %s", way, got.body)
			}
		}
		if lines := a.log.at("ERROR"); len(lines) != 1 || !strings.Contains(lines[0], "outside of that one") {
			t.Errorf("%s: logged %q", way, lines)
		}
	}
}

// An adapter that leaves out the writer that it was given is noticed: no second
// page has a token, whatever its headers are.
func TestAdapterThatDropsTheWriter(t *testing.T) {
	a := newApp(t)
	dropping := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			chat := snippet.HTML(r.Context())
			w.Header().Set("Cache-Control", "public, max-age=300")
			shop(w, chat)
		})).ServeHTTP(w, r)
	})
	visit(t, dropping, navigation(), ada)
	if lines := a.log.at("ERROR"); len(lines) != 1 || !strings.Contains(lines[0], "has to pass that writer on") {
		t.Errorf("logged %q", lines)
	}
	for range 2 {
		if got := visit(t, dropping, navigation(), ada); hasToken(t, got.body) {
			t.Errorf("left with %v: %s", got.Header, got.body)
		}
	}
}

// A page that is not written since its visitor has left is no such adapter's.
func TestPageThatNobodyWaitsFor(t *testing.T) {
	a := newApp(t)
	ctx, leave := context.WithCancel(t.Context())
	serve(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		snippet.HTML(r.Context())
		w.Header().Set("Cache-Control", "public, max-age=300")
		leave()
	})), navigation(ada).WithContext(middleware.WithVisitor(ctx, ada)))
	wantNoLog(t, a)
	wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
}

// What an outer handler sets counts for what it lets caches do.
func TestHeadersOfAnOuterHandler(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		identified  bool
	}{
		{"Cache-Control", "no-store", true},
		{"Cache-Control", "No-Store, max-age=0", true},
		{"Cache-Control", "no-cache", false},              // to be kept, and asked for again
		{"Cache-Control", "private", false},               // by the browser
		{"Surrogate-Control", `content="ESI/1.0"`, false}, // Varnish then looks at nothing else
		{"Surrogate-Control", `no-store, content="ESI/1.0"`, true},
		{"X-Accel-Expires", "0", true},
		{"X-Accel-Expires", "60", false},
		{"Cdn-Cache-Control", "no-store", true},
		{"Cdn-Cache-Control", "max-age=60", false},
	} {
		a := newApp(t)
		outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.pages.ServeHTTP(setter{w, tt.name, tt.value}, r)
		})
		if got := hasToken(t, visit(t, outer, navigation(), ada).body); got != tt.identified {
			t.Errorf("%s: %s: identified %v", tt.name, tt.value, got)
		}
		if logged := len(a.log.at("ERROR")) > 0; logged == tt.identified {
			t.Errorf("%s: %s: logged %v", tt.name, tt.value, logged)
		}
	}
}

// setter sets a header when they leave.
type setter struct {
	http.ResponseWriter
	name, value string
}

func (w setter) WriteHeader(status int) {
	w.Header().Set(w.name, w.value)
	w.ResponseWriter.WriteHeader(status)
}

// In the minute without tokens a part of a page came, for a script and without the
// chat, and took the marker of a visitor away whom nobody had asked for.
func TestMarkerWhileTokensAreWithheld(t *testing.T) {
	a := newApp(t, middleware.WithConsent(func(*http.Request) bool { return true }))
	value := marker(serve(a.pages, navigation(ada)))
	visit(t, overruling(a.pages), navigation(), ada)
	r := httptest.NewRequest("GET", "https://shop.example/part", nil)
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Cookie", markerName+"="+value)
	w := serve(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<p>a part of a page</p>")
	})), as(r, ada))
	if cookies := w.Header()["Set-Cookie"]; len(value) != 16 || cookies != nil {
		t.Errorf("marker %q; cookies %q", value, cookies)
	}
}

// A visitor whom HubSpot refuses is nobody, also where the chat comes after the headers.
func TestStreamOfARefusedVisitor(t *testing.T) {
	a := newApp(t)
	a.hubspot.SetOutage(&hubspottest.Fault{Status: 400, Body: `{"category":"VALIDATION_ERROR"}`})
	wantAnonymous(t, serve(a.pages, navigation(ada)))
	flushed := pages(func(h http.Header) { h.Set("Content-Type", "text/html") })["flushed"]
	got := visit(t, a.Handler(flushed), navigation(), ada)
	if got.Header.Get("Cache-Control") != "" || got.Header.Get("Set-Cookie") != "" || got.Header.Get("Vary") != "Cookie" || hasToken(t, got.body) {
		t.Errorf("%v %s", got.Header, got.body)
	}
}

// The minute without tokens is one minute.
func TestMinuteWithoutTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		serve(overruling(a.pages), navigation(ada))
		for range 60 {
			wantAnonymous(t, serve(a.pages, navigation(ada)))
			time.Sleep(time.Second)
		}
		wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
	})
}

// Of pages that stream, only the one by which it is noticed is held back.
func TestOverruledStream(t *testing.T) {
	a, done := newApp(t), make(chan struct{})
	visit(t, overruling(a.pages), navigation(), ada)
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<!doctype html>"+strings.Repeat("text ", 2000)) // more than net/http keeps back
		<-done
		fmt.Fprint(w, snippet.HTML(r.Context()))
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		overruling(a.Handler(stream)).ServeHTTP(w, r.WithContext(middleware.WithVisitor(r.Context(), ada)))
	}))
	defer server.Close()
	finish := sync.OnceFunc(func() { close(done) })
	late := time.AfterFunc(5*time.Second, finish)
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if !late.Stop() {
		t.Error("the page came when it was complete")
	}
	finish()
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || hasToken(t, string(body)) {
		t.Errorf("%v, %s", err, body)
	}
}

// The headers of a page leave in the middle of it where something between the two
// handlers keeps its first parts, as compressors do: the token is kept out of what
// follows.
func TestOverruledInTheMiddle(t *testing.T) {
	a := newApp(t)
	late := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			for range 5 {
				fmt.Fprint(w, "<p>text")
			}
			shop(w, snippet.HTML(r.Context()))
		})).ServeHTTP(&deferring{ResponseWriter: w, status: http.StatusOK, after: 3}, r)
	})
	got := visit(t, overruling(late), navigation(), ada)
	if got.Header.Get("Cache-Control") != "public, max-age=60" || !strings.Contains(got.body, "<title>Shop</title>") || hasToken(t, got.body) {
		t.Errorf("%v %s", got.Header, got.body)
	}
	if lines := a.log.at("ERROR"); len(lines) != 1 || !strings.Contains(lines[0], "outside of that one") {
		t.Errorf("logged %q", lines)
	}
}

// Somebody further out changes the headers while the page is written, and keeps them
// until then.
func TestOverruledInPlace(t *testing.T) {
	for name, change := range map[string]func(http.Header){
		"the one header": func(h http.Header) { h["Cache-Control"][0] = "public, max-age=60" },
		"another one":    func(h http.Header) { h.Set("Cdn-Cache-Control", "max-age=60") },
	} {
		a := newApp(t)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.Handler(http.HandlerFunc(func(inner http.ResponseWriter, r *http.Request) {
				inner.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprint(inner, "<p>text")
				change(w.Header())
				shop(inner, snippet.HTML(r.Context()))
			})).ServeHTTP(&deferring{ResponseWriter: w, status: http.StatusOK, after: 2}, r)
		})
		got := visit(t, h, navigation(), ada)
		if why := storable(got.Header); why != "" && hasToken(t, got.body) {
			t.Errorf("%s: a token with %s: %s", name, why, got.body)
		}
		if !strings.Contains(got.body, "<title>Shop</title>") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

// The chat in what is no page, or in what left as such: nobody's.
func TestChatInWhatIsNoPage(t *testing.T) {
	a := newApp(t)
	got := visit(t, a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, snippet.HTML(r.Context()))
	})), navigation(), ada)
	if got.Header.Get("Cache-Control") != "" || hasToken(t, got.body) || strings.Contains(got.body, ada.Email) {
		t.Errorf("%v %s", got.Header, got.body)
	}
}

// A private answer that is no page keeps the type that net/http finds for it.
func TestTypeOfASignIn(t *testing.T) {
	for body, want := range map[string]string{"welcome": "text/plain; charset=utf-8", "GIF89a": "image/gif", "<p>welcome": "text/html; charset=utf-8"} {
		a := newApp(t)
		got := visit(t, a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.SignedIn(w, r, ada)
			fmt.Fprint(w, body)
		})), navigation())
		if kind := got.Header.Get("Content-Type"); kind != want || storable(got.Header) != "" {
			t.Errorf("%q: %v", body, got.Header)
		}
	}
}

// scs and its like add a directive while the headers leave: that overrules
// nothing.
func TestStricterOuterHandler(t *testing.T) {
	a := newApp(t)
	got := visit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.pages.ServeHTTP(adder{w}, r)
	}), navigation(), ada)
	if !hasToken(t, got.body) {
		t.Errorf("not identified: %s", got.body)
	}
	if diff := cmp.Diff([]string{"private, no-store", `no-cache="Set-Cookie"`}, got.Header.Values("Cache-Control")); diff != "" {
		t.Error(diff)
	}
	wantNoLog(t, a)
}

type adder struct{ http.ResponseWriter }

func (w adder) WriteHeader(status int) {
	w.Header().Add("Cache-Control", `no-cache="Set-Cookie"`)
	w.ResponseWriter.WriteHeader(status)
}

// Who answers once more, after a page that broke off, is no outer handler: the page
// arrives, and nobody is the worse for it.
func TestSecondAnswerOverrulesNothing(t *testing.T) {
	for _, status := range []int{http.StatusEarlyHints, http.StatusInternalServerError} {
		a := newApp(t)
		got := visit(t, a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shop(w, snippet.HTML(r.Context()))
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			fmt.Fprint(w, "sorry")
		})), navigation(), ada)
		if !hasToken(t, got.body) || !strings.HasSuffix(got.body, "sorry") || storable(got.Header) != "" {
			t.Errorf("%d: %v %s", status, got.Header, got.body)
		}
		wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
		wantNoLog(t, a)
	}
}

// The same for a response that was another visitor's at first.
func TestOverruledAfterTwoVisitors(t *testing.T) {
	a := newApp(t)
	eve := hubspot.Visitor{Email: "eve@example.com", EmailVerified: true}
	got := visit(t, overruling(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := snippet.HTML(r.Context())
		a.SignedIn(w, r, eve)
		shop(w, first+snippet.HTML(r.Context()))
	}))), navigation(), ada)
	for _, call := range a.hubspot.Calls() {
		if strings.Contains(got.body, call.Email) || strings.Contains(got.body, call.Token) {
			t.Errorf("%s and the token are in the page", call.Email)
		}
	}
}

// Where the token or the address cannot be found in what leaves, no page is better.
func TestOverruledAndInAnotherForm(t *testing.T) {
	for name, tt := range map[string]struct {
		visitor hubspot.Visitor
		page    http.HandlerFunc
	}{
		"compressed": {ada, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprintf(z, "<!doctype html>%s", snippet.HTML(r.Context()))
			z.Close()
		}},
		"escaped": {hubspot.Visitor{Email: "o'hara@example.com", EmailVerified: true}, page(nil)},
	} {
		a := newApp(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			overruling(a.Handler(tt.page)).ServeHTTP(w, r.WithContext(middleware.WithVisitor(r.Context(), tt.visitor)))
		}))
		defer server.Close()
		res, err := server.Client().Get(server.URL)
		if err == nil {
			body, readErr := io.ReadAll(res.Body)
			res.Body.Close()
			if readErr == nil || len(body) > 0 {
				t.Errorf("%s: %d bytes, %v", name, len(body), readErr)
			}
		}
	}
}

// What the writer below can do, the boundary lets through.
func TestWriterInterfaces(t *testing.T) {
	a := newApp(t)
	var w http.ResponseWriter
	h := a.Handler(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) { w = got }))

	serve(h, navigation(ada)) // a recorder
	if _, ok := w.(http.Flusher); !ok {
		t.Error("no Flusher over one")
	}
	if _, ok := w.(http.Hijacker); ok {
		t.Error("a Hijacker over none")
	}
	type closeNotifier interface{ CloseNotify() <-chan bool } // gin's c.Stream asks for it, without a second thought
	if closed := w.(closeNotifier).CloseNotify(); closed != nil {
		t.Error("a CloseNotifier over none")
	}
	http.TimeoutHandler(h, time.Minute, "").ServeHTTP(httptest.NewRecorder(), navigation(ada))
	if _, ok := w.(http.Flusher); ok {
		t.Error("a Flusher over TimeoutHandler's writer, which has none")
	}
	if err := http.NewResponseController(w).Flush(); err == nil {
		t.Error("ResponseController flushes where nothing can")
	}

	hijacked := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(http.Flusher); !ok {
			t.Error("HTTP/1: no Flusher")
		}
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("HTTP/1: no ReaderFrom")
		}
		if w.(closeNotifier).CloseNotify() == nil {
			t.Error("HTTP/1: no CloseNotifier")
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("HTTP/1: %v", err)
		}
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(buffer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		buffer.Flush()
	}))
	server := httptest.NewServer(hijacked)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop.example\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Errorf("%q, %v", line, err)
	}

	http2 := httptest.NewUnstartedServer(a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("HTTP/%d", r.ProtoMajor)
		}
		if w.(closeNotifier).CloseNotify() == nil {
			t.Error("HTTP/2: no CloseNotifier")
		}
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<p>")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, snippet.HTML(r.Context()))
	})))
	http2.EnableHTTP2 = true
	http2.StartTLS()
	defer http2.Close()
	res, err := http2.Client().Get(http2.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), loader) || res.Header.Get("Vary") != "Cookie" {
		t.Errorf("HTTP/2: %v %v %s", err, res.Header, body)
	}
}

// Whoever keeps the request after the chat's handler has returned, as echo's error
// handler does, finds the chat there, and their own context untouched. Since they
// may write past the boundary, the page is the same for everybody, also where the
// handler gave up a page with the chat.
func TestAfterTheHandlerReturned(t *testing.T) {
	a := newApp(t)
	for way, past := range map[string]bool{"through the boundary": false, "past it": true} {
		for _, drawn := range []bool{false, true} {
			var (
				kept http.ResponseWriter
				ctx  context.Context
			)
			inner := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if kept, ctx = w, r.Context(); drawn {
					snippet.HTML(ctx)
				}
			}))
			got := visit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inner.ServeHTTP(w, r)
				if err := ctx.Err(); err != nil {
					t.Errorf("the application's context: %v", err)
				}
				if past {
					kept = w
				}
				chat := snippet.HTML(ctx)
				kept.Header().Set("Cache-Control", "public")
				shop(kept, chat)
			}), navigation(), ada)
			if hasToken(t, got.body) || !strings.Contains(got.body, loader) || !strings.Contains(got.body, `"/hubspot-visitor/token"`) {
				t.Errorf("%s, drawn before %v: %v %s", way, drawn, got.Header, got.body)
			}
		}
	}
	wantNoLog(t, a)
}

// deferring is an outer writer that keeps the headers until the first byte, as
// gin's does, or until there are enough for a compressor, and the bytes with them.
type deferring struct {
	http.ResponseWriter
	status int
	after  int // writes, that of nothing included
	sent   bool
	last   func(http.Header)
	kept   []byte
}

func (w *deferring) WriteHeader(status int) { w.status = status }

func (w *deferring) Write(p []byte) (int, error) {
	if w.after > 0 {
		w.after--
		w.kept = append(w.kept, p...)
		return len(p), nil
	}
	if !w.sent {
		w.sent = true
		if w.last != nil {
			w.last(w.Header())
		}
		w.ResponseWriter.WriteHeader(w.status)
		_, _ = w.ResponseWriter.Write(w.kept)
	}
	return w.ResponseWriter.Write(p)
}

// Behind such a writer headers count that the handler sets after WriteHeader, and
// those that the writer sets itself.
func TestDeferringWriter(t *testing.T) {
	public := func(h http.Header) { h.Set("Cache-Control", "public, max-age=60") }
	for name, last := range map[string]func(http.Header){"obedient": nil, "overruling": public} {
		a := newApp(t)
		got := visit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				chat := snippet.HTML(r.Context())
				w.WriteHeader(http.StatusOK)
				public(w.Header())
				shop(w, chat)
			})).ServeHTTP(&deferring{ResponseWriter: w, last: last}, r)
		}), navigation(), ada)
		if identified := hasToken(t, got.body); identified != (last == nil) || identified && storable(got.Header) != "" {
			t.Errorf("%s: %v %s", name, got.Header, got.body)
		}
		if strings.Contains(got.body, ada.Email) != (last == nil) {
			t.Errorf("%s: the address in %s", name, got.body)
		}
	}
}

// http.TimeoutHandler around everything sends the headers when the handler has
// returned: what was set after the first byte counts there.
func TestInsideOfTimeoutHandler(t *testing.T) {
	a := newApp(t)
	for way, handler := range pages(func(h http.Header) { h.Set("Cache-Control", "public, max-age=60") }) {
		got := visit(t, http.TimeoutHandler(a.Handler(handler), time.Minute, ""), navigation(), ada)
		if hasToken(t, got.body) && storable(got.Header) != "" {
			t.Errorf("%s: a token with %s", way, storable(got.Header))
		}
	}
}

// The page of a handler that ran out of time is drawn while somebody else answers.
func TestTimeoutWhileThePageIsDrawn(t *testing.T) {
	a := newApp(t)
	release := make(chan struct{})
	done := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		<-release
		for range 100 {
			snippet.HTML(context.WithoutCancel(r.Context()))
		}
	})
	server := httptest.NewServer(a.Handler(http.TimeoutHandler(slow, time.Millisecond, "<!doctype html>too late")))
	defer server.Close()
	time.AfterFunc(time.Millisecond, func() { close(release) })
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-done
}

// The headers of somebody else's answer, "too late" perhaps, leave at the moment
// in which the page part protects them.
func TestHeadersLeaveWhileThePageIsDrawn(t *testing.T) {
	a := newApp(t)
	h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		drawn := make(chan struct{})
		go func() {
			defer close(drawn)
			snippet.HTML(r.Context())
		}()
		for range 100 { // as long as drawing takes
			runtime.Gosched()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		<-drawn
	}))
	for range 100 {
		if got := serve(h, navigation(ada)); storable(got.Header()) != "" {
			t.Errorf("left with %s", storable(got.Header()))
		}
	}
}

// leaving is an outer writer that sets headers of its own as they leave, as session
// managers do.
type leaving struct {
	http.ResponseWriter
	begun chan struct{}
}

func (w leaving) WriteHeader(status int) {
	close(w.begun)
	w.Header().Add("Cache-Control", `no-cache="Set-Cookie"`)
	w.ResponseWriter.WriteHeader(status)
}

// A map that one goroutine reads while another writes to it ends the process: a page
// of nobody's that has begun is drawn without a look at the headers.
func TestPageIsDrawnWhileSomebodySetsHeaders(t *testing.T) {
	a := newApp(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := leaving{w, make(chan struct{})}
		a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			drawn := make(chan struct{})
			go func() {
				defer close(drawn)
				<-out.begun
				snippet.HTML(r.Context())
			}()
			w.WriteHeader(http.StatusServiceUnavailable)
			<-drawn
		})).ServeHTTP(out, r)
	})
	for range 100 {
		serve(h, navigation())
	}
}

// sniffing is an outer writer that looks for the content type in the first part of
// the body, as compressors do.
type sniffing struct{ http.ResponseWriter }

func (w sniffing) Write(p []byte) (int, error) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", http.DetectContentType(p))
	}
	return w.ResponseWriter.Write(p)
}

// Such a writer finds what it would find without the boundary: a page.
func TestSniffingWriter(t *testing.T) {
	a := newApp(t)
	for _, way := range []string{"buffered", "headers first", "flushed", "streamed", "copied", "WriteString"} {
		h := pages(func(http.Header) {})[way]
		if h == nil {
			h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "<!doctype html>"+string(snippet.HTML(r.Context())))
			})
		}
		for _, compressed := range []bool{false, true} {
			got := visit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				outer := http.ResponseWriter(&deferring{ResponseWriter: w, status: http.StatusOK}) // as echo's
				if compressed {
					w.Header().Set("Content-Encoding", "identity") // net/http does not sniff
					outer = w                                      // as gorilla's
				}
				a.Handler(h).ServeHTTP(sniffing{outer}, r)
			}), navigation(), ada)
			if kind := got.Header.Get("Content-Type"); kind != "text/html; charset=utf-8" && !(compressed && way == "headers first") {
				t.Errorf("%s, encoding %q: %q", way, got.Header.Get("Content-Encoding"), kind)
			}
			if !hasToken(t, got.body) {
				t.Errorf("%s: not identified", way)
			}
		}
	}
}
