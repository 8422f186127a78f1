package main

import (
	"net/http"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// newChat connects the shop with HubSpot: with the one emulated at the given
// origin or, if that is empty, with the account that the environment names.
func newChat(emulator string, identify func(*http.Request) (hubspot.Visitor, bool), options ...middleware.Option) (*middleware.Middleware, error) {
	if emulator == "" {
		return middleware.FromEnv(identify, options...) // all that an application needs
	}
	cfg := hubspot.Config{
		AccessToken: hubspottest.AccessToken,
		PortalID:    hubspottest.PortalID,
		APIURL:      emulator,
		LoaderURL:   emulator,
		// Everything may run on one busy machine: let pages wait longer.
		RenderBudget: 2 * time.Second,
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
	if err != nil {
		return nil, err
	}
	return middleware.New(tokens, identify, append(options, middleware.WithConfig(cfg))...)
}
