package middleware

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
)

const privateNoStore = "private, no-store"

const cacheControl = "Cache-Control"

// protect makes a response one visitor's own: no cache keeps it, whatever was
// set before. Vary is for caches that are told to keep everything.
func protect(h http.Header) {
	kept, varies := false, false
	for name, lines := range h {
		switch {
		case name == cacheControl && isPrivate(lines):
			kept = true
		case name == "Vary":
			varies = variesByCookie(lines)
		case cacheHeader(name):
			delete(h, name)
		}
	}
	if !kept {
		h[cacheControl] = []string{privateNoStore}
	}
	if !varies {
		varyByCookie(h)
	}
}

func isPrivate(lines []string) bool { return len(lines) == 1 && lines[0] == privateNoStore }

// protected reports whether h is still as protect left it, or stricter: session
// managers add no-cache="Set-Cookie" when the headers leave. Where there is a
// Surrogate-Control, Varnish looks at no other header.
func protected(h http.Header) (kept bool) {
	for name, lines := range h {
		switch {
		case name == cacheControl && isPrivate(lines):
			kept = true
		case !cacheHeader(name):
		case slices.ContainsFunc(lines, grants), strings.EqualFold(name, "Surrogate-Control") && !noStore(lines):
			return false
		case name == cacheControl:
			kept = noStore(lines)
		}
	}
	return kept
}

func noStore(lines []string) bool {
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-store") {
				return true
			}
		}
	}
	return false
}

func varyByCookie(h http.Header) {
	if vary := h["Vary"]; !variesByCookie(vary) {
		h["Vary"] = append(vary[:len(vary):len(vary)], "Cookie")
	}
}

func variesByCookie(vary []string) bool {
	for _, line := range vary {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Cookie") {
				return true
			}
		}
	}
	return false
}

var cacheHeaders = [...]string{"Expires", "Edge-Control", "X-Accel-Expires", "Surrogate-Control"}

// cacheHeader names the headers by which something between server and browser
// decides to keep a response: Cache-Control, Expires, and what content delivery
// networks and proxies read before them, such as CDN-Cache-Control,
// Cloudflare-CDN-Cache-Control or X-LiteSpeed-Cache-Control.
func cacheHeader(name string) bool {
	if at := len(name) - len(cacheControl); at >= 0 && strings.EqualFold(name[at:], cacheControl) {
		return true
	}
	for _, other := range cacheHeaders {
		if len(name) == len(other) && strings.EqualFold(name, other) {
			return true
		}
	}
	return false
}

// public reports whether the application declared that caches may give the
// response to others: by public, or by a life in a response that is not private.
// Expires alone is no such word.
func public(h http.Header) bool {
	for name, lines := range h {
		if cacheHeader(name) && len(lines) > 0 && grants(strings.Join(lines, ",")) {
			return true
		}
	}
	return false
}

// grants reads a header's directives. The qualified forms, such as
// private="Set-Cookie", protect the named field only (RFC 9111): they count for
// nothing here.
func grants(value string) (granted bool) {
	for directive := range strings.SplitSeq(value, ",") {
		name, value, valued := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "private", "no-store", "no-cache":
			if !valued {
				return false
			}
		case "public":
			granted = true
		case "max-age", "s-maxage":
			granted = granted || strings.Trim(value, `"0`) != ""
		default: // X-Accel-Expires is a number of seconds, or @ and a time
			granted = granted || strings.Trim(name, "@0123456789") == "" && strings.Trim(name, "0") != ""
		}
	}
	return granted
}

// get is h.Get for a name in its canonical form, which takes as long to find out as
// the rest.
func get(h http.Header, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// isPage reports whether a response is HTML for a visitor, or may turn out to be.
func isPage(status int, h http.Header, start []byte) bool {
	if status < 200 || status >= 300 && status < 400 || status == http.StatusNoContent {
		return false
	}
	kind := get(h, "Content-Type")
	if kind == "" {
		if len(bytes.TrimSpace(start)) == 0 || h.Get("Content-Encoding") != "" {
			return true // nobody knows yet
		}
		kind = http.DetectContentType(start) // as net/http will
	}
	return isHTML(kind)
}

func isHTML(kind string) bool {
	is := func(html string) bool { return len(kind) >= len(html) && strings.EqualFold(kind[:len(html)], html) }
	return is("text/html") || is("application/xhtml+xml")
}
