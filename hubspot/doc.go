// Package hubspot gets identification tokens from HubSpot's Visitor
// Identification API and keeps them, so that the chat widget on a page knows
// which signed-in visitor it is talking to.
//
// A [Client] makes the API call: one e-mail address in, one [Token] out, valid
// for twelve hours. [Tokens] stands in front of it and is what an application
// uses: it answers from memory, makes one call for a visitor however many
// requests ask, and keeps HubSpot's outages and limits away from the pages.
//
//	cfg, err := hubspot.ConfigFromEnv() // HUBSPOT_ACCESS_TOKEN, HUBSPOT_PORTAL_ID, …
//	client, err := hubspot.NewClient(cfg)
//	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
//	token, err := tokens.Token(ctx, hubspot.Visitor{Email: "ada@example.com", EmailVerified: true})
//
// Most applications need none of these lines: package middleware does them in
// its FromEnv, and package snippet puts the result into the page.
//
// The facts about HubSpot that this package rests on are HubSpot's documentation
// of POST /visitor-identification/{version}/tokens/create.
package hubspot
