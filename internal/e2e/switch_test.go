package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// swapper is a page's script that runs the snippet of another visitor in the
// same document, as Turbo, htmx or a single page application do. A part arrives
// with the cookies that its response sets.
const swapper = `<script>
window.snippets = [];
window.prepare = async (v) => snippets.push(await (await fetch("/part?as=" + encodeURIComponent(v), { credentials: "omit" })).json());
window.become = () => { // the next one prepared
	const { html, cookies } = snippets.shift();
	const marker = (document.cookie.match(/hubspot_visitor_\d+/) || [""])[0];
	if (marker && !cookies.some((c) => c.startsWith(marker))) document.cookie = marker + "=; Path=/; Max-Age=0";
	for (const c of cookies) document.cookie = c;
	document.body.append(document.createRange().createContextualFragment(html));
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
	t.Parallel()
	for _, c := range []struct {
		name  string
		order []string
		early bool // while the first load is under way
		proof bool // another is much like it: for make proof
	}{
		{"A B C", []string{first, second, third}, false, true},
		{"A B C during the first load", []string{first, second, third}, true, true},
		{"A B A C", []string{first, second, first, third}, false, false},
		{"A B A C during the first load", []string{first, second, first, third}, true, false},
		{"there and back", []string{first, second, first}, false, false},
		{"sign-out", []string{first, ""}, false, false},
		{"sign-out and in again", []string{first, "", first}, true, false},
		{"sign-in", []string{"", first}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.proof {
				onlyAsProof(t, "another is much like it")
			}
			t.Parallel()
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
				tb.converged(s, c.order[0])
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

// shown is what the tab shows of a chat, without a question to HubSpot's API.
type shown struct {
	Page     string `json:"page"`
	Boxes    int    `json:"boxes"`
	Visible  bool   `json:"visible"`
	Utk      string `json:"utk"`
	Settings string `json:"settings"`
}

const boxes = `#hubspot-messages-iframe-container, #hubspot-conversations-inline-parent`

func (tb *tab) shown() shown {
	tb.t.Helper()
	return look[shown](tb, `(() => {
		const found = [...document.querySelectorAll("`+boxes+`")], frame = found.length == 1 && found[0].querySelector("iframe");
		return {
			page: location.href.split("#")[0],
			boxes: found.length,
			visible: Boolean(frame) && getComputedStyle(found[0]).display != "none",
			utk: frame ? frame.src.match(/utk\/(\w+)/)[1] : "",
			settings: (window.hsConversationsSettings || {}).identificationEmail || "",
		};
	})()`)
}

// quiet is longer than the widget's throttles, and the pause between resets.
const quiet = 1300 * time.Millisecond

// converged waits until the tab shows the chat of want and stays there: what the
// widget asked for, what its iframe was told, and the settings all name want.
func (tb *tab) converged(s *site, want string) {
	tb.t.Helper()
	deadline := time.Now().Add(patience)
	var since time.Time
	before := -1
	for {
		state := tb.shown()
		good := state.Boxes == 1 && state.Visible && state.Settings == want
		load, told := s.behind(state)
		good = good && load.Status == http.StatusOK && load.Email == want && load.Identified == (want != "")
		good = good && told == want
		switch {
		case !good || len(s.hubspot.WidgetLoads()) != before:
			since, before = time.Now(), len(s.hubspot.WidgetLoads())
		case time.Since(since) > quiet:
			if got := look[string](tb, "JSON.stringify(HubSpotConversations.widget.status())"); got != `{"loaded":true,"pending":false}` {
				tb.t.Errorf("the widget is %s", got)
			}
			return
		}
		if time.Now().After(deadline) {
			tb.t.Fatalf("want the chat of %q; the page has %+v, asked for %q (%d), whose iframe was told %q; in all %q", want, state, load.Email, load.Status, told, s.people(0))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// behind is HubSpot's side of what a tab shows: what the widget asked last, and
// about whom the chat was told since. Tabs of one browser share messagesUtk, and so
// do the pages before and after a sign-in: then the page tells them apart.
func (s *site) behind(state shown) (load hubspottest.WidgetLoad, told string) {
	until := time.Now().Add(365 * 24 * time.Hour)
	for _, l := range s.hubspot.WidgetLoads() {
		switch {
		case l.MessagesUtk != state.Utk:
		case l.PageURI == state.Page || load.PageURI != state.Page:
			load, until = l, time.Now().Add(365*24*time.Hour)
		case until.After(l.Time):
			until = l.Time
		}
	}
	told = "nothing"
	for _, m := range s.hubspot.WidgetMessages() {
		if m.MessagesUtk == state.Utk && m.Type != "visitor-identification-attributes" && !m.Time.Before(load.Time) && m.Time.Before(until) {
			told = m.Contact
		}
	}
	return load, told
}

// people are the visitors whom HubSpot was asked for since its first questions, a
// letter each: A, B and C, and - for the anonymous.
func (s *site) people(since int) string {
	var b strings.Builder
	for _, load := range s.hubspot.WidgetLoads()[since:] {
		switch load.Email {
		case "":
			b.WriteByte('-')
		case first:
			b.WriteByte('A')
		case second:
			b.WriteByte('B')
		case third:
			b.WriteByte('C')
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// TestSameVisitorAgain: the snippet runs again for the visitor it knows.
func TestSameVisitorAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.say("one")
	tb.prepare(first, first, first, first, first, first)
	before := len(s.hubspot.WidgetLoads())
	for range 5 {
		tb.do("become()")
	}
	tb.converged(s, first)
	if got := s.people(before); got != "" {
		t.Errorf("running the snippet five times more, on the same page, asked HubSpot for %q", got)
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
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "www.shop.test"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			var with []func(*site, *configure)
			if host != "127.0.0.1" {
				hs := hubspottest.NewServer(t)
				hubspotHosts.serve(t, hs.Handler())
				with = append(with, onShopTest(t), func(_ *site, c *configure) {
					c.emulator = hs
					c.hubspot.LoaderURL = "//js.hs-scripts.com"
				})
			}
			s := newSite(t, with...)
			base := s.url
			if host != "127.0.0.1" {
				base = "https://" + host
			}
			tb := newTab(t)
			tb.open(base + "/")
			tb.converged(s, "")
			tb.say("before signing in")
			anonymous := tb.utk()
			if anonymous == "" {
				t.Fatal("the anonymous visitor has no messagesUtk")
			}
			tb.open(base + "/login?as=" + first)
			tb.converged(s, first)
			if got := tb.utk(); got != anonymous {
				t.Errorf("signing in changed messagesUtk from %q to %q: the chat begun before is lost", anonymous, got)
			}
			s.endSessions() // no log-out page is seen
			tb.open(base + "/")
			tb.converged(s, "")
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
	t.Parallel()
	s := newSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.say("the first one's secret")
	s.endSessions()
	tb.open(s.url + "/login?as=" + second)
	tb.converged(s, second)
	if got := tb.thread(); len(got) != 0 {
		t.Errorf("the second visitor sees %q", got)
	}
	tb.say("the second one's question")
	s.wantContacts("first@example.com*: the first one's secret", "second@example.com*: the second one's question")
}
