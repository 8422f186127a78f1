// Command chat is command plain with the library.
package main

import (
	"html/template"
	"log"
	"net/http"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

var page = template.Must(template.New("page").Parse(`<!doctype html><title>Hello</title><p>Hello, {{.Name}}</p>{{.Chat}}`))

func main() {
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if err := page.Execute(w, map[string]any{"Name": "world", "Chat": snippet.HTML(r.Context())}); err != nil {
			log.Println(err)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", chat.Handler(http.DefaultServeMux)))
}
