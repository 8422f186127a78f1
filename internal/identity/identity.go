// Package identity is where middleware and snippet meet: what a request's
// context carries about the visitor and the chat. Neither of the two imports
// the other.
package identity

import (
	"context"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// Page is the one value per request: it says what the page part may know.
type Page interface {
	// Chat decides, and waits for the token within the render budget. ctx is the
	// context that the page part was given. onDemand: the page asks who it is when
	// the chat is wanted, and waits for nothing. It may be called concurrently; the
	// answer stays the same unless the visitor signs in or out in between.
	Chat(ctx context.Context, onDemand bool) Chat
}

// Chat is what a page part may know.
type Chat struct {
	// Off: the page carries no chat at all.
	Off bool
	// PortalID names the marker cookie, hubspot_visitor_<PortalID>.
	PortalID string
	// LoaderSrc is the src of HubSpot's loader tag.
	LoaderSrc string
	// Claim is whose page this is: a visitor's fingerprint, which tells this
	// visitor from others on the same browser without telling who it is, or
	// Nobody, Anybody or Never.
	Claim string
	// Token is the visitor's; the zero Token where the page is nobody's, and
	// where the token did not come in time.
	Token hubspot.Token
	// Endpoint is the path where the page can ask who is signed in; "" for nowhere.
	Endpoint string
	// TrackingCookie: with another visitor HubSpot's tracking cookie goes.
	TrackingCookie bool
	// Debug: the page part says what it does.
	Debug bool
	// Reason is why nobody is identified, in words without a name; "" where
	// somebody is.
	Reason string
}

// Claims that are no visitor's.
const (
	Nobody  = ""  // the page of an anonymous visitor
	Anybody = "*" // a page that caches may share: the same for everybody
	Ask     = "?" // a page that asks when the chat is wanted: the same for everybody
	Never   = "-" // a page that identifies nobody, whoever is signed in
)

type contextKey struct{}

// With is ctx with p.
func With(ctx context.Context, p Page) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From is the Page in ctx, if there is one.
func From(ctx context.Context) (Page, bool) {
	p, ok := ctx.Value(contextKey{}).(Page)
	return p, ok
}
