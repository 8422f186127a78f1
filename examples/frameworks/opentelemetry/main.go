// Command opentelemetry traces its pages and its calls to HubSpot, and measures
// what the chat does (see telemetry.go). It prints both.
package main

import (
	"html/template"
	"log"
	"net/http"

	"github.com/alexedwards/scs/v2"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func main() {
	spans, err := stdouttrace.New() // yours are otlptracehttp and otlpmetrichttp, to a collector
	if err != nil {
		log.Fatal(err)
	}
	metrics, err := stdoutmetric.New()
	if err != nil {
		log.Fatal(err)
	}
	app, err := newApp(
		sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans)),
		sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics))))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", app))
}

type site struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
}

func newApp(tracers trace.TracerProvider, meters metric.MeterProvider) (http.Handler, error) {
	s := &site{sessions: scs.New()}
	cfg, err := hubspot.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(newHTTPClient(tracers, meters)))
	if err != nil {
		return nil, err
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
	if err != nil {
		return nil, err
	}
	if err := measure(meters, tokens); err != nil {
		return nil, err
	}
	s.chat, err = middleware.New(tokens, s.visitor, middleware.WithConfig(cfg))
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	app := s.sessions.LoadAndSave(s.chat.Handler(mux)) // authentication, chat, pages
	return otelhttp.NewHandler(app, "shop", otelhttp.WithTracerProvider(tracers), otelhttp.WithMeterProvider(meters)), nil
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
