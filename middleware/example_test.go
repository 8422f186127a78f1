package middleware_test

import (
	"context"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// user is what an application's own authentication leaves in the context.
type user struct {
	Email, Name string
	Confirmed   bool
}

type userKey struct{}

func userFrom(ctx context.Context) (user, bool) {
	u, ok := ctx.Value(userKey{}).(user)
	return u, ok
}

// authenticate stands for the application's authentication.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err == nil {
			r = r.WithContext(context.WithValue(r.Context(), userKey{}, user{"ada@example.com", "Ada", true}))
		}
		next.ServeHTTP(w, r)
	})
}

func identify(r *http.Request) (hubspot.Visitor, bool) {
	u, ok := userFrom(r.Context())
	return hubspot.Visitor{Email: u.Email, FirstName: u.Name, EmailVerified: u.Confirmed}, ok
}

// The whole of an application: HUBSPOT_ACCESS_TOKEN and HUBSPOT_PORTAL_ID in the
// environment, the middleware inside the authentication, one line in the layout.
func Example() {
	chat, err := middleware.FromEnv(identify)
	if err != nil {
		log.Fatal(err)
	}
	layout := template.Must(template.New("").Parse(`<!doctype html><html><body><h1>Shop</h1>{{.Chat}}</body></html>`))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_ = layout.Execute(w, map[string]any{"Chat": snippet.HTML(r.Context())})
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		chat.SignedOut(w, r) // while the session still says who it is
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", authenticate(chat.Handler(mux))))
}

// New is for applications that make the token source themselves, such as tests
// with an emulated HubSpot.
func ExampleNew() {
	emulated := hubspottest.New()
	defer emulated.Close()
	cfg := hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID}
	client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(emulated.Client()))
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
	if err != nil {
		log.Fatal(err)
	}
	chat, err := middleware.New(tokens, identify, middleware.WithConfig(cfg))
	if err != nil {
		log.Fatal(err)
	}
	app := authenticate(chat.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, snippet.HTML(r.Context()))
	})))

	r := httptest.NewRequest("GET", "/account", nil)
	r.Header.Set("Accept", "text/html")
	r.AddCookie(&http.Cookie{Name: "session", Value: "s"})
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	fmt.Println(w.Header().Get("Cache-Control"))
	fmt.Println(strings.Contains(w.Body.String(), `"identificationEmail":"ada@example.com"`))
	// Output:
	// private, no-store
	// true
}

// Applications whose authentication can put the visitor into the context need
// no function of their own.
func ExampleWithVisitor() {
	ctx := middleware.WithVisitor(context.Background(), hubspot.Visitor{Email: "ada@example.com", EmailVerified: true})
	v, ok := middleware.VisitorFrom(ctx)
	fmt.Println(v.Email, ok)
	// Output:
	// ada@example.com true
}

// Every problem is told at once.
func ExampleNew_problems() {
	_, err := middleware.New(nil, nil, middleware.WithTokenPath("chat/token"))
	fmt.Println(err)
	// Output:
	// middleware: there is no identify function
	// middleware: WithTokenPath needs a path that begins with one slash, without query, fragment, dot segments and escapes
	// middleware: WithConfig does not tell the PortalID (HUBSPOT_PORTAL_ID)
	// middleware: there is no token source
}
