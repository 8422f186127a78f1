package e2e_test

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// kind is a way in which an application makes a page with the chat.
type kind struct {
	method, path string
	public       bool // the application declares that caches may share it
	serve        func(w http.ResponseWriter, r *http.Request, render func(io.Writer))
}

var kinds = []kind{
	{"GET", "/buffered", false, buffered(nil, nil)},
	{"GET", "/streamed", false, streamed(nil)},
	{"POST", "/form", false, buffered(nil, nil)},
	{"GET", "/form", false, buffered(nil, nil)},
	{"GET", "/public", true, buffered(declared, nil)},
	{"GET", "/public-streamed", true, streamed(declared)},
	{"GET", "/declared-late", false, buffered(nil, declared)},
	{"GET", "/revalidated", false, revalidated},
	{"GET", "/surrogate", true, buffered(surrogate, nil)},
	{"GET", "/late-surrogate", false, buffered(nil, surrogate)},
	{"GET", "/fragment", false, func(w http.ResponseWriter, r *http.Request, _ func(io.Writer)) {
		fmt.Fprintf(w, "<div>basket</div>%s", snippet.HTML(r.Context()))
	}},
	{"POST", "/hubspot-visitor/token", false, nil},
}

var (
	declared = map[string]string{"Cache-Control": "public, max-age=600"}
	// Squid wants a second number, for which a stale copy will do.
	surrogate = map[string]string{"X-Accel-Expires": "600", "Surrogate-Control": "max-age=600+600", "CDN-Cache-Control": "max-age=600"}
)

func set(h http.Header, headers map[string]string) {
	for name, value := range headers {
		h.Set(name, value)
	}
}

// buffered renders a page first, and then sends it.
func buffered(before, after map[string]string) func(http.ResponseWriter, *http.Request, func(io.Writer)) {
	return func(w http.ResponseWriter, _ *http.Request, render func(io.Writer)) {
		set(w.Header(), before)
		var b strings.Builder
		render(&b)
		set(w.Header(), after)
		fmt.Fprint(w, b.String())
	}
}

// streamed sends a page while its template is executed.
func streamed(before map[string]string) func(http.ResponseWriter, *http.Request, func(io.Writer)) {
	return func(w http.ResponseWriter, _ *http.Request, render func(io.Writer)) {
		set(w.Header(), before)
		render(w)
	}
}

// revalidated asks caches to come back each time, and tells them that nothing is
// new.
func revalidated(w http.ResponseWriter, r *http.Request, render func(io.Writer)) {
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", `"one"`)
	if r.Header.Get("If-None-Match") != "" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	render(w)
}

var kindLayout = template.Must(template.New("").Funcs(snippet.FuncMap()).Parse(`<!doctype html>
<html><head><title>{{.URL.Path}}</title></head><body><h1>{{.Method}} {{.URL.Path}}</h1>
<form id="form" action="/form" method="post"><button>send</button></form>
{{hubspotChat .}}</body></html>`))

// withKinds adds the kinds of pages to a site, and tells seen of each request for
// one that reaches it.
func withKinds(seen func(*http.Request)) func(*site, *configure) {
	return func(s *site, c *configure) {
		c.emulator = hubspottest.NewServer(s.t)
		c.emulator.SetRateLimit(0, 0)
		s.wrap = func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/", next)
			mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
				id := rand.Text() // no session has the number of one before
				s.mu.Lock()
				s.sessions[id] = r.FormValue("as")
				s.mu.Unlock()
				http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true})
				if r.Form.Has("at-once") {
					s.chat.SignedIn(w, r, hubspot.Visitor{Email: r.FormValue("as"), EmailVerified: true})
				}
				http.Redirect(w, r, "/buffered", http.StatusSeeOther)
			})
			for _, k := range kinds {
				if k.serve == nil {
					continue
				}
				mux.Handle(k.method+" "+k.path, s.chat.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					seen(r)
					k.serve(w, r, func(to io.Writer) {
						if err := kindLayout.Execute(to, r); err != nil {
							s.t.Error(err)
						}
					})
				})))
			}
			return mux
		}
	}
}
