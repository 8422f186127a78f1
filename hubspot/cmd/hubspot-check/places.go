package main

// Where things are in HubSpot, by HubSpot's own names.
const (
	placeCredential = "in HubSpot, Development > Keys > Service keys, or of a private app Development > Legacy apps > your app > Auth"
	placeScopes     = "in HubSpot, Development > Legacy apps > your app > Scopes, or of a service key Development > Keys > Service keys"
	placeUsage      = "in HubSpot, Development > Monitoring > API call usage"
	placeHubID      = "the Hub ID stands in HubSpot's account menu, at the top right, and in the address after app.hubspot.com/"
	placeRegion     = "the region stands in HubSpot's own address: app-eu1.hubspot.com is eu1, app.hubspot.com without one is na1"
	placeChatflow   = "in HubSpot, Chatflows: a live chat that is switched on, and whose Target tab includes this page"
	placePlan       = "visitor identification needs Professional or Enterprise; in HubSpot, the account menu > Account & Billing tells the plan"
	placeStatus     = "wait, and look at https://status.hubspot.com: pages carry the anonymous chat meanwhile"
)

const scope = "conversations.visitor_identification.tokens.create"
