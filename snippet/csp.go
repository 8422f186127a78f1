package snippet

// CSP returns what HubSpot's chat needs in a Content-Security-Policy: for each
// directive the sources that HubSpot lists and those that its scripts use, to be
// merged into the page's own policy. region is the account's, as in
// hubspot.Config. Add 'self' to connect-src for the token endpoint, and a nonce
// or ScriptHandler's source to script-src (see [WithNonce], [WithScriptPath]);
// while an emulator is in use, add its URL to each directive. The caller may
// change the map.
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
