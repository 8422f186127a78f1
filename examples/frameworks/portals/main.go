// Command portals serves several shops, each with its own host name and HubSpot
// account:
//
//	HUBSPOT_PORTAL_ID_COM=… HUBSPOT_ACCESS_TOKEN_COM=pat-na1-… \
//	HUBSPOT_PORTAL_ID_EU=… HUBSPOT_ACCESS_TOKEN_EU=pat-eu1-… go run ./portals
package main

import (
	"errors"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/alexedwards/scs/v2"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	app, err := newApp(map[string]hubspot.Config{ // by host name
		"127.0.0.1": config("COM"),
		"localhost": config("EU"),
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", app))
}

func config(shop string) hubspot.Config {
	return hubspot.Config{
		PortalID:    os.Getenv("HUBSPOT_PORTAL_ID_" + shop),
		AccessToken: hubspot.NewSecret(os.Getenv("HUBSPOT_ACCESS_TOKEN_" + shop)),
	}
}

type site struct {
	sessions *scs.SessionManager
	chats    map[string]*middleware.Middleware // by host name
}

func newApp(shops map[string]hubspot.Config) (http.Handler, error) {
	s := &site{sessions: scs.New(), chats: map[string]*middleware.Middleware{}}
	var errs []error
	for host, cfg := range shops {
		chat, err := newChat(cfg, s.visitor)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", host, err))
		}
		s.chats[host] = chat
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chatHandler(mux)), nil // authentication, chat, pages
}

// newChat returns a chat for one account: everything in it is that account's,
// including its tokens and the cookie that marks its visitors.
func newChat(cfg hubspot.Config, identify func(*http.Request) (hubspot.Visitor, bool)) (*middleware.Middleware, error) {
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
	if err != nil {
		return nil, err
	}
	return middleware.New(tokens, identify, middleware.WithConfig(cfg))
}

// chatHandler gives each host its chat. A client that sends another shop's Host
// gets that shop's chat, but is still nobody but themselves in it, since the
// session says who they are.
func (s *site) chatHandler(pages http.Handler) http.Handler {
	handlers := map[string]http.Handler{}
	for host, chat := range s.chats {
		handlers[host] = chat.Handler(pages)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := handlers[host(r)]
		if !ok {
			http.Error(w, "There is no shop of this name here.", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// host is the name that the browser asked for, without the port. A proxy has to
// pass it on.
func host(r *http.Request) string {
	return strings.ToLower((&url.URL{Host: r.Host}).Hostname())
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
	s.chats[host(r)].SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
