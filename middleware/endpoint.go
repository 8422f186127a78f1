package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// endpointWait is how long the token endpoint waits for HubSpot: less than the
// five seconds that a page waits for the endpoint.
const endpointWait = 4 * time.Second

// endpointRetry is the Retry-After of a 503: failures are remembered for up to
// ten seconds.
const endpointRetry = 10 * time.Second

// fingerprintHeader is the header of the token endpoint's answer by which the
// page's script notices a change of visitor.
const fingerprintHeader = "Hubspot-Visitor"

// identification is the token endpoint's answer, for the page's script, single
// page applications and HubSpot's mobile chat kits.
type identification struct {
	Email     string    `json:"email"`
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// TokenHandler tells a browser or a mobile app the e-mail and token of the
// visitor who is signed in, and of nobody else: it takes no input but the
// request that the application's authentication has seen. Mount it inside that
// authentication.
//
// It answers POST only (405 otherwise), not from other origins (403); 200 with
// {"email", "token", "expiresAt"}; 204 for a visitor who is not signed in or may
// not be identified; 503 with Retry-After when there is no token for now. No
// answer may be stored.
//
// HubSpot's chat kits for iOS and Android want exactly this pair: set it with
// setUserIdentity(email, identityToken).
func (m *Middleware) TokenHandler() http.Handler {
	return http.HandlerFunc(m.serveToken)
}

var errWrongToken = errors.New("middleware: the token source's token is empty or for another visitor")

func (m *Middleware) serveToken(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "private, no-store")
	h.Add("Vary", "Cookie")
	if m.crossOrigin.Check(r) != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), endpointWait)
	defer cancel()
	q := m.newRequest(ctx, h, r)
	v, ok := q.visitor()
	if !ok || !q.consent() {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set(fingerprintHeader, m.fingerprint(v)) // with a 503, too: another visitor is one without a token
	var a answer
	select {
	case a = <-q.token():
	case <-ctx.Done():
		a.err = ctx.Err()
	}
	if a.err == nil && (a.token.Reveal() == "" || a.token.Email() != v.Email) {
		a.err = errWrongToken // fail closed, as pages do
	}
	switch {
	case errors.Is(a.err, hubspot.ErrInvalidVisitor):
		w.WriteHeader(http.StatusNoContent) // asking again would not help
		return
	case a.err != nil:
		m.logger.DebugContext(ctx, "middleware: no token for the endpoint", "error", a.err)
		h.Set("Retry-After", strconv.Itoa(int(endpointRetry/time.Second)))
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.Set("Content-Type", "application/json")
	// The client has left if this fails.
	_ = json.NewEncoder(w).Encode(identification{a.token.Email(), a.token.Reveal(), a.token.ExpiresAt().UTC()})
}
