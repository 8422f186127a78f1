// Package story drives the examples as their visitors do: browsers with cookies
// over real HTTP, and HubSpot's emulator to judge what the pages say.
package story

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/npm"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// HubSpot starts the emulator, and points the environment to it.
func HubSpot(t *testing.T) *hubspottest.Server {
	t.Helper()
	hubspot := hubspottest.NewServer(t)
	t.Setenv("HUBSPOT_ACCESS_TOKEN", "pat-na1-00000000-0000-4000-8000-00000000e57a") // the emulator's
	t.Setenv("HUBSPOT_PORTAL_ID", "12345678")
	t.Setenv("HUBSPOT_API_URL", hubspot.URL)
	t.Setenv("HUBSPOT_LOADER_URL", hubspot.URL)
	t.Setenv("HUBSPOT_RENDER_BUDGET", "1m") // tests are no race against the clock
	return hubspot
}

// Start starts the emulator, and serves the application that newApp makes, whose
// npm packages may be missing.
func Start(t *testing.T, newApp func() (http.Handler, error)) (hubspot *hubspottest.Server, site string) {
	t.Helper()
	hubspot = HubSpot(t)
	app, err := newApp()
	if errors.Is(err, npm.ErrMissing) {
		Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return hubspot, server.URL
}

// Missing skips the test for want of what; with CI=true it fails it.
func Missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s (required with CI=true)", what)
	}
	t.Skip("SKIPPED: " + what)
}

// Browser is one person's.
type Browser struct {
	t      *testing.T
	site   string
	client *http.Client
}

// Open is a new browser that looks at site.
func Open(t *testing.T, site string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxConnsPerHost: 40, MaxIdleConnsPerHost: 40}
	t.Cleanup(transport.CloseIdleConnections)
	return &Browser{t, site, &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}}
}

// At is the same browser, with its cookies, at another port of this machine.
func (b *Browser) At(site string) *Browser { return &Browser{b.t, site, b.client} }

// Page is what a browser got.
type Page struct {
	Status       int
	Header       http.Header
	Body         string
	Email, Token string // as HubSpot's widget reads them
}

var (
	emailField = regexp.MustCompile(`"identificationEmail":"([^"]+)"`)
	tokenField = regexp.MustCompile(`"identificationToken":"([^"]+)"`)
)

// Get opens a page. It may be called concurrently.
func (b *Browser) Get(path string) Page {
	b.t.Helper()
	return b.do(b.request("GET", path, nil))
}

// GetWith opens a page with headers, as a proxy adds them.
func (b *Browser) GetWith(path string, headers map[string]string) Page {
	b.t.Helper()
	request := b.request("GET", path, nil)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return b.do(request)
}

// SignIn signs email's owner in, and gives the page that follows.
func (b *Browser) SignIn(email string) Page {
	b.t.Helper()
	return b.do(b.request("POST", "/sign-in", url.Values{"email": {email}}))
}

// SignOut gives the page that follows.
func (b *Browser) SignOut() Page {
	b.t.Helper()
	return b.do(b.request("POST", "/sign-out", nil))
}

func (b *Browser) do(request *http.Request) Page {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Error(err)
		return Page{}
	}
	defer response.Body.Close()
	return b.read(response)
}

// read is the page of a response, or the rest of it.
func (b *Browser) read(response *http.Response) Page {
	b.t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Error(err)
	}
	page := Page{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	if found := emailField.FindStringSubmatch(page.Body); found != nil {
		page.Email = found[1]
	}
	if found := tokenField.FindStringSubmatch(page.Body); found != nil {
		page.Token = found[1]
	}
	return page
}

