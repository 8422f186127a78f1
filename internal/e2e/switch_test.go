package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// swapper is a page's script that runs the snippet of another visitor in the
// same document, as Turbo, htmx or a single page application do.
const swapper = `<script>
window.snippets = [];
window.prepare = async (v) => {
	snippets.push(await (await fetch("/snippet?as=" + encodeURIComponent(v))).text());
	await pause(2); // the next one is a later page
};
window.become = () => { // the next one prepared
	const box = document.createElement("div");
	box.innerHTML = snippets.shift();
	for (const old of box.querySelectorAll("script")) {
		const script = document.createElement("script");
		for (const a of old.attributes) script.setAttribute(a.name, a.value);
		script.textContent = old.textContent;
		document.body.append(script);
	}
};
window.pause = (ms) => new Promise((r) => setTimeout(r, ms));
</script>`

func withSwapper(s *site, _ *configure) { s.body = swapper }

// prepare fetches the snippets of pages for visitors; "" is the anonymous one.
func (tb *tab) prepare(visitors ...string) {
	tb.t.Helper()
	for _, v := range visitors {
		eval[any](tb, fmt.Sprintf("prepare(%q)", v))
	}
}

func TestSwitchesInOneDocument(t *testing.T) {
	for _, c := range []struct {
		name  string
		order []string
		early bool // while the first load is under way
	}{
		{"A B C", []string{first, second, third}, false},
		{"A B C during the first load", []string{first, second, third}, true},
		{"A B A C", []string{first, second, first, third}, false},
		{"A B A C during the first load", []string{first, second, first, third}, true},
		{"there and back", []string{first, second, first}, false},
		{"sign-out", []string{first, ""}, false},
		{"sign-out and in again", []string{first, "", first}, true},
		{"sign-in", []string{"", first}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, withSwapper)
			s.hubspot.SetWidgetDelay(250 * time.Millisecond)
			tb := newTab(t)
			start := "/"
			if c.order[0] != "" {
				start = "/login?as=" + url.QueryEscape(c.order[0])
			}
			if c.early {
				// The page's own snippet runs late, with the others.
				tb.open(s.url + "/help")
			} else {
				tb.open(s.url + start)
				tb.settled()
			}
			tb.prepare(c.order...)
			js := "(async () => {"
			for range c.order {
				js += "become(); await pause(100);"
			}
			eval[any](tb, js+"})()")
			last := c.order[len(c.order)-1]
			tb.converged(s, last)
			tb.say("from the last one")
			if last == "" {
				s.wantContacts("?: from the last one")
			} else {
				s.wantContacts(last + "*: from the last one")
			}
			tb.noExceptions()
			if n := tb.printed("already exists"); n > 0 {
				t.Errorf("the widget complained %d times about a second container", n)
			}
		})
	}
}

