package snippet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// Component has templ's method.
var _ interface {
	Render(ctx context.Context, w io.Writer) error
} = snippet.Component{}

func nonceOf(value string) snippet.Option {
	return snippet.WithNonce(func(context.Context) string { return value })
}

// The order is HubSpot's: the settings, then load() or a ready callback, then
// the loader.
func TestElements(t *testing.T) {
	type attributes = map[string]string
	inlineScript := func(a attributes) node { return node{Name: "script", Attributes: a, Text: "code"} }
	loader := func(nonce string) node {
		a := attributes{"id": "hs-script-loader", "async": "", "defer": "", "src": loaderSrc}
		if nonce != "" {
			a["nonce"] = nonce
		}
		return node{Name: "script", Attributes: a}
	}
	file := func(src, nonce string) node {
		a := attributes{"src": src + scriptName(t)}
		if nonce != "" {
			a["nonce"] = nonce
		}
		return node{Name: "script", Attributes: a}
	}
	json := node{Name: "script", Attributes: attributes{"type": "application/json"}, Text: "data"}
	for name, tt := range map[string]struct {
		opts []snippet.Option
		want []node
	}{
		"inline":           {nil, []node{inlineScript(attributes{}), loader("")}},
		"nonce":            {[]snippet.Option{nonceOf("bm9uY2U=")}, []node{inlineScript(attributes{"nonce": "bm9uY2U="}), loader("bm9uY2U=")}},
		"empty nonce":      {[]snippet.Option{nonceOf("")}, []node{inlineScript(attributes{}), loader("")}},
		"hostile nonce":    {[]snippet.Option{nonceOf(`"><script>alert('&amp;')</script>`)}, []node{inlineScript(attributes{"nonce": `"><script>alert('&amp;')</script>`}), loader(`"><script>alert('&amp;')</script>`)}},
		"nonce not ASCII":  {[]snippet.Option{nonceOf("\u00e9\u2028\U0001F600")}, []node{inlineScript(attributes{"nonce": "\u00e9\u2028\U0001F600"}), loader("\u00e9\u2028\U0001F600")}},
		"file":             {[]snippet.Option{snippet.WithScriptPath("/assets")}, []node{json, file("/assets/", ""), loader("")}},
		"file, slash":      {[]snippet.Option{snippet.WithScriptPath("/assets/")}, []node{json, file("/assets/", ""), loader("")}},
		"file at the root": {[]snippet.Option{snippet.WithScriptPath("/")}, []node{json, file("/", ""), loader("")}},
		"file elsewhere":   {[]snippet.Option{snippet.WithScriptPath("https://cdn.example/a?b&c=\"")}, []node{json, file("https://cdn.example/a?b&c=\"/", ""), loader("")}},
		"file and nonce":   {[]snippet.Option{snippet.WithScriptPath("/assets"), nonceOf("n")}, []node{json, file("/assets/", "n"), loader("n")}},
		"idle":             {[]snippet.Option{snippet.WithLoad(snippet.LoadIdle)}, []node{inlineScript(attributes{})}},
		"interaction":      {[]snippet.Option{snippet.WithLoad(snippet.LoadInteraction), nonceOf("n")}, []node{inlineScript(attributes{"nonce": "n"})}},
		"idle, file":       {[]snippet.Option{snippet.WithLoad(snippet.LoadIdle), snippet.WithScriptPath("/a")}, []node{json, file("/a/", "")}},
		"immediate":        {[]snippet.Option{snippet.WithLoad(snippet.LoadImmediate)}, []node{inlineScript(attributes{}), loader("")}},
		"no such load":     {[]snippet.Option{snippet.WithLoad("whenever")}, []node{inlineScript(attributes{}), loader("")}},
	} {
		for who, chat := range map[string]identity.Chat{"identified": identified("ada@example.com"), "anonymous": anonymous} {
			nodes := rendered(t, snippet.HTML(request(chat), tt.opts...))
			for i, n := range nodes {
				switch {
				case n.Text == "":
				case n.Attributes["type"] == "application/json":
					decoded(t, n.Text)
					nodes[i].Text = "data"
				default:
					inline(t, n.Text)
					nodes[i].Text = "code"
				}
			}
			if diff := cmp.Diff(tt.want, nodes); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, who, diff)
			}
		}
	}
}

