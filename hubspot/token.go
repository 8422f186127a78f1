package hubspot

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// tokenLife is how long HubSpot accepts an identification token.
const tokenLife = 12 * time.Hour

// Token is an identification token: HubSpot's proof, for the widget, that the
// visitor with a certain e-mail address is signed in. Whoever holds both the
// token and the address can read that visitor's chats, so it prints as [redacted]
// with every formatting verb, in log/slog and in JSON; only [Token.Reveal]
// returns its value. The zero Token is no token. A Token is immutable and safe
// for concurrent use.
type Token struct {
	opaque[tokenData]
	// limit is what HubSpot's answer told beside the token: nil once Tokens has
	// read it.
	limit *RateLimit
}

type tokenData struct {
	value, email string
	issuedAt     time.Time
	life         time.Duration
}

// NewToken returns the token that HubSpot issued at issuedAt for email. It is for
// implementations of [Creator]; callers of [Client.CreateToken] do not need it.
//
// HubSpot's answer does not say when the token expires: it is taken to expire
// twelve hours after issuedAt, or earlier if value is a JWT with an earlier exp.
func NewToken(value, email string, issuedAt time.Time) Token {
	life := tokenLife
	if exp, ok := jwtExpiry(value); ok {
		life = min(life, exp.Sub(issuedAt.Round(0)))
	}
	return Token{opaque: hide(tokenData{value, email, issuedAt, life})}
}

// Reveal returns the token itself, for identificationToken in the page.
func (t Token) Reveal() string { return t.get().value }

// Email returns the address that the token was made for, exactly as it was sent
// to HubSpot, for identificationEmail in the page.
func (t Token) Email() string { return t.get().email }

// IssuedAt returns when HubSpot issued the token, by this machine's clock.
func (t Token) IssuedAt() time.Time { return t.get().issuedAt }

// ExpiresAt returns when HubSpot stops accepting the token.
func (t Token) ExpiresAt() time.Time { return t.IssuedAt().Add(t.get().life) }

// jwtExpiry reads exp where the token happens to be a JWT. The signature is
// HubSpot's business: exp can only shorten a life here.
func jwtExpiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct{ Exp float64 }
	if json.Unmarshal(payload, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}
