package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// story is what a visitor does on a site, and what HubSpot sees of it. Each was
// first played on HubSpot's own code.
type story struct {
	name  string
	site  []func(*site, *configure)
	steps func(p play)
	asked string // a pattern of whom HubSpot was asked for: A, B, C, and - for nobody
	chats int    // documents of the chat that were opened in all; 0 where that does not matter
	ends  string // whose chat the page shows: A, B, C, - for nobody's, "" for none
	leave bool   // the document does not stay
	mouse bool   // the mouse rests
	proof bool   // another story is much like it: for make proof
}

// play is a story under way.
type play struct {
	*tab
	s *site
}

var addresses = map[string]string{"A": first, "B": second, "C": third, "-": ""}

func tell(t *testing.T, stories []story, with ...func(*site, *configure)) {
	t.Helper()
	for _, c := range stories {
		t.Run(c.name, func(t *testing.T) {
			if c.proof {
				onlyAsProof(t, "another story is much like it")
			}
			t.Parallel()
			s := newSite(t, append(with[:len(with):len(with)], c.site...)...)
			open := newTab
			if c.mouse {
				open = newWindow
			}
			p := play{open(t), s}
			c.steps(p)
			if c.ends != "" {
				p.sees(c.ends)
			} else {
				time.Sleep(quiet)
				if got := p.shown(); got.Boxes != 0 {
					t.Errorf("the page has %+v, want no chat", got)
				}
			}
			if got := s.people(0); !regexp.MustCompile("^(" + c.asked + ")$").MatchString(got) {
				t.Errorf("HubSpot was asked for %s, want %s", got, c.asked)
				for _, load := range s.hubspot.WidgetLoads() {
					t.Logf("%s %q on %s: %d", load.Time.Format("05.000"), load.Email, load.PageURI, load.Status)
				}
			}
			chats := 0
			for _, m := range s.hubspot.WidgetMessages() {
				if m.Type == "widget-data" {
					chats++
				}
			}
			if c.chats > 0 && chats != c.chats {
				t.Errorf("%d chats were opened, want %d", chats, c.chats)
			}
			if !c.leave {
				p.wantSameDocument()
			}
			s.wantApart()
			p.noExceptions()
			if n := p.printed("already exists") + p.printed("duplicate instance"); n > 0 {
				t.Errorf("HubSpot's widget complained %d times", n)
			}
		})
	}
}

// start opens a page in a new document.
func (p play) start(path string) {
	p.t.Helper()
	p.open(p.s.url + path)
	p.mark()
}

func (p play) signIn(who string) {
	p.t.Helper()
	p.start("/login?as=" + url.QueryEscape(addresses[who]))
}

// sees waits for the chat of who.
func (p play) sees(who string) {
	p.t.Helper()
	p.converged(p.s, addresses[who])
}

// to follows the link of a page, and at waits for it.
func (p play) to(link string) {
	p.t.Helper()
	p.visit("to-"+link, map[string]string{"a": "/a", "b": "/b", "help": "/help", "logout": "/", "first": "/account", "second": "/account"}[link])
}

func (p play) at(path string) {
	p.t.Helper()
	p.until("the page "+path, fmt.Sprintf(onPage, path))
}

// goBack goes back in the browser's history.
func (p play) goBack(path string) {
	p.t.Helper()
	p.do("history.back()")
	p.at(path)
}

