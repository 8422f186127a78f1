// Package identity is where middleware and snippet meet: what a request's
// context carries about the visitor and the chat. Neither of the two imports
// the other.
package identity

import (
	"context"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// Request is the one value per request. Its functions answer the same whenever
// they are called, and may be called concurrently.
type Request struct {
	// LoaderSrc is the src of HubSpot's loader tag; "" where none is known.
	LoaderSrc string
	// TokenPath is where the page can ask for its identity; "" for nowhere.
	TokenPath string
	// Chat decides what the page may know, and waits for the token within the
	// render budget.
	Chat func() Chat
	// Visitor is who the application says this is, whether or not HubSpot shall
	// know.
	Visitor func() (hubspot.Visitor, bool)
}

// Chat is what a page may know about its visitor.
type Chat struct {
	// Off: the page carries no chat at all.
	Off bool
	// Fingerprint tells this visitor from others on the same browser, without
	// telling who it is. "" for the anonymous.
	Fingerprint string
	// Token is the visitor's; the zero Token for the anonymous, and for a visitor
	// whose token did not come in time.
	Token hubspot.Token
	// Late: the visitor has no token yet, asking for it later may help.
	Late bool
}

type contextKey struct{}

// With is ctx with r.
func With(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// From is the Request in ctx, if there is one.
func From(ctx context.Context) (*Request, bool) {
	r, ok := ctx.Value(contextKey{}).(*Request)
	return r, ok && r != nil
}
