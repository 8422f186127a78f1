package e2e_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// What an application's scripts do with hubspotVisitor.

// refresh is hubspotVisitor.refresh with the header that signs somebody in.
func refresh(as string) string {
	return `hubspotVisitor.refresh({ headers: { Authorization: "Bearer ` + as + `" } })`
}

// TestRefreshes: headers of every kind, and calls while a question is under way.
func TestRefreshes(t *testing.T) {
	t.Parallel()
	slow := `hubspotVisitor.refresh({ headers: new Headers({ Authorization: "Bearer first@example.com", "X-Slow": "1" }) })`
	for _, c := range []struct{ name, calls, asked, ends string }{
		{"Headers", `hubspotVisitor.refresh({ headers: new Headers({ Authorization: "Bearer first@example.com" }) })`, "-A", first},
		{"pairs", `hubspotVisitor.refresh({ headers: [["Authorization", "Bearer first@example.com"]] })`, "-A", first},
		{"twice", refresh(first) + ", " + refresh(first), "-A", first},
		{"another meanwhile", slow + ", " + refresh(second), "-B", second},
		{"signed out meanwhile", slow + `, hubspotVisitor.signOut()`, "-", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, byHeader)
			tb := newTab(t)
			tb.open(s.url + "/a")
			tb.mark()
			tb.converged(s, "")
			tb.do(c.calls)
			time.Sleep(2 * time.Second)
			tb.converged(s, c.ends)
			if got := s.people(0); got != c.asked {
				t.Errorf("HubSpot was asked for %s, want %s", got, c.asked)
			}
			tb.wantSameDocument()
			tb.noExceptions()
		})
	}
}

// TestSignOutInAnotherTab: what signs a tab in by a header ends with a sign-out in
// another tab, too.
func TestSignOutInAnotherTab(t *testing.T) {
	t.Parallel()
	s := newSite(t, byHeader)
	left := newTab(t)
	left.open(s.url + "/a")
	left.do(refresh(first))
	left.converged(s, first)
	right := left.beside()
	right.open(s.url + "/b")
	right.mark()
	right.do(refresh(first))
	right.converged(s, first)

	left.do(`hubspotVisitor.signOut()`)
	left.converged(s, "")
	right.converged(s, "")
	right.do(`document.dispatchEvent(new Event("visibilitychange")), hubspotVisitor.refresh()`)
	right.converged(s, "")
	right.do(refresh(second))
	right.converged(s, second)
	right.wantSameDocument()
	s.wantApart()
	left.noExceptions()
	right.noExceptions()
}

// TestSignOutWithoutAChat: what somebody said before signing in is theirs, also where
// nothing was loaded that a reset would rid of it.
func TestSignOutWithoutAChat(t *testing.T) {
	t.Parallel()
	s := newSite(t, options(snippet.WithLoad(snippet.LoadManual)), func(_ *site, c *configure) { c.middleware = append(c.middleware, middleware.WithTrackingCookie()) })
	tb := newTab(t)
	tb.open(s.url + "/a")
	tb.do(`document.cookie = "hubspotutk=one;path=/", hubspotVisitor.load()`)
	tb.converged(s, "")
	tb.say("before signing in")
	anonymous := tb.utk()

	tb.open(s.url + "/b")
	tb.do(`hubspotVisitor.signOut()`) // of nobody
	if got := tb.utk(); got != anonymous || anonymous == "" {
		t.Errorf("messagesUtk is %q, was %q: the chat of somebody who was not signed in is lost", got, anonymous)
	}
	tb.open(s.url + "/login?as=" + first)
	if got := tb.utk(); got != anonymous {
		t.Errorf("signing in changed messagesUtk from %q to %q", anonymous, got)
	}
	s.endSessions()
	tb.do(`hubspotVisitor.signOut()`)
	if got := eval[string](tb, "document.cookie"); strings.Contains(got, anonymous) || strings.Contains(got, "hubspotutk") {
		t.Errorf("the cookies after the sign-out are %q", got)
	}
	tb.open(s.url + "/a")
	tb.do(`hubspotVisitor.load()`)
	tb.converged(s, "")
	if got := tb.thread(); len(got) != 0 {
		t.Errorf("the next visitor sees the thread %q", got)
	}
	tb.noExceptions()
}

// TestTwoWindows: in each of two windows that both are looked at somebody else has
// signed in by a header. They share the marker.
func TestTwoWindows(t *testing.T) {
	t.Parallel()
	s := newSite(t, byHeader, func(s *site, _ *configure) {
		identifies := s.wrap
		s.wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == endpoint {
					time.Sleep(50 * time.Millisecond) // as far as servers are
				}
				identifies(next).ServeHTTP(w, r)
			})
		}
	})
	left := newTab(t)
	left.open(s.url + "/a")
	left.do(refresh(first))
	left.converged(s, first)
	right := left.beside()
	right.open(s.url + "/b")
	before := s.questions()
	right.do(refresh(second))
	time.Sleep(4 * time.Second)
	if n := s.questions() - before; n > 19 {
		t.Errorf("%d questions to the endpoint in four seconds", n)
	}
	for _, tb := range []*tab{left, right} {
		tb.do(`document.dispatchEvent(new Event("visibilitychange"))`) // looked at
		tb.converged(s, map[*tab]string{left: first, right: second}[tb])
	}
	s.wantApart()
	left.noExceptions()
	right.noExceptions()
}