// asks waits until HubSpot was asked n times.
func (p play) asks(n int) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for len(p.s.hubspot.WidgetLoads()) < n {
		if time.Now().After(deadline) {
			p.t.Fatalf("HubSpot was asked for %q, want %d questions", p.s.people(0), n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// from fails the test if HubSpot was asked for anybody but these since.
func (p play) from(since int, who string) {
	p.t.Helper()
	if got := p.s.people(since); strings.Trim(got, who) != "" {
		p.t.Errorf("HubSpot was asked for %s since, want %s only", got, who)
	}
}

func (p play) questions() int { return len(p.s.hubspot.WidgetLoads()) }

const isOpen = `document.documentElement.classList.contains("hs-messages-widget-open")`

// What a story's site is like.

func head(html string) func(*site, *configure) { return func(s *site, _ *configure) { s.head += html } }
func foot(html string) func(*site, *configure) { return func(s *site, _ *configure) { s.foot += html } }
func twice(s *site, _ *configure)              { s.twice = true }
func without(path string) func(*site, *configure) {
	return func(s *site, _ *configure) { s.without = path }
}

func options(o ...snippet.Option) func(*site, *configure) {
	return func(s *site, _ *configure) { s.options = o }
}

func slow(path string, pause time.Duration) func(*site, *configure) {
	return func(s *site, _ *configure) { s.pause = map[string]time.Duration{path: pause} }
}

func withoutEndpoint(_ *site, c *configure) {
	c.middleware = append(c.middleware, middleware.WithTokenPath(""))
}

// answers is how the widget's backend behaves; n counts its questions from 1.
func answers(f func(n int, path string) hubspottest.WidgetAnswer) func(*site, *configure) {
	return func(s *site, c *configure) {
		c.emulator = hubspottest.NewServer(s.t)
		c.emulator.SetWidget(func(load hubspottest.WidgetLoad) hubspottest.WidgetAnswer {
			u, err := url.Parse(load.PageURI)
			if err != nil {
				s.t.Error(err)
				return hubspottest.WidgetAnswer{}
			}
			return f(len(c.emulator.WidgetLoads()), u.Path)
		})
	}
}

func always(a hubspottest.WidgetAnswer) func(*site, *configure) {
	return answers(func(int, string) hubspottest.WidgetAnswer { return a })
}

// slowLoader lets HubSpot's loader come late.
func slowLoader(pause time.Duration) func(*site, *configure) {
	return func(_ *site, c *configure) {
		c.front = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/"+hubspottest.PortalID+".js" {
					time.Sleep(pause)
				}
				next.ServeHTTP(w, r)
			})
		}
	}
}

// ownLoader is HubSpot's tag, as a theme has it.
func ownLoader(place func(s *site, tag string), attributes string) func(*site, *configure) {
	return func(s *site, c *configure) {
		c.emulator = hubspottest.NewServer(s.t)
		place(s, fmt.Sprintf(`<script %s src="%s/%s.js"></script>`, attributes, c.emulator.URL, hubspottest.PortalID))
	}
}

// documented is HubSpot's own sample code.
const documented = `<script>function onConversationsAPIReady() { window.HubSpotConversations.widget.load(); }
window.hsConversationsSettings = window.hsConversationsSettings || {};
if (window.HubSpotConversations) { onConversationsAPIReady(); } else { window.hsConversationsOnReady = [onConversationsAPIReady]; }</script>`

