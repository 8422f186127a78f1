package e2e_test

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

const (
	launcher     = `document.getElementById("hubspot-visitor-launcher")`
	launchButton = launcher + `.shadowRoot.querySelector("button")`
	// launchable is whether a visitor sees the launcher and can use it.
	launchable = `(b => !!b && !b.hidden && b.getBoundingClientRect().width > 0)(` + launcher + `)`
	chatIsOpen = `document.documentElement.classList.contains("hs-messages-widget-open")`
)

func onDemand(with ...snippet.Option) func(*site, *configure) {
	return options(append(with, snippet.WithLoad(snippet.LoadClick))...)
}

// listenToChanges keeps the page's events from its very beginning.
const listenToChanges = `window.changes = []; window.addEventListener("hubspotvisitor:change", (e) => changes.push(e.detail.state + (e.detail.identified ? "*" : "")));`

// wasTold wants the events that listenToChanges kept.
func (tb *tab) wasTold(want string) {
	tb.t.Helper()
	if got := strings.Join(eval[[]string](tb, "changes"), " "); got != want {
		tb.t.Errorf("the page was told %q, want %q", got, want)
	}
}

func (tb *tab) click(button string) {
	tb.t.Helper()
	tb.until("something to click on", "!!("+button+")")
	tb.do("(" + button + ").click()")
}

// TestBeforeTheClick: a page in LoadClick mode costs nothing, and says nothing of
// its visitor.
func TestBeforeTheClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, onDemand(), func(s *site, _ *configure) { s.header["Cache-Control"] = "public, max-age=60" })
	tb := newWindow(t)
	tb.atStart(`window.shift = 0; window.long = [];
		new PerformanceObserver((l) => l.getEntries().map((e) => shift += e.value)).observe({type: "layout-shift", buffered: true});
		new PerformanceObserver((l) => l.getEntries().map((e) => long.push(e.duration))).observe({type: "longtask", buffered: true});`)
	tb.open(s.url + "/a") // from its first page the middleware learns that no tokens are wanted
	tb.open(s.url + "/login?as=" + first)
	tb.until("the launcher", launchable)
	tb.do(`document.dispatchEvent(new Event("visibilitychange"))`)
	time.Sleep(quiet)
	if got := eval[[]string](tb, fmt.Sprintf(`performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith(%q))`, s.url)); len(got) > 0 {
		t.Errorf("the page asked other hosts: %q", got)
	}
	if n := s.questions(); n != 0 {
		t.Errorf("%d questions to the endpoint", n)
	}
	if calls := s.hubspot.Calls(); len(calls) != 0 {
		t.Errorf("%d calls to HubSpot's API", len(calls))
	}
	if got := eval[float64](tb, "shift"); got != 0 {
		t.Errorf("the layout shifted by %v", got)
	}
	html := eval[string](tb, `fetch("/account").then((r) => r.text())`)
	if !strings.Contains(html, `"identificationEmail":"","identificationToken":""`) || !strings.Contains(html, `data-hubspot-visitor="?"`) {
		t.Error("the page names its visitor")
	}
	if header := eval[string](tb, `fetch("/account", {cache: "reload"}).then((r) => r.headers.get("Cache-Control") + "; Vary " + r.headers.get("Vary"))`); header != "public, max-age=60; Vary null" {
		t.Errorf("Cache-Control: %s", header)
	}
	if other := eval[string](tb, `fetch("/account", {credentials: "omit", cache: "reload"}).then((r) => r.text())`); other != html {
		t.Error("the page of a stranger is another one")
	}
	tb.noExceptions()
}

