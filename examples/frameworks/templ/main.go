// Command templ renders its pages with templ components.
package main

import (
	"log"
	"net/http"

	"github.com/a-h/templ"
	"github.com/alexedwards/scs/v2"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.1100 generate

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

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /stream", s.stream)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	user := s.sessions.GetString(r.Context(), "user")
	templ.Handler(home(user)).ServeHTTP(w, r) // the request's context comes with it
}

// stream sends the page while it is rendered: its headers leave before the chat
// is rendered.
func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	user := s.sessions.GetString(r.Context(), "user")
	templ.Handler(home(user), templ.WithStreaming()).ServeHTTP(w, r)
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
