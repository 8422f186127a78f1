package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// onDemand is a page that asks who it is when the chat is wanted.
func onDemand(cacheControl string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chat := snippet.HTML(r.Context(), snippet.WithLoad(snippet.LoadClick))
		if cacheControl != "" {
			w.Header().Set("Cache-Control", cacheControl)
		}
		fmt.Fprintf(w, "<!doctype html><title>Shop</title>%s", chat)
	})
}

// TestOnDemand: such a page is the same for everybody, costs no call, and is left
// to the application's own caching headers.
func TestOnDemand(t *testing.T) {
	for _, cacheControl := range []string{"", "public, max-age=60", "no-cache"} {
		a := newApp(t)
		pages := a.Handler(onDemand(cacheControl))
		stranger := serve(pages, navigation())
		// Unless the page is public, the first one tells the browser who it is.
		first := serve(pages, navigation(ada))
		if marked := len(markers(first.Header())) == 1; marked == strings.Contains(cacheControl, "public") || marked != (storable(first.Header()) == "") {
			t.Errorf("%q: the first page has %v", cacheControl, first.Header())
		}
		r := navigation(ada)
		r.Header.Set("Cookie", markerName+"="+marker(serve(a.pages, navigation(ada))))
		wantCalls(t, a, 1)
		serve(pages, navigation()) // pages are on demand again
		a.tokens.Invalidate(t.Context(), ada)
		w := serve(pages, r)
		if w.Body.String() != stranger.Body.String() || !strings.Contains(w.Body.String(), `data-hubspot-visitor="?"`) {
			t.Errorf("%q: the pages differ", cacheControl)
		}
		if email, token := identityIn(t, w.Body.String()); email+token != "" {
			t.Errorf("the page is for %q", email)
		}
		if got := w.Header().Get("Cache-Control"); got != cacheControl || w.Header().Get("Vary") != "" || markers(w.Header()) != nil {
			t.Errorf("%q: the page has %v", cacheControl, w.Header())
		}
		a.SignedIn(httptest.NewRecorder(), navigation(), ada)
		wantCalls(t, a, 1)
		// The endpoint knows.
		r = as(httptest.NewRequest("POST", "https://shop.example/hubspot-visitor/token", nil), ada)
		if w := serve(pages, r); w.Code != 200 || !strings.Contains(w.Body.String(), ada.Email) || len(markers(w.Header())) != 1 {
			t.Errorf("the endpoint says %d %s", w.Code, w.Body)
		}
		wantCalls(t, a, 2)
	}
}

// TestOnDemandNever: where nobody is identified, nobody asks.
func TestOnDemandNever(t *testing.T) {
	a := newApp(t, middleware.WithSkip(func(*http.Request) bool { return true }))
	w := serve(a.Handler(onDemand("")), navigation(ada))
	if body := w.Body.String(); !strings.Contains(body, `data-hubspot-visitor="-"`) || strings.Contains(body, "data-endpoint") {
		t.Error("the page may identify")
	}
}

// TestPrefetchFollowsThePages: tokens are fetched ahead where pages want them.
func TestPrefetchFollowsThePages(t *testing.T) {
	a := newApp(t)
	lazy, eager := a.Handler(onDemand("")), a.pages
	serve(lazy, navigation())
	serve(a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), navigation(ada))
	wantCalls(t, a, 0)
	wantIdentified(t, a, serve(eager, navigation(ada)), ada)
	wantCalls(t, a, 1)
}

// TestMillionVisitors is a day of an account whose 250,000 calls other integrations
// share: of a million signed-in visitors, five pages each, fifty thousand open the
// chat. make test has the thousandth part of it.
func TestMillionVisitors(t *testing.T) {
	visitors := 1_000
	if os.Getenv("PROOF") == "1" {
		visitors = 1_000_000
	}
	const pages, opens = 5, 20 // pages a visitor; one in twenty opens the chat
	limit, others := visitors/4, visitors/10
	t.Logf("%9d calls, if each page view makes one", visitors*pages)
	for name, load := range map[string]snippet.Load{"as pages come": snippet.LoadImmediate, "on demand": snippet.LoadClick} {
		synctest.Test(t, func(t *testing.T) {
			a := newApp(t)
			a.hubspot.SetDailyLimit(limit)
			theirs, err := hubspot.NewClient(hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID}, hubspot.WithHTTPClient(a.hubspot.Client()))
			if err != nil {
				t.Fatal(err)
			}
			h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = snippet.Render(r.Context(), w, snippet.WithLoad(load), snippet.WithScriptPath("/assets"))
			}))
			serve(h, navigation()) // of the day before
			refused, identified, wanted := 0, 0, 0
			for i := range visitors {
				time.Sleep(24 * time.Hour / time.Duration(visitors))
				v := hubspot.Visitor{Email: fmt.Sprintf("visitor%d@example.com", i), EmailVerified: true}
				for range pages {
					w := serve(h, navigation(v))
					if load == snippet.LoadImmediate && i%opens == 0 && strings.Contains(w.Body.String(), v.Email) {
						identified++
						break
					}
				}
				if i%opens == 0 {
					wanted++
					r := as(httptest.NewRequest("POST", "https://shop.example/hubspot-visitor/token", nil), v)
					if load == snippet.LoadClick && serve(h, r).Code == http.StatusOK {
						identified++
					}
				}
				if i*others/visitors != (i+1)*others/visitors {
					if _, err := theirs.CreateToken(t.Context(), hubspot.Visitor{Email: "crm@example.com", EmailVerified: true}); err != nil {
						refused++
					}
				}
			}
			stats := a.tokens.Stats()
			calls := stats.Created + stats.Renewed + stats.FailedVisitor + stats.FailedAccount + stats.FailedLimit + stats.FailedOutage
			t.Logf("%9d calls %s; of %d who open the chat %d are identified; of %d calls of others %d are refused", calls, name, wanted, identified, others, refused)
			if load == snippet.LoadClick && (int(calls) != wanted || identified != wanted || refused > 0) {
				t.Error("want one call for each who opens the chat, all identified, and no others refused")
			}
		})
	}
}

// The headers of a streamed page leave before the chat is drawn.
func TestOnDemandStreamed(t *testing.T) {
	a := newApp(t)
	pages := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>Shop</title>")
		_ = http.NewResponseController(w).Flush()
		_ = snippet.Render(r.Context(), w, snippet.WithLoad(snippet.LoadClick))
	}))
	serve(pages, navigation())
	first := serve(pages, navigation(ada))
	if got := markers(first.Header()); len(got) != 1 {
		t.Fatalf("the first page has markers %q", got)
	}
	r := navigation(ada)
	r.Header.Set("Cookie", markerName+"="+marker(first))
	if got := serve(pages, r).Header()["Set-Cookie"]; got != nil {
		t.Errorf("the second page sets %q", got)
	}
	wantCalls(t, a, 0)
}
