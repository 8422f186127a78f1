// Command csp serves pages under a strict Content-Security-Policy: nothing that
// the policy does not name, and no inline script without the response's nonce.
package main

import (
	"html/template"
	"log"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/alexedwards/scs/v2"
	"github.com/unrolled/secure"

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
	cfg, err := hubspot.ConfigFromEnv() // for the account's region
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	headers := secure.New(secure.Options{
		ContentSecurityPolicy: policy(cfg.Region),
		ContentTypeNosniff:    true,
		ReferrerPolicy:        "strict-origin-when-cross-origin",
	})
	return headers.Handler(s.sessions.LoadAndSave(s.chat.Handler(mux))), nil // headers, authentication, chat, pages
}

// policy allows what HubSpot's chat and the pages themselves need. secure
// replaces $NONCE by each response's nonce.
func policy(region string) string {
	sources := snippet.CSP(region)
	for directive, own := range map[string][]string{
		"default-src":     {"'none'"},
		"base-uri":        {"'none'"},
		"form-action":     {"'self'"},
		"frame-ancestors": {"'none'"},
		"script-src":      {"$NONCE"},
		"style-src":       {"'self'"},
		"img-src":         {"'self'"},
		"connect-src":     {"'self'"}, // the token endpoint
	} {
		sources[directive] = append(own, sources[directive]...)
	}
	var directives []string
	for _, directive := range slices.Sorted(maps.Keys(sources)) {
		directives = append(directives, directive+" "+strings.Join(sources[directive], " "))
	}
	return strings.Join(directives, "; ")
}

// visitor tells the chat who is signed in.
func (s *site) visitor(r *http.Request) (hubspot.Visitor, bool) {
	user, ok := accounts.Find(s.sessions.GetString(r.Context(), "user"))
	return hubspot.Visitor{Email: user.Email, FirstName: user.Name, EmailVerified: user.Verified}, ok
}

// The chat's scripts get the nonce that secure put into the request's context.
var page = template.Must(template.New("").Funcs(snippet.FuncMap(snippet.WithNonce(secure.CSPNonce))).Parse(`<!doctype html>
<title>Shop</title>
<script nonce="{{.Nonce}}">document.documentElement.className = "js"</script>
<h1>Welcome</h1>
{{if .User}}<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>
{{else}}<form method="post" action="/sign-in"><input name="email" value="ada@example.com"> <button>Sign in</button></form>{{end}}
{{hubspotChat .Request}}
`))

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	data := map[string]any{
		"Request": r,
		"Nonce":   secure.CSPNonce(r.Context()),
		"User":    s.sessions.GetString(r.Context(), "user"),
	}
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
