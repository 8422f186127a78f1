package e2e_test

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// TestPageKeepsItsOwn: the page had settings and callbacks before.
func TestPageKeepsItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, _ *configure) {
		s.head = `<script>
			window.hsConversationsSettings = {disableAttachment: true, custom: "kept"};
			window.ran = 0;
			window.hsConversationsOnReady = [() => { window.ran++; }];
		</script>`
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	if got := eval[string](tb, "JSON.stringify([hsConversationsSettings.disableAttachment, hsConversationsSettings.custom, hsConversationsSettings.loadImmediately])"); got != `[true,"kept",false]` {
		t.Errorf("settings are %s", got)
	}
	if got := eval[int](tb, "window.ran"); got != 2 { // by the stub and by the real API
		t.Errorf("the page's own callback ran %d times, want 2", got)
	}
	if got := eval[int](tb, "hsConversationsOnReady.length"); got != 2 {
		t.Errorf("%d callbacks, want the page's and ours", got)
	}
}

// TestThirdPartyCallbackThrows: forEach stops there, for those behind it.
func TestThirdPartyCallbackThrows(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, _ *configure) {
		s.head = `<script>window.hsConversationsOnReady = [() => { throw new Error("not ours"); }];</script>`
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.say("still here")
	s.wantContacts("first@example.com*: still here")
}

// TestHostileIdentity: what is in an address stays in it.
func TestHostileIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		email string
		odd   bool // HubSpot would refuse it: the test gives it a token all the same
	}{
		{`"</script><script>window.hacked=1</script>"@example.com`, true},
		{`"'); window.hacked=1; ('"@example.com`, true},
		{`"\"; window.hacked=1; //"@example.com`, true},
		{"a\u2028😀@example.com", true},
		{"josé+tag@example.com", false},
		{"o'neil&co=x#y@example.com", false},
	} {
		t.Run(c.email, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *configure) { s.charset = "" }) // a page without a declared charset
			if c.odd {
				s.hubspot.Queue(hubspottest.Fault{Status: http.StatusOK, Body: `{"token":"a-token"}`})
			}
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + url.QueryEscape(c.email))
			if !c.odd {
				tb.converged(s, c.email)
				tb.say("hello")
				s.wantContacts(c.email + "*: hello")
			}
			if got := tb.identity(); got != c.email {
				t.Errorf("the page names %q, want %q", got, c.email)
			}
			if eval[bool](tb, `"hacked" in window`) {
				t.Error("the address ran as a script")
			}
			tb.noExceptions()
		})
	}
}

// TestBlockedStorage: the browser refuses localStorage.
func TestBlockedStorage(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper)
	tb := newTab(t)
	tb.atStart(`Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } })`)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.say("without storage")
	tb.prepare(second)
	tb.do("become()")
	tb.converged(s, second)
	s.wantContacts("first@example.com*: without storage")
	tb.noExceptions()
}

// TestBlockedWidget: an ad blocker keeps HubSpot's scripts away.
func TestBlockedWidget(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper, func(_ *site, c *configure) { c.hubspot.LoaderURL = "http://127.0.0.1:9" })
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.prepare(second, "")
	tb.do("become(), become()")
	if got := eval[string](tb, "document.querySelector('h1').textContent"); got != "/account" {
		t.Errorf("the page is %q", got)
	}
	if got := tb.identity(); got != "" {
		t.Errorf("after signing out the settings name %q", got)
	}
	tb.noExceptions()
	if n := tb.printed(""); n > 0 {
		t.Errorf("%d lines in the console, want none", n)
	}
}

