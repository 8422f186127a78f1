package main

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

//go:embed templates
var templates embed.FS

// pages are the parsed templates, by name.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	// With the function hubspotChat, which the layout calls at the end of its body.
	layout := template.New("layout").Funcs(snippet.FuncMap(snippet.WithNonce(nonceFrom)))
	layout, err := layout.ParseFS(templates, "templates/layout.html", "templates/icons.html")
	if err != nil {
		return nil, err
	}
	all := make(pages)
	for _, name := range []string{"home", "help", "workshop", "account", "login", "notfound"} {
		page, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if name == "workshop" {
			page.Funcs(snippet.FuncMap(onClick...))
		}
		if all[name], err = page.ParseFS(templates, "templates/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// onClick is the chat of the workshop's page. What it needs in the policy has to
// be the same for everybody, too: a file instead of a nonce.
var onClick = []snippet.Option{
	snippet.WithLoad(snippet.LoadClick),
	snippet.WithLauncher(snippet.Launcher{Label: "Chat with the workshop", Color: "#25704a"}),
	snippet.WithFallback("mailto:workshop@example.com"), // where HubSpot is blocked
	snippet.WithScriptPath("/static/chat"),
}

// view is what the templates get.
type view struct {
	Request *http.Request
	Person  *person // who is signed in, or nil
	Public  bool    // the page is the same for everybody, signed in or not
	Inbox   string  // of the emulated HubSpot, or empty
	Data    any     // the page's own
}

// show writes a page for whoever asks.
func (s *shop) show(w http.ResponseWriter, r *http.Request, status int, page string, data any) {
	v := view{Request: r, Inbox: s.inbox, Data: data}
	if p, ok := s.signedIn(r); ok {
		v.Person = &p
		// The page has their name, even where the chat does not identify them.
		w.Header().Set("Cache-Control", "private, no-store")
	}
	s.write(w, r, status, page, v)
}

// showPublic writes a page that caches may hand to everybody for a minute.
func (s *shop) showPublic(w http.ResponseWriter, r *http.Request, page string) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=60")
	h.Del("Vary") // Cookie, from the sessions: this page does not ask them
	h.Set("Content-Security-Policy", s.policy.with("'self'"))
	s.write(w, r, http.StatusOK, page, view{Request: r, Public: true, Inbox: s.inbox})
}

// write sends a page once it is complete, so that a failure leaves no half page.
func (s *shop) write(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	var body bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&body, "layout", v); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the visitor has left if this fails
}

func (s *shop) fail(w http.ResponseWriter, r *http.Request, err error) {
	slog.ErrorContext(r.Context(), "demo: a request failed", "path", r.URL.Path, "error", err)
	http.Error(w, "Something went wrong. Please try again.", http.StatusInternalServerError)
}