// Pages that the browser loads one by one.
func TestStoriesOfPages(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{name: "anonymous", proof: true, steps: func(p play) { p.start("/") }, asked: "-", chats: 1, ends: "-"},
		{name: "three pages", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.start("/a")
			p.sees("A")
			p.start("/b")
		}, asked: "AAA", chats: 3, ends: "A"},
		{name: "A straight to B", steps: func(p play) { p.signIn("A"); p.sees("A"); p.signIn("B") }, asked: "AB", ends: "B"},
		{name: "a page that never identifies", steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.start("/help")
			p.sees("-")
			p.start("/a")
		}, asked: "A-A", ends: "A"},
		{name: "the chat twice in a page", site: []func(*site, *configure){twice}, steps: func(p play) { p.signIn("A") }, asked: "A", chats: 1, ends: "A"},
		{name: "slow loader", site: []func(*site, *configure){slowLoader(3 * time.Second)}, steps: func(p play) { p.signIn("A") }, asked: "A", chats: 1, ends: "A"},
		{name: "the backend answers 204", proof: true, site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Status: 204})}, steps: func(p play) { p.signIn("A"); p.asks(1) }, asked: "A"},
		{name: "the backend answers 404", proof: true, site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Status: 404})}, steps: func(p play) { p.signIn("A"); p.asks(1) }, asked: "A"},
		{name: "the backend answers 500", site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Status: 500})}, steps: func(p play) { p.signIn("A"); p.asks(1) }, asked: "A"},
		{name: "no chatflow is for this visitor", site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Hide: true})}, steps: func(p play) { p.signIn("A"); p.asks(1) }, asked: "A"},
		{name: "the chatflow shows its chat after two seconds", site: []func(*site, *configure){always(hubspottest.WidgetAnswer{DisplayAfter: 2 * time.Second})},
			steps: func(p play) { p.signIn("A") }, asked: "A", chats: 1, ends: "A"},
		{name: "settings of the page's own behind the snippet", site: []func(*site, *configure){foot(`<script>window.hsConversationsSettings = { disableAttachment: true }; window.hsConversationsOnReady = [function () {}];</script>`)},
			// without loadImmediately false HubSpot loads by itself
			steps: func(p play) { p.signIn("A") }, asked: "-?A", ends: "A"},
		{name: "settings of the page's own behind the snippet, which load at once", proof: true, site: []func(*site, *configure){foot(`<script>window.hsConversationsSettings = { disableAttachment: true };</script>`)},
			steps: func(p play) { p.signIn("A") }, asked: "-?A", ends: "A"},
		{name: "frozen settings of the page's own", site: []func(*site, *configure){head(`<script>window.hsConversationsSettings = Object.freeze({ disableAttachment: true });</script>`)},
			steps: func(p play) { p.signIn("A") }, asked: "A", chats: 1, ends: "A"},
		{name: "a callback in the place of callbacks", site: []func(*site, *configure){head(`<script>window.hsConversationsOnReady = function () {};</script>`)},
			steps: func(p play) { p.signIn("A") }, asked: "A", chats: 1, ends: "A"},
		{name: "HubSpot's sample beside ours", proof: true, site: []func(*site, *configure){foot(documented)}, steps: func(p play) { p.signIn("A") }, asked: "A", chats: 1, ends: "A"},
		{name: "the theme's own loader in the head", proof: true, site: []func(*site, *configure){ownLoader(func(s *site, tag string) { s.head = tag }, `id="hs-script-loader" async defer`)},
			steps: func(p play) { p.signIn("A") }, asked: "A+", ends: "A"},
		{name: "the theme's own loader without its id", site: []func(*site, *configure){ownLoader(func(s *site, tag string) { s.head = tag }, `async defer`)},
			steps: func(p play) { p.signIn("A") }, asked: "A+", ends: "A"},
		{name: "the page calls clear", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(`HubSpotConversations.clear({ resetWidget: true })`)
		}, asked: "AA", chats: 2, ends: "A"},
		{name: "the page calls resetAndReloadWidget", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(`HubSpotConversations.resetAndReloadWidget()`)
		}, asked: "AA", chats: 2, ends: "A"},
		{name: "the page calls clear while the backend is asked", site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Delay: 800 * time.Millisecond})}, steps: func(p play) {
			p.signIn("A")
			p.asks(1)
			p.do(`HubSpotConversations.clear({ resetWidget: true })`)
			p.asks(2)
			p.sees("A")
			p.do(`HubSpotConversations.widget.open()`)
			p.until("it obeys", isOpen)
		}, asked: "AA", ends: "A"},
		{name: "the page removes the chat", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(`HubSpotConversations.widget.remove()`)
		}, asked: "A", ends: ""},
		{name: "the page removes the chat, and loads it later", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(`HubSpotConversations.widget.remove()`)
			p.until("it is gone", `!document.querySelector("`+boxes+`")`)
			time.Sleep(quiet)
			p.do(`HubSpotConversations.widget.load()`)
		}, asked: "AA", chats: 2, ends: "A"},
		{name: "the marker goes, and somebody looks at the page", proof: true, site: []func(*site, *configure){withoutEndpoint}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(forgetMarker)
			p.until("A's chat is hidden", `getComputedStyle(document.querySelector("`+boxes+`")).display == "none"`)
			p.do(`window.dispatchEvent(new Event("focus"))`)
		}, asked: "A-", chats: 2, ends: "-"},
		{name: "the marker goes, but the session lives", steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(forgetMarker + `, window.dispatchEvent(new Event("focus"))`)
		}, asked: "A", chats: 1, ends: "A"},
		{name: "native view transitions", site: []func(*site, *configure){head(`<style>@view-transition { navigation: auto }</style>`)}, leave: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
		}, asked: "AA-", ends: "-"},
	})
}

