package snippet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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
	type list = []attributes // in the order of their scripts
	settings, loader := attributes{}, attributes{"id": "hs-script-loader", "async": "", "defer": "", "src": "//js.hs-scripts.com/12345678.js"}
	data := attributes{"type": "application/json"}
	claim := attributes{"data-portal": "12345678"}
	with := func(a attributes, pairs ...string) attributes {
		a = maps.Clone(a)
		for i := 0; i < len(pairs); i += 2 {
			a[pairs[i]] = pairs[i+1]
		}
		return a
	}
	hostile := `"><script>alert('&amp;')</script>`
	for name, tt := range map[string]struct {
		opts []snippet.Option
		want list
	}{
		"inline":                {nil, list{settings, claim, loader}},
		"nonce":                 {[]snippet.Option{nonceOf("bm9uY2U=")}, list{with(settings, "nonce", "bm9uY2U="), with(claim, "nonce", "bm9uY2U="), with(loader, "nonce", "bm9uY2U=")}},
		"empty nonce":           {[]snippet.Option{nonceOf("")}, list{settings, claim, loader}},
		"hostile nonce":         {[]snippet.Option{nonceOf(hostile)}, list{with(settings, "nonce", hostile), with(claim, "nonce", hostile), with(loader, "nonce", hostile)}},
		"nonce not ASCII":       {[]snippet.Option{nonceOf("\u00e9\u2028\U0001F600\n")}, list{with(settings, "nonce", "\u00e9\u2028\U0001F600\n"), with(claim, "nonce", "\u00e9\u2028\U0001F600\n"), with(loader, "nonce", "\u00e9\u2028\U0001F600\n")}},
		"file":                  {[]snippet.Option{snippet.WithScriptPath("/assets")}, list{data, with(claim, "src", "/assets/"+scriptName(t)), loader}},
		"file, slash":           {[]snippet.Option{snippet.WithScriptPath("/assets/")}, list{data, with(claim, "src", "/assets/"+scriptName(t)), loader}},
		"file at the root":      {[]snippet.Option{snippet.WithScriptPath("/")}, list{data, with(claim, "src", "/"+scriptName(t)), loader}},
		"file elsewhere":        {[]snippet.Option{snippet.WithScriptPath("https://cdn.example/a?b&c=\"")}, list{data, with(claim, "src", "https://cdn.example/a?b&c=\"/"+scriptName(t)), loader}},
		"file and nonce":        {[]snippet.Option{snippet.WithScriptPath("/assets"), nonceOf("n")}, list{data, with(claim, "src", "/assets/"+scriptName(t), "nonce", "n"), with(loader, "nonce", "n")}},
		"idle":                  {[]snippet.Option{snippet.WithLoad(snippet.LoadIdle)}, list{settings, with(claim, "data-load", "idle", "data-loader", "//js.hs-scripts.com/12345678.js")}},
		"interaction":           {[]snippet.Option{snippet.WithLoad(snippet.LoadInteraction), nonceOf("n")}, list{with(settings, "nonce", "n"), with(claim, "data-load", "interaction", "data-loader", "//js.hs-scripts.com/12345678.js", "nonce", "n")}},
		"idle, file":            {[]snippet.Option{snippet.WithLoad(snippet.LoadIdle), snippet.WithScriptPath("/a")}, list{data, with(claim, "data-load", "idle", "data-loader", "//js.hs-scripts.com/12345678.js", "src", "/a/"+scriptName(t))}},
		"immediate":             {[]snippet.Option{snippet.WithLoad(snippet.LoadImmediate)}, list{settings, claim, loader}},
		"no such load any more": {[]snippet.Option{snippet.WithLoad(snippet.LoadClick), snippet.WithLoad("whenever")}, list{settings, claim, loader}},
		"no such load":          {[]snippet.Option{snippet.WithLoad("whenever")}, list{settings, claim, loader}},
		"debug":                 {[]snippet.Option{snippet.WithDebug()}, list{settings, with(claim, "data-debug", ""), loader}},
	} {
		for who, chat := range map[string]identity.Chat{"identified": identified("ada@example.com"), "anonymous": anonymous} {
			nodes := rendered(t, snippet.HTML(request(chat), tt.opts...))
			var got list
			for i, n := range nodes {
				if n.Name != "script" {
					t.Errorf("%s, %s: %+v", name, who, n)
				}
				got = append(got, n.Attributes)
				switch _, file := n.Attributes["src"]; {
				case i == 0:
					decoded(t, literal(t, n))
				case file && n.Text != "", !file && n.Text != constantScript(t):
					t.Errorf("%s, %s: script %q", name, who, n.Text)
				}
			}
			want := slices.Clone(tt.want)
			if who == "identified" {
				want[1] = with(want[1], "data-hubspot-visitor", "0123456789abcdef", "hx-history", "false")
			} else {
				want[1] = with(want[1], "data-hubspot-visitor", "")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, who, diff)
			}
		}
	}
}

