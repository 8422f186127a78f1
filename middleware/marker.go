package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
)

// marker is the cookie by which a browser knows who is signed in now: pages
// outlive the truth, in caches, in other tabs and behind the back button. The
// page's script believes a page only while its claim equals the marker.
//
// It holds a fingerprint, which tells visitors apart and says nothing of them.
// It is for scripts to read, for this host alone, and gone with the browser's
// session. Several portals can share a host: each has its own.
type marker struct{ name string }

// of is the marker that a request brought; "" for none.
func (k marker) of(r *http.Request) string {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); name == k.name {
				return value
			}
		}
	}
	return ""
}

// put sets the marker on a response that is private, or expires it where value is
// "".
func (k marker) put(h http.Header, r *http.Request, value string) {
	cookie := http.Cookie{Name: k.name, Value: value, Path: "/", Secure: overTLS(r), SameSite: http.SameSiteLaxMode}
	if value == "" {
		cookie.MaxAge = -1
	}
	others := slices.DeleteFunc(slices.Clone(h["Set-Cookie"]), func(line string) bool { return strings.HasPrefix(line, k.name+"=") })
	h["Set-Cookie"] = append(others, cookie.String())
}

// overTLS reports whether the browser speaks https, to this server or to a proxy
// before it. A client that says so itself gets a cookie that it cannot use.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// fingerprints gives an address's keyed hash. The case of an address does not make
// another person of its owner. 50,000 are remembered, at about 200 bytes each:
// a keyed hash on each page costs more than all else.
func fingerprints(sealer *seal.Sealer, portalID string) func(email string) string {
	known := tokencache.New(50_000, func(*string) bool { return false })
	return func(email string) string {
		if f := known.Get(email); f != nil {
			return *f
		}
		f := sealer.Name("fingerprint " + portalID + " " + strings.ToLower(email))[:16]
		known.Add(strings.Clone(email), f, 0) // none is ever deleted: generation 0
		return f
	}
}