var hostileEmails = []string{
	"ada@example.com",
	"ada+chat@example.com",
	`"</script><script>alert(1)</script>"@example.com`,
	`"<!--<script>"@example.com`,
	`"]]>"@example.com`,
	`"a\"};alert(1);//"@example.com`,
	`"a\\"@example.com`,
	`"})({\"visitor\":\"eve\"});"@example.com`,
	"'-alert(1)-'@example.com",
	"${alert(1)}@example.com",
	"{{.}}@example.com",
	"`a`@example.com",
	"a&amp;b@example.com",
	"a\u2028b\u2029c@example.com",
	"jos\u00e9@example.com",
	"\U0001F600@b\u00fccher.example",
	"__proto__@example.com",
}

func TestHostileEmails(t *testing.T) {
	for _, email := range hostileEmails {
		for mode, opts := range map[string][]snippet.Option{"inline": nil, "nonce": {nonceOf("n")}, "file": {snippet.WithScriptPath("/a")}} {
			nodes := rendered(t, snippet.HTML(request(identified(email)), opts...))
			if want := map[string]int{"inline": 2, "nonce": 2, "file": 3}[mode]; len(nodes) != want {
				t.Errorf("%s, %q: %d elements: %+v", mode, email, len(nodes), nodes)
				continue
			}
			literal := nodes[0].Text
			if mode != "file" {
				_, literal = inline(t, literal)
			}
			want := map[string]any{"identificationEmail": email, "identificationToken": jwt}
			if diff := cmp.Diff(want, decoded(t, literal)["identity"]); diff != "" {
				t.Errorf("%s, %q (-want +got):\n%s", mode, email, diff)
			}
			if strings.ContainsAny(literal, "<>&\u2028\u2029") {
				t.Errorf("%s, %q: markup or a line end in %s", mode, email, literal)
			}
		}
	}
}

// Only the one literal is different from page to page.
func TestOnlyTheLiteralIsDynamic(t *testing.T) {
	var codes []string
	for _, ctx := range []context.Context{request(anonymous), request(identified("ada@example.com")), request(identified(hostileEmails[2]))} {
		for _, opts := range [][]snippet.Option{nil, {snippet.WithDebug(), snippet.WithSettings(snippet.Settings{InlineEmbedSelector: "#chat"})}} {
			code, _ := inline(t, rendered(t, snippet.HTML(ctx, opts...))[0].Text)
			codes = append(codes, code)
		}
	}
	for _, code := range codes {
		if code != codes[0] {
			t.Errorf("code differs: %s and %s", code, codes[0])
		}
	}
}

