package main

import (
	"context"
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

	// tokenValue is as long as HubSpot's tokens are.
	tokenValue = strings.Repeat("t", 400)

	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// newTokens is a token source for at most so many visitors (0 for the default)
// that never waits for its turn.
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
