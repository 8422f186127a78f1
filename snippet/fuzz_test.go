package snippet_test

import (
	"context"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/http/httptest"
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
		want := [][]string{nonced()}
		if withFile {
			want = [][]string{{"type"}, nonced("src")}
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
			var names []string
			for _, name := range []string{"async", "defer", "id", "src", "type", "nonce"} {
				if value, ok := n.Attributes[name]; ok {
					names = append(names, name)
					if name == "nonce" && plain(nonce) && value != nonce {
						t.Errorf("nonce %q, want %q", value, nonce)
					}
				}
			}
			if len(names) != len(n.Attributes) {
				t.Errorf("attributes %v", n.Attributes)
			}
			got = append(got, names)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Fatalf("elements (-want +got):\n%s\n%s", diff, out)
		}

		literal := nodes[0].Text
		if !withFile {
			_, literal = inline(t, literal)
		}
		if strings.ContainsAny(literal, "<>&") {
			t.Errorf("markup in %s", literal)
		}
		fields := decoded(t, literal)
		var identity any
		if v.Validate() == nil {
			identity = map[string]any{"identificationEmail": email, "identificationToken": localToken(email)}
		}
		if diff := cmp.Diff(identity, fields["identity"]); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		settings := map[string]any{"loadImmediately": false}
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
		if diff := cmp.Diff(settings, fields["settings"]); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
		names := []string{"at", "settings", "visitor"}
		if identity != nil {
			names = append([]string{"identity"}, names...)
		}
		if idle {
			names = append(names, "loader", "when")
		}
		if diff := cmp.Diff(strings.Join(sorted(names), " "), strings.Join(keys(fields), " ")); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
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