// TestLauncher: the chat comes with the click, identified and with the focus.
func TestLauncher(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		site []func(*site, *configure)
	}{
		{"inline", []func(*site, *configure){onDemand()}},
		{"public pages", []func(*site, *configure){onDemand(), func(s *site, _ *configure) { s.header["Cache-Control"] = "public, max-age=60" }}},
		{"a slow loader", []func(*site, *configure){onDemand(), slowLoader(2 * time.Second)}},
		{"a release whose stub loses the options", []func(*site, *configure){onDemand(), func(s *site, c *configure) {
			c.emulator = hubspottest.NewServer(s.t)
			c.emulator.SetWidgetRelease("2025-11")
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.site...)
			tb := newTab(t)
			tb.atStart(listenToChanges)
			tb.open(s.url + "/login?as=" + first)
			tb.mark()
			tb.until("the launcher", launchable)
			tb.do(launchButton + ".focus()")
			tb.click(launchButton)
			tb.converged(s, first)
			tb.until("the open chat", chatIsOpen)
			tb.until("the focus in the chat", `document.activeElement && document.activeElement.tagName == "IFRAME"`)
			if eval[bool](tb, launchable) {
				t.Error("the launcher is still there")
			}
			tb.say("by a click")
			s.wantContacts("first@example.com*: by a click")
			if got := len(s.hubspot.Calls()); got != 1 {
				t.Errorf("%d calls to HubSpot's API, want 1", got)
			}
			if got := s.people(0); got != "A" {
				t.Errorf("HubSpot was asked for %s", got)
			}
			tb.wasTold("loading ready*")
			tb.wantSameDocument()
			// Who opened the chat sees the answers on the next page, without a click.
			tb.open(s.url + "/b")
			tb.converged(s, first)
			tb.noExceptions()
		})
	}
}

// TestLauncherUnderStrictPolicy: neither its script nor its style is blocked.
func TestLauncherUnderStrictPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options []snippet.Option
		policy  string
	}{
		{"nonce", []snippet.Option{snippet.WithNonce(nonceFrom)}, policy(map[string]string{"script-src": "'nonce-NONCE' 'strict-dynamic'", "connect-src": "'self'"})},
		{"no inline script", []snippet.Option{snippet.WithScriptPath("/assets/chat")}, policy(map[string]string{"script-src": "'self'", "connect-src": "'self'"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			hs := hubspottest.NewServer(t)
			hubspotHosts.serve(t, hs.Handler())
			s := newSite(t, onShopTest(t), onDemand(c.options...), func(s *site, cfg *configure) {
				cfg.emulator = hs
				cfg.hubspot.LoaderURL = "//js.hs-scripts.com"
				s.header["Content-Security-Policy"] = c.policy
			})
			tb := newTab(t)
			tb.atStart(`window.violations = []; document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));`)
			tb.open("https://shop.test/login?as=" + first)
			tb.until("the launcher", launchable)
			if got := eval[string](tb, `getComputedStyle(`+launcher+`).position`); got != "fixed" {
				t.Errorf("the launcher's position is %q", got)
			}
			tb.do(launchButton + ".focus()") // warms up
			tb.click(launchButton)
			tb.converged(s, first)
			tb.until("the open chat", chatIsOpen)
			if got := eval[[]string](tb, "violations"); len(got) > 0 {
				t.Errorf("violations: %q", got)
			}
			tb.noExceptions()
		})
	}
}