// What a page looks like: HubSpot's documentation is recognized in it.
func TestPagePart(t *testing.T) {
	want := `<script>window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"identificationEmail":"ada@example.com","identificationToken":"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"}</script>
<script data-hubspot-visitor="0123456789abcdef" data-portal="12345678" data-endpoint="/hubspot-visitor/token" hx-history="false">…</script>
<script id="hs-script-loader" async defer src="//js.hs-scripts.com/12345678.js"></script>
`
	chat := identified("ada@example.com")
	chat.Endpoint = "/hubspot-visitor/token"
	got := strings.Replace(string(snippet.HTML(request(chat))), constantScript(t), "…", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
			if len(nodes) != 3 {
				t.Errorf("%s, %q: %d elements: %+v", mode, email, len(nodes), nodes)
				continue
			}
			object := literal(t, nodes[0])
			fields := decoded(t, object)
			if fields["identificationEmail"] != email || fields["identificationToken"] != jwt {
				t.Errorf("%s, %q: %v", mode, email, fields)
			}
			if strings.ContainsAny(object, "<>&'\u2028\u2029") {
				t.Errorf("%s, %q: markup or a line end in %s", mode, email, object)
			}
			// The script cuts the identity off here.
			if n := strings.Count(object, `,"identificationEmail"`); n != 1 {
				t.Errorf("%s, %q: %d places to cut in %s", mode, email, n, object)
			}
		}
	}
}

func TestClaims(t *testing.T) {
	type attributes = map[string]string
	token := hubspot.NewToken(jwt, "ada@example.com", time.Now())
	for name, tt := range map[string]struct {
		chat         identity.Chat
		email, token string
		want         attributes
	}{
		"nobody's":             {identity.Chat{}, "", "", attributes{"data-hubspot-visitor": ""}},
		"nobody's, endpoint":   {identity.Chat{Endpoint: "/t"}, "", "", attributes{"data-hubspot-visitor": "", "data-endpoint": "/t"}},
		"a visitor's":          {identity.Chat{Claim: fingerprint, Token: token}, "ada@example.com", jwt, attributes{"data-hubspot-visitor": fingerprint, "hx-history": "false"}},
		"a visitor's, late":    {identity.Chat{Claim: fingerprint, Endpoint: "/t", Reason: "late"}, "", "", attributes{"data-hubspot-visitor": fingerprint, "data-endpoint": "/t", "hx-history": "false"}},
		"anybody's":            {identity.Chat{Claim: "*", Endpoint: "/t"}, "", "", attributes{"data-hubspot-visitor": "*", "data-endpoint": "/t"}},
		"never anybody's":      {identity.Chat{Claim: "-"}, "", "", attributes{"data-hubspot-visitor": "-"}},
		"debug by environment": {identity.Chat{Debug: true}, "", "", attributes{"data-hubspot-visitor": "", "data-debug": ""}},
		"hostile endpoint":     {identity.Chat{Endpoint: `/"><script>` + "\u00e9"}, "", "", attributes{"data-hubspot-visitor": "", "data-endpoint": `/"><script>` + "\u00e9"}},
		// There is no such Chat: nobody may get it to see.
		"nobody's with a token":  {identity.Chat{Token: token}, "", "", attributes{"data-hubspot-visitor": ""}},
		"anybody's with a token": {identity.Chat{Claim: "*", Token: token}, "", "", attributes{"data-hubspot-visitor": "*"}},
		"never with a token":     {identity.Chat{Claim: "-", Token: token}, "", "", attributes{"data-hubspot-visitor": "-"}},
	} {
		settings, claim := part(t, request(tt.chat))
		tt.want["data-portal"] = "12345678"
		if diff := cmp.Diff(tt.want, claim); diff != "" {
			t.Errorf("%s: claim (-want +got):\n%s", name, diff)
		}
		want := map[string]any{"loadImmediately": false, "identificationEmail": tt.email, "identificationToken": tt.token}
		if diff := cmp.Diff(want, settings); diff != "" {
			t.Errorf("%s: settings (-want +got):\n%s", name, diff)
		}
	}
}

// Shared caches and CDNs compare and merge pages.
func TestAnonymousPagesAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := snippet.HTML(request(anonymous))
		time.Sleep(time.Hour)
		if after := snippet.HTML(request(anonymous)); after != before {
			t.Errorf("%s\n%s", before, after)
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
		for field, value := range map[string]any{"loadImmediately": false, "identificationEmail": "", "identificationToken": ""} {
			tt.want[field] = value
		}
		if got, _ := part(t, request(anonymous), snippet.WithSettings(tt.settings)); !cmp.Equal(tt.want, got) {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(tt.want, got))
		}
	}
}

