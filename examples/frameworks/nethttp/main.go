// Command nethttp renders pages in a layout of html/template, on net/http's own
// mux.
package main

import (
	"embed"
	"html/template"
	"log"
	"net/http"

	"github.com/alexedwards/scs/v2"

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

//go:embed layout.html home.html about.html
var files embed.FS

type site struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
	pages    map[string]*template.Template
}

func newApp() (http.Handler, error) {
	s := &site{sessions: scs.New(), pages: map[string]*template.Template{}}
	layout := template.New("").Funcs(snippet.FuncMap()) // {{hubspotChat .Request}} in layout.html
	for _, name := range []string{"home.html", "about.html"} {
		s.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "layout.html", name))
	}
	var err error
	s.chat, err = middleware.FromEnv(s.visitor)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page("home.html"))
	mux.HandleFunc("GET /about", s.page("about.html"))
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

func (s *site) page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data := map[string]any{"Request": r, "User": s.sessions.GetString(r.Context(), "user")}
		if err := s.pages[name].ExecuteTemplate(w, "layout.html", data); err != nil {
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
