package hubspottest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// tokenLife is how long an identification token is good for.
const tokenLife = 12 * time.Hour

// The one header of our tokens, {"alg":"HS256","typ":"JWT"}.
const jwtHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

type claims struct {
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Email    string `json:"email"`
	ID       string `json:"jti"`
}

// mint returns a new identification token for email.
func (s *Server) mint(email string, now time.Time) string {
	payload, err := json.Marshal(claims{now.Unix(), now.Add(tokenLife).Unix(), email, uuid()})
	if err != nil {
		panic(err) // no claim can fail to marshal
	}
	signed := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(s.mac(signed))
}

// Verify reports whether HubSpot would now accept this pair as an identified
// visitor: it returns nil, or an error that says why not. email must be, byte for
// byte, the address that the token was made for.
func (s *Server) Verify(email, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verify(email, token)
}

// verify is Verify for callers that hold s.mu.
func (s *Server) verify(email, token string) error {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || header != jwtHeader {
		return errors.New("hubspottest: not an identification token")
	}
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(mac, s.mac(header+"."+payload)) {
		return errors.New("hubspottest: the identification token is not of this account")
	}
	var c claims
	if decoded, err := base64.RawURLEncoding.DecodeString(payload); err != nil || json.Unmarshal(decoded, &c) != nil {
		return errors.New("hubspottest: not an identification token")
	}
	if c.Email != email {
		return fmt.Errorf("hubspottest: the identification token was made for %q, not for %q", c.Email, email)
	}
	if expires := time.Unix(c.Expires, 0); !s.now().Before(expires) {
		return fmt.Errorf("hubspottest: the identification token expired at %s", expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// threadKey names the one thread of a contact. Like the messagesUtk of an
// anonymous visitor it is all one needs to read the thread, so it cannot be
// guessed from the e-mail.
func (s *Server) threadKey(email string) string {
	return hex.EncodeToString(s.mac("thread\x00" + email))[:32]
}

func (s *Server) mac(message string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
