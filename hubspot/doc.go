// Package hubspot gets identification tokens from HubSpot's Visitor
// Identification API and caches them, so that the chat widget on a page knows
// which signed-in visitor it is talking to.
//
// A [Client] makes the API call: it exchanges an e-mail address for a [Token]
// that is valid for twelve hours. Applications use [Tokens], which stands in
// front of a Client: it answers from memory, makes one call per visitor however
// many requests ask, and shields pages from HubSpot's outages and limits.
//
//	cfg, err := hubspot.ConfigFromEnv() // HUBSPOT_ACCESS_TOKEN, HUBSPOT_PORTAL_ID, …
//	client, err := hubspot.NewClient(cfg)
//	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID})
//	token, err := tokens.Token(ctx, hubspot.Visitor{Email: "ada@example.com", EmailVerified: true})
//
// Most applications need none of these lines: FromEnv of package middleware does
// all this, and package snippet puts the result into the page.
//
// The facts about HubSpot are from its documentation of POST
// /visitor-identification/{version}/tokens/create.
package hubspot
