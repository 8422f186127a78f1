package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCachesKeepPeopleApart: two people and an anonymous visitor take turns, sign
// in and out, and change places, in front of each cache.
func TestCachesKeepPeopleApart(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withKinds(func(*http.Request) {}))
			j := &judge{t: t, s: s, proxy: p, url: p.start(t, s.url), warm: map[string]bool{}, claims: map[string]string{}}
			for _, email := range []string{first, second} {
				j.claims[email] = j.claim(email)
			}
			j.session()
		})
	}
}

// judge looks at every response that a cache gives to anybody.
type judge struct {
	t      *testing.T
	s      *site
	proxy  proxy
	url    string            // of the cache
	claims map[string]string // fingerprints by address

	mu                             sync.Mutex
	warm                           map[string]bool // public pages that were asked for
	requests, hits, tokens, events int
}

// visitor is one of those who take turns: a browser without a cache of its own.
type visitor struct {
	http.Client
	email  string // who is signed in
	cookie bool   // something was ever kept in it
}

func newVisitor() *visitor {
	jar, _ := cookiejar.New(nil)
	return &visitor{Client: http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// claim is how pages call email's owner: what the application itself says.
func (j *judge) claim(email string) string {
	j.t.Helper()
	v := newVisitor()
	j.send(v, "POST", j.s.url+"/login?as="+url.QueryEscape(email))
	_, body := j.send(v, "POST", j.s.url+"/hubspot-visitor/token")
	var answer struct{ Visitor string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Visitor == "" {
		j.t.Fatalf("the endpoint says %q to %s (%v)", body, email, err)
	}
	return answer.Visitor
}

func (j *judge) send(v *visitor, method, url string) (*http.Response, string) {
	r, err := http.NewRequestWithContext(j.t.Context(), method, url, nil)
	if err != nil {
		j.t.Error(err)
		return &http.Response{}, ""
	}
	r.Header.Set("Accept", "*/*")
	resp, err := v.Do(r)
	if err != nil {
		j.t.Error(err)
		return &http.Response{}, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		j.t.Errorf("%s %s: %v", method, url, err)
	}
	return resp, string(body)
}

// session has 500 turns of each.
func (j *judge) session() {
	chance := rand.New(rand.NewPCG(20, 26))
	visitors := []*visitor{newVisitor(), newVisitor(), newVisitor()} // the last never signs in
	for round := 0; round < 500 && !j.t.Failed(); round++ {
		if v := visitors[chance.IntN(2)]; round < 2 || chance.IntN(20) == 0 {
			if round < 2 {
				v = visitors[round]
			}
			j.change(v, []string{first, second}[chance.IntN(2)], chance.IntN(2) == 0)
		}
		k := kinds[chance.IntN(len(kinds))]
		method := k.method
		if method == "GET" && chance.IntN(10) == 0 {
			method = "HEAD"
		}
		path := k.path
		if !k.public && k.serve != nil { // who comes first to a page changes what caches know of it
			path += fmt.Sprint("?n=", round/20)
		}
		var together sync.WaitGroup
		atOnce := chance.IntN(2) == 0
		for _, i := range chance.Perm(len(visitors)) {
			together.Go(func() { j.ask(visitors[i], method, path, k) })
			if !atOnce {
				together.Wait()
			}
		}
		together.Wait()
		if method == "GET" {
			j.warm[k.path] = true
		}
	}
	j.t.Logf("%d requests, %d answered from the cache, %d with a token, %d sign-ins and sign-outs", j.requests, j.hits, j.tokens, j.events)
	if j.tokens < 50 || j.hits < 100 && !j.proxy.asks {
		j.t.Error("this is too little to prove anything")
	}
}

// change signs v in, or out. Unless told, the marker follows with the next page.
func (j *judge) change(v *visitor, email string, told bool) {
	j.events++
	switch {
	case v.email == "":
		if told {
			j.send(v, "POST", j.url+"/login?at-once&as="+url.QueryEscape(email))
		} else {
			j.send(v, "POST", j.url+"/login?as="+url.QueryEscape(email))
		}
		v.email, v.cookie = email, true
	case told:
		j.send(v, "POST", j.url+"/logout")
		v.email = ""
	default:
		j.send(v, "POST", j.url+"/forget")
		v.email = ""
	}
	if v.email == "" && j.proxy.keeps {
		v.Jar = newVisitor().Jar // the cookie of the session would find its pages
	}
}

var (
	anyToken  = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)
	anyMarker = regexp.MustCompile(`hubspot_visitor_\d+=([^;\s]*)`)
)

func (j *judge) ask(v *visitor, method, path string, k kind) {
	resp, body := j.send(v, method, j.url+path)
	hit := j.proxy.hit(resp.Header)
	wrong := func(format string, args ...any) {
		j.t.Errorf("%s %s as %q, from the cache: %t: %s", method, path, v.email, hit, fmt.Sprintf(format, args...))
	}
	if resp.StatusCode != 200 && resp.StatusCode != 204 {
		wrong("status %d", resp.StatusCode)
	}
	for email, claim := range j.claims {
		if email != v.email && (strings.Contains(body, email) || strings.Contains(body, claim)) {
			wrong("the page is made for %s", email)
		}
	}
	tokens := anyToken.FindAllString(body, -1)
	for _, token := range tokens {
		if err := j.s.hubspot.Verify(v.email, token); err != nil {
			wrong("%v", err)
		}
	}
	if len(tokens) > 0 && (hit && !j.proxy.keeps || k.public || resp.Header.Get("Cache-Control") != "private, no-store") {
		wrong("a token in a response that caches may keep: %v", resp.Header)
	}
	for _, line := range resp.Header["Set-Cookie"] {
		if marker := anyMarker.FindStringSubmatch(line); marker != nil && (hit && !j.proxy.keeps || k.public || marker[1] != j.claims[v.email]) {
			wrong("the marker %s", line)
		}
	}
	if k.public && j.warm[k.path] && !hit && !(j.proxy.asks && v.cookie) {
		wrong("the cache does not keep a public page: %v", resp.Header)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests++
	if hit {
		j.hits++
	}
	if len(tokens) > 0 {
		j.tokens++
	}
}

// becomes waits until the page's chat is want's; "" for nobody's.
func (tb *tab) becomes(want string) {
	tb.t.Helper()
	tb.until(fmt.Sprintf("the chat of %q", want), fmt.Sprintf(`(s => s && s.loaded && !s.pending && (hsConversationsSettings.identificationEmail || "") == %q)(window.HubSpotConversations && HubSpotConversations.widget.status())`, want))
}

// TestCachesInTheBrowser: a cache gives everybody the same page, and each sees a
// chat of their own in it, or an anonymous one.
func TestCachesInTheBrowser(t *testing.T) {
	t.Parallel()
	for _, p := range proxies {
		if p.keeps {
			continue // it would show a page after its visitor has left
		}
		t.Run(p.name, func(t *testing.T) {
			if !p.careless {
				onlyAsProof(t, "a careful cache is easier than a careless one")
			}
			t.Parallel()
			var made atomic.Int64 // public pages
			s := newSite(t, withKinds(func(r *http.Request) {
				if r.URL.Path == "/public" {
					made.Add(1)
				}
			}))
			url := p.start(t, s.url)
			for _, who := range []string{"", first, second} {
				tb := newWindow(t)
				// What the anonymous visitor leaves in the cache of /buffered is given to
				// everybody where Vary is ignored.
				start := "/buffered"
				if who != "" {
					// It leads there. Without SignedIn the marker would come with the first
					// page that is the visitor's own, and here the cache may answer before.
					start = "/login?at-once&as=" + who
				}
				for _, path := range []string{start, "/public"} {
					tb.open(url + path)
					tb.becomes(who)
					tb.say(fmt.Sprintf("%s as <%s>", path, who))
				}
				tb.noExceptions()
			}
			for _, chat := range s.hubspot.Inbox() {
				for _, message := range chat.Messages {
					if !strings.HasSuffix(message, fmt.Sprintf(" as <%s>", chat.Contact)) {
						t.Errorf("%q was said in the chat of %q", message, chat.Contact)
					}
				}
			}
			if n := made.Load(); n != 1 && !p.asks {
				t.Errorf("the application made the public page %d times, want once", n)
			}
		})
	}
}

// TestBackToAPostedPage: a page made for a POST, such as a form with errors, has
// an entry of its own in the browser's history.
func TestBackToAPostedPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, withKinds(func(*http.Request) {}))
	tb := newWindow(t)
	tb.open(s.url + "/login?as=" + first)
	tb.becomes(first)
	tb.say("nobody else's business")
	tb.open(s.url + "/form")
	tb.do(`document.querySelector("#form button").click()`)
	tb.until("the posted page", `document.querySelector("h1").textContent == "POST /form"`)
	tb.becomes(first)
	tb.open(s.url + "/logout")
	tb.becomes("")
	tb.open(s.url + "/login?as=" + second)
	tb.becomes(second)
	before := len(s.hubspot.WidgetLoads())
	tb.back("/")
	tb.becomes(second)
	tb.back("") // a page that was posted, and not kept, is not there any more
	tb.back("/form")
	tb.becomes(second)
	tb.wantNever(s, first, before)
}

// back goes one page back, to path; "" is the browser's own word that it has no
// such page.
func (tb *tab) back(path string) {
	tb.t.Helper()
	tb.do("window.left = true")
	tb.do("history.back()")
	tb.until("back to "+path, fmt.Sprintf(`!window.left && (location.protocol == "chrome-error:" ? "" : location.pathname) == %q`, path))
}

// wantNever fails the test if the widget asked for a visitor's chat since.
func (tb *tab) wantNever(s *site, email string, since int) {
	tb.t.Helper()
	for _, load := range s.hubspot.WidgetLoads()[since:] {
		if load.Email == email {
			tb.t.Errorf("a page asked for the chat of %s, who has left", email)
		}
	}
}

// TestRevalidatedPage: the application tells the browser that nothing is new, and
// does not look at who asks.
func TestRevalidatedPage(t *testing.T) {
	t.Parallel()
	var confirmed atomic.Int64
	s := newSite(t, withKinds(func(r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			confirmed.Add(1)
		}
	}))
	tb := newWindow(t)
	before := 0
	for _, who := range []string{"", first, "", second} {
		switch {
		case who != "":
			tb.open(s.url + "/login?as=" + who)
		case before > 0:
			tb.open(s.url + "/logout")
		}
		tb.open(s.url + "/revalidated")
		tb.becomes(who)
		if who == first {
			tb.say("nobody else's business")
			before = len(s.hubspot.WidgetLoads())
		}
	}
	tb.wantNever(s, first, before)
	t.Logf("%d of 4 views were the browser's own copy", confirmed.Load())
	if confirmed.Load() == 0 {
		t.Error("the browser kept no copy: nothing was tested")
	}
}

// TestBackToAStreamedPage: its headers have left before the chat is rendered.
func TestBackToAStreamedPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, withKinds(func(*http.Request) {}))
	tb := newWindow(t)
	tb.open(s.url + "/login?as=" + first)
	tb.open(s.url + "/streamed")
	tb.becomes(first)
	tb.say("nobody else's business")
	fetch := func(path, mode string) string {
		return eval[string](tb, fmt.Sprintf("fetch(%q, {cache: %q}).then((r) => r.text())", path, mode))
	}
	for _, k := range kinds {
		if k.method == "GET" && !k.public && !strings.Contains(fetch(k.path, "default"), first) {
			t.Errorf("%s is not for the first", k.path)
		}
	}
	tb.open(s.url + "/logout")
	before := len(s.hubspot.WidgetLoads())
	tb.open(s.url + "/login?as=" + second)
	tb.becomes(second)
	for _, k := range kinds { // without the back/forward cache
		if k.method == "GET" && strings.Contains(fetch(k.path, "force-cache"), first) {
			t.Errorf("the browser still has the first's %s", k.path)
		}
	}
	for _, page := range []string{"/", "/streamed"} {
		tb.back(page)
		tb.becomes(second)
	}
	tb.wantNever(s, first, before)
}