func TestData(t *testing.T) {
	settings := map[string]any{"loadImmediately": false}
	ada := map[string]any{"identificationEmail": "ada@example.com", "identificationToken": jwt}
	at := func(path string) func(*identity.Request) { return func(r *identity.Request) { r.TokenPath = path } }
	synctest.Test(t, func(t *testing.T) {
		tokenOf := func(age time.Duration) identity.Chat {
			return identity.Chat{Fingerprint: "0123456789abcdef", Token: hubspot.NewToken(jwt, "ada@example.com", time.Now().Add(-age))}
		}
		late := identity.Chat{Fingerprint: "0123456789abcdef", Late: true}
		for name, tt := range map[string]struct {
			ctx  context.Context
			opts []snippet.Option
			want map[string]any
		}{
			"anonymous":                    {request(anonymous), nil, map[string]any{"settings": settings, "visitor": ""}},
			"anonymous, endpoint":          {request(anonymous, at("/chat/token")), nil, map[string]any{"settings": settings, "visitor": "", "endpoint": "/chat/token"}},
			"identified":                   {request(tokenOf(0)), nil, map[string]any{"settings": settings, "visitor": "0123456789abcdef", "identity": ada}},
			"identified, endpoint":         {request(tokenOf(0), at("/chat/token")), nil, map[string]any{"settings": settings, "visitor": "0123456789abcdef", "identity": ada, "endpoint": "/chat/token", "renew": 9.0 * 60 * 60}},
			"an older token":               {request(tokenOf(8*time.Hour), at("/chat/token")), nil, map[string]any{"settings": settings, "visitor": "0123456789abcdef", "identity": ada, "endpoint": "/chat/token", "renew": 60.0 * 60}},
			"an aging token":               {request(tokenOf(11*time.Hour), at("/chat/token")), nil, map[string]any{"settings": settings, "visitor": "0123456789abcdef", "identity": ada, "endpoint": "/chat/token", "renew": 5.0 * 60}},
			"late, nowhere to ask":         {request(late), nil, map[string]any{"settings": settings, "visitor": "0123456789abcdef"}},
			"late, endpoint":               {request(late, at("/chat/token")), nil, map[string]any{"settings": settings, "visitor": "0123456789abcdef", "endpoint": "/chat/token", "late": true}},
			"idle":                         {request(anonymous), []snippet.Option{snippet.WithLoad(snippet.LoadIdle)}, map[string]any{"settings": settings, "visitor": "", "loader": loaderSrc, "when": "idle"}},
			"interaction":                  {request(anonymous), []snippet.Option{snippet.WithLoad(snippet.LoadInteraction)}, map[string]any{"settings": settings, "visitor": "", "loader": loaderSrc, "when": "interaction"}},
			"immediate":                    {request(anonymous), []snippet.Option{snippet.WithLoad(snippet.LoadImmediate)}, map[string]any{"settings": settings, "visitor": ""}},
			"debug":                        {request(anonymous), []snippet.Option{snippet.WithDebug()}, map[string]any{"settings": settings, "visitor": "", "debug": true}},
			"the middleware's account won": {request(anonymous), []snippet.Option{snippet.WithAccount("999", "eu1"), snippet.WithLoad(snippet.LoadIdle)}, map[string]any{"settings": settings, "visitor": "", "loader": loaderSrc, "when": "idle"}},
		} {
			tt.want["at"] = 946684800000.0 // when a synctest bubble begins
			if diff := cmp.Diff(tt.want, data(t, tt.ctx, tt.opts...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// Never a null or a wrong type: either keeps HubSpot's widget from starting.
func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		settings snippet.Settings
		want     map[string]any
	}{
		"none":                     {snippet.Settings{}, map[string]any{}},
		"inlineEmbedSelector":      {snippet.Settings{InlineEmbedSelector: "#chat > .x[a='</script>']"}, map[string]any{"inlineEmbedSelector": "#chat > .x[a='</script>']"}},
		"cookie banner":            {snippet.Settings{EnableWidgetCookieBanner: snippet.CookieBannerOn}, map[string]any{"enableWidgetCookieBanner": true}},
		"cookie banner off":        {snippet.Settings{EnableWidgetCookieBanner: snippet.CookieBannerOff}, map[string]any{}},
		"cookie banner at load":    {snippet.Settings{EnableWidgetCookieBanner: snippet.CookieBannerOnWidgetLoad}, map[string]any{"enableWidgetCookieBanner": "ON_WIDGET_LOAD"}},
		"cookie banner at exit":    {snippet.Settings{EnableWidgetCookieBanner: snippet.CookieBannerOnExitIntent}, map[string]any{"enableWidgetCookieBanner": "ON_EXIT_INTENT"}},
		"cookie banner unknown":    {snippet.Settings{EnableWidgetCookieBanner: "</script>"}, map[string]any{"enableWidgetCookieBanner": false}},
		"disableAttachment":        {snippet.Settings{DisableAttachment: true}, map[string]any{"disableAttachment": true}},
		"disableInitialInputFocus": {snippet.Settings{DisableInitialInputFocus: true}, map[string]any{"disableInitialInputFocus": true}},
		"avoidInlineStyles":        {snippet.Settings{AvoidInlineStyles: true}, map[string]any{"avoidInlineStyles": true}},
		"hideNewThreadLink":        {snippet.Settings{HideNewThreadLink: true}, map[string]any{"hideNewThreadLink": true}},
		"all": {snippet.Settings{InlineEmbedSelector: "\u00e9", EnableWidgetCookieBanner: snippet.CookieBannerOn, DisableAttachment: true, DisableInitialInputFocus: true, AvoidInlineStyles: true, HideNewThreadLink: true},
			map[string]any{"inlineEmbedSelector": "\u00e9", "enableWidgetCookieBanner": true, "disableAttachment": true, "disableInitialInputFocus": true, "avoidInlineStyles": true, "hideNewThreadLink": true}},
	} {
		tt.want["loadImmediately"] = false
		if diff := cmp.Diff(tt.want, data(t, request(anonymous), snippet.WithSettings(tt.settings))["settings"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A policy strict enough for a nonce blocks the widget's inline styles too.
func TestStrictPagesAvoidInlineStyles(t *testing.T) {
	want := map[string]any{"loadImmediately": false, "avoidInlineStyles": true}
	if diff := cmp.Diff(want, data(t, request(anonymous), nonceOf("n"))["settings"]); diff != "" {
		t.Errorf("nonce (-want +got):\n%s", diff)
	}
	nodes := rendered(t, snippet.HTML(request(anonymous), snippet.WithScriptPath("/a")))
	if diff := cmp.Diff(want, decoded(t, nodes[0].Text)["settings"]); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if got := data(t, request(anonymous), nonceOf(""))["settings"]; !cmp.Equal(got, map[string]any{"loadImmediately": false}) {
		t.Errorf("empty nonce: %v", got)
	}
}

func TestNonceComesFromTheContext(t *testing.T) {
	type key struct{}
	opt := snippet.WithNonce(func(ctx context.Context) string { s, _ := ctx.Value(key{}).(string); return s })
	nodes := rendered(t, snippet.HTML(context.WithValue(request(anonymous), key{}, "from-ctx"), opt))
	if nodes[0].Attributes["nonce"] != "from-ctx" || nodes[1].Attributes["nonce"] != "from-ctx" {
		t.Errorf("%+v", nodes)
	}
}

func TestNothingToShow(t *testing.T) {
	noLoader := func(r *identity.Request) { r.LoaderSrc = "" }
	for name, got := range map[string]template.HTML{
		"no middleware":                   snippet.HTML(context.Background()),
		"off":                             snippet.HTML(request(identity.Chat{Off: true})),
		"off, with an account":            snippet.HTML(request(identity.Chat{Off: true}), snippet.WithAccount("12345678", "")),
		"off, with a token":               snippet.HTML(request(identity.Chat{Off: true, Token: hubspot.NewToken(jwt, "ada@example.com", time.Now())})),
		"the middleware knows no account": snippet.HTML(request(identified("ada@example.com"), noLoader)),
	} {
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAccount(t *testing.T) {
	for _, tt := range []struct{ portal, region, src string }{
		{"12345678", "", "//js.hs-scripts.com/12345678.js"},
		{"12345678", "na1", "//js.hs-scripts.com/12345678.js"},
		{"12345678", "eu1", "//js-eu1.hs-scripts.com/12345678.js"},
	} {
		nodes := rendered(t, snippet.HTML(context.Background(), snippet.WithAccount(tt.portal, tt.region)))
		if len(nodes) != 2 || nodes[1].Attributes["src"] != tt.src {
			t.Errorf("%s %s: %+v", tt.portal, tt.region, nodes)
		}
		if got := data(t, context.Background(), snippet.WithAccount(tt.portal, tt.region)); got["identity"] != nil || got["visitor"] != "" {
			t.Errorf("%v", got)
		}
	}
	// A mistake breaks no page.
	for _, tt := range [][2]string{{"--><script>alert(1)</script>", ""}, {"12345678", "--><script>"}, {"12a", "mars1"}} {
		nodes := rendered(t, snippet.HTML(context.Background(), snippet.WithAccount(tt[0], tt[1])))
		if len(nodes) != 1 || nodes[0].Name != "" || !strings.Contains(nodes[0].Text, "hubspot-visitor") || strings.Contains(nodes[0].Text, "alert") {
			t.Errorf("%q: %+v", tt, nodes)
		}
	}
}

func TestLoaderSrcIsAnAttribute(t *testing.T) {
	src := `//x/"onerror="alert(1)'>&lt;` + "\u00e9.js"
	nodes := rendered(t, snippet.HTML(request(anonymous, func(r *identity.Request) { r.LoaderSrc = src })))
	if len(nodes) != 2 || nodes[1].Attributes["src"] != src || len(nodes[1].Attributes) != 4 {
		t.Errorf("%+v", nodes)
	}
}

func TestRender(t *testing.T) {
	ctx := request(identified("ada@example.com"))
	opts := []snippet.Option{nonceOf("n"), snippet.WithDebug()}
	want := string(snippet.HTML(ctx, opts...))
	var rendered, component bytes.Buffer
	if err := snippet.Render(ctx, &rendered, opts...); err != nil || rendered.String() != want {
		t.Errorf("Render: %v, %s", err, &rendered)
	}
	if err := snippet.NewComponent(opts...).Render(ctx, &component); err != nil || component.String() != want {
		t.Errorf("Component: %v, %s", err, &component)
	}
	full := errors.New("the disk is full")
	if err := snippet.Render(ctx, failing{full}); err != full {
		t.Errorf("Render: %v", err)
	}
	if err := snippet.NewComponent().Render(ctx, failing{full}); err != full {
		t.Errorf("Component: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// at is the time in a page's data.
var at = regexp.MustCompile(`,"at":[0-9]+`)

func TestFuncMap(t *testing.T) {
	ctx := request(identified("ada@example.com"))
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	want := string(snippet.HTML(ctx, snippet.WithDebug()))
	page := template.Must(template.New("").Funcs(snippet.FuncMap(snippet.WithDebug())).Parse(`<p>{{hubspotChat .V}}</p>`))
	var noRequest *http.Request
	var noContext context.Context
	for name, tt := range map[string]struct {
		data any
		chat bool
	}{
		"request":      {map[string]any{"V": r}, true},
		"context":      {map[string]any{"V": ctx}, true},
		"field":        {struct{ V *http.Request }{r}, true},
		"no request":   {struct{ V *http.Request }{noRequest}, false},
		"no context":   {struct{ V context.Context }{noContext}, false},
		"nothing":      {map[string]any{}, false},
		"nil":          {map[string]any{"V": nil}, false},
		"text":         {map[string]any{"V": "<script>ada@example.com</script>"}, false},
		"number":       {map[string]any{"V": 7}, false},
		"request copy": {map[string]any{"V": *r}, false},
	} {
		var b strings.Builder
		if err := page.Execute(&b, tt.data); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		switch got := strings.TrimSuffix(strings.TrimPrefix(b.String(), "<p>"), "</p>"); {
		case tt.chat && at.ReplaceAllString(got, "") != at.ReplaceAllString(want, ""):
			t.Errorf("%s: %s", name, got)
		case !tt.chat && (!strings.HasPrefix(got, "<!-- hubspot-visitor: ") || strings.Contains(got, "ada")):
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestCSP(t *testing.T) {
	want := map[string][]string{
		"script-src": {"*.hs-scripts.com", "*.usemessages.com", "*.hs-banner.com", "*.hs-analytics.net", "*.hscollectedforms.net", "*.hubspot.com",
			"static.hsappstatic.net", "js.hsadspixel.net", "js.hsleadflows.net"},
		"connect-src": {"*.hubspot.com", "*.hubapi.com", "*.hs-banner.com", "*.hscollectedforms.net"},
		"frame-src":   {"*.hubspot.com", "*.hs-sites.com"},
		"img-src":     {"*.hubspot.com", "*.hubspot.net", "*.hsforms.com"},
		"style-src":   {"static.hsappstatic.net"},
	}
	for _, region := range []string{"", "na1", "na2", "na3", "ap1", "unknown"} {
		if diff := cmp.Diff(want, snippet.CSP(region)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", region, diff)
		}
	}
	want["frame-src"] = append(want["frame-src"], "*.hs-sites-eu1.com")
	if diff := cmp.Diff(want, snippet.CSP("eu1")); diff != "" {
		t.Errorf("eu1 (-want +got):\n%s", diff)
	}
	mine := snippet.CSP("eu1")
	mine["script-src"][0] = "'self'"
	mine["frame-src"] = append(mine["frame-src"][:1], "x")
	delete(mine, "img-src")
	if diff := cmp.Diff(want, snippet.CSP("eu1")); diff != "" {
		t.Errorf("another's map was changed (-want +got):\n%s", diff)
	}
}

func TestConcurrentRendering(t *testing.T) {
	component := snippet.NewComponent(nonceOf("n"))
	done := make(chan string)
	for i := range 16 {
		go func() {
			var b strings.Builder
			_ = component.Render(request(identified(fmt.Sprintf("v%d@example.com", i))), &b)
			done <- fmt.Sprint(strings.Count(b.String(), "@example.com"), strings.Contains(b.String(), fmt.Sprintf(`"v%d@example.com"`, i)))
		}()
	}
	for range 16 {
		if got := <-done; got != "1 true" {
			t.Errorf("got %s", got)
		}
	}
}
