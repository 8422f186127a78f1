package middleware

import (
	"net/http"
	"strings"
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
	personal := has(h, cc, "private") || has(h, cc, "no-store")
	return !personal && (has(h, cc, "max-age") || h.Get("Expires") != "")
}

// has reports whether a header's comma-separated lines have an element of that
// name, whatever its value and case.
func has(h http.Header, header, name string) bool {
	for _, line := range h.Values(header) {
		for part := range strings.SplitSeq(line, ",") {
			element, _, _ := strings.Cut(part, "=")
			if strings.EqualFold(strings.TrimSpace(element), name) {
				return true
			}
		}
	}
	return false
}