// TestDoubleLoaderTag: somebody else put HubSpot's loader into the page, too.
func TestDoubleLoaderTag(t *testing.T) {
	t.Parallel()
	hs := hubspottest.NewServer(t)
	s := newSite(t, func(s *site, c *configure) {
		c.emulator = hs
		s.head = fmt.Sprintf(`<script id="hs-script-loader" async defer src="%s/%s.js"></script>`, hs.URL, hubspottest.PortalID)
		s.body = s.head
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.say("once")
	s.wantContacts("first@example.com*: once")
	tb.noExceptions()
}

// TestBackAfterSignOut: the page before is shown again, restored or loaded anew.
func TestBackAfterSignOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tb := newWindow(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.open(s.url + "/logout")
	tb.converged(s, "")
	before := len(s.hubspot.WidgetLoads())
	act(tb, chromedp.NavigateBack())
	tb.until("the page before is back", `location.pathname == "/account"`)
	tb.until("it asked for a chat", "window.HubSpotConversations")
	tb.converged(s, "")
	for _, load := range s.hubspot.WidgetLoads()[before:] {
		if load.Email != "" {
			t.Errorf("the page behind the back button asked for the chat of %s", load.Email)
		}
	}
	if got := tb.identity(); got != "" {
		t.Errorf("it names %s", got)
	}
}

// TestRestoredPage: the back/forward cache keeps the page whole, with the widget
// of the visitor who has signed out since. Browsers keep a no-store page there at
// their own discretion: the test dispatches the event that they send.
func TestRestoredPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper)
	tb := newWindow(t)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	restore := `window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))`
	before := len(s.hubspot.WidgetLoads())
	tb.do(restore)
	tb.converged(s, first)
	if got := s.people(before); got != "" {
		t.Errorf("nothing had changed, but HubSpot was asked for %q", got)
	}

	s.endSessions()
	tb.do(forgetMarker + ", " + restore) // as the page after the sign-out did
	tb.converged(s, "")
	if got := tb.identity(); got != "" {
		t.Errorf("the restored page names %s", got)
	}
	tb.noExceptions()
}

// forgetMarker is what a sign-out in another tab does to this one.
const forgetMarker = `document.cookie = document.cookie.match(/hubspot_visitor_\d+=/)[0] + "; Path=/; Max-Age=0"`

// TestWidgetTrouble: the widget's backend answers 500. The widget is stuck, with
// what it would have told the chat, and the second signs in.
func TestWidgetTrouble(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper)
	s.hubspot.SetWidgetStatus(http.StatusInternalServerError)
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	tb.untilPrinted("Initial messages API call failed")
	s.hubspot.SetWidgetStatus(0)
	tb.prepare(second)
	tb.do("become()")
	tb.converged(s, second)
	tb.do(`window.dispatchEvent(new Event("resize"))`) // which sends what the widget has in mind
	tb.say("works again")
	s.wantContacts("second@example.com*: works again")
	s.wantApart()
	tb.noExceptions()
}

// TestNoChatOnThisPage: the backend shows the chat on some pages only.
func TestNoChatOnThisPage(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusNoContent, http.StatusNotFound} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withSwapper)
			s.hubspot.SetWidgetStatus(status)
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			tb.until("the backend was asked", "window.HubSpotConversations")
			time.Sleep(1500 * time.Millisecond)
			if got := s.people(0); got != "A" {
				t.Errorf("HubSpot was asked for %q, want A, once", got)
			}
			s.hubspot.SetWidgetStatus(0)
			tb.prepare(first)
			tb.do(`history.pushState(null, "", "/with"), become()`) // a swap to a page with chat
			tb.converged(s, first)
			if got := s.people(0); got != "AA" {
				t.Errorf("HubSpot was asked for %q, want A, and A again for the other page", got)
			}
		})
	}
}

// TestConsent: without it the page carries nothing at all.
func TestConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, c *configure) {
		c.middleware = []middleware.Option{middleware.WithConsent(func(r *http.Request) bool { return r.URL.Path == "/a" })}
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	if got := eval[int](tb, "document.scripts.length"); got != 0 {
		t.Errorf("%d scripts without consent", got)
	}
	tb.open(s.url + "/a")
	tb.converged(s, first)
}

