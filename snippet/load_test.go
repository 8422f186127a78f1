package snippet_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// asking is a context whose page asks who it is when the chat is wanted.
var asking = identity.Chat{Claim: "?", Endpoint: "/hubspot-visitor/token"}

func TestOnDemand(t *testing.T) {
	claim := func(more ...string) map[string]string {
		want := map[string]string{
			"data-hubspot-visitor": "?", "data-portal": portalID, "data-endpoint": "/hubspot-visitor/token",
			"data-load": "click", "data-loader": loaderSrc,
		}
		for i := 0; i < len(more); i += 2 {
			want[more[i]] = more[i+1]
		}
		return want
	}
	for name, tt := range map[string]struct {
		opts []snippet.Option
		want map[string]string
	}{
		"click":  {nil, claim()},
		"manual": {[]snippet.Option{snippet.WithLoad(snippet.LoadManual)}, claim("data-load", "manual")},
		"launcher": {
			[]snippet.Option{snippet.WithLauncher(snippet.Launcher{Label: `Tchat "à" <moi>`, Color: "#123", Left: true}), snippet.WithFallback("mailto:a@example.com?subject=x&body=y")},
			claim("data-label", `Tchat "à" <moi>`, "data-color", "#123", "data-left", "", "data-fallback", "mailto:a@example.com?subject=x&body=y"),
		},
		"a launcher without a click": {
			[]snippet.Option{snippet.WithLauncher(snippet.Launcher{Label: "Chat"}), snippet.WithLoad(snippet.LoadManual)},
			claim("data-load", "manual"),
		},
		"a hostile fallback": {[]snippet.Option{snippet.WithFallback("javascript:alert(1)"), snippet.WithFallback("\x00"), snippet.WithFallback("help@example.com")}, claim()},
		"the last launcher counts": {
			[]snippet.Option{snippet.WithLauncher(snippet.Launcher{Label: "one", Left: true}), snippet.WithLauncher(snippet.Launcher{Label: "two"}), snippet.WithFallback("/a"), snippet.WithFallback("/b")},
			claim("data-label", "two", "data-fallback", "/b"),
		},
		"attributes": {
			[]snippet.Option{snippet.WithLoaderAttribute("Data-Consent", `"m" & é`), snippet.WithLoaderAttribute("type", "text/plain")},
			claim("data-attributes", `{"data-consent":"\u0022m\u0022 \u0026 \u00e9","type":"text/plain"}`),
		},
		"attributes that cannot be": {
			[]snippet.Option{snippet.WithLoaderAttribute("src", "x"), snippet.WithLoaderAttribute("ID", "x"), snippet.WithLoaderAttribute("nonce", "x"), snippet.WithLoaderAttribute(`a"><script`, "x"), snippet.WithLoaderAttribute("", "x")},
			claim(),
		},
		"the last time counts": {[]snippet.Option{snippet.WithLoad("whenever"), snippet.WithLoad(snippet.LoadManual)}, claim("data-load", "manual")},
		"a tag manager's loader with attributes": {[]snippet.Option{snippet.WithoutLoader(), snippet.WithLoad(snippet.LoadManual), snippet.WithLoaderAttribute("type", "text/plain")}, map[string]string{
			"data-hubspot-visitor": "?", "data-portal": portalID, "data-endpoint": "/hubspot-visitor/token", "data-load": "manual",
		}},
		"a tag manager's loader": {[]snippet.Option{snippet.WithoutLoader(), snippet.WithLoad(snippet.LoadManual)}, map[string]string{
			"data-hubspot-visitor": "?", "data-portal": portalID, "data-endpoint": "/hubspot-visitor/token", "data-load": "manual",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := rendered(t, snippet.HTML(request(asking), append([]snippet.Option{snippet.WithLoad(snippet.LoadClick)}, tt.opts...)...))
			if len(nodes) != 2 {
				t.Fatalf("%d elements, want settings and claim", len(nodes))
			}
			if diff := cmp.Diff(tt.want, nodes[1].Attributes); diff != "" {
				t.Error(diff)
			}
			launched := strings.Contains(nodes[1].Text, "hubspot-visitor-launcher")
			if launched != (tt.want["data-load"] == "click") {
				t.Errorf("the launcher's script: %t", launched)
			}
		})
	}
}

func TestLoaderAttributes(t *testing.T) {
	nodes := rendered(t, snippet.HTML(request(anonymous), snippet.WithLoaderAttribute("type", "text/plain"), snippet.WithLoaderAttribute("data-x", "\"><script>")))
	want := map[string]string{"id": "hs-script-loader", "async": "", "defer": "", "src": loaderSrc, "type": "text/plain", "data-x": "\"><script>"}
	if diff := cmp.Diff(want, nodes[2].Attributes); diff != "" {
		t.Error(diff)
	}
	if _, twice := nodes[1].Attributes["data-attributes"]; twice {
		t.Errorf("the claim has the loader's attributes, too: %v", nodes[1].Attributes)
	}
	if nodes := rendered(t, snippet.HTML(request(anonymous), snippet.WithoutLoader())); len(nodes) != 2 {
		t.Errorf("%d elements without the loader, want 2", len(nodes))
	}
}

func TestMistakesAreSaidOnce(t *testing.T) {
	for message, option := range map[string]snippet.Option{
		"WithLoad: the value":           snippet.WithLoad("whenever"),
		"WithLoaderAttribute: src":      snippet.WithLoaderAttribute("SRC", "x"),
		"WithLoaderAttribute: the name": snippet.WithLoaderAttribute("a b", "x"),
		"WithFallback: the link begins": snippet.WithFallback("data:text/html,x"),
		"WithScriptPath: the path":      snippet.WithScriptPath("assets/chat"),
	} {
		saidOnce(t, message, func() { snippet.HTML(request(anonymous), option) })
	}
}

func TestScriptPathOfNoUse(t *testing.T) {
	for _, path := range []string{"", "assets/chat"} {
		if got := snippet.HTML(request(anonymous), snippet.WithScriptPath(path)); got != snippet.HTML(request(anonymous)) {
			t.Errorf("%q: %s", path, got)
		}
	}
}

// The page part's script and the file are the same code with the launcher, too.
func TestLauncherFile(t *testing.T) {
	inline := rendered(t, snippet.HTML(request(asking), snippet.WithLoad(snippet.LoadClick)))[1].Text
	src := rendered(t, snippet.HTML(request(asking), snippet.WithLoad(snippet.LoadClick), snippet.WithScriptPath("/assets")))[1].Attributes["src"]
	w := httptest.NewRecorder()
	snippet.ScriptHandler().ServeHTTP(w, httptest.NewRequest("GET", src, nil))
	if w.Body.String() != inline || !strings.HasPrefix(inline, constantScript(t)) {
		t.Errorf("the file %s is another script", src)
	}
	if got := w.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("Cache-Control: %s", got)
	}
	if more := len(inline) - len(constantScript(t)); more > 2300 {
		t.Errorf("the launcher has %d bytes", more)
	}
}
