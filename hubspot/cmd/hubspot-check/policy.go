package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// policy is one Content-Security-Policy: directives by name, in lower case, with
// their sources.
type policy map[string][]string

// policies are those of a response's headers. Each of them has to allow what the
// chat needs. Report-only ones forbid nothing.
func policies(h http.Header) (all []policy) {
	for _, line := range h["Content-Security-Policy"] {
		for one := range strings.SplitSeq(line, ",") {
			if p := parsePolicy(one); len(p) > 0 {
				all = append(all, p)
			}
		}
	}
	return all
}

func parsePolicy(text string) policy {
	p := policy{}
	for directive := range strings.SplitSeq(text, ";") {
		words := strings.Fields(directive)
		if len(words) == 0 {
			continue
		}
		name := strings.ToLower(words[0])
		if _, again := p[name]; !again { // the first counts
			p[name] = words[1:]
		}
	}
	return p
}

// fallbacks are which directives decide, the first that is there.
var fallbacks = map[string][]string{
	"script-src":  {"script-src-elem", "script-src", "default-src"},
	"style-src":   {"style-src-elem", "style-src", "default-src"},
	"connect-src": {"connect-src", "default-src"},
	"img-src":     {"img-src", "default-src"},
	"frame-src":   {"frame-src", "child-src", "default-src"},
}

// deciding is the directive that decides, and its sources; ok is false where
// everything is allowed.
func (p policy) deciding(directive string) (sources []string, ok bool) {
	for _, name := range fallbacks[directive] {
		if sources, ok := p[name]; ok {
			return sources, true
		}
	}
	return nil, false
}

// nonces are those of a list of sources.
func nonces(sources []string) (found []string) {
	for _, source := range sources {
		if value, ok := strings.CutPrefix(source, "'nonce-"); ok {
			found = append(found, strings.TrimSuffix(value, "'"))
		}
	}
	return found
}

func has(sources []string, keyword string) bool {
	return slices.ContainsFunc(sources, func(source string) bool { return strings.EqualFold(source, keyword) })
}

func hasHash(sources []string) bool {
	return slices.ContainsFunc(sources, func(source string) bool { return strings.HasPrefix(strings.ToLower(source), "'sha") })
}

// runsInline reports whether an inline script with that nonce runs.
func runsInline(sources []string, nonce, text string) bool {
	all := nonces(sources)
	if nonce != "" && slices.Contains(all, nonce) {
		return true
	}
	short, middle, long := sha256.Sum256([]byte(text)), sha512.Sum384([]byte(text)), sha512.Sum512([]byte(text))
	for algorithm, sum := range map[string][]byte{"sha256-": short[:], "sha384-": middle[:], "sha512-": long[:]} {
		if slices.Contains(sources, "'"+algorithm+base64.StdEncoding.EncodeToString(sum)+"'") {
			return true
		}
	}
	// Beside a nonce, a hash or strict-dynamic, browsers ignore unsafe-inline.
	return len(all) == 0 && !hasHash(sources) && !has(sources, "'strict-dynamic'") && has(sources, "'unsafe-inline'")
}

// lacking are the wanted sources that a list does not allow, on a page of that
// address.
func lacking(sources, wanted []string, page *url.URL) (missing []string) {
	for _, one := range wanted {
		if !slices.ContainsFunc(sources, func(source string) bool { return allows(source, one, page) }) {
			missing = append(missing, one)
		}
	}
	return missing
}

// allows reports whether a source in a policy allows all that wanted does: a
// host, one with *. before it, an origin, or 'self'.
func allows(source, wanted string, page *url.URL) bool {
	source, wanted = strings.ToLower(source), strings.ToLower(wanted)
	scheme, host := split(wanted)
	if wanted == "'self'" {
		if source == wanted {
			return true
		}
		scheme, host = page.Scheme, page.Host
	}
	if scheme == "" {
		scheme = "https" // HubSpot's
	}
	switch source {
	case "*":
		return true
	case "'self'":
		return scheme == page.Scheme && host == page.Host
	case scheme + ":", "http:":
		return true // http: stands for https, too
	}
	if strings.HasPrefix(source, "'") {
		return false
	}
	sourceScheme, rest := split(source)
	if sourceScheme != "" && sourceScheme != scheme && sourceScheme != "http" {
		return false
	}
	if sourceScheme == "" && scheme == "http" && page.Scheme == "https" {
		return false
	}
	sourceHost, path, _ := strings.Cut(rest, "/")
	if path != "" {
		return false // a part of the host only
	}
	sourceHost = strings.TrimSuffix(sourceHost, ":*")
	if scheme == "https" {
		sourceHost = strings.TrimSuffix(sourceHost, ":443")
	}
	if domain, ok := strings.CutPrefix(sourceHost, "*"); ok && strings.HasPrefix(domain, ".") {
		return strings.HasSuffix(host, domain)
	}
	return sourceHost == host
}

// split is a source's scheme, if it has one, and the rest.
func split(source string) (scheme, rest string) {
	if before, after, ok := strings.Cut(source, "://"); ok {
		return before, after
	}
	return "", source
}
