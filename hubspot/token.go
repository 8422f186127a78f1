package hubspot

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// tokenLife is how long HubSpot accepts an identification token.
const tokenLife = 12 * time.Hour

const redacted = "[redacted]"

// Token is an identification token: HubSpot's proof, for the widget, that the
// visitor with a certain e-mail address is signed in. Whoever holds it together
// with the address can read that visitor's chats, so it prints as [redacted] in
// every formatting verb, in log/slog and in JSON; only [Token.Reveal] gives it
// away. The zero Token is no token. A Token does not change and can be shared.
type Token struct {
	// fmt cannot call Format on a Token in somebody's unexported field, and
	// follows one pointer for some verbs: behind two it prints an address only.
	data **tokenData
}

type tokenData struct {
	value, email        string
	issuedAt, expiresAt time.Time
}

// NewToken is the token that HubSpot issued at issuedAt for email. It is for
// implementations of [Creator]; [Client.CreateToken] makes its own.
//
// HubSpot's answer names no expiry: the token expires twelve hours after
// issuedAt, or earlier where the value reads as a JWT whose exp is earlier.
func NewToken(value, email string, issuedAt time.Time) Token {
	expiresAt := issuedAt.Add(tokenLife)
	if exp, ok := jwtExpiry(value); ok && exp.Before(expiresAt) {
		expiresAt = exp
	}
	data := &tokenData{value, email, issuedAt, expiresAt}
	return Token{&data}
}

// Reveal is the token itself, for identificationToken in the page.
func (t Token) Reveal() string { return t.get().value }

// Email is the address that the token was made for, for identificationEmail in
// the page: exactly the string that was sent to HubSpot.
func (t Token) Email() string { return t.get().email }

// IssuedAt is when HubSpot issued the token, by this machine's clock.
func (t Token) IssuedAt() time.Time { return t.get().issuedAt }

// ExpiresAt is when HubSpot stops accepting the token.
func (t Token) ExpiresAt() time.Time { return t.get().expiresAt }

func (t Token) get() tokenData {
	if t.data == nil {
		return tokenData{}
	}
	return **t.data
}

// String is "[redacted]".
func (Token) String() string { return redacted }

// GoString is "[redacted]".
func (Token) GoString() string { return redacted }

// Format prints "[redacted]" for every verb.
func (Token) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue is "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is "[redacted]" as a JSON string.
func (Token) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText is "[redacted]".
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

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
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}

// Secret is a credential in a [Config]. Like a [Token] it prints as [redacted];
// a conversion to string gives it away.
type Secret string

// String is "[redacted]", or "" for the empty Secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is "[redacted]", or "" for the empty Secret.
func (s Secret) GoString() string { return s.String() }

// Format prints "[redacted]" for every verb, and nothing for the empty Secret.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue is "[redacted]", or "" for the empty Secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is "[redacted]", or "" for the empty Secret; JSON uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
