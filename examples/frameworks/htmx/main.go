// Command htmx has links that htmx boosts (they bring a new body), and a box that
// signs in and out by fragments: a few lines of HTML without the chat.
//
//	npm ci && go run ./htmx
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
	htmx, err := npm.File("htmx.org/dist/htmx.min.js")
	if err != nil {
		return nil, err
	}
	s := &site{sessions: scs.New()}
	s.chat, err = middleware.FromEnv(s.identify)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page("Welcome"))
	mux.HandleFunc("GET /help", s.page("Help"))
	mux.HandleFunc("GET /htmx.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, htmx) })
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

// identify tells the chat who is signed in.
func (s *site) identify(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return visitor(user), ok
}

func visitor(user accounts.User) hubspot.Visitor {
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}
}

// The chat is in the body, as usual. htmx needs the head and body tags to find
// the body. (With htmx 2, write hx-boost="true".)
var pages = template.Must(template.New("page").Parse(`<!doctype html>
<head><title>{{.Title}}</title><script src="/htmx.js" defer></script></head>
<body>
<nav hx-boost:inherited="true"><a href="/">Home</a> <a href="/help">Help</a></nav>
<h1>{{.Title}}</h1>
{{template "account" .}}
{{.Chat}}
</body>
{{define "account"}}<div id="account">
{{if .User}}<form method="post" action="/sign-out" hx-post="/sign-out" hx-target="#account" hx-swap="outerHTML">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in" hx-post="/sign-in" hx-target="#account" hx-swap="outerHTML"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
</div>{{end}}
`))

func (s *site) page(title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r, "page", map[string]any{"Title": title, "Chat": snippet.HTML(r.Context())})
	}
}

func (s *site) show(w http.ResponseWriter, r *http.Request, name string, data map[string]any) {
	data["User"] = s.sessions.GetString(r.Context(), "user")
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		log.Println("writing "+name+":", err)
	}
}

// signIn answers with a fragment that has no chat: SignedIn sets the marker
// cookie, by which the chat on the page notices.
func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	if user, ok := accounts.SignIn(r.PostFormValue("email")); ok {
		_ = s.sessions.RenewToken(r.Context())
		s.sessions.Put(r.Context(), "user", user.Email)
		s.chat.SignedIn(w, r, visitor(user))
	}
	s.account(w, r)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	s.account(w, r)
}

// account writes the box, or sends browsers without htmx to the whole page.
func (s *site) account(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.show(w, r, "account", map[string]any{})
}