// A policy strict enough for a nonce blocks the widget's inline styles too.
func TestStrictPagesAvoidInlineStyles(t *testing.T) {
	chosen := snippet.WithSettings(snippet.Settings{AvoidInlineStyles: true})
	for name, tt := range map[string]struct {
		opts []snippet.Option
		want any
	}{
		"inline":           {nil, nil},
		"nonce":            {[]snippet.Option{nonceOf("n")}, true},
		"empty nonce":      {[]snippet.Option{nonceOf("")}, nil},
		"file":             {[]snippet.Option{snippet.WithScriptPath("/a")}, true},
		"chosen":           {[]snippet.Option{chosen}, true},
		"chosen, nonce":    {[]snippet.Option{chosen, nonceOf("n")}, true},
		"chosen, file":     {[]snippet.Option{snippet.WithScriptPath("/a"), chosen}, true},
		"settings, a file": {[]snippet.Option{snippet.WithSettings(snippet.Settings{DisableAttachment: true}), snippet.WithScriptPath("/a")}, true},
	} {
		settings, _ := part(t, request(anonymous), tt.opts...)
		if got := settings["avoidInlineStyles"]; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		if n := strings.Count(string(snippet.HTML(request(anonymous), tt.opts...)), "avoidInlineStyles"); n > 1 {
			t.Errorf("%s: said %d times", name, n)
		}
	}
}

type key struct{}

func TestNonceComesFromTheContext(t *testing.T) {
	opt := snippet.WithNonce(func(ctx context.Context) string { s, _ := ctx.Value(key{}).(string); return s })
	for _, n := range rendered(t, snippet.HTML(context.WithValue(request(anonymous), key{}, "from-ctx"), opt)) {
		if n.Attributes["nonce"] != "from-ctx" {
			t.Errorf("%+v", n)
		}
	}
}

// The page is the application's, whatever happens to its chat.
func TestNonceThatPanics(t *testing.T) {
	panics := snippet.WithNonce(func(ctx context.Context) string { return ctx.Value(key{}).(string) })
	saidOnce(t, "the function of snippet.WithNonce panicked", func() {
		if got := snippet.HTML(request(identified("ada@example.com")), panics); got != "" {
			t.Errorf("got %s", got)
		}
	})
	nodes := rendered(t, snippet.HTML(request(identified("ada@example.com")), panics, snippet.WithDebug()))
	if len(nodes) != 1 || nodes[0].Text != " hubspot-visitor: the nonce function panicked " {
		t.Errorf("%+v", nodes)
	}
}

// Gin's own context does not carry what middleware put into the request's: the
// page has no chat, and the log says why.
func TestNoMiddleware(t *testing.T) {
	saidOnce(t, "the snippet's context has no middleware", func() {
		if got := snippet.HTML(context.Background()); got != "" {
			t.Errorf("got %s", got)
		}
	})
	nodes := rendered(t, snippet.HTML(context.Background(), snippet.WithDebug()))
	if len(nodes) != 1 || !strings.Contains(nodes[0].Text, "hubspot-visitor: the snippet's context has no middleware") || !strings.Contains(nodes[0].Text, "c.Request.Context()") {
		t.Errorf("%+v", nodes)
	}
}

// saidOnce renders a few times. A logger that panics costs the line, not the page,
// and the next one has it.
func saidOnce(t *testing.T, message string, render func()) {
	t.Helper()
	before := slog.Default()
	slog.SetDefault(slog.New(panicking{before.Handler()}))
	render()
	slog.SetDefault(before)
	for range 3 {
		render()
	}
	if n := logged.lines(message); n != 1 { // since the process began
		t.Errorf("logged %d times: %s", n, message)
	}
}

type panicking struct{ slog.Handler }

func (panicking) Handle(context.Context, slog.Record) error { panic("the log is full") }

