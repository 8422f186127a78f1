// Command ondemand has public pages that nginx keeps for everybody (nginx.conf),
// with a launcher in place of the chat. When a visitor clicks on it, the page's
// script asks the token endpoint who they are.
package main

import (
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
	mux.HandleFunc("GET /account", s.account)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

var chatOptions = []snippet.Option{
	snippet.WithLoad(snippet.LoadClick),
	snippet.WithLauncher(snippet.Launcher{Label: "Chat with us"}),
	snippet.WithFallback("mailto:help@example.com"), // beside the launcher, where HubSpot is blocked
}

var home = template.Must(template.New("").Parse(`<!doctype html>
<title>Shop</title>
<h1>Welcome</h1>
<a href="/account">Your account</a> <button data-hubspot-chat="open">Ask us</button>
{{.Chat}}
`))

var account = template.Must(template.New("").Parse(`<!doctype html>
<title>Your account</title>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

// home is public: the same bytes for everybody, signed in or not.
func (s *site) home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Del("Vary") // scs says Cookie of every page: a cache would keep one for each visitor
	show(w, home, map[string]any{"Chat": snippet.HTML(r.Context(), chatOptions...)})
}

// account says who is signed in, and is for nobody else.
func (s *site) account(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, no-store")
	user := s.sessions.GetString(r.Context(), "user")
	show(w, account, map[string]any{"User": user, "Chat": snippet.HTML(r.Context(), chatOptions...)})
}

func show(w http.ResponseWriter, page *template.Template, data map[string]any) {
	if err := page.Execute(w, data); err != nil {
		log.Println("writing a page:", err)
	}
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	if user, ok := accounts.SignIn(r.PostFormValue("email")); ok {
		_ = s.sessions.RenewToken(r.Context())
		s.sessions.Put(r.Context(), "user", user.Email)
		// SignedIn tells the browser who it belongs to now: the page that
		// follows is public and cannot.
		s.chat.SignedIn(w, r, hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified})
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
