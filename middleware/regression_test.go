package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// Each of these went wrong once.

// confused is a token source that mixes visitors up.
type confused struct{ token hubspot.Token }

func (c confused) Token(context.Context, hubspot.Visitor) (hubspot.Token, error) { return c.token, nil }
func (confused) Invalidate(context.Context, hubspot.Visitor)                     {}

func TestTokenSourceThatMixesVisitorsUp(t *testing.T) {
	for name, token := range map[string]hubspot.Token{
		"another's": hubspot.NewToken("token-of-bob", "bob@example.com", time.Now()),
		"none":      {},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := middleware.New(confused{token}, func(*http.Request) (hubspot.Visitor, bool) {
				return hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}, true
			}, middleware.WithConfig(hubspot.Config{PortalID: hubspottest.PortalID}))
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			m.TokenHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/token", nil))
			if w.Code != http.StatusServiceUnavailable || w.Body.Len() > 0 {
				t.Errorf("the endpoint answers %d %s, want 503 and nothing", w.Code, w.Body)
			}
		})
	}
}