func TestReasons(t *testing.T) {
	const reason = "it's late --> <script>\u2028"
	const want = " hubspot-visitor: it's late --> <script>\u2028 " // as this parser reads it; browsers leave the references
	for name, tt := range map[string]struct {
		chat identity.Chat
		opts []snippet.Option
		want string
	}{
		"no debug":           {identity.Chat{Reason: reason}, nil, ""},
		"by option":          {identity.Chat{Reason: reason}, []snippet.Option{snippet.WithDebug()}, want},
		"by the environment": {identity.Chat{Reason: reason, Debug: true}, nil, want},
		"off":                {identity.Chat{Reason: reason, Debug: true, Off: true}, nil, want},
		"somebody":           {identity.Chat{Claim: fingerprint, Token: hubspot.NewToken(jwt, "ada@example.com", time.Now()), Debug: true}, nil, ""},
	} {
		got := ""
		for _, n := range rendered(t, snippet.HTML(request(tt.chat), tt.opts...)) {
			if n.Name == "" {
				got += n.Text
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if page := string(snippet.HTML(request(tt.chat), tt.opts...)); tt.want != "" && strings.Index(page, ">") != strings.Index(page, " -->")+3 {
			t.Errorf("%s: the comment ends early: %s", name, page)
		}
	}
}

func TestNothingToShow(t *testing.T) {
	cancelled, cancel := context.WithCancel(request(identified("ada@example.com")))
	cancel()
	var noContext context.Context // a mistake that breaks no page
	for name, got := range map[string]template.HTML{
		"no context":                snippet.HTML(noContext),
		"nobody waits for the page": snippet.HTML(cancelled),
		"off":                       snippet.HTML(request(identity.Chat{Off: true})),
		"off, with a token":         snippet.HTML(request(identity.Chat{Off: true, Token: hubspot.NewToken(jwt, "ada@example.com", time.Now())})),
		"no middleware":             snippet.HTML(context.Background()),
	} {
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestLoaderSrcIsAnAttribute(t *testing.T) {
	src := `//x/"onerror="alert(1)'>&lt;` + "\u00e9.js"
	nodes := rendered(t, snippet.HTML(identity.With(context.Background(), page{identity.Chat{LoaderSrc: src}})))
	if len(nodes) != 3 || nodes[2].Attributes["src"] != src || len(nodes[2].Attributes) != 4 {
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
	var zero bytes.Buffer
	if err := (snippet.Component{}).Render(ctx, &zero); err != nil || zero.String() != string(snippet.HTML(ctx)) {
		t.Errorf("zero Component: %v, %s", err, &zero)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

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
		case tt.chat && got != want:
			t.Errorf("%s: %s", name, got)
		case !tt.chat && (!strings.HasPrefix(got, "<!-- hubspot-visitor: ") || strings.Contains(got, "ada")):
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestCSP(t *testing.T) {
	want := map[string][]string{
		"script-src": {"*.hs-scripts.com", "*.usemessages.com", "*.hs-banner.com", "*.hs-analytics.net", "*.hscollectedforms.net", "*.hubspot.com",
			"static.hsappstatic.net", "*.hsadspixel.net", "*.hsleadflows.net"},
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

// Parts are cut from common blocks: each stays as it was given, and has nothing of
// the parts around it.
func TestPartsStayApart(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			parts := make([]template.HTML, 100)
			emailOf := func(i int) string { return fmt.Sprintf("v%d-%d%s@example.com", g, i, strings.Repeat("x", i*97)) }
			for i := range parts {
				parts[i] = snippet.HTML(request(identified(emailOf(i))))
			}
			for i, part := range parts {
				email := emailOf(i)
				if strings.Count(string(part), email) != 1 || strings.Count(string(part), "@example.com") != 1 ||
					!strings.HasPrefix(string(part), "<script>") || !strings.HasSuffix(string(part), "</script>\n") || strings.Count(string(part), "<script") != 3 {
					t.Errorf("%s: %s", email, part)
				}
			}
		})
	}
	wg.Wait()
}

// What is made once for everybody is not given to another account's page, nor to
// one of another kind.
func TestPartsOfNobodyAreKeptApart(t *testing.T) {
	chats := []identity.Chat{
		{PortalID: "12345678", LoaderSrc: loaderSrc, Claim: identity.Nobody, Endpoint: "/token"},
		{PortalID: "12345678", LoaderSrc: loaderSrc, Claim: identity.Anybody, Endpoint: "/token"},
		{PortalID: "12345678", LoaderSrc: loaderSrc, Claim: identity.Never},
		{PortalID: "87654321", LoaderSrc: "//js.hs-scripts.com/87654321.js", Claim: identity.Nobody, Endpoint: "/token"},
		{PortalID: "87654321", LoaderSrc: "//js.hs-scripts.com/87654321.js", Claim: identity.Nobody},
		{PortalID: "12345678", LoaderSrc: loaderSrc, Claim: identity.Nobody, Endpoint: "/token", Reason: "why", Debug: true},
	}
	part := snippet.FuncMap()["hubspotChat"].(func(any) template.HTML)
	for range 2 {
		seen := map[template.HTML]bool{}
		for _, chat := range chats {
			got := part(identity.With(t.Context(), page{chat}))
			if got != part(identity.With(t.Context(), page{chat})) {
				t.Errorf("%+v: two parts", chat)
			}
			if seen[got] {
				t.Errorf("%+v has another's part: %s", chat, got)
			}
			seen[got] = true
			for _, want := range []string{`data-portal="` + chat.PortalID + `"`, `src="` + chat.LoaderSrc + `"`, `data-hubspot-visitor="` + chat.Claim + `"`} {
				if !strings.Contains(string(got), want) {
					t.Errorf("%+v: no %s in %s", chat, want, got)
				}
			}
		}
	}
}
