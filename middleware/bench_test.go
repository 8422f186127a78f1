package middleware_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	seam "github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// sink is a ResponseWriter that costs nothing.
type sink http.Header

func (s sink) Header() http.Header       { return http.Header(s) }
func (sink) Write(p []byte) (int, error) { return len(p), nil }
func (sink) WriteHeader(int)             {}

var htmlType = []string{"text/html; charset=utf-8"}

// BenchmarkHandler is the middleware's own share of a request, without the page
// part; the baseline is a middleware that only puts a value into the context.
func BenchmarkHandler(b *testing.B) {
	real, err := hubspot.NewTokens(creator{}, hubspot.TokensConfig{})
	if err != nil {
		b.Fatal(err)
	}
	m, err := middleware.New(real, signedIn, middleware.WithConfig(hubspot.Config{PortalID: "12345678"}))
	if err != nil {
		b.Fatal(err)
	}
	draw := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = htmlType
		if page, ok := seam.From(r.Context()); ok {
			page.Chat(r.Context(), false)
		}
		_, _ = w.Write(nil)
	})
	asset := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{"text/css"}
		_, _ = w.Write(nil)
	})
	only := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), only{}, "value")))
		})
	}
	steady := navigation(ada)
	steady.Header.Set("Cookie", markerName+"="+marker(serve(m.Handler(page(nil)), navigation(ada))))
	image := navigation()
	image.Header.Set("Sec-Fetch-Dest", "style")
	for _, bench := range []struct {
		name string
		h    http.Handler
		r    *http.Request
	}{
		{"identified", m.Handler(draw), steady},
		{"anonymous", m.Handler(draw), navigation()},
		{"asset", m.Handler(asset), image},
		{"baseline", only(asset), image},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			w := sink{}
			for b.Loop() {
				clear(w)
				bench.h.ServeHTTP(w, bench.r)
			}
		})
	}
}

type only struct{}

type creator struct{}

func (creator) CreateToken(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return hubspot.NewToken("token", v.Email, time.Now()), nil
}
