// Command prometheus exports what the chat does to Prometheus (see metrics.go);
// dashboard.json shows it in Grafana.
package main

import (
	"html/template"
	"log"
	"net/http"

	"github.com/alexedwards/scs/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	app, metrics, err := newApp()
	if err != nil {
		log.Fatal(err)
	}
	// On a port of their own, which only Prometheus can reach.
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:9464", metrics)) }()
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", app))
}

type site struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
}

func newApp() (app, metrics http.Handler, err error) {
	s := &site{sessions: scs.New()}
	cfg, err := hubspot.ConfigFromEnv()
	if err != nil {
		return nil, nil, err
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, nil, err
	}
	calls := newCalls()
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID, Observer: observe(calls)})
	if err != nil {
		return nil, nil, err
	}
	s.chat, err = middleware.New(tokens, s.visitor, middleware.WithConfig(cfg))
	if err != nil {
		return nil, nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(calls, stats{tokens})

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	app = s.sessions.LoadAndSave(s.chat.Handler(mux)) // authentication, chat, pages
	return app, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
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
