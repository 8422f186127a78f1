// Command oidc signs its visitors in with OpenID Connect: an identity provider
// says who they are, and whether they own their address.
//
//	OIDC_ISSUER=https://accounts.google.com OIDC_CLIENT_ID=… OIDC_CLIENT_SECRET=… go run ./oidc
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"os"

	"github.com/alexedwards/scs/v2"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	app, err := newApp(os.Getenv("OIDC_ISSUER"), oauth2.Config{
		ClientID:     os.Getenv("OIDC_CLIENT_ID"),
		ClientSecret: os.Getenv("OIDC_CLIENT_SECRET"),
		RedirectURL:  "http://127.0.0.1:8080/signed-in",
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", app))
}

type site struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
	client   oauth2.Config
	idTokens *oidc.IDTokenVerifier
}

func newApp(issuer string, client oauth2.Config) (http.Handler, error) {
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		return nil, fmt.Errorf("OIDC_ISSUER: %w", err)
	}
	client.Endpoint, client.Scopes = provider.Endpoint(), []string{oidc.ScopeOpenID, "email", "profile"}
	s := &site{sessions: scs.New(), client: client, idTokens: provider.Verifier(&oidc.Config{ClientID: client.ClientID})}
	s.chat, err = middleware.FromEnv(s.visitor)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("GET /signed-in", s.signedIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	email := s.sessions.GetString(r.Context(), "email")
	return hubspot.Visitor{
		Email:         email,
		FirstName:     s.sessions.GetString(r.Context(), "name"),
		EmailVerified: s.sessions.GetBool(r.Context(), "verified"),
	}, email != ""
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<title>Shop</title>
<h1>Welcome</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{.Chat}}
`))

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	data := map[string]any{"User": s.sessions.GetString(r.Context(), "email"), "Chat": snippet.HTML(r.Context())}
	if err := page.Execute(w, data); err != nil {
		log.Println("writing the page:", err)
	}
}

// signIn sends the browser to the provider. The session keeps what the answer is
// checked against: it has to be for this browser (state) and this question
// (nonce), and nobody else who gets hold of the code can use it (PKCE). The
// address only fills in the provider's form, and is not trusted.
func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	s.sessions.Put(r.Context(), "state", state)
	s.sessions.Put(r.Context(), "nonce", nonce)
	s.sessions.Put(r.Context(), "verifier", verifier)
	http.Redirect(w, r, s.client.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("login_hint", r.PostFormValue("email"))), http.StatusSeeOther)
}

// signedIn is the handler to which the provider sends the browser back.
func (s *site) signedIn(w http.ResponseWriter, r *http.Request) {
	visitor, err := s.ask(r)
	if err != nil {
		log.Println("signing in:", err)
		http.Error(w, "The sign-in did not work. Please try again.", http.StatusUnauthorized)
		return
	}
	_ = s.sessions.RenewToken(r.Context())
	s.sessions.Put(r.Context(), "email", visitor.Email)
	s.sessions.Put(r.Context(), "name", visitor.FirstName)
	s.sessions.Put(r.Context(), "verified", visitor.EmailVerified)
	s.chat.SignedIn(w, r, visitor) // the next page has the token
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// ask asks the provider who has come back.
func (s *site) ask(r *http.Request) (visitor hubspot.Visitor, err error) {
	state := s.sessions.PopString(r.Context(), "state") // each for one answer only
	nonce := s.sessions.PopString(r.Context(), "nonce")
	verifier := s.sessions.PopString(r.Context(), "verifier")
	if state == "" || r.FormValue("state") != state {
		return visitor, errors.New("the answer is to no question of this browser's")
	}
	token, err := s.client.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return visitor, err
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := s.idTokens.Verify(r.Context(), raw) // signature, issuer, audience and time
	if err != nil {
		return visitor, err
	}
	if idToken.Nonce != nonce {
		return visitor, errors.New("the ID token is of another sign-in")
	}
	var claims struct {
		Email         string `json:"email"`
		EmailVerified any    `json:"email_verified"` // true, or "true" of Apple and Cognito
		GivenName     string `json:"given_name"`
	}
	if err := idToken.Claims(&claims); err != nil {
		return visitor, err
	}
	if claims.Email == "" {
		return visitor, errors.New("the provider tells no e-mail address")
	}
	// The claim is as trustworthy as the provider. Never rely on it where
	// customers administer their own users' addresses, such as with Entra ID
	// for all tenants: whoever enters a stranger's address there would read the
	// stranger's chats.
	verified := claims.EmailVerified == true || claims.EmailVerified == "true"
	return hubspot.Visitor{Email: claims.Email, FirstName: claims.GivenName, EmailVerified: verified}, nil
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
