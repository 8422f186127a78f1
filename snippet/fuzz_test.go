package snippet_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// local makes tokens on this machine.
type local struct{}

func (local) CreateToken(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return hubspot.NewToken(localToken(v.Email), v.Email, time.Now()), nil
}

func localToken(email string) string { return base64.RawURLEncoding.EncodeToString([]byte(email)) }

// FuzzHTML sends a visitor through the real middleware and token source into a
// page: whoever it is and whatever the settings, the page has exactly the
// expected elements, and its data are the given values.
func FuzzHTML(f *testing.F) {
	for i, email := range hostileEmails {
		f.Add(email, "Ada", "</script>", "#chat", "ON_WIDGET_LOAD", "nonce", uint8(i*37))
	}
	f.Add("Ada <ada@example.com>", "\x00", "\xff", "</script><script>", "true", `"><script>`, uint8(255))
	f.Add("ada@example.com", "", "", "\xff\xed\xa0\x80\u2028", "\u00e9", "\x00\r\n", uint8(64))

	tokens, err := hubspot.NewTokens(local{}, hubspot.TokensConfig{CallsPerSecond: 1e9, Burst: 1e9})
	if err != nil {
		f.Fatal(err)
	}
	chat, err := middleware.New(tokens,
		func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) },
		middleware.WithConfig(hubspot.Config{PortalID: "12345678", RenderBudget: time.Minute}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, email, first, last, selector, banner, nonce string, bits uint8) {
		bit := func(n uint8) bool { return bits&(1<<n) != 0 }
		v := hubspot.Visitor{Email: email, FirstName: first, LastName: last, EmailVerified: true, AgentContext: map[string]string{first: last}}
		s := snippet.Settings{
			InlineEmbedSelector: selector, EnableWidgetCookieBanner: snippet.CookieBanner(banner),
			DisableAttachment: bit(0), DisableInitialInputFocus: bit(1), AvoidInlineStyles: bit(2), HideNewThreadLink: bit(3),
		}
		withNonce, withFile, idle := bit(4), bit(5), bit(6)
		opts := []snippet.Option{snippet.WithSettings(s)}
		if withNonce {
			opts = append(opts, nonceOf(nonce))
		}
		if withFile {
			opts = append(opts, snippet.WithScriptPath("/assets"))
		}
		if idle {
			opts = append(opts, snippet.WithLoad(snippet.LoadIdle))
		}
		var out template.HTML
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Sec-Fetch-Dest", "document")
		chat.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			out = snippet.HTML(r.Context(), opts...)
		})).ServeHTTP(httptest.NewRecorder(), r.WithContext(middleware.WithVisitor(context.Background(), v)))

		// The elements, by the names of their attributes.
		nonced := func(names ...string) []string {
			if withNonce && nonce != "" {
				names = append(names, "nonce")
			}
			return names
		}
		known := hubspot.Visitor{Email: email, EmailVerified: true}.Validate() == nil // its names are left out where they are not acceptable
		claim := []string{"data-hubspot-visitor", "data-portal", "data-endpoint"}
		if known {
			claim = append(claim, "hx-history")
		}
		if idle {
			claim = append(claim, "data-load", "data-loader")
		}
		want := [][]string{nonced(), nonced(claim...)}
		if withFile {
			want = [][]string{{"type"}, nonced(append(claim, "src")...)}
		}
		if !idle {
			want = append(want, nonced("async", "defer", "id", "src"))
		}
		nodes := rendered(t, out)
		var got [][]string
		for _, n := range nodes {
			if n.Name != "script" {
				t.Fatalf("%+v in %s", n, out)
			}
			if value := n.Attributes["nonce"]; value != "" && plain(nonce) && value != nonce {
				t.Errorf("nonce %q, want %q", value, nonce)
			}
			got = append(got, slices.Collect(maps.Keys(n.Attributes)))
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("", func(s []string) string { return strings.Join(slices.Sorted(slices.Values(s)), " ") })); diff != "" {
			t.Fatalf("elements (-want +got):\n%s\n%s", diff, out)
		}

		object := literal(t, nodes[0])
		if strings.ContainsAny(object, "<>&'") {
			t.Errorf("markup in %s", object)
		}
		settings := map[string]any{"loadImmediately": false, "identificationEmail": "", "identificationToken": ""}
		if known {
			settings["identificationEmail"], settings["identificationToken"] = email, localToken(email)
		}
		if selector != "" {
			settings["inlineEmbedSelector"] = string([]rune(selector)) // what is not UTF-8 becomes U+FFFD
		}
		switch banner {
		case "":
		case "true":
			settings["enableWidgetCookieBanner"] = true
		case "ON_WIDGET_LOAD", "ON_EXIT_INTENT":
			settings["enableWidgetCookieBanner"] = banner
		default:
			settings["enableWidgetCookieBanner"] = false
		}
		for name, on := range map[string]bool{
			"disableAttachment": bit(0), "disableInitialInputFocus": bit(1), "hideNewThreadLink": bit(3),
			"avoidInlineStyles": bit(2) || withFile || withNonce && nonce != "",
		} {
			if on {
				settings[name] = true
			}
		}
		if diff := cmp.Diff(settings, decoded(t, object)); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
	})
}

// FuzzString compares how a string is written with encoding/json.
func FuzzString(f *testing.F) {
	for _, email := range hostileEmails {
		f.Add(email)
	}
	f.Add("\x00\x1f\x7f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff")
	f.Add("\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80")
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return // emitted as no setting at all
		}
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		out := string(snippet.HTML(request(anonymous), snippet.WithSettings(snippet.Settings{InlineEmbedSelector: s})))
		_, rest, _ := strings.Cut(out, `"inlineEmbedSelector":`)
		value, _, ok := strings.Cut(rest, `,"identificationEmail"`)
		var got string
		if err := json.Unmarshal([]byte(value), &got); !ok || err != nil || got != want {
			t.Errorf("%q is written as %s", s, value)
		}
		for _, c := range []byte(value) {
			if c < ' ' || c >= 0x7f || strings.IndexByte("<>&'", c) >= 0 {
				t.Errorf("%q: %q in %s", s, c, value)
			}
		}
	})
}

// plain are nonces that HTML gives back as they are.
func plain(nonce string) bool {
	for _, c := range []byte(nonce) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
