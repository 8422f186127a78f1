package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// policy is a Content-Security-Policy, except for what allows the page's own
// scripts.
type policy struct{ scripts, rest string }

// contentPolicy allows the shop's own style sheet and pictures, and what the
// chat needs.
func contentPolicy(region, emulator string) policy {
	sources := snippet.CSP(region)
	allow := func(source string, directives ...string) {
		for _, directive := range directives {
			sources[directive] = append(sources[directive], source)
		}
	}
	allow("'self'", "style-src", "img-src", "connect-src")
	if emulator != "" {
		allow(emulator, "script-src", "style-src", "img-src", "connect-src", "frame-src")
	}
	parts := []string{"default-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"}
	for _, directive := range []string{"style-src", "img-src", "connect-src", "frame-src"} {
		parts = append(parts, directive+" "+strings.Join(sources[directive], " "))
	}
	return policy{strings.Join(sources["script-src"], " "), strings.Join(parts, "; ")}
}

// with returns the policy of a page whose own scripts come from source.
func (p policy) with(source string) string {
	return p.rest + "; script-src " + source + " " + p.scripts
}

type nonceKey struct{}

// nonceFrom returns the nonce of the response to the request whose context is
// ctx.
func nonceFrom(ctx context.Context) string {
	nonce, _ := ctx.Value(nonceKey{}).(string)
	return nonce
}

// handler sends the policy with every response, with a nonce of its own.
func (p policy) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := rand.Text()
		h := w.Header()
		h.Set("Content-Security-Policy", p.with("'nonce-"+nonce+"'"))
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nonceKey{}, nonce)))
	})
}
