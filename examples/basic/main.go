// Command basic is the minimum that an application needs. See examples/demo for
// sessions, sign-out and a strict Content-Security-Policy.
package main

import (
	"html/template"
	"log"
	"net/http"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Basic</title>
<h1>Hello, {{with .Name}}{{.}}{{else}}stranger{{end}}</h1>
{{.Chat}}`))

func main() {
	app, err := newApp()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: app, ReadHeaderTimeout: 5 * time.Second}
	log.Println("listening on http://" + server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newApp() (http.Handler, error) {
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", home)
	return authenticate(chat.Handler(mux)), nil // authentication outside, pages inside
}

func home(w http.ResponseWriter, r *http.Request) {
	visitor, _ := middleware.VisitorFrom(r.Context())
	data := map[string]any{"Name": visitor.FirstName, "Chat": snippet.HTML(r.Context())}
	if err := page.Execute(w, data); err != nil {
		log.Println("writing the page:", err)
	}
}

// authenticate stands for YOUR authentication: it finds the session's user and
// puts them into the request's context. Here everybody is Ada, to keep the example
// short. Never take the e-mail address from a query, a header or a form: whoever
// can choose it can read its owner's chats.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ada := hubspot.Visitor{
			Email:         "ada@example.com",
			FirstName:     "Ada",
			EmailVerified: true, // she followed the link in a message to this address
		}
		next.ServeHTTP(w, r.WithContext(middleware.WithVisitor(r.Context(), ada)))
	})
}
