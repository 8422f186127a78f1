// Command gorilla uses gorilla/mux, and gorilla/sessions for its visitors.
package main

import (
	"crypto/rand"
	"html/template"
	"log"
	"net/http"

	"github.com/gorilla/mux"
	"github.com/gorilla/sessions"

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
	sessions *sessions.CookieStore
	chat     *middleware.Middleware
}

func newApp() (http.Handler, error) {
	s := &site{sessions: sessions.NewCookieStore([]byte(rand.Text()))}
	s.sessions.Options.Secure = false // http://127.0.0.1
	s.sessions.Options.SameSite = http.SameSiteLaxMode
	var err error
	s.chat, err = middleware.FromEnv(s.visitor)
	if err != nil {
		return nil, err
	}

	r := mux.NewRouter()
	r.HandleFunc("/", s.page(http.StatusOK, "Welcome")).Methods("GET")
	r.HandleFunc("/sign-in", s.signIn).Methods("POST")
	r.HandleFunc("/sign-out", s.signOut).Methods("POST")
	r.NotFoundHandler = s.page(http.StatusNotFound, "There is no such page")
	return s.chat.Handler(r), nil // around the router: r.Use covers only what a route matches
}

// visitor tells the chat who is signed in. No authentication runs outside the
// chat here, so it asks the session itself.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := s.user(r)
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

func (s *site) user(r *http.Request) (accounts.User, bool) {
	session, _ := s.sessions.Get(r, "session") // a new one if the cookie is none of ours
	email, _ := session.Values["user"].(string)
	return accounts.Find(email)
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
		user, _ := s.user(r)
		data := map[string]any{"Title": title, "User": user.Name, "Chat": snippet.HTML(r.Context())}
		w.WriteHeader(status)
		if err := page.Execute(w, data); err != nil {
			log.Println("writing a page:", err)
		}
	}
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	if user, ok := accounts.SignIn(r.PostFormValue("email")); ok {
		session, _ := s.sessions.Get(r, "session")
		session.Values["user"] = user.Email
		_ = session.Save(r, w)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	session, _ := s.sessions.Get(r, "session")
	session.Options.MaxAge = -1
	_ = session.Save(r, w)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