// Visitors who change in one document.
func TestStoriesOfSwitches(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{name: "there and back, quickly", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.prepare("", first, "", second)
			eval[any](p.tab, `(async () => { for (let i = 0; i < 4; i++) { become(); await pause(30); } })()`)
		}, asked: "A-?B", ends: "B"},
		{name: "A again and again, then B", steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.prepare(first, first, second)
			eval[any](p.tab, `(async () => { for (let i = 0; i < 3; i++) { become(); await pause(350); } })()`)
		}, asked: "AB", chats: 2, ends: "B"},
		{name: "A fails with 500, B signs in, the window is resized", leave: true, site: []func(*site, *configure){answers(func(n int, _ string) hubspottest.WidgetAnswer {
			if n == 1 {
				return hubspottest.WidgetAnswer{Status: 500}
			}
			return hubspottest.WidgetAnswer{}
		})}, steps: func(p play) {
			p.signIn("A")
			p.untilPrinted("Initial messages API call failed")
			p.prepare(second)
			p.do("become()")
			p.sees("B")
			act(p.tab, chromedp.EmulateViewport(700, 500))
			time.Sleep(500 * time.Millisecond)
			for _, m := range p.s.hubspot.WidgetMessages() {
				if m.Contact != second {
					p.t.Errorf("B's chat was told of %s", m.Contact)
				}
			}
		}, asked: "AB", ends: "B"},
		{name: "B signs in while A's chat waits for its time", leave: true, site: []func(*site, *configure){answers(func(n int, _ string) hubspottest.WidgetAnswer {
			if n == 1 {
				return hubspottest.WidgetAnswer{DisplayAfter: 3 * time.Second}
			}
			return hubspottest.WidgetAnswer{}
		})}, steps: func(p play) {
			p.signIn("A")
			p.asks(1)
			time.Sleep(time.Second)
			p.prepare(second)
			p.do("become()")
			p.sees("B")
			time.Sleep(1500 * time.Millisecond)
		}, asked: "AB", chats: 1, ends: "B"},
		{name: "sign-out within the second of the page's own loads", steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.prepare("")
			p.do(`(() => { const w = HubSpotConversations.widget; w.load(); w.load(); w.refresh(); w.refresh(); become(); })()`)
		}, asked: "AA{0,2}-", chats: 2, ends: "-"},
	}, withSwapper)
}