// TestStoriesOnDemand: who it is, is asked when the chat is wanted.
func TestStoriesOnDemand(t *testing.T) {
	t.Parallel()
	public := func(s *site, _ *configure) { s.header["Cache-Control"] = "public, max-age=60" }
	tell(t, []story{
		{name: "nobody is signed in", steps: func(p play) {
			p.start("/a")
			p.click(launchButton)
		}, asked: "-", chats: 1, ends: "-"},
		{name: "signed out", proof: true, steps: func(p play) {
			p.signIn("A")
			p.start("/logout")
			p.click(launchButton)
		}, asked: "-", chats: 1, ends: "-"},
		{name: "the session is over since the page came", site: []func(*site, *configure){public}, steps: func(p play) {
			p.signIn("A")
			p.until("the launcher", launchable)
			p.s.endSessions()
			p.click(launchButton)
		}, asked: "-", chats: 1, ends: "-"},
		{name: "another person has signed in since the page came", proof: true, site: []func(*site, *configure){public}, steps: func(p play) {
			p.signIn("A")
			p.until("the launcher", launchable)
			p.do(`fetch("/login?as=second@example.com").then(() => window.there = 1)`)
			p.until("the sign-in", "!!window.there")
			p.click(launchButton)
		}, asked: "B", chats: 1, ends: "B"},
		{name: "another person, with the chat of the first one there", steps: func(p play) {
			p.signIn("A")
			p.click(launchButton)
			p.sees("A")
			p.do(`fetch("/login?as=second@example.com").then(() => hubspotVisitor.refresh())`)
		}, asked: "AB", chats: 2, ends: "B"},
		{name: "another person does not see that the first one has talked", steps: func(p play) {
			p.signIn("A")
			p.click(launchButton)
			p.sees("A")
			p.until("the open chat", chatIsOpen)
			p.start("/logout")
			p.signIn("B")
			p.until("the launcher", launchable)
			time.Sleep(quiet)
			p.click(launchButton)
		}, asked: "AB", chats: 2, ends: "B"},
		{name: "a button of the page's own", site: []func(*site, *configure){foot(`<a href="/a" data-hubspot-chat="open"><b id="own">talk to us</b></a>`)}, steps: func(p play) {
			p.signIn("A")
			p.click(`document.getElementById("own")`)
		}, asked: "A", chats: 1, ends: "A"},
		{name: "a page that never identifies", proof: true, steps: func(p play) {
			p.signIn("A")
			p.start("/help")
			p.click(launchButton)
		}, asked: "-", chats: 1, ends: "-"},
		{name: "not wanted", steps: func(p play) {
			p.signIn("A")
			p.do(`document.body.click()`)
			p.do(`dispatchEvent(new Event("scroll"))`)
		}, asked: "", chats: 0},
	}, onDemand())
	tell(t, []story{
		{name: "Turbo, before and after the click", proof: true, steps: func(p play) {
			p.signIn("A")
			p.to("a")
			p.to("b")
			p.until("one launcher", launchable+` && document.querySelectorAll("#hubspot-visitor-launcher").length == 1`)
			p.click(launchButton)
			p.sees("A")
			p.to("a")
		}, asked: "AA*", chats: 1, ends: "A"},
		{name: "Turbo, and the sign-out", steps: func(p play) {
			p.signIn("A")
			p.click(launchButton)
			p.sees("A")
			p.to("logout")
		}, asked: "A-", chats: 2, ends: "-"},
	}, onDemand(), withScript(turbo))
	// Where pages touch no marker, the server is asked behind the chat's back.
	for name, site := range map[string][]func(*site, *configure){"": nil, ", public": {public}} {
		tell(t, []story{
			{name: "Turbo, A, out, B" + name, proof: name == "", site: site, steps: func(p play) {
				p.signIn("A")
				p.click(launchButton)
				p.sees("A")
				p.to("logout")
				p.sees("-")
				p.to("second")
			}, asked: "A--?B", ends: "B"},
			{name: "Turbo, A straight to B" + name, proof: true, site: site, steps: func(p play) {
				p.signIn("A")
				p.click(launchButton)
				p.sees("A")
				p.to("second")
			}, asked: "AA?B", ends: "B"},
		}, onDemand(), withScript(turbo))
	}
	tell(t, []story{
		{name: "by the page's script", steps: func(p play) {
			p.start("/a")
			p.signIn("A")
			if got := len(p.s.hubspot.Calls()); got != 0 {
				p.t.Errorf("%d calls to HubSpot's API before it was wanted", got)
			}
			p.do(`hubspotVisitor.load()`)
		}, asked: "A", chats: 1, ends: "A"},
		{name: "opened by the page's script", proof: true, steps: func(p play) {
			p.signIn("A")
			p.do(`hubspotVisitor.open()`)
			p.sees("A")
			p.until("the open chat", chatIsOpen)
		}, asked: "A", chats: 1, ends: "A"},
		{name: "the theme's own loader, and a page that never identifies", site: []func(*site, *configure){ownLoader(func(s *site, tag string) { s.head = tag }, `id="hs-script-loader" async`)},
			steps: func(p play) { p.start("/help") }, asked: "", chats: 0},
		{name: "nobody calls", steps: func(p play) { p.signIn("A") }, asked: "", chats: 0},
	}, options(snippet.WithLoad(snippet.LoadManual)))
}

// blockedAt answers for HubSpot's loader, or what it loads, while the result says so.
func blockedAt(path string) (*atomic.Bool, func(*site, *configure)) {
	blocked := new(atomic.Bool)
	blocked.Store(true)
	return blocked, func(_ *site, c *configure) {
		c.front = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if blocked.Load() && r.URL.Path == path {
					http.Error(w, "blocked", http.StatusForbidden)
					return
				}
				w.Header().Set("Cache-Control", "no-store")
				next.ServeHTTP(w, r)
			})
		}
	}
}

