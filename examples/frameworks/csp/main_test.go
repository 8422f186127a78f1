package main

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func TestVisitors(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	story.Tell(t, hubspot, site)
}

var nonceSource = regexp.MustCompile(`^'nonce-(.{22,})'$`) // 128 bits

// Whoever looks, each script of a page has the nonce of its policy, and each
// response another.
func TestNonce(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	browser := story.Open(t, site)
	seen := map[string]bool{}
	for _, email := range []string{"", "ada@example.com", "ada@example.com"} {
		if email != "" {
			browser.SignIn(email)
		}
		page := browser.Get("/")
		story.Expect(t, hubspot, "the page", page, email)
		var nonce string
		for _, source := range directives(t, page)["script-src"] {
			if found := nonceSource.FindStringSubmatch(source); found != nil {
				nonce = found[1]
			}
		}
		if nonce == "" || seen[nonce] {
			t.Errorf("the nonce is %q, and those before were %v", nonce, seen)
		}
		seen[nonce] = true
		scripts := nonces(page.Body)
		if len(scripts) < 4 { // the page's, the settings, the chat's, HubSpot's loader
			t.Errorf("there are %d scripts: %s", len(scripts), page.Body)
		}
		for _, got := range scripts {
			if got != nonce {
				t.Errorf("a script has the nonce %q, and the policy %q", got, nonce)
			}
		}
	}
}

// nonces are those of the scripts in a page.
func nonces(page string) (nonces []string) {
	tokens := html.NewTokenizer(strings.NewReader(page))
	for tokens.Next() != html.ErrorToken {
		token := tokens.Token()
		if token.Type != html.StartTagToken || token.Data != "script" {
			continue
		}
		nonce := ""
		for _, attribute := range token.Attr {
			if attribute.Key == "nonce" {
				nonce = attribute.Val
			}
		}
		nonces = append(nonces, nonce)
	}
	return nonces
}

// directives are the sources of a page's policy.
func directives(t *testing.T, page story.Page) map[string][]string {
	t.Helper()
	policies := page.Header.Values("Content-Security-Policy")
	if len(policies) != 1 {
		t.Fatalf("the page has the policies %q, want one", policies)
	}
	directives := map[string][]string{}
	for part := range strings.SplitSeq(policies[0], ";") {
		words := strings.Fields(part)
		if directives[words[0]] != nil {
			t.Errorf("there are two %s, and browsers take the first", words[0])
		}
		directives[words[0]] = words[1:]
	}
	return directives
}

// The policy lets HubSpot's chat and the token endpoint through, in the account's
// region, and nothing without a name.
func TestPolicy(t *testing.T) {
	for region, frame := range map[string]string{"na1": "*.hs-sites.com", "eu1": "*.hs-sites-eu1.com"} {
		t.Run(region, func(t *testing.T) {
			t.Setenv("HUBSPOT_REGION", region)
			hubspot := story.HubSpot(t)
			hubspot.SetAccessToken("pat-" + region + "-00000000-0000-4000-8000-00000000e57a")
			t.Setenv("HUBSPOT_ACCESS_TOKEN", "pat-"+region+"-00000000-0000-4000-8000-00000000e57a")
			app, err := newApp()
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			got := directives(t, story.Open(t, server.URL).Get("/"))
			for directive, sources := range map[string][]string{
				"default-src": {"'none'"},
				"script-src":  {"*.hs-scripts.com", "*.usemessages.com", "*.hubspot.com", "static.hsappstatic.net"},
				"connect-src": {"'self'", "*.hubspot.com", "*.hubapi.com"},
				"frame-src":   {"*.hubspot.com", frame},
				"img-src":     {"'self'", "*.hubspot.com"},
				"style-src":   {"'self'", "static.hsappstatic.net"},
			} {
				for _, source := range sources {
					if !slices.Contains(got[directive], source) {
						t.Errorf("%s lacks %s: %q", directive, source, got[directive])
					}
				}
			}
			for directive, sources := range got {
				for _, open := range []string{"*", "'unsafe-inline'", "'unsafe-eval'", "https:", "http:", "data:"} {
					if slices.Contains(sources, open) {
						t.Errorf("%s allows %s", directive, open)
					}
				}
			}
		})
	}
}