// converged waits until the widget shows the chat of want and stays there: the
// widget's last question and its state are looked at for two seconds, longer
// than its throttle and any reset.
func (tb *tab) converged(s *site, want string) {
	tb.t.Helper()
	last := func() string {
		loads := s.hubspot.WidgetLoads()
		if len(loads) == 0 {
			return "nobody"
		}
		return loads[len(loads)-1].Email
	}
	deadline := time.Now().Add(patience)
	var since time.Time
	for {
		state := eval[string](tb, `(s => s && s.loaded && !s.pending ? "loaded as " + (hsConversationsSettings.identificationEmail || "") : "busy")(window.HubSpotConversations && HubSpotConversations.widget.status())`)
		switch good := state == "loaded as "+want && last() == want; {
		case !good:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > 2*time.Second:
			if n := eval[int](tb, `document.querySelectorAll("#hubspot-messages-iframe-container").length`); n != 1 {
				tb.t.Errorf("the page has %d chats, want 1", n)
			}
			return
		}
		if time.Now().After(deadline) {
			tb.t.Fatalf("the widget is %s, asked last for %q; want %q", state, last(), want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestSameVisitorAgain: the snippet runs again for the visitor it knows.
func TestSameVisitorAgain(t *testing.T) {
	s := newSite(t, withSwapper)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.settled()
	tb.say("one")
	tb.prepare(first, first, first, first, first, first)
	before := len(s.hubspot.WidgetLoads())
	for range 5 {
		tb.do("become()")
	}
	tb.converged(s, first)
	if got := len(s.hubspot.WidgetLoads()) - before; got > 2 {
		t.Errorf("running the snippet five times more asked the widget's backend %d times, want at most 2 (throttled refreshes)", got)
	}
	if got := eval[int](tb, "hsConversationsOnReady.length"); got != 1 {
		t.Errorf("%d ready callbacks, want 1", got)
	}

	// A page swap takes the container away.
	tb.do(`document.getElementById("hubspot-messages-iframe-container").remove()`)
	tb.do("become()")
	tb.converged(s, first)
	tb.say("two")
	s.wantContacts("first@example.com*: one, two")
	if got := len(s.hubspot.Calls()); got != 1 {
		t.Errorf("%d token calls, want 1", got)
	}
	tb.noExceptions()
}

// onShopTest serves a site at https://shop.test and www.shop.test too, where the widget's cookies
// are those of the whole domain.
func onShopTest(t *testing.T) func(*site, *configure) {
	return func(_ *site, c *configure) {
		c.listen = func(h http.Handler) *httptest.Server {
			shopHost.serve(t, h)
			return httptest.NewServer(h)
		}
	}
}

func (tb *tab) utk() string {
	tb.t.Helper()
	return eval[string](tb, `(document.cookie.match(/messagesUtk=([^;]*)/) || ["", ""])[1]`)
}

// TestCookiesOfAnotherVisitor: what an anonymous visitor began goes on after
// signing in; it is gone when the visitor signs out or is another one.
func TestCookiesOfAnotherVisitor(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "www.shop.test"} {
		t.Run(host, func(t *testing.T) {
			hs := hubspottest.NewServer(t)
			hubspotHosts.serve(t, hs.Handler())
			s := newSite(t, onShopTest(t), func(_ *site, c *configure) {
				c.emulator = hs
				if host != "127.0.0.1" {
					c.hubspot.LoaderURL = "//js.hs-scripts.com"
				}
			})
			base := s.url
			if host != "127.0.0.1" {
				base = "https://" + host
			}
			tb := newTab(t)
			tb.open(base + "/")
			tb.settled()
			tb.say("before signing in")
			anonymous := tb.utk()
			if anonymous == "" {
				t.Fatal("the anonymous visitor has no messagesUtk")
			}
			tb.open(base + "/login?as=" + first)
			tb.settled()
			if got := tb.utk(); got != anonymous {
				t.Errorf("signing in changed messagesUtk from %q to %q: the chat begun before is lost", anonymous, got)
			}
			s.endSessions() // no log-out page is seen
			tb.open(base + "/")
			tb.settled()
			if got := tb.utk(); got == anonymous || got == "" {
				t.Errorf("the page after the session ended has the messagesUtk from before (%q)", got)
			}
			if got := tb.thread(); len(got) != 0 {
				t.Errorf("it shows the thread %q", got)
			}

			// The log-out of the server alone, with no page of its own.
			eval[any](tb, `fetch("/logout", {redirect: "manual"})`)
			if got := tb.utk(); got != "" {
				t.Errorf("the log-out left messagesUtk=%s", got)
			}
			tb.noExceptions()
		})
	}
}

// TestSharedComputer: the first visitor's session ends on the server only, then
// the second signs in.
func TestSharedComputer(t *testing.T) {
	s := newSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.settled()
	tb.say("the first one's secret")
	s.endSessions()
	tb.open(s.url + "/login?as=" + second)
	tb.settled()
	if got := tb.thread(); len(got) != 0 {
		t.Errorf("the second visitor sees %q", got)
	}
	tb.say("the second one's question")
	s.wantContacts("first@example.com*: the first one's secret", "second@example.com*: the second one's question")
}
