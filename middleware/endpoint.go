package middleware

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// endpointWait is how long the token endpoint waits for HubSpot: less than the
// five seconds that a page waits for the endpoint.
const endpointWait = 4 * time.Second

// endpointRetry is the Retry-After of a 503, in seconds: failures are remembered
// for up to ten.
const endpointRetry = "10"

// identification is the token endpoint's answer, for the page's script, single
// page applications and HubSpot's mobile chat kits.
type identification struct {
	Email     string    `json:"email"`
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
	Visitor   string    `json:"visitor"` // the fingerprint, as in the marker cookie
}

// TokenHandler tells a browser or mobile app the e-mail address and token of the
// visitor who is signed in, and of nobody else: its only input is the request
// that the application's authentication has seen. [Middleware.Handler] answers at
// the token path by itself; mount TokenHandler, inside the authentication, if a
// router has to know the path.
//
// It answers 200 with {"email", "token", "expiresAt", "visitor"}; 204 for a
// visitor who is not signed in or may not be identified; 503 with Retry-After if
// there is no token for now; 403 to other origins (see [WithTrustedOrigins]); and
// 405 to any method but POST. No answer may be stored. It sets or expires the
// marker cookie.
//
// HubSpot's chat kits for iOS and Android need email and token: pass them to
// setUserIdentity(email, identityToken).
func (m *Middleware) TokenHandler() http.Handler {
	return http.HandlerFunc(m.serveToken)
}

func (m *Middleware) serveToken(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	protect(h)
	if m.crossOrigin.Check(r) != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	q := m.newRequest(w, r)
	is := q.is()
	q.become(is, false) // whoever it is: the answer is theirs
	token, err := hubspot.Token{}, error(nil)
	if is.ok && !q.off {
		ctx, cancel := context.WithTimeout(r.Context(), endpointWait)
		defer cancel()
		token, err = q.fetch(ctx, is)
	}
	q.settle(0, nil, true)
	if reason := cmp.Or(why(err), is.reason); m.cfg.Debug && reason != "" {
		h.Set("Hubspot-Visitor-Reason", reason) // the page's script says it in the console
	}
	switch {
	case err != nil && !errors.Is(err, hubspot.ErrInvalidVisitor): // whom HubSpot refuses need not ask again
		m.log.Log(r.Context(), slog.LevelDebug, "middleware: no token for the endpoint", slog.Any("error", err))
		h.Set("Retry-After", endpointRetry)
		w.WriteHeader(http.StatusServiceUnavailable)
	case token.Reveal() == "":
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK) // gin has another in mind where it knows no route
		// The client has left if this fails.
		_ = json.NewEncoder(w).Encode(identification{token.Email(), token.Reveal(), token.ExpiresAt().UTC(), m.fingerprint(token.Email())})
	}
}