// TestLazyLoading: HubSpot's scripts wait for a quiet moment, or for the visitor.
func TestLazyLoading(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(s *site, _ *configure) { s.options = []snippet.Option{snippet.WithLoad(snippet.LoadIdle)} })
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		tb.converged(s, first)
		tb.say("idle")
		s.wantContacts("first@example.com*: idle")
	})
	t.Run("interaction", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(s *site, _ *configure) {
			s.options = []snippet.Option{snippet.WithLoad(snippet.LoadInteraction)}
		})
		tb := newWindow(t)
		tb.open(s.url + "/login?as=" + first)
		time.Sleep(time.Second)
		if got := eval[int](tb, `document.querySelectorAll("script[src]").length`); got != 0 {
			t.Errorf("%d scripts were fetched before any interaction", got)
		}
		for _, at := range []float64{300, 310} {
			act(tb, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at, at))
		}
		tb.converged(s, first)
		if got := eval[int](tb, `document.querySelectorAll("#hs-script-loader").length`); got != 1 {
			t.Errorf("%d loader tags, want 1", got)
		}
	})
}

// withBudget gives pages little time for the token.
func withBudget(budget time.Duration) func(*site, *configure) {
	return func(_ *site, c *configure) { c.hubspot.RenderBudget = budget }
}

// TestLateIdentity: the token does not come within the render budget.
func TestLateIdentity(t *testing.T) {
	t.Parallel()
	t.Run("comes later", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, withBudget(50*time.Millisecond))
		s.hubspot.Queue(hubspottest.Fault{Latency: time.Second})
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		tb.converged(s, first)
		if got := s.questions(); got != 1 {
			t.Errorf("the page asked the endpoint %d times, want once", got)
		}
		for _, load := range s.hubspot.WidgetLoads() {
			if load.Email == "" {
				t.Error("the widget was loaded before the identity was known")
			}
		}
		tb.say("late, but known")
		s.wantContacts("first@example.com*: late, but known")
		if got := len(s.hubspot.Calls()); got != 1 {
			t.Errorf("%d token calls, want 1", got)
		}
		tb.noExceptions()
	})
	t.Run("fails", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, withBudget(50*time.Millisecond))
		unavailable := hubspottest.FaultUnavailable()
		s.hubspot.SetOutage(&unavailable)
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		tb.converged(s, "")
		if got := s.questions(); got != 1 {
			t.Errorf("the page asked the endpoint %d times, want once", got)
		}
		tb.noExceptions()
	})
	t.Run("takes over 5 s", func(t *testing.T) {
		t.Parallel()
		stuck := make(chan struct{})
		s := newSite(t, withBudget(50*time.Millisecond), func(s *site, _ *configure) {
			s.wrap = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == endpoint {
						<-stuck
					}
					next.ServeHTTP(w, r)
				})
			}
		})
		defer close(stuck)
		s.hubspot.Queue(hubspottest.Fault{Latency: time.Second})
		tb := newTab(t)
		began := time.Now()
		tb.open(s.url + "/login?as=" + first)
		tb.until("the chat", `document.querySelector("`+boxes+`")`)
		if took := time.Since(began); took < 5*time.Second || took > 9*time.Second {
			t.Errorf("the page waited %v for its identity, want about 5 s", took)
		}
		tb.converged(s, "")
		tb.noExceptions()
	})
	t.Run("session ended meanwhile", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, withBudget(50*time.Millisecond))
		s.hubspot.Queue(hubspottest.Fault{Latency: 600 * time.Millisecond})
		tb := newTab(t)
		tb.atStart(`window.realFetch = window.fetch; window.fetch = async (...a) => { if (String(a[0]).endsWith("/hubspot-visitor/token")) await realFetch("/forget"); return realFetch(...a); }`)
		tb.open(s.url + "/login?as=" + first)
		tb.converged(s, "")
		tb.noExceptions()
	})
}

