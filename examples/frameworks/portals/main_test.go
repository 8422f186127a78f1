package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// shop is one of the two, with its account at HubSpot.
type shop struct {
	portal  string
	url     string
	hubspot *hubspottest.Server
}

// start serves two shops at one address: each account has an emulator of its own,
// which takes no other's credential and no other's tokens.
func start(t *testing.T) (com, eu shop) {
	t.Helper()
	com = shop{portal: "12345678", hubspot: hubspottest.NewServer(t)}
	eu = shop{portal: "87654321", hubspot: hubspottest.NewServer(t)}
	const comToken, euToken = "pat-na1-00000000-0000-4000-8000-00000000c0de", "pat-eu1-00000000-0000-4000-8000-00000000e57a"
	com.hubspot.SetAccessToken(comToken)
	eu.hubspot.SetAccessToken(euToken)
	app, err := newApp(map[string]hubspot.Config{
		"127.0.0.1": {PortalID: com.portal, AccessToken: hubspot.NewSecret(comToken), APIURL: com.hubspot.URL, RenderBudget: time.Minute},
		"localhost": {PortalID: eu.portal, AccessToken: hubspot.NewSecret(euToken), APIURL: eu.hubspot.URL, RenderBudget: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	com.url, eu.url = server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return com, eu
}

func TestVisitors(t *testing.T) {
	com, eu := start(t)
	story.Tell(t, com.hubspot, com.url)
	story.Tell(t, eu.hubspot, eu.url)
}

// Somebody who is a customer of both has a token of each account, and neither
// account takes the other's.
func TestAccounts(t *testing.T) {
	com, eu := start(t)
	for _, here := range []shop{com, eu} {
		other := com
		if here == com {
			other = eu
		}
		browser := story.Open(t, here.url)
		page := browser.SignIn("ada@example.com")
		story.Expect(t, here.hubspot, "the page of "+here.portal, page, "ada@example.com")
		if other.hubspot.Verify("ada@example.com", page.Token) == nil {
			t.Errorf("%s takes a token of %s", other.portal, here.portal)
		}
		if !strings.Contains(page.Body, `/`+here.portal+`.js"`) || strings.Contains(page.Body, other.portal) {
			t.Errorf("the page of %s loads another's chat: %s", here.portal, page.Body)
		}
		browser.Get("/")
		if n := len(here.hubspot.Calls()); n != 1 {
			t.Errorf("%d calls to the account %s, want 1", n, here.portal)
		}
		browser.SignOut() // forgets the token of this account
		browser.SignIn("ada@example.com")
		if n := len(here.hubspot.Calls()); n != 2 {
			t.Errorf("%d calls to the account %s after another sign-in, want 2", n, here.portal)
		}
	}
	if page := story.Open(t, eu.url).Get("/"); !strings.Contains(page.Body, "//js-eu1.hs-scripts.com/87654321.js") {
		t.Errorf("the chat is not of the account's region: %s", page.Body)
	}
}

// A host that is none of theirs gets nothing.
func TestUnknownHost(t *testing.T) {
	com, _ := start(t)
	request, err := http.NewRequest("GET", com.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "shop.example"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("status %d, want 421", response.StatusCode)
	}
}

// Mistakes are told by the shop that has them, all at once, without secrets.
func TestMistakes(t *testing.T) {
	_, err := newApp(map[string]hubspot.Config{
		"www.example.com": {PortalID: "12345678"},
		"www.example.eu":  {PortalID: "eu", AccessToken: hubspot.NewSecret("pat-eu1-secret")},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"www.example.com: ", "www.example.eu: ", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PORTAL_ID"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error("the error holds a secret")
	}
}