var loaders = []string{"/" + hubspottest.PortalID + ".js", "/conversations-embed.js"}

// TestBlockedLoader: a launcher whose chat is blocked comes back, with a link.
func TestBlockedLoader(t *testing.T) {
	t.Parallel()
	for _, path := range loaders {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			blocked, front := blockedAt(path)
			s := newSite(t, onDemand(snippet.WithFallback("mailto:help@example.com")), front)
			tb := newTab(t)
			tb.atStart(listenToChanges)
			tb.open(s.url + "/login?as=" + first)
			tb.click(launchButton)
			link := launcher + `.shadowRoot.querySelector("a")`
			tb.until("the fallback", `(a => !a.hidden && a.href == "mailto:help@example.com" && a.textContent == "help@example.com" && a.getBoundingClientRect().width > 0)(`+link+`)`)
			tb.until("the launcher", launchable)
			blocked.Store(false)
			tb.click(launchButton)
			tb.converged(s, first)
			tb.wasTold("loading blocked loading ready*")
			tb.noExceptions()
		})
	}
}

// TestBlockedAtOnce: also where the page itself brings HubSpot's loader, who asks for
// the chat again has it once nothing blocks it, and hears of it while something does.
func TestBlockedAtOnce(t *testing.T) {
	t.Parallel()
	for _, path := range loaders {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			blocked, front := blockedAt(path)
			s := newSite(t, front)
			tb := newTab(t)
			tb.atStart(listenToChanges)
			tb.open(s.url + "/login?as=" + first)
			tb.mark()
			for _, ask := range []string{"", "hubspotVisitor.load()", "hubspotVisitor.open()"} {
				if ask != "" {
					tb.do(ask + `, changes.push("again")`)
				}
				tb.until("the end of it", `changes[changes.length - 1] == "blocked"`)
			}
			blocked.Store(false)
			tb.do("hubspotVisitor.open()")
			tb.converged(s, first)
			tb.until("the open chat", chatIsOpen)
			tb.wasTold("loading blocked loading again blocked loading again blocked loading ready*")
			if got := s.people(0); got != "A" {
				t.Errorf("HubSpot was asked for %s", got)
			}
			tb.wantSameDocument()
			tb.noExceptions()
		})
	}
}

// TestOpenerThatIsALink leads to its page where there is no chat, at the first click,
// and to the chat where there is one.
func TestOpenerThatIsALink(t *testing.T) {
	t.Parallel()
	link := foot(`<a id="own" href="/b" data-hubspot-chat="open">talk to us</a>`)
	_, front := blockedAt(loaders[0])
	for name, hubspot := range map[string]func(*site, *configure){
		"blocked":    front,
		"no chat":    always(hubspottest.WidgetAnswer{Status: http.StatusNoContent}),
		"hidden":     always(hubspottest.WidgetAnswer{Hide: true}),
		"in trouble": always(hubspottest.WidgetAnswer{Status: http.StatusInternalServerError}),
	} {
		for when, load := range map[string]func(*site, *configure){"at once": options(), "on demand": onDemand()} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				p := play{newTab(t), newSite(t, link, hubspot, load)}
				p.signIn("A")
				p.click(`document.getElementById("own")`)
				p.at("/b")
				p.noExceptions()
			})
		}
	}
	t.Run("on another page by then", func(t *testing.T) {
		t.Parallel()
		p := play{newTab(t), newSite(t, link, onDemand(), slowLoader(3*time.Second), without("/a"), withScript(turbo))}
		p.signIn("A")
		p.click(`document.getElementById("own")`)
		p.to("a")
		p.until("no chat", `hubspotVisitor.status.state == "none"`)
		time.Sleep(quiet)
		p.at("/a")
		p.noExceptions()
	})
	t.Run("a button before it", func(t *testing.T) {
		t.Parallel()
		_, front := blockedAt(loaders[0])
		p := play{newTab(t), newSite(t, link, front, onDemand())}
		p.signIn("A")
		p.click(launchButton)
		p.until("blocked", `hubspotVisitor.status.state == "blocked"`)
		time.Sleep(quiet)
		p.at("/account")
		p.noExceptions()
	})
}