// TestOpenedAgain: whoever clicks again has the chat, once the trouble is over.
func TestOpenedAgain(t *testing.T) {
	t.Parallel()
	t.Run("HubSpot was in trouble", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onDemand(), always(hubspottest.WidgetAnswer{Status: http.StatusInternalServerError}))
		tb := newTab(t)
		tb.atStart(listenToChanges)
		tb.open(s.url + "/login?as=" + first)
		tb.mark()
		tb.click(launchButton)
		tb.until("the trouble", `hubspotVisitor.status.state == "failed"`)
		s.hubspot.SetWidget(nil)
		tb.click(launchButton)
		tb.converged(s, first)
		tb.until("the open chat", chatIsOpen)
		tb.wasTold("loading failed loading ready*")
		tb.wantSameDocument()
		tb.noExceptions()
	})
	t.Run("the token endpoint was in trouble", func(t *testing.T) {
		t.Parallel()
		var trouble atomic.Bool
		trouble.Store(true)
		s := newSite(t, onDemand(), func(s *site, _ *configure) {
			s.wrap = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == endpoint && trouble.Load() {
						http.Error(w, "bad gateway", http.StatusBadGateway)
						return
					}
					next.ServeHTTP(w, r)
				})
			}
		})
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		tb.mark()
		tb.click(launchButton)
		tb.converged(s, "")
		trouble.Store(false)
		tb.do(`hubspotVisitor.open()`)
		tb.converged(s, first)
		tb.until("the open chat", chatIsOpen)
		tb.wantSameDocument()
		s.wantApart()
		tb.noExceptions()
	})
}

// TestOpenedAgainBeforeTheFirstGivesUp: what somebody waits for now does not end when
// what they waited for before would have.
func TestOpenedAgainBeforeTheFirstGivesUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, onDemand(), always(hubspottest.WidgetAnswer{Status: http.StatusInternalServerError}))
	tb := newTab(t)
	// The first wait that is long is over in three seconds.
	tb.atStart(listenToChanges + `const real = setTimeout; let long = 0; window.setTimeout = (f, ms, ...rest) => real(f, ms > 2e4 && !long++ ? 3e3 : ms, ...rest);`)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.click(launchButton)
	tb.until("the trouble", `hubspotVisitor.status.state == "failed"`)
	s.hubspot.SetWidget(func(hubspottest.WidgetLoad) hubspottest.WidgetAnswer {
		return hubspottest.WidgetAnswer{Delay: 2500 * time.Millisecond}
	})
	time.Sleep(500 * time.Millisecond)
	tb.click(launchButton)
	tb.converged(s, first)
	tb.until("the open chat", chatIsOpen)
	tb.wasTold("loading failed loading ready*")
	tb.wantSameDocument()
	tb.noExceptions()
}

// TestMarkerChangesWithinAStep: another tab can change the cookie between any two
// looks at it, here whenever a step has begun.
func TestMarkerChangesWithinAStep(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tb := newTab(t)
	tb.atStart(`(() => {
		const real = Object.getOwnPropertyDescriptor(Document.prototype, "cookie"), { querySelector } = document;
		let gone = false;
		Object.defineProperty(document, "cookie", { get: () => gone ? "" : real.get.call(document), set: (line) => real.set.call(document, line) });
		document.querySelector = (selector) => {
			if (selector == "script#hubspot-messages-loader") {
				gone = true;
				queueMicrotask(() => gone = false);
			}
			return querySelector.call(document, selector);
		};
	})()`)
	tb.open(s.url + "/login?as=" + first)
	tb.mark()
	tb.converged(s, first)
	if got := s.people(0); got != "A" {
		t.Errorf("HubSpot was asked for %s", got)
	}
	tb.wantSameDocument()
	tb.noExceptions()
}

// TestStatusWithoutPart: a page of Turbo's that has no page part has no chat, and
// identifies nobody.
func TestStatusWithoutPart(t *testing.T) {
	t.Parallel()
	s := newSite(t, without("/b"), withScript(turbo))
	p := play{newTab(t), s}
	p.atStart(listenToChanges)
	p.signIn("A")
	p.sees("A")
	p.to("b")
	p.until("the status", `changes.length == 3`)
	p.to("a")
	p.sees("A")
	p.wasTold("loading ready* none ready*")
	p.wantSameDocument()
	p.noExceptions()
}

// TestLauncherOfEachPage: the launcher is what the present page says, though
// nothing has changed for the chat.
func TestLauncherOfEachPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, onDemand(snippet.WithLauncher(snippet.Launcher{Label: "Questions?"})), withScript(turbo))
	p := play{newTab(t), s}
	p.start("/")
	p.until("the launcher", launchable)
	s.options = []snippet.Option{snippet.WithLoad(snippet.LoadClick), snippet.WithLauncher(snippet.Launcher{Label: "Fragen?", Left: true})}
	p.to("a")
	p.until("its new label", launchButton+`.title == "Fragen?" && `+launcher+`.className == "left"`)
	s.options = []snippet.Option{snippet.WithLoad(snippet.LoadManual)}
	p.to("b")
	p.until("a page without a launcher", "!"+launchable)
	p.wantSameDocument()
	p.noExceptions()
}
