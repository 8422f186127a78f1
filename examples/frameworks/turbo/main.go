// Command turbo has pages that Turbo swaps: links and forms bring a new body into
// the existing document, and an open chat stays open.
//
//	npm ci && go run ./turbo
package main

import (
	"html/template"
	"log"
	"net/http"

	"github.com/alexedwards/scs/v2"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/npm"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	app, err := newApp()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", app))
}

type site struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
}

func newApp() (http.Handler, error) {
	turbo, err := npm.File("@hotwired/turbo/dist/turbo.es2017-umd.js")
	if err != nil {
		return nil, err
	}
	s := &site{sessions: scs.New()}
	s.chat, err = middleware.FromEnv(s.visitor)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page("Welcome"))
	mux.HandleFunc("GET /help", s.page("Help"))
	mux.HandleFunc("GET /turbo.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, turbo) })
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

// Turbo is in the head, and the chat in the body as usual. It arrives again with
// each body, and copes with that. It needs no data-turbo-permanent.
var page = template.Must(template.New("").Parse(`<!doctype html>
<head><title>{{.Title}}</title><script src="/turbo.js" defer></script></head>
<body>
<a href="/">Home</a> <a href="/help">Help</a>
<h1>{{.Title}}</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
</body>
`))

func (s *site) page(title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data := map[string]any{
			"Title": title,
			"User":  s.sessions.GetString(r.Context(), "user"),
			"Chat":  snippet.HTML(r.Context()),
		}
		if err := page.Execute(w, data); err != nil {
			log.Println("writing a page:", err)
		}
	}
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	if user, ok := accounts.SignIn(r.PostFormValue("email")); ok {
		_ = s.sessions.RenewToken(r.Context())
		s.sessions.Put(r.Context(), "user", user.Email)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther) // Turbo wants a redirect of forms, and 303 for it
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