// TestRenewal: a page that has been open for a while asks who is signed in when it
// is looked at, and leaves the running chat alone.
func TestRenewal(t *testing.T) {
	t.Parallel()
	s := newSite(t, withSwapper)
	tb := newTab(t)
	tb.atStart(`window.ahead = 0; const now = Date.now; Date.now = () => now() + window.ahead;`)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	tb.say("in the morning")
	look := `document.dispatchEvent(new Event("visibilitychange"))`
	tb.do("window.ahead = 4 * 60e3, " + look)
	if got := s.questions(); got != 0 {
		t.Errorf("a page that is four minutes old asked the endpoint %d times", got)
	}
	s.tokens.Invalidate(t.Context(), hubspot.Visitor{Email: first}) // so that the endpoint has another token to give
	tb.do("window.ahead = 9.5 * 3600e3, " + look)
	tb.converged(s, first)
	if got := s.people(0); got != "A" {
		t.Errorf("HubSpot was asked for %q: the renewal disturbs the chat", got)
	}
	if got := tb.thread(); len(got) != 1 {
		t.Errorf("the chat shows %q", got)
	}
	if got := s.questions(); got != 1 {
		t.Errorf("the page asked %d times, want once", got)
	}
	tb.noExceptions()
}

// TestSessionEndsUnseen: nothing but the clock tells that the session is over.
func TestSessionEndsUnseen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tb := newTab(t)
	tb.atStart(`window.ahead = 0; const now = Date.now; Date.now = () => now() + window.ahead;`)
	tb.open(s.url + "/login?as=" + first)
	tb.converged(s, first)
	s.endSessions()
	tb.do(`window.ahead = 6 * 60e3, document.dispatchEvent(new Event("visibilitychange"))`)
	tb.converged(s, "")
	if got := s.people(0); got != "A-" {
		t.Errorf("HubSpot was asked for %q, want A and nobody", got)
	}
}

// The token endpoint's path is answered by somebody else: a check against
// cross-site request forgery, a proxy, a router. That is no word about who is
// signed in.
func TestEndpointAnsweredBySomebodyElse(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404, 405, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			if status == 400 || status == 405 {
				onlyAsProof(t, "403 and 404 are much like it")
			}
			t.Parallel()
			s := newSite(t, func(s *site, _ *configure) {
				s.wrap = func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == endpoint {
							http.Error(w, "not here", status)
							return
						}
						next.ServeHTTP(w, r)
					})
				}
			})
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			tb.converged(s, first)
			eval[any](tb, "hubspotVisitor.refresh()")
			tb.converged(s, first)
			if got := s.people(0); got != "A" {
				t.Errorf("HubSpot was asked for %s, want A", got)
			}
			tb.noExceptions()
		})
	}
}

// The endpoint is this origin's, whatever <base> says.
func TestBaseOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, _ *configure) { s.head = `<base href="https://elsewhere.test/">` })
	tb := newTab(t)
	tb.open(s.url + "/")
	tb.converged(s, "")
	eval[any](tb, fmt.Sprintf(`fetch(location.origin + "/login?as=%s").then(() => hubspotVisitor.refresh())`, first))
	tb.converged(s, first)
}

// Pages in frames, one of them without cookies, storage and an origin.
func TestPageInAFrame(t *testing.T) {
	t.Parallel()
	for _, sandbox := range []string{"", `sandbox="allow-scripts"`} {
		t.Run(sandbox, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, without("/account"), func(s *site, _ *configure) {
				s.page = func(path string, chat template.HTML) string {
					if path == "/account" {
						return `<!doctype html><title>outer</title><h1>/account</h1><iframe ` + sandbox + ` src="/a" width="600" height="400"></iframe>`
					}
					return "<!doctype html><title>inner</title><body><h1>" + path + "</h1>" + string(chat) + "</body>"
				}
			})
			tb := newTab(t)
			tb.open(s.url + "/login?as=" + first)
			p := play{tb, s}
			if sandbox != "" {
				time.Sleep(3 * time.Second)
				p.from(0, "-") // the marker cannot be read, and the endpoint refuses
				return
			}
			p.asks(1)
			time.Sleep(quiet)
			if got := s.people(0); got != "A" {
				t.Errorf("HubSpot was asked for %s, want A", got)
			}
			tb.noExceptions()
		})
	}
}

