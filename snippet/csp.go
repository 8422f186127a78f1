package snippet

// CSP is what HubSpot's chat needs of a Content-Security-Policy, by directive, to
// be merged into a page's own policy: the sources that HubSpot lists and that its
// scripts ask for. Scripts need a nonce or the file besides (see [WithNonce],
// [WithScriptPath]); with a token endpoint, connect-src needs 'self' too. The map
// is the caller's to change.
func CSP(region string) map[string][]string {
	policy := map[string][]string{
		"script-src": {
			"*.hs-scripts.com", "*.usemessages.com", "*.hs-banner.com", "*.hs-analytics.net", "*.hscollectedforms.net",
			"*.hubspot.com", "static.hsappstatic.net", "*.hsadspixel.net", "*.hsleadflows.net",
		},
		"connect-src": {"*.hubspot.com", "*.hubapi.com", "*.hs-banner.com", "*.hscollectedforms.net"},
		"frame-src":   {"*.hubspot.com", "*.hs-sites.com"},
		"img-src":     {"*.hubspot.com", "*.hubspot.net", "*.hsforms.com"},
		"style-src":   {"static.hsappstatic.net"},
	}
	if region == "eu1" {
		policy["frame-src"] = append(policy["frame-src"], "*.hs-sites-eu1.com")
	}
	return policy
}
