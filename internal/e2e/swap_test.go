package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// vendored is a file of an npm package that `npm ci` installed here.
func vendored(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile("node_modules/" + path)
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing, and required with CI=true: run npm ci in internal/e2e", path)
		}
		t.Skipf("%s is missing: run npm ci in internal/e2e", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// mark notes something in the document, to see that it is still the same one.
func (tb *tab) mark() { tb.t.Helper(); tb.do("window.sameDocument = true") }

func (tb *tab) wantSameDocument() {
	tb.t.Helper()
	if !eval[bool](tb, "window.sameDocument === true") {
		tb.t.Error("the page was loaded anew: this test did not test a swap")
	}
}

// withScript puts an npm package's script into the head of every page.
func withScript(path string) func(*site, *configure) {
	return func(s *site, _ *configure) {
		s.files["/"+path] = vendored(s.t, path)
		s.head += "<script src=\"/" + path + "\"></script>"
	}
}

const turbo = "@hotwired/turbo/dist/turbo.es2017-umd.js"

// turboSite is a site with Turbo Drive.
func turboSite(t *testing.T) *site {
	script := vendored(t, turbo)
	return newSite(t, func(s *site, _ *configure) {
		s.files["/turbo.js"] = script
		s.head = `<script src="/turbo.js"></script>`
	})
}

// onPage says whether a page has come: itself, and not Turbo's preview of it.
const onPage = `location.pathname == %[1]q && !("turboPreview" in document.documentElement.dataset) && document.querySelector("h1").textContent == %[1]q`

// visit follows a link and waits for its page.
func (tb *tab) visit(link, path string) {
	tb.t.Helper()
	tb.do(fmt.Sprintf("document.getElementById(%q).click()", link))
	tb.until("the visit to "+path, fmt.Sprintf(onPage, path))
}

// TestTurbo visits pages with Turbo Drive, with a sign-out and a sign-in between.
func TestTurbo(t *testing.T) {
	t.Parallel()
	s := turboSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.converged(s, first)
	tb.say("account page")
	for _, visit := range []struct{ link, path, who string }{
		{"to-a", "/a", first},
		{"to-b", "/b", first},
		{"to-logout", "/", ""},
		{"to-second", "/account", second},
		{"to-a", "/a", second},
	} {
		tb.visit(visit.link, visit.path)
		tb.converged(s, visit.who)
		tb.say(strings.TrimSpace(visit.path + " as " + visit.who))
	}
	tb.wantSameDocument()
	s.wantContacts(
		"first@example.com*: account page, /a as first@example.com, /b as first@example.com",
		"?: / as",
		"second@example.com*: /account as second@example.com, /a as second@example.com",
	)
	tb.noExceptions()
}

// TestTurboBackAfterSignOut: Turbo keeps the pages it leaves, and shows them again
// without asking the server; their scripts run again, with the visitor of then.
func TestTurboBackAfterSignOut(t *testing.T) {
	t.Parallel()
	s := turboSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.converged(s, first)
	tb.visit("to-logout", "/")
	tb.converged(s, "")
	before := len(s.hubspot.WidgetLoads())
	tb.do("history.back()")
	tb.until("the page before is back", `document.querySelector("h1").textContent == "/account"`)
	tb.converged(s, "")
	tb.wantSameDocument()
	for _, load := range s.hubspot.WidgetLoads()[before:] {
		if load.Email != "" {
			t.Errorf("the page that Turbo kept asked for the chat of %s", load.Email)
		}
	}
	if got := tb.identity(); got != "" {
		t.Errorf("it names %s", got)
	}
	tb.noExceptions()
}

// TestHtmx swaps the body and a fragment that contains the snippet.
func TestHtmx(t *testing.T) {
	t.Parallel()
	htmx := vendored(t, "htmx.org/dist/htmx.min.js")
	s := newSite(t, func(s *site, _ *configure) {
		s.files["/htmx.js"] = htmx
		s.head = `<script src="/htmx.js"></script>`
		s.body = `<button id="body" hx-get="/b" hx-target="body">body</button>
			<button id="fragment" hx-get="/snippet?as=` + second + `" hx-target="#box">fragment</button><div id="box"></div>`
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.converged(s, first)
	tb.say("before")
	tb.do(`document.getElementById("body").click()`)
	tb.until("the body is swapped", `document.querySelector("h1").textContent == "/b"`)
	tb.converged(s, first)
	tb.say("after the body")
	tb.do(`document.getElementById("fragment").click()`)
	tb.converged(s, second)
	tb.say("after the fragment")
	tb.wantSameDocument()
	s.wantContacts("first@example.com*: before, after the body", "second@example.com*: after the fragment")
	tb.noExceptions()
}

// TestSinglePageApplication signs in and out by fetch, and asks the endpoint.
func TestSinglePageApplication(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tb := newTab(t)
	tb.open(s.url + "/")
	tb.mark()
	tb.converged(s, "")
	for _, who := range []string{first, second} {
		eval[any](tb, fmt.Sprintf(`fetch("/login?as=%s").then(() => hubspotVisitor.refresh())`, who))
		tb.converged(s, who)
		tb.say("I am " + who)
	}
	eval[any](tb, `fetch("/logout").then(() => hubspotVisitor.refresh())`)
	tb.converged(s, "")
	tb.say("I am nobody")
	tb.wantSameDocument()
	s.wantContacts("first@example.com*: I am first@example.com", "second@example.com*: I am second@example.com", "?: I am nobody")
	tb.noExceptions()
}
