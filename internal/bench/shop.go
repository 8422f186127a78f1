package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// creatorFunc is HubSpot, without the way there.
type creatorFunc func(context.Context, hubspot.Visitor) (hubspot.Token, error)

func (f creatorFunc) CreateToken(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return f(ctx, v)
}

// created makes a token at once.
func created(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return hubspot.NewToken(tokenValue, v.Email, time.Now()), nil
}

const portalID = "12345678"

var (
	ada = hubspot.Visitor{Email: "ada.lovelace@example.com", FirstName: "Ada", LastName: "Lovelace", EmailVerified: true}

	// tokenValue has the form and the length of HubSpot's tokens.
	tokenValue = jwt(time.Now().Add(12 * time.Hour))

	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// jwt is a token of 400 bytes that expires at exp.
func jwt(exp time.Time) string {
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, exp.Unix()))
	value := "eyJhbGciOiJIUzI1NiJ9." + payload + "."
	return value + strings.Repeat("s", 400-len(value))
}

// newTokens is a token source for most visitors that never waits for its turn.
func newTokens(creator hubspot.Creator, most int) *hubspot.Tokens {
	return must(hubspot.NewTokens(creator, hubspot.TokensConfig{
		Account:        portalID,
		MaxVisitors:    most,
		Margin:         time.Nanosecond,
		CallsPerSecond: 1e9,
		Burst:          1e9,
		Logger:         quiet,
	}))
}