func TestStoriesOfTurbo(t *testing.T) {
	t.Parallel()
	statuses := func(status int) func(*site, *configure) {
		return answers(func(_ int, path string) hubspottest.WidgetAnswer {
			if path == "/account" {
				return hubspottest.WidgetAnswer{Status: status}
			}
			return hubspottest.WidgetAnswer{}
		})
	}
	toOneWithChat := func(p play) { p.signIn("A"); p.asks(1); time.Sleep(500 * time.Millisecond); p.to("a") }
	tell(t, []story{
		{name: "an open chat stays open over five visits, with its draft", steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do("HubSpotConversations.widget.open()")
			p.until("it is open", isOpen)
			p.untilInFrame("a draft", `(document.getElementById("message").value = "not yet sent") != ""`)
			for _, link := range []string{"a", "b", "a", "b", "a"} {
				p.to(link)
				p.sees("A")
				if !eval[bool](p.tab, isOpen) {
					p.t.Fatal("the chat is closed after a visit")
				}
			}
			p.untilInFrame("the draft", `document.getElementById("message").value == "not yet sent"`)
		}, asked: "AAAAAA", chats: 1, ends: "A"},
		{name: "A, out, B, and the session ends", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("logout")
			p.sees("-")
			p.to("second")
			p.sees("B")
			p.s.endSessions()
			p.to("a")
		}, asked: "A-B-", chats: 4, ends: "-"},
		{name: "Back and Forward after the session ended", steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.to("b")
			p.sees("A")
			p.to("logout")
			p.sees("-")
			since := p.questions()
			p.goBack("/b")
			p.sees("-")
			p.goBack("/a")
			p.do("history.forward()")
			p.at("/b")
			p.sees("-")
			p.from(since, "-")
			p.to("second")
			p.sees("B")
			since = p.questions()
			p.goBack("/b")
			p.sees("B")
			p.from(since, "B")
		}, asked: "A+-+B+", chats: 3, ends: "B"},
		{name: "a visit while the backend is slow", site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Delay: 1200 * time.Millisecond})}, steps: func(p play) {
			p.signIn("A")
			p.asks(1)
			p.to("a")
		}, asked: "AA", chats: 1, ends: "A"},
		{name: "a visit while the iframe loads", proof: true, site: []func(*site, *configure){always(hubspottest.WidgetAnswer{FrameDelay: 1500 * time.Millisecond})}, steps: func(p play) {
			p.signIn("A")
			p.to("a")
		}, asked: "AA", chats: 1, ends: "A"},
		{name: "a sign-out while the backend is slow", proof: true, site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Delay: 1200 * time.Millisecond})}, steps: func(p play) {
			p.signIn("A")
			p.asks(1)
			p.to("logout")
		}, asked: "A-", ends: "-"},
		{name: "preview, then the page", site: []func(*site, *configure){slow("/a", 600*time.Millisecond), always(hubspottest.WidgetAnswer{FrameDelay: 300 * time.Millisecond})}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.to("b")
			p.sees("A")
			p.do(`document.getElementById("to-a").click()`)
			p.until("the preview", `"turboPreview" in document.documentElement.dataset`)
			p.at("/a")
		}, asked: "AA{2,3}", chats: 1, ends: "A"},
		{name: "from a page answered 204 to one with a chat", proof: true, site: []func(*site, *configure){statuses(204)}, steps: toOneWithChat, asked: "AA", chats: 1, ends: "A"},
		{name: "from a page answered 404 to one with a chat", proof: true, site: []func(*site, *configure){statuses(404)}, steps: toOneWithChat, asked: "AA", chats: 1, ends: "A"},
		{name: "from a page answered 500 to one with a chat", site: []func(*site, *configure){statuses(500)}, steps: toOneWithChat, asked: "AA", chats: 1, ends: "A"},
		{name: "to a page answered 204, and on", proof: true, site: []func(*site, *configure){answers(func(_ int, path string) hubspottest.WidgetAnswer {
			if path == "/a" {
				return hubspottest.WidgetAnswer{Status: 204}
			}
			return hubspottest.WidgetAnswer{}
		})}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.until("no chat here", `!document.querySelector("`+boxes+`")`)
			p.to("b")
		}, asked: "AAA", chats: 2, ends: "A"},
		{name: "no chat anywhere, in and out", site: []func(*site, *configure){always(hubspottest.WidgetAnswer{Status: 404})}, leave: true, steps: func(p play) {
			p.start("/")
			p.asks(1)
			p.to("first")
			p.asks(2)
			time.Sleep(quiet)
			p.to("a")
			n := p.questions()
			p.to("logout")
			p.asks(n + 1)
		}, asked: "-A+-+", ends: ""},
		{name: "the chat twice in each page", proof: true, site: []func(*site, *configure){twice}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("b")
		}, asked: "AAA", chats: 1, ends: "A"},
		{name: "a morphing refresh", site: []func(*site, *configure){head(`<meta name="turbo-refresh-method" content="morph"><meta name="turbo-refresh-scroll" content="preserve">`)}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.do(`document.addEventListener("turbo:morph", () => { window.morphed = true }), Turbo.visit(location.href, { action: "replace" })`)
			p.until("the morph", "window.morphed")
			p.sees("A")
			p.to("a")
		}, asked: "AA", chats: 1, ends: "A"},
		{name: "the page resets the widget at each visit", site: []func(*site, *configure){head(`<script>addEventListener("turbo:load", () => window.HubSpotConversations && HubSpotConversations.resetAndReloadWidget())</script>`)}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.do(`HubSpotConversations.widget.open()`)
			p.until("it obeys", isOpen)
			p.to("logout")
		}, asked: "AA+--?", ends: "-"},
		{name: "a morphing refresh after the session ended", proof: true, site: []func(*site, *configure){head(`<meta name="turbo-refresh-method" content="morph">`)}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.s.endSessions()
			p.do(`document.addEventListener("turbo:morph", () => { window.morphed = true }), Turbo.visit(location.href, { action: "replace" })`)
			p.until("the morph", "window.morphed")
		}, asked: "A-", chats: 2, ends: "-"},
		{name: "view transitions", proof: true, site: []func(*site, *configure){head(`<meta name="view-transition" content="same-origin">`)}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
			p.sees("-")
			p.goBack("/a")
		}, asked: "AA-+", chats: 2, ends: "-"},
		{name: "idle loading", proof: true, site: []func(*site, *configure){options(snippet.WithLoad(snippet.LoadIdle))}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
		}, asked: "AA-", chats: 2, ends: "-"},
		{name: "visits before the interaction", mouse: true, site: []func(*site, *configure){options(snippet.WithLoad(snippet.LoadInteraction))}, steps: func(p play) {
			p.signIn("A")
			p.to("a")
			p.to("logout")
			p.to("second")
			if got := p.s.people(0); got != "" {
				p.t.Errorf("HubSpot was asked for %s", got)
			}
			p.do(`window.dispatchEvent(new Event("keydown"))`)
		}, asked: "B", chats: 1, ends: "B"},
		{name: "a page without the chat between", site: []func(*site, *configure){without("/a")}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.until("no chat is seen", `(b => !b || getComputedStyle(b).display == "none")(document.querySelector("`+boxes+`"))`)
			p.to("b")
		}, asked: "AA", ends: "A"},
		{name: "a page that never identifies, and Back to it", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("help")
			p.sees("-")
			p.to("a")
			p.sees("A")
			p.goBack("/help")
		}, asked: "A-A-", chats: 4, ends: "-"},
		{name: "a nonce per response", site: []func(*site, *configure){options(snippet.WithNonce(nonceFrom)), func(s *site, _ *configure) {
			s.head = strings.ReplaceAll(s.head, "<script", `<script nonce="NONCE"`)
			s.header["Content-Security-Policy"] = "script-src 'nonce-NONCE' 'strict-dynamic'"
		}}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
			p.sees("-")
			p.to("second")
		}, asked: "AA-B", chats: 3, ends: "B"},
		{name: "no inline script", proof: true, site: []func(*site, *configure){options(snippet.WithScriptPath("/assets/chat")), func(s *site, _ *configure) {
			s.header["Content-Security-Policy"] = "script-src 'self' http://127.0.0.1:*"
		}}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
		}, asked: "AA-", chats: 2, ends: "-"},
		{name: "inline embed", site: []func(*site, *configure){options(snippet.WithSettings(snippet.Settings{InlineEmbedSelector: "#here"})), func(s *site, _ *configure) {
			s.body = `<div id="here"></div>`
		}}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
		}, asked: "A+-", ends: "-"},
	}, withScript(turbo))

	// Without a script in the head HubSpot's would go with the body.
	tell(t, []story{
		{name: "no script in the head", proof: true, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("b")
			p.sees("A")
			p.to("logout")
			p.sees("-")
			p.to("second")
		}, asked: "AAA-B", chats: 3, ends: "B"},
		{name: "no script in the head, and the theme's own loader in the body", proof: true, site: []func(*site, *configure){ownLoader(func(s *site, tag string) { s.body = tag }, `id="hs-script-loader"`)}, steps: func(p play) {
			p.signIn("A")
			p.sees("A")
			p.to("a")
			p.sees("A")
			p.to("logout")
			p.sees("-")
			p.to("second")
		}, asked: "AA-B", chats: 3, ends: "B"},
	}, func(s *site, _ *configure) {
		s.files["/turbo.js"] = vendored(s.t, turbo)
		s.foot = `<script src="/turbo.js"></script>`
	})
}

