package snippet_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// BenchmarkHTML is the page part alone.
func BenchmarkHTML(b *testing.B) {
	for _, bb := range []struct {
		name string
		opts []snippet.Option
	}{
		{"inline", nil},
		{"file", []snippet.Option{snippet.WithScriptPath("/assets/chat")}},
		{"nonce", []snippet.Option{nonceOf("bm9uY2U=")}},
	} {
		b.Run(bb.name+"/identified", func(b *testing.B) {
			ctx := request(identified("ada@example.com"))
			b.ReportAllocs()
			for b.Loop() {
				snippet.HTML(ctx, bb.opts...)
			}
		})
		b.Run(bb.name+"/anonymous", func(b *testing.B) {
			ctx := request(anonymous)
			b.ReportAllocs()
			for b.Loop() {
				snippet.HTML(ctx, bb.opts...)
			}
		})
	}
}

// BenchmarkPage is a request with middleware and page part, the token in memory.
func BenchmarkPage(b *testing.B) {
	tokens, err := hubspot.NewTokens(local{}, hubspot.TokensConfig{CallsPerSecond: 1e9, Burst: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	ada := hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}
	for _, bb := range []struct {
		name     string
		identify func(*http.Request) (hubspot.Visitor, bool)
		opts     []snippet.Option
	}{
		{"identified", func(*http.Request) (hubspot.Visitor, bool) { return ada, true }, nil},
		{"identified, file", func(*http.Request) (hubspot.Visitor, bool) { return ada, true }, []snippet.Option{snippet.WithScriptPath("/assets/chat")}},
		{"anonymous", func(*http.Request) (hubspot.Visitor, bool) { return hubspot.Visitor{}, false }, nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			chat, err := middleware.New(tokens, bb.identify, middleware.WithConfig(hubspot.Config{PortalID: portalID, RenderBudget: time.Minute}))
			if err != nil {
				b.Fatal(err)
			}
			page := chat.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				snippet.HTML(r.Context(), bb.opts...)
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Sec-Fetch-Dest", "document")
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				page.ServeHTTP(w, r)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
