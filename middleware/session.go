package middleware

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
)

// SignedIn is for the application's sign-in handler, once it knows that the
// visitor is v. It is optional: with it the chat knows the visitor one page
// earlier. It sets the marker cookie, by which the browser's other tabs notice
// the visitor, and fetches the token, waiting no longer than a page would (the
// render budget): the next page then has it, unless pages load the chat on
// demand. For the rest of the request the visitor is v.
//
// Call it before the response is written. The response becomes private, no-store.
// If pages would not identify v (WithSkip, WithConsent, HUBSPOT_CHAT), SignedIn
// does nothing.
func (m *Middleware) SignedIn(w http.ResponseWriter, r *http.Request, v hubspot.Visitor) {
	q, inside := m.requestOf(w, r)
	if before := q.is(); before.never || q.off || !m.identifies() {
		return
	}
	is := m.admit(r.Context(), v)
	q.become(is, false)
	if is.ok && !m.onDemand.Load() {
		ctx, cancel := q.within(r.Context())
		defer cancel()
		_, _ = q.fetch(ctx, is)
	}
	if !inside {
		q.settle(0, nil, true)
	}
}

// widgetCookies are what HubSpot's widget keeps in the browser.
var widgetCookies = []string{"messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message"}

// SignedOut is for the application's sign-out handler. It expires the marker
// cookie and the widget's cookies, so that the next person at this browser does
// not find this one's chat, and forgets the visitor's token. The rest of the
// request is anonymous. Call it before the response is written, and while the
// session still says who the visitor is. The response becomes private, no-store.
//
// The widget sets its cookies for the host without www and its subdomains.
// SignedOut expires them there, for the host alone, and for the parent domain.
// Behind a proxy that does not pass on the Host that the browser sent,
// X-Forwarded-Host has to name it.
func (m *Middleware) SignedOut(w http.ResponseWriter, r *http.Request) {
	q, inside := m.requestOf(w, r)
	before := q.is()
	q.become(who{reason: "the visitor signed out"}, true)
	if !inside {
		q.settle(0, nil, true)
	}
	if before.ok {
		defer m.log.Recover(r.Context(), "middleware: the token source panicked; it may keep the token")
		m.tokens.Invalidate(r.Context(), before.visitor)
	}
}

// expireWidgetCookies is for another visitor's response: what HubSpot's widget
// kept of the former one goes.
func (m *Middleware) expireWidgetCookies(h http.Header, r *http.Request) {
	names := widgetCookies
	if m.trackingCookie {
		names = append([]string{"hubspotutk"}, names...)
	}
	domains := cookieDomains(r.Host)
	// A client that makes it up expires nothing: browsers ignore foreign domains.
	if public := r.Header.Get("X-Forwarded-Host"); public != "" && public != r.Host {
		domains = append(domains, cookieDomains(public)[1:]...)
	}
	for _, domain := range domains {
		for _, name := range names {
			cookie := http.Cookie{Name: name, Domain: domain, Path: "/", MaxAge: -1, SameSite: http.SameSiteLaxMode}
			h.Add("Set-Cookie", cookie.String())
		}
	}
}

// requestOf is what Handler knows of r, and settles when the headers leave; or,
// where r does not come through it, a request that nobody else will settle.
func (m *Middleware) requestOf(w http.ResponseWriter, r *http.Request) (q *request, inside bool) {
	page, _ := identity.From(r.Context())
	if q, ok := page.(*request); ok && q.m == m {
		return q, true
	}
	return m.newRequest(w, r), false
}

// hostname is a host that a Domain attribute can name: browsers refuse it for
// addresses and localhost. The Host header is the client's: anything else is not
// repeated.
var hostname = regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z][a-z0-9-]*$`)

// cookieDomains are the Domain attributes under which the widget's cookies can
// be; "" stands for none. Browsers ignore one that is a public suffix such as
// co.uk.
func cookieDomains(hostport string) []string {
	address := url.URL{Host: hostport}
	host := strings.ToLower(strings.TrimSuffix(address.Hostname(), "."))
	if !hostname.MatchString(host) {
		return []string{""}
	}
	host = strings.TrimPrefix(host, "www.")
	domains := []string{"", host}
	if _, parent, _ := strings.Cut(host, "."); strings.Contains(parent, ".") {
		domains = append(domains, parent)
	}
	return domains
}
