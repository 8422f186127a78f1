// Command chi keeps its sessions with scs.
package main

import (
	"html/template"
	"log"
	"net/http"

	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/chi/v5"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
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
	s := &site{sessions: scs.New()}
	var err error
	s.chat, err = middleware.FromEnv(s.visitor)
	if err != nil {
		return nil, err
	}

	r := chi.NewRouter()
	r.Use(s.sessions.LoadAndSave, s.chat.Handler) // authentication, chat…
	r.Get("/", s.page(http.StatusOK, "Welcome"))  // …pages
	r.NotFound(s.page(http.StatusNotFound, "There is no such page"))
	r.Post("/sign-in", s.signIn)
	r.Post("/sign-out", s.signOut)
	return r, nil
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<title>Shop</title>
<h1>{{.Title}}</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

func (s *site) page(status int, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data := map[string]any{
			"Title": title,
			"User":  s.sessions.GetString(r.Context(), "user"),
			"Chat":  snippet.HTML(r.Context()),
		}
		w.WriteHeader(status)
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
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
