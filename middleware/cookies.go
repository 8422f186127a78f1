package middleware

import (
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
)

// widgetCookies are what HubSpot's widget keeps in the browser.
var widgetCookies = []string{"messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message"}

// hostname is a host that a Domain attribute can name. The Host header is the
// client's: anything else is not repeated.
var hostname = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

// ClearCookies is for the log-out: it expires the widget's cookies, so that the
// next person at this browser does not find this one's chat, and forgets the
// visitor's token. Call it before the response is written, and best while the
// session still says who the visitor is.
//
// The widget sets its cookies for the host without www and everything below;
// they are expired there, for the host alone, and for the parent domain.
func (m *Middleware) ClearCookies(w http.ResponseWriter, r *http.Request) {
	names := widgetCookies
	if m.trackingCookie {
		names = append([]string{"hubspotutk"}, names...)
	}
	for _, domain := range cookieDomains(r.Host) {
		for _, name := range names {
			http.SetCookie(w, &http.Cookie{Name: name, Domain: domain, Path: "/", MaxAge: -1, SameSite: http.SameSiteLaxMode})
		}
	}
	q, ok := identity.From(r.Context()) // knows from before the session ended, if it was looked at
	if !ok {
		q = m.newRequest(r.Context(), w.Header(), r).shared()
	}
	if v, ok := q.Visitor(); ok {
		m.tokens.Invalidate(r.Context(), v)
	}
}

// cookieDomains are the Domain attributes under which the widget's cookies can
// be; "" stands for none. Browsers refuse the attribute for addresses and
// localhost, and ignore one that is a public suffix such as co.uk.
func cookieDomains(hostport string) []string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	domains := []string{""}
	if net.ParseIP(strings.Trim(host, "[]")) != nil || !hostname.MatchString(host) {
		return domains
	}
	host = strings.TrimPrefix(host, "www.")
	domains = append(domains, host)
	if _, parent, _ := strings.Cut(host, "."); strings.Contains(parent, ".") {
		domains = append(domains, parent)
	}
	return domains
}
