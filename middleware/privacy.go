package middleware

import (
	"net/http"
	"strings"
	"time"
)

// protect marks a response as one visitor's own. It adds to what is there:
// caches obey the strictest directive.
func protect(h http.Header) {
	if !has(h, "Cache-Control", "private") || !has(h, "Cache-Control", "no-store") {
		h.Add("Cache-Control", "private, no-store")
	}
	if !has(h, "Vary", "Cookie") && !has(h, "Vary", "*") {
		h.Add("Vary", "Cookie")
	}
}

// sharable reports whether caches that serve others may keep the response
// (RFC 9111, section 3): it says so itself, or it has a life and nothing that
// keeps it private.
func sharable(h http.Header) bool {
	// What content delivery networks read before Cache-Control.
	for _, name := range [...]string{"Cdn-Cache-Control", "Surrogate-Control"} {
		if h.Get(name) != "" && !has(h, name, "no-store") && !has(h, name, "private") {
			return true
		}
	}
	const cc = "Cache-Control"
	if has(h, cc, "public") || has(h, cc, "s-maxage") {
		return true
	}
	if has(h, cc, "private") || has(h, cc, "no-store") || has(h, cc, "no-cache") {
		return false
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	return has(h, cc, "max-age") && !has(h, cc, "max-age=0") || err == nil && expires.After(time.Now())
}

// has reports whether a header's comma-separated lines have an element of that
// name, or exactly that element, in any case.
func has(h http.Header, header, name string) bool {
	for _, line := range h.Values(header) {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimSpace(part)
			element, _, _ := strings.Cut(part, "=")
			if strings.EqualFold(element, name) || strings.EqualFold(part, name) {
				return true
			}
		}
	}
	return false
}
