// Browser tests: the whole chain in Chromium, against the emulated HubSpot.
module github.com/seed84b9cbbc/hubspot-visitor/internal/e2e

go 1.26.0

replace github.com/seed84b9cbbc/hubspot-visitor => ../..

require (
	github.com/chromedp/cdproto v0.159.2
	github.com/chromedp/chromedp v0.23.0
	github.com/seed84b9cbbc/hubspot-visitor v0.0.0-00010101000000-000000000000
)

require (
	github.com/caarlos0/env/v11 v11.4.2 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/patrickmn/go-cache v2.1.0+incompatible // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