// request is a navigation, as browsers send it.
func (b *Browser) request(method, path string, form url.Values) *http.Request {
	b.t.Helper()
	request, err := http.NewRequest(method, b.site+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html,*/*;q=0.8")
	request.Header.Set("Sec-Fetch-Dest", "document")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == "POST" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request
}

// Marker is the cookie that says whose browser this is; "" for none.
func (b *Browser) Marker() string {
	b.t.Helper()
	site, err := url.Parse(b.site)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(site) {
		if strings.HasPrefix(cookie.Name, "hubspot_visitor_") {
			return cookie.Value
		}
	}
	return ""
}

// Ask asks the token endpoint as the page's script does.
func (b *Browser) Ask() (status int, email, token string) {
	b.t.Helper()
	page := b.do(b.request("POST", "/hubspot-visitor/token", nil))
	var answer struct{ Email, Token string }
	if page.Status == http.StatusOK {
		if err := json.Unmarshal([]byte(page.Body), &answer); err != nil {
			b.t.Errorf("the endpoint says %q: %v", page.Body, err)
		}
	}
	return page.Status, answer.Email, answer.Token
}

// Problem is what is wrong with a page that email's owner got; "" for the
// anonymous. HubSpot has to take the token, and no cache may keep it.
func Problem(hubspot *hubspottest.Server, page Page, email string) string {
	switch {
	case !strings.Contains(page.Body, "hs-script-loader"):
		return fmt.Sprintf("there is no chat in it: %d %.400s", page.Status, page.Body)
	case page.Email != email:
		return fmt.Sprintf("it is of %q, want %q", page.Email, email)
	case page.Token == "" && email == "":
		return ""
	}
	if err := hubspot.Verify(email, page.Token); err != nil {
		return err.Error()
	}
	caching := strings.Join(page.Header.Values("Cache-Control"), ", ")
	if !strings.Contains(caching, "private, no-store") || strings.Contains(caching, "public") || strings.Contains(caching, "max-age") {
		return fmt.Sprintf("a token with Cache-Control %q", caching)
	}
	if got := page.Header.Get("CDN-Cache-Control"); got != "" {
		return fmt.Sprintf("a token with CDN-Cache-Control %q", got)
	}
	if got := strings.Join(page.Header.Values("Vary"), ", "); !strings.Contains(got, "Cookie") {
		return fmt.Sprintf("a token with Vary %q", got)
	}
	return ""
}

// Expect is an error unless page is one that email's owner should get.
func Expect(t *testing.T, hubspot *hubspottest.Server, what string, page Page, email string) {
	t.Helper()
	if problem := Problem(hubspot, page, email); problem != "" {
		t.Errorf("%s: %s", what, problem)
	}
}

// Late checks a page that was rendered outside of the chat's handler: it has the
// chat and no token, and the endpoint knows who it is.
func Late(t *testing.T, what string, browser *Browser, page Page, email string) {
	t.Helper()
	if page.Email != "" || page.Token != "" || !strings.Contains(page.Body, `data-hubspot-visitor="*"`) {
		t.Errorf("%s: it is of %q; %s", what, page.Email, page.Body)
	}
	if status, got, _ := browser.Ask(); status != http.StatusOK || got != email {
		t.Errorf("%s: the endpoint says %d %q, want %q", what, status, got, email)
	}
}

// Tell is the story that every example has to stand: one browser, two people one
// after the other, and somebody else who never signs in.
func Tell(t *testing.T, hubspot *hubspottest.Server, site string) {
	t.Helper()
	browser, other := Open(t, site), Open(t, site)
	Expect(t, hubspot, "before the sign-in", browser.Get("/"), "")

	marker := ""
	for _, email := range []string{"ada@example.com", "grace@example.com"} {
		Expect(t, hubspot, "after the sign-in", browser.SignIn(email), email)
		Expect(t, hubspot, "the page", browser.Get("/"), email)
		if browser.Marker() == "" || browser.Marker() == marker {
			t.Errorf("%s has the marker cookie %q, and the one before %q", email, browser.Marker(), marker)
		}
		marker = browser.Marker()
		if status, got, token := browser.Ask(); status != http.StatusOK || got != email || hubspot.Verify(email, token) != nil {
			t.Errorf("the endpoint says %d, %q, %q to %s", status, got, token, email)
		}
		Expect(t, hubspot, "somebody else's page", other.Get("/"), "")

		Expect(t, hubspot, "after the sign-out", browser.SignOut(), "")
		Expect(t, hubspot, "the page after the sign-out", browser.Get("/"), "")
		if browser.Marker() != "" {
			t.Errorf("after the sign-out there is the marker cookie %q", browser.Marker())
		}
		if status, _, _ := browser.Ask(); status != http.StatusNoContent {
			t.Errorf("after the sign-out the endpoint says %d, want 204", status)
		}
	}
}

// Crowd opens 400 pages at once: four people and the anonymous take turns, and
// each page has to be its reader's.
func Crowd(t *testing.T, hubspot *hubspottest.Server, site string) {
	t.Helper()
	emails := []string{"ada@example.com", "grace@example.com", "edsger@example.com", "donald@example.com", ""}
	browsers := make([]*Browser, len(emails))
	for i, email := range emails {
		browsers[i] = Open(t, site)
		if email != "" {
			browsers[i].SignIn(email)
		}
	}
	var all sync.WaitGroup
	for i := range 400 {
		browser, email := browsers[i%len(emails)], emails[i%len(emails)]
		all.Go(func() { Expect(t, hubspot, fmt.Sprintf("page %d", i), browser.Get("/"), email) })
	}
	all.Wait()
}

// Streams is an error unless the first part of the page at path arrives before
// release lets its handler go on, and the rest is email's. It gives the rest.
func (b *Browser) Streams(hubspot *hubspottest.Server, path, email string, release func()) Page {
	b.t.Helper()
	response, err := b.client.Do(b.request("GET", path, nil))
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, len("<!doctype html>"))
	if _, err := io.ReadFull(response.Body, first); err != nil {
		b.t.Fatal(err)
	}
	release()
	page := b.read(response)
	Expect(b.t, hubspot, "the streamed page", page, email)
	return page
}

// Shared is an error if a page that the application declared public, by whatever
// means, has somebody's token and can be kept by a cache.
func Shared(t *testing.T, hubspot *hubspottest.Server, what string, page Page, email string) {
	t.Helper()
	if page.Token == "" {
		if !strings.Contains(page.Body, "hs-script-loader") {
			t.Errorf("%s: there is no chat in it: %d %.400s", what, page.Status, page.Body)
		}
		return
	}
	Expect(t, hubspot, what, page, email)
}