// policy is default-src 'none' and what the chat needs.
func policy(extra map[string]string) string {
	parts := []string{"default-src 'none'"}
	for directive, sources := range snippet.CSP("na1") {
		parts = append(parts, directive+" "+strings.Join(sources, " ")+" "+extra[directive])
	}
	return strings.Join(parts, "; ")
}

// TestStrictContentSecurityPolicy uses HubSpot's real host names, at the
// emulator, on an https page.
func TestStrictContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options []snippet.Option
		policy  string
	}{
		{"nonce", []snippet.Option{snippet.WithNonce(nonceFrom)}, policy(map[string]string{"script-src": "'nonce-NONCE'"})},
		{"nonce and strict-dynamic", []snippet.Option{snippet.WithNonce(nonceFrom)}, policy(map[string]string{"script-src": "'nonce-NONCE' 'strict-dynamic'"})},
		{"no inline script", []snippet.Option{snippet.WithScriptPath("/assets/chat")}, policy(map[string]string{"script-src": "'self'"})},
		{"nonce and lazy", []snippet.Option{snippet.WithNonce(nonceFrom), snippet.WithLoad(snippet.LoadIdle)}, policy(map[string]string{"script-src": "'nonce-NONCE' 'strict-dynamic'"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			hs := hubspottest.NewServer(t)
			hubspotHosts.serve(t, hs.Handler())
			s := newSite(t, onShopTest(t), func(s *site, cfg *configure) {
				cfg.emulator = hs
				cfg.hubspot.LoaderURL = "//js.hs-scripts.com" // the default
				s.options = c.options
				s.header["Content-Security-Policy"] = c.policy
			})
			tb := newTab(t)
			tb.atStart(`window.violations = []; document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));`)
			tb.open("https://shop.test/login?as=" + first)
			tb.converged(s, first)
			tb.say("under a strict policy")
			s.wantContacts("first@example.com*: under a strict policy")
			if got := eval[[]string](tb, "violations"); len(got) > 0 {
				t.Errorf("%d violations: %q", len(got), got)
			}
			tb.noExceptions()
		})
	}
	t.Run("a violation is seen", func(t *testing.T) { // or else the test above proves nothing
		s := newSite(t, func(s *site, _ *configure) { s.header["Content-Security-Policy"] = "default-src 'none'" })
		tb := newTab(t)
		tb.atStart(`window.violations = []; document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));`)
		tb.open(s.url + "/")
		tb.until("violations", "violations.length > 0")
	})
}

// TestRunTimeProof prints what the chat costs a page before HubSpot's own scripts
// come: from the element in front of it to the one behind it.
func TestRunTimeProof(t *testing.T) {
	onlyAsProof(t, "it loads 200 pages, one after the other")
	const loads = 100
	var chat atomic.Bool
	s := newSite(t, func(s *site, c *configure) {
		c.hubspot.LoaderURL = "http://127.0.0.1:9" // HubSpot's own scripts are not measured
		c.middleware = []middleware.Option{middleware.WithConsent(func(*http.Request) bool { return chat.Load() })}
		s.body = "<script>window.before = performance.now()</script>"
		s.foot = "<script>window.after = performance.now()</script>"
	})
	tb := newTab(t)
	tb.open(s.url + "/login?as=" + first)
	median := func(with bool) float64 {
		chat.Store(with)
		times := make([]float64, loads)
		for i := range times {
			tb.open(s.url + "/a")
			times[i] = eval[float64](tb, "window.after - window.before")
		}
		slices.Sort(times)
		return times[loads/2]
	}
	without, with := median(false), median(true)
	t.Logf("the chat takes a page %.2f ms (median of %d page loads; %.2f ms without it)", with, loads, without)
	if with-without > 10 {
		t.Error("that is too long")
	}
}
