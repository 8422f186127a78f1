// Command plain is the least page with html/template: what the library adds to a
// binary is measured from here.
package main

import (
	"html/template"
	"log"
	"net/http"
)

var page = template.Must(template.New("page").Parse(`<!doctype html><title>Hello</title><p>Hello, {{.Name}}</p>`))

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if err := page.Execute(w, map[string]any{"Name": "world"}); err != nil {
			log.Println(err)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
