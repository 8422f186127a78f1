package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// Each of these went wrong once.

// Turbo's copy of the page has a copy of the chat's container in it, with an
// iframe that belongs to nobody.
func TestLifelessCopyOfTheChat(t *testing.T) {
	t.Parallel()
	s := turboSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.converged(s, first)
	tb.say("one")
	tb.visit("to-a", "/a")
	tb.converged(s, first)
	tb.do("history.back()")
	tb.until("the page before is back", "document.querySelector('h1').textContent == '/account'")
	tb.converged(s, first)
	const open = "document.documentElement.classList.contains('hs-messages-widget-open')"
	tb.until("the chat is open, as before", open)
	tb.do("HubSpotConversations.widget.close()")
	tb.until("the chat obeys", "!"+open)
	tb.say("two")
	tb.wantSameDocument()
	s.wantContacts("first@example.com*: one, two")
	tb.noExceptions()
}

// The widget runs a throttled load up to a second later, for the visitor of then.
func TestThrottledLoadOfTheVisitorBefore(t *testing.T) {
	t.Parallel()
	for _, gap := range []int{50, 300} {
		t.Run(fmt.Sprint(gap, " ms"), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withSwapper)
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			tb.converged(s, first)
			tb.prepare(first, first, second)
			eval[any](tb, fmt.Sprintf(`(async () => {
				const swap = () => { const c = document.getElementById("hubspot-messages-iframe-container"); if (c) c.remove(); become(); };
				swap(); await pause(400); swap(); await pause(%d); swap();
			})()`, gap))
			tb.converged(s, second)
			if n := tb.printed("already exists"); n > 0 {
				t.Errorf("the widget complained %d times about a second container", n)
			}
		})
	}
}

// HubSpot's own sample assigns the array of callbacks.
func TestReplacedCallbacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, _ *configure) {
		s.head = `<script>document.addEventListener("DOMContentLoaded", () => { window.hsConversationsOnReady = [() => {}]; });</script>`
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.noExceptions()
}

// HubSpot's tracking code in the head has loaded the widget before the snippet
// comes.
func TestWidgetLoadedBeforeTheSnippet(t *testing.T) {
	t.Parallel()
	hs := hubspottest.NewServer(t)
	s := newSite(t, withSwapper, func(s *site, c *configure) {
		c.emulator = hs
		s.head = fmt.Sprintf(`<script id="hs-script-loader" async defer src="%s/%s.js"></script>`, hs.URL, hubspottest.PortalID)
		s.without = "/account"
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, "")
	tb.prepare(first)
	tb.do("become()")
	tb.converged(s, first)
	tb.say("known?")
	s.wantContacts("first@example.com*: known?")
	tb.noExceptions()
}

// A document may live longer than the token that its widget loaded with.
func TestTokenExpiresInTheDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper)
	tb := newTab(t)
	tb.atStart(`window.ahead = 0; const now = Date.now; Date.now = () => now() + window.ahead;`)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	s.hubspot.Advance(13 * time.Hour)
	s.tokens.Invalidate(t.Context(), hubspot.Visitor{Email: first})
	tb.prepare(first)
	tb.do(`window.ahead = 13 * 3600e3, document.getElementById("hubspot-messages-iframe-container").remove(), become()`)
	tb.converged(s, first)
	tb.say("the next day")
	tb.noExceptions()
}

// A page waits for its visitor's first move for longer than its token lives.
func TestTokenExpiresBeforeTheChatIsWanted(t *testing.T) {
	t.Parallel()
	s := newSite(t, options(snippet.WithLoad(snippet.LoadInteraction)))
	tb := newWindow(t)
	tb.atStart(`window.ahead = 0; const now = Date.now; Date.now = () => now() + window.ahead;`)
	tb.open(s.url + "/login?as=" + first)
	s.hubspot.Advance(13 * time.Hour)
	s.tokens.Invalidate(t.Context(), hubspot.Visitor{Email: first})
	tb.do(`window.ahead = 13 * 3600e3, dispatchEvent(new Event("scroll"))`)
	tb.converged(s, first)
	tb.say("the next day")
	tb.noExceptions()
}

// Another visitor signs in while HubSpot is down.
func TestRefreshDuringAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.converged(s, first)
	down := hubspottest.FaultUnavailable()
	s.hubspot.SetOutage(&down)
	eval[any](tb, fmt.Sprintf(`fetch("/login?as=%s").then(() => hubspotVisitor.refresh())`, second))
	tb.converged(s, "")
	tb.wantSameDocument()
}

// The application's authentication refuses strangers at the token endpoint.
func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusFound} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *configure) {
				s.wrap = func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if _, ok := middleware.VisitorFrom(r.Context()); !ok && r.URL.Path == endpoint {
							w.Header().Set("Location", "/")
							w.WriteHeader(status)
							return
						}
						next.ServeHTTP(w, r)
					})
				}
			})
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			tb.mark()
			tb.converged(s, first)
			eval[any](tb, `fetch("/forget").then(() => hubspotVisitor.refresh())`)
			tb.converged(s, "")
			tb.wantSameDocument()
			tb.noExceptions()
		})
	}
}

// Without an endpoint there is nobody to ask.
func TestRefreshWithoutEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, c *configure) { c.middleware = []middleware.Option{middleware.WithTokenPath("")} })
	tb := newTab(t)
	tb.atStart(`window.asked = []; const f = window.fetch; window.fetch = (...a) => { asked.push(String(a[0])); return f(...a); }`)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	before := eval[int](tb, "asked.length")
	eval[any](tb, "hubspotVisitor.refresh()")
	if got := eval[int](tb, "asked.length"); got != before {
		t.Errorf("it asked %v", eval[[]string](tb, "asked"))
	}
}