// TestOpenerInAShadowRoot: web components have their own trees.
func TestOpenerInAShadowRoot(t *testing.T) {
	t.Parallel()
	for name, html := range map[string]string{
		"within":   `<talk-button id="host"></talk-button><script>document.getElementById("host").attachShadow({ mode: "open" }).innerHTML = "<button data-hubspot-chat=open><b>chat</b></button>"</script>`,
		"around":   `<talk-button id="host" data-hubspot-chat="open"></talk-button><script>document.getElementById("host").attachShadow({ mode: "open" }).innerHTML = "<button><b>chat</b></button>"</script>`,
		"not open": `<talk-button id="host"></talk-button><script>document.getElementById("host").attachShadow({ mode: "open" }).innerHTML = "<button data-hubspot-chat=closed><b>chat</b></button>"</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := play{newTab(t), newSite(t, foot(html), options(snippet.WithLoad(snippet.LoadManual)))}
			p.signIn("A")
			p.click(`document.getElementById("host").shadowRoot.querySelector("b")`)
			if name == "not open" {
				time.Sleep(quiet)
				if got := p.s.people(0); got != "" {
					t.Errorf("HubSpot was asked for %s", got)
				}
				return
			}
			p.sees("A")
			p.until("the open chat", chatIsOpen)
			p.noExceptions()
		})
	}
}

// TestStatus: what the page is told where the chat is there from the start.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path, want string
		site             []func(*site, *configure)
	}{
		{"identified", "/login?as=" + first, "loading ready*", nil},
		{"anonymous", "/a", "loading ready", nil},
		{"no chat on this page, 404", "/a", "loading none", []func(*site, *configure){always(hubspottest.WidgetAnswer{Status: 404})}},
		{"no chat on this page, hidden", "/a", "loading none", []func(*site, *configure){always(hubspottest.WidgetAnswer{Hide: true})}},
		{"HubSpot is in trouble", "/a", "loading failed", []func(*site, *configure){always(hubspottest.WidgetAnswer{Status: 500})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.site...)
			tb := newTab(t)
			tb.atStart(listenToChanges)
			tb.open(s.url + c.path)
			last := c.want[strings.LastIndex(c.want, " ")+1:]
			tb.until(last, fmt.Sprintf(`hubspotVisitor.status.state == %q`, strings.Trim(last, "*")))
			time.Sleep(quiet)
			tb.wasTold(c.want)
			tb.noExceptions()
		})
	}
}

// byHeader is an application that signs in by a header of its own. With X-Slow its
// token endpoint takes a second.
func byHeader(s *site, _ *configure) {
	s.wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if as, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
				r = r.WithContext(middleware.WithVisitor(r.Context(), hubspot.Visitor{Email: as, EmailVerified: true}))
			}
			if r.Header.Get("X-Slow") != "" {
				time.Sleep(time.Second)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// TestBearer: signed in by a header, out, and another in.
func TestBearer(t *testing.T) {
	t.Parallel()
	s := newSite(t, byHeader)
	tb := newTab(t)
	tb.open(s.url + "/a")
	tb.mark()
	tb.converged(s, "")
	tb.do(refresh(first))
	tb.converged(s, first)
	tb.do(`hubspotVisitor.refresh()`) // by the same header
	time.Sleep(quiet)
	tb.converged(s, first)
	tb.do(`hubspotVisitor.signOut()`)
	tb.converged(s, "")
	tb.do(`hubspotVisitor.refresh()`)
	time.Sleep(quiet)
	tb.converged(s, "")
	tb.do(refresh(second))
	tb.converged(s, second)
	tb.wantSameDocument()
	s.wantApart()
	tb.noExceptions()
}

// TestRouteChange: HubSpot chooses the chat by URL, also where a page's script
// changes it.
func TestRouteChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	for i, change := range []string{`history.pushState(null, "", "/b")`, `history.replaceState(null, "", "/b?page=2")`, `history.back()`, `location.hash = "here"`} {
		tb.do(change)
		want := []string{"/account", "/b", "/b?page=2", "/account"}[:min(i+2, 4)]
		deadline := time.Now().Add(patience)
		for len(s.hubspot.WidgetLoads()) < len(want) && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(quiet)
		var got []string
		for _, load := range s.hubspot.WidgetLoads() {
			u, _ := url.Parse(load.PageURI)
			got = append(got, u.RequestURI())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("after %s HubSpot was asked for %q, want %q", change, got, want)
		}
	}
	if got := s.people(0); got != "AAAA" {
		t.Errorf("HubSpot was asked for %s", got)
	}
	tb.noExceptions()
}

// TestLoaderOptions: other people's ways to bring, hold back and mark the loader.
func TestLoaderOptions(t *testing.T) {
	t.Parallel()
	attributes := []snippet.Option{snippet.WithLoaderAttribute("data-cookieconsent", `"marketing" & more`), snippet.WithLoaderAttribute("fetchpriority", "low")}
	for _, c := range []struct {
		name    string
		options []snippet.Option
		wanted  string // what brings the chat
	}{
		{"attributes", attributes, ""},
		{"attributes on demand", append(attributes, snippet.WithLoad(snippet.LoadManual)), "hubspotVisitor.load()"},
		{"a consent manager", append(attributes, snippet.WithLoaderAttribute("type", "text/plain")),
			`((old) => { const s = document.createElement("script"); s.id = old.id; s.src = old.src; s.dataset.cookieconsent = old.dataset.cookieconsent; s.setAttribute("fetchpriority", "low"); old.replaceWith(s); })(document.getElementById("hs-script-loader"))`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, options(c.options...))
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			if c.wanted != "" {
				time.Sleep(quiet)
				if got := s.people(0); got != "" {
					t.Errorf("HubSpot was asked for %s", got)
				}
				tb.do(c.wanted)
			}
			tb.converged(s, first)
			if got := eval[string](tb, `(l => l.dataset.cookieconsent + ", " + l.getAttribute("fetchpriority"))(document.getElementById("hs-script-loader"))`); got != `"marketing" & more, low` {
				t.Errorf("the loader's attributes are %s", got)
			}
			tb.noExceptions()
		})
	}
	t.Run("a tag manager brings it", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, options(snippet.WithoutLoader()))
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		time.Sleep(quiet)
		if got := eval[int](tb, `document.querySelectorAll("#hs-script-loader").length`); got != 0 {
			t.Errorf("%d loaders", got)
		}
		tb.do(fmt.Sprintf(`document.head.append(Object.assign(document.createElement("script"), { id: "hs-script-loader", src: %q }))`, s.hubspot.URL+"/"+hubspottest.PortalID+".js"))
		tb.converged(s, first)
		tb.noExceptions()
	})
}

// TestTrackingCookie goes with another visitor, and only then.
func TestTrackingCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, c *configure) { c.middleware = append(c.middleware, middleware.WithTrackingCookie()) })
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.do(`document.cookie = "hubspotutk=one;path=/"`)
	tb.converged(s, first)
	if !strings.Contains(eval[string](tb, "document.cookie"), "hubspotutk=one") {
		t.Error("the cookie is gone without a change")
	}
	tb.do(`hubspotVisitor.signOut()`)
	tb.converged(s, "")
	if strings.Contains(eval[string](tb, "document.cookie"), "hubspotutk") {
		t.Error("the cookie is still there")
	}
}

// TestLauncherLooks writes pictures of the launcher, for a person to look at, where
// SCREENSHOTS names a directory; and holds what a picture does not show.
func TestLauncherLooks(t *testing.T) {
	t.Parallel()
	s := newSite(t, onDemand(snippet.WithLauncher(snippet.Launcher{Label: "Chat with us", Left: true, Color: "#7a2048"}), snippet.WithFallback("https://example.com/help")))
	tb := newWindow(t)
	for _, c := range []struct {
		name   string
		media  [][2]string
		prompt string
	}{
		{"light", [][2]string{{"prefers-color-scheme", "light"}}, ""},
		{"dark", [][2]string{{"prefers-color-scheme", "dark"}}, ""},
		{"forced", [][2]string{{"forced-colors", "active"}}, ""},
		{"focus", nil, launchButton + ".focus()"},
	} {
		params := emulation.SetEmulatedMediaParams{}
		for _, m := range c.media {
			params.Features = append(params.Features, &emulation.MediaFeature{Name: m[0], Value: m[1]})
		}
		if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, params); err != nil {
			t.Fatal(err)
		}
		tb.open(s.url + "/a")
		tb.until("the launcher", launchable)
		if c.prompt != "" {
			tb.do(c.prompt)
		}
		tb.screenshot("launcher-" + c.name)
		if got := eval[string](tb, `(b => b.getAttribute("aria-label") + "|" + b.title + "|" + b.type)(`+launchButton+`)`); got != "Chat with us|Chat with us|button" {
			t.Errorf("the button is %s", got)
		}
		if got := eval[float64](tb, `(r => r.left)(`+launchButton+`.getBoundingClientRect())`); got != 16 {
			t.Errorf("the button is %v px from the left", got)
		}
	}
}

// TestLauncherBehindCache: nginx keeps one page for everybody, and each visitor's
// click brings a chat of their own.
func TestLauncherBehindCache(t *testing.T) {
	t.Parallel()
	var made atomic.Int64
	s := newSite(t, onDemand(), func(s *site, _ *configure) {
		s.header["Cache-Control"] = "public, max-age=60"
		s.wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/account" {
					made.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	cached := proxies[0].start(t, s.url)
	for _, who := range []string{first, second} {
		tb := newTab(t)
		tb.open(cached + "/login?as=" + who)
		tb.until("the launcher", launchable)
		tb.click(launchButton)
		tb.converged(s, who)
		tb.until("the open chat", chatIsOpen)
		tb.noExceptions()
	}
	if n := made.Load(); n != 1 {
		t.Errorf("the application made the page %d times, want once", n)
	}
	if got := s.people(0); got != "AB" {
		t.Errorf("HubSpot was asked for %s", got)
	}
	s.wantApart()
}

// TestAccessibility: axe finds nothing in the launcher, whatever its state, nor in
// the inbox.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	axe := vendored(t, "axe-core/axe.min.js")
	blocked := atomic.Bool{}
	s := newSite(t, onDemand(snippet.WithFallback("mailto:help@example.com")), func(s *site, c *configure) {
		s.page = func(path string, chat template.HTML) string {
			return `<!doctype html><html lang="en"><head><title>Shop</title></head><body><main><h1>Shop</h1></main>` + string(chat) + `</body></html>`
		}
		c.front = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if blocked.Load() {
					http.Error(w, "blocked", http.StatusForbidden)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	})
	for _, scheme := range []string{"light", "dark"} {
		tb := newTab(t)
		tb.look(scheme, 1200)
		blocked.Store(true)
		tb.open(s.url + "/a")
		tb.until("the launcher", launchable)
		tb.inspect(axe, scheme+", launcher")
		tb.click(launchButton)
		tb.until("the fallback", `hubspotVisitor.status.state == "blocked"`)
		tb.inspect(axe, scheme+", blocked")
		blocked.Store(false)
		tb.click(launchButton)
		tb.converged(s, "")
		tb.inspect(axe, scheme+", chat")
	}
}

// TestHostileElements: what visitors may write into a page, attributes and ids
// included, is none of ours, though it looks like it.
func TestHostileElements(t *testing.T) {
	t.Parallel()
	const hostile = `
		<b data-hubspot-visitor="*" data-portal="12345678" data-load="idle" data-loader="data:text/javascript,window.owned=1"></b>
		<p>"loadImmediately":false,"identificationEmail":"mallory@example.com","identificationToken":"hers"}</p><b
			data-hubspot-visitor="hubspot" data-portal="(?=x)y|(hubspot)_visitor_12345678" data-endpoint=".evil.test/x"></b>
		<b data-hubspot-visitor="" data-portal="999"></b>
		<form id="hubspotVisitor"><input name="arrive"></form> <i id="hubspot-visitor-launcher"></i>
		<img id="hs-script-loader" src="/broken">`
	for name, with := range map[string][]snippet.Option{"at once": nil, "on demand": {snippet.WithLoad(snippet.LoadClick)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, options(with...), func(s *site, _ *configure) { s.body, s.foot = hostile, hostile })
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			tb.mark()
			if with != nil {
				tb.do("hubspotVisitor.open()")
			}
			tb.converged(s, first)
			tb.do(`document.body.dispatchEvent(new Event("htmx:afterSettle", { bubbles: true }))`)
			time.Sleep(quiet)
			tb.converged(s, first)
			if got := s.people(0); got != "A" {
				t.Errorf("HubSpot was asked for %s", got)
			}
			if eval[bool](tb, "!!window.owned") {
				t.Error("the page ran a visitor's script")
			}
			tb.wantSameDocument()
			tb.noExceptions()
		})
	}
}
