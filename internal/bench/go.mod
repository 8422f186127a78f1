// The library beside its peers: a module of its own, so that nobody else
// downloads them.
module github.com/seed84b9cbbc/hubspot-visitor/internal/bench

go 1.26.0

replace github.com/seed84b9cbbc/hubspot-visitor => ../..

require (
	github.com/gorilla/csrf v1.7.3
	github.com/justinas/nosurf v1.2.0
	github.com/maypok86/otter/v2 v2.4.0
	github.com/patrickmn/go-cache v2.1.0+incompatible
	github.com/seed84b9cbbc/hubspot-visitor v0.0.0-00010101000000-000000000000
	github.com/viccon/sturdyc v1.1.5
)

require (
	github.com/caarlos0/env/v11 v11.4.2 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/gorilla/securecookie v1.1.2 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
