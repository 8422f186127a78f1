// Command react is a single page application: one page for all paths, with React
// in it, and an API that signs in and out. The page tells the chat through
// hubspotVisitor.
//
//	npm ci && go run ./react
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"log"
	"net/http"
	"os"

	"github.com/alexedwards/scs/v2"
	esbuild "github.com/evanw/esbuild/pkg/api"

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
	script   []byte
}

func newApp() (http.Handler, error) {
	script, err := build()
	if err != nil {
		return nil, err
	}
	s := &site{sessions: scs.New(), script: script}
	s.chat, err = middleware.FromEnv(s.visitor)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /", s.page)
	mux.HandleFunc("GET /app.js", s.app)
	mux.HandleFunc("GET /api/session", s.session)
	mux.HandleFunc("POST /api/session", s.signIn)
	mux.HandleFunc("DELETE /api/session", s.signOut)
	return s.sessions.LoadAndSave(s.chat.Handler(mux)), nil // authentication, chat, pages
}

//go:embed app.jsx
var source string

// build makes the script that browsers run out of app.jsx and React.
func build() ([]byte, error) {
	if _, err := npm.File("react-dom/client.js"); err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	result := esbuild.Build(esbuild.BuildOptions{
		Stdin:             &esbuild.StdinOptions{Contents: source, Sourcefile: "app.jsx", Loader: esbuild.LoaderJSX, ResolveDir: dir},
		Bundle:            true,
		JSX:               esbuild.JSXAutomatic,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
	})
	var errs []error
	for _, text := range esbuild.FormatMessages(result.Errors, esbuild.FormatMessagesOptions{}) {
		errs = append(errs, errors.New(text))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return result.OutputFiles[0].Contents, nil
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

// The chat comes before the application, which then finds hubspotVisitor.
var page = template.Must(template.New("").Parse(`<!doctype html>
<title>Shop</title>
<div id="app"></div>
{{.Chat}}
<script src="/app.js"></script>
`))

// page is the same for all paths: the script shows what belongs there.
func (s *site) page(w http.ResponseWriter, r *http.Request) {
	if err := page.Execute(w, map[string]any{"Chat": snippet.HTML(r.Context())}); err != nil {
		log.Println("writing the page:", err)
	}
}

func (s *site) app(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write(s.script) // the browser has left if this fails
}

// session says who is signed in.
func (s *site) session(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-store")
	answer := map[string]string{"email": s.sessions.GetString(r.Context(), "user")}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		log.Println("writing the session:", err)
	}
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	var question struct{ Email string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&question); err != nil {
		http.Error(w, "this is no e-mail address in JSON", http.StatusBadRequest)
		return
	}
	if user, ok := accounts.SignIn(question.Email); ok {
		_ = s.sessions.RenewToken(r.Context())
		s.sessions.Put(r.Context(), "user", user.Email)
	}
	s.session(w, r)
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.chat.SignedOut(w, r) // first, while the session knows whose chat it is
	_ = s.sessions.Destroy(r.Context())
	s.session(w, r)
}
