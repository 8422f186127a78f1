package middleware

import (
	"net/http"
	"strings"
)

// protect marks a response as one visitor's own. It adds to what is there:
// caches obey the strictest directive.
func protect(h http.Header) {
	if d := directives(h, "Cache-Control"); !d["private"] || !d["no-store"] {
		h.Add("Cache-Control", "private, no-store")
	}
	if v := directives(h, "Vary"); !v["cookie"] && !v["*"] {
		h.Add("Vary", "Cookie")
	}
}

// sharable reports whether caches that serve others may keep the response
// (RFC 9111, section 3): it says so itself, or it has a life and nothing that
// keeps it private.
func sharable(h http.Header) bool {
	d := directives(h, "Cache-Control")
	for _, name := range []string{"CDN-Cache-Control", "Surrogate-Control"} {
		if c := directives(h, name); len(c) > 0 && !c["no-store"] && !c["private"] {
			return true
		}
	}
	if d["public"] || d["s-maxage"] {
		return true
	}
	personal := d["private"] || d["no-store"]
	return !personal && (d["max-age"] || h.Get("Expires") != "")
}

// directives are the names in a comma-separated header, in lower case and
// without their values.
func directives(h http.Header, header string) map[string]bool {
	names := make(map[string]bool)
	for _, line := range h.Values(header) {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(part, "=")
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
				names[name] = true
			}
		}
	}
	return names
}
