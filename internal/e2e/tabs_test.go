package e2e_test

import (
	"fmt"
	"testing"
)

// A sign-out in one tab, and another visitor's sign-in, while the other tab shows
// a chat.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(*site, *configure){"with the endpoint": func(*site, *configure) {}, "without": withoutEndpoint} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, with)
			left := newWindow(t)
			left.open(s.url + "/login?as=" + first)
			left.mark()
			left.converged(s, first)
			right := left.beside()
			right.open(s.url + "/a")
			right.converged(s, first)

			right.open(s.url + "/logout")
			right.converged(s, "")
			left.until("nothing is shown of the first's chat", "!"+visible+" || hsConversationsSettings.identificationEmail == ''")
			left.do(`window.dispatchEvent(new Event("focus"))`)
			left.converged(s, "")

			left.open(s.url + "/b")
			left.mark()
			left.converged(s, "")
			right.open(s.url + "/login?as=" + second)
			right.converged(s, second)
			left.do(`document.dispatchEvent(new Event("visibilitychange"))`)
			if name == "without" {
				left.converged(s, "") // nobody can give its page the second's token
			} else {
				left.converged(s, second)
			}
			left.wantSameDocument()
			s.wantApart()
			left.noExceptions()
			right.noExceptions()
		})
	}
}

const visible = `(b => b && getComputedStyle(b).display != "none")(document.querySelector("` + boxes + `"))`

// The browser keeps whole pages for Back, those of nobody in particular at least:
// they come back as they were, with the visitor of then.
func TestBackForwardCache(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, from, to string // the page that is kept, and the way that leads away from it
		ends           string
	}{
		{"an anonymous page, after the sign-in", "/", "/login?as=" + first, first},
		{"a page that never identifies, from an identified one", "/help", "/login?as=" + first, ""},
		{"an identified page, from one that never identifies", "/login?as=" + first, "/help", first},
		{"an identified page, after the sign-out", "/login?as=" + first, "/logout", ""},
		{"an identified page, after the session ended", "/login?as=" + first, "/forget", ""},
		{"an identified page, after the sign-in of another", "/login?as=" + first, "/login?as=" + second, second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tb := newWindow(t)
			tb.atStart(`addEventListener("pageshow", (e) => { window.left = false; window.persisted = e.persisted; });`)
			tb.open(s.url + c.from)
			tb.until("a chat", visible)
			tb.settled()
			page := eval[string](tb, "location.pathname")
			tb.do(fmt.Sprintf("window.left = true, location.href = %q", c.to))
			tb.until("the next page", "!window.left && "+visible)
			tb.settled()
			since := len(s.hubspot.WidgetLoads())
			tb.do("window.left = true, history.back()")
			tb.until("Back", fmt.Sprintf("!window.left && location.pathname == %q", page))
			tb.converged(s, c.ends)
			t.Logf("restored: %t; HubSpot was asked for %q since", eval[bool](tb, "window.persisted"), s.people(since))
			play{tb, s}.from(since, letter(c.ends))
			s.wantApart()
			tb.noExceptions()
		})
	}
}

func letter(email string) string {
	for l, e := range addresses {
		if e == email {
			return l
		}
	}
	return "?"
}
