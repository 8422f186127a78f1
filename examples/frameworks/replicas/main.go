// Command replicas is one of several processes that serve the same application.
// They share their visitors' tokens through Redis, and their sessions as well:
//
//	export REDIS_URL=redis://127.0.0.1:6379
//	export HUBSPOT_STORE_SECRET=$(openssl rand -hex 32) # the same for all
//	go run ./replicas -listen 127.0.0.1:8080 &
//	go run ./replicas -listen 127.0.0.1:8082
package main

import (
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"os"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/redisstore"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "the address to serve at")
	flag.Parse()
	app, _, err := newApp(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	log.Print("listening on http://" + *listen)
	log.Fatal(http.ListenAndServe(*listen, app))
}

type site struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
}

// newApp returns one replica. quit closes its connections to Redis.
func newApp(redisURL string) (app http.Handler, quit func() error, err error) {
	store, err := redisstore.Open(redisURL)
	if err != nil {
		return nil, nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	// The store's client gives up early, since a page can do without its answer.
	// Sessions, which it cannot do without, have one of their own.
	options, err := redis.ParseURL(redisURL)
	if err != nil { // which may quote a password
		return nil, nil, errors.New("REDIS_URL: the sessions of this example are for a single server")
	}
	client := redis.NewClient(options)

	s := &site{sessions: scs.New()}
	s.sessions.Store = goredisstore.New(client)
	s.chat, err = middleware.FromEnv(s.visitor, middleware.WithStore(store)) // and HUBSPOT_STORE_SECRET
	if err != nil {
		return nil, nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	quit = func() error { return errors.Join(store.Close(), client.Close()) }
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), quit, nil // authentication, chat, pages
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<title>Shop</title>
<h1>Welcome</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	data := map[string]any{"User": s.sessions.GetString(r.Context(), "user"), "Chat": snippet.HTML(r.Context())}
	if err := page.Execute(w, data); err != nil {
		log.Println("writing the page:", err)
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