func TestStoriesOfHtmx(t *testing.T) {
	t.Parallel()
	for version, path := range map[string]string{"1.9": "htmx-1/dist/htmx.min.js", "2.0": "htmx-2/dist/htmx.min.js", "4": "htmx.org/dist/htmx.min.js"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			boosted := func(s *site, _ *configure) { s.attributes = `hx-boost="true" hx-boost:inherited="true"` }
			slot := func(s *site, _ *configure) { s.body = `<div id="slot"></div>` }
			fragment := `htmx.ajax("GET", "/fragment", { target: "#slot", swap: "innerHTML" })`
			tell(t, []story{
				{name: "boosted, with Back", proof: version == "1.9", site: []func(*site, *configure){boosted}, leave: version == "4", steps: func(p play) {
					p.signIn("A")
					p.sees("A")
					p.to("a")
					p.sees("A")
					p.wantSameDocument()
					p.to("logout")
					p.sees("-")
					p.wantSameDocument()
					if kept := eval[string](p.tab, `JSON.stringify(localStorage)`); strings.Contains(kept, first) || strings.Contains(kept, "eyJ") {
						p.t.Errorf("after signing out localStorage holds %s", kept)
					}
					since := p.questions()
					p.goBack("/a")
					p.sees("-")
					p.from(since, "-")
					p.to("second")
				}, asked: "A+-+B", ends: "B"},
				{name: "a fragment twice", proof: version != "2.0", site: []func(*site, *configure){slot}, steps: func(p play) {
					p.signIn("A")
					p.sees("A")
					eval[any](p.tab, fragment)
					eval[any](p.tab, fragment)
				}, asked: "A", chats: 1, ends: "A"},
				{name: "a fragment during the first load", proof: version != "2.0", site: []func(*site, *configure){slot, always(hubspottest.WidgetAnswer{Delay: 500 * time.Millisecond, FrameDelay: 500 * time.Millisecond})}, steps: func(p play) {
					p.signIn("A")
					p.asks(1)
					eval[any](p.tab, fragment)
				}, asked: "A", chats: 1, ends: "A"},
				{name: "a fragment beside an open chat", proof: version != "2.0", site: []func(*site, *configure){slot}, steps: func(p play) {
					p.signIn("A")
					p.sees("A")
					p.do("HubSpotConversations.widget.open()")
					p.until("it is open", isOpen)
					eval[any](p.tab, fragment)
					p.sees("A")
					p.until("it is open still", isOpen)
				}, asked: "A", chats: 1, ends: "A"},
				{name: "only the fragment has the chat", proof: version != "2.0", site: []func(*site, *configure){slot, without("/account")}, steps: func(p play) {
					p.signIn("A")
					eval[any](p.tab, fragment)
				}, asked: "A", chats: 1, ends: "A"},
			}, withScript(path))
		})
	}
}
