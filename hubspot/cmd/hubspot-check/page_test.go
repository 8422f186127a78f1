package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// application is one with the chat, whose answers may be spoiled on the way to
// the browser.
type application struct {
	signedIn bool // whoever asks
	chat     []snippet.Option
	page     func(h http.Header, body string) string
	endpoint http.HandlerFunc // instead of the real one
}

func (a application) serve(t *testing.T, cfg hubspot.Config) (address string) {
	t.Helper()
	app, err := sample(cfg, a.chat...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hubspot-visitor/token" && a.endpoint != nil {
			a.endpoint(w, r)
			return
		}
		if a.signedIn {
			ada := hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}
			r = r.WithContext(middleware.WithVisitor(r.Context(), ada))
		}
		if r.Method != http.MethodGet {
			app.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		app.ServeHTTP(recorded, r)
		header, body := recorded.Header(), recorded.Body.String()
		if a.page != nil {
			body = a.page(header, body)
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		if status := header.Get("Test-Status"); status != "" {
			code, _ := strconv.Atoi(status)
			w.WriteHeader(code)
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// replace spoils the body.
func replace(old, new string) func(http.Header, string) string {
	return func(_ http.Header, body string) string {
		if !strings.Contains(body, old) {
			return "the test is wrong: there is no " + old
		}
		return strings.ReplaceAll(body, old, new)
	}
}

// header spoils the header.
func header(name, value string) func(http.Header, string) string {
	return func(h http.Header, body string) string {
		h.Del(name)
		if value != "" {
			h.Set(name, value)
		}
		return body
	}
}

// before puts something into the page, before the first part of it that matches.
func before(part, what string) func(http.Header, string) string {
	return replace(part, what+part)
}

// policyChange spoils the policy.
func policyChange(old, new string) func(http.Header, string) string {
	return func(h http.Header, body string) string {
		const name = "Content-Security-Policy"
		changed := regexp.MustCompile(old).ReplaceAllString(h.Get(name), new)
		if changed == h.Get(name) {
			return "the test is wrong: there is no " + old + " in " + changed
		}
		h.Set(name, changed)
		return body
	}
}

// wholeNonce is the nonce attribute of every script.
var wholeNonce = regexp.MustCompile(` nonce="[^"]*"`)

const (
	endOfBody   = "</body>"
	startOfBody = "<body>"
	loaderStart = `<script id="hs-script-loader"`
)

func answer(status int, kind, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Each mistake that can be seen in a page is found, and nothing else with it.
func TestPageMistakes(t *testing.T) {
	said := make(map[string]string)
	for name, tt := range map[string]struct {
		application
		want []string
	}{
		"none": {application{}, nil},
		"two page parts": {application{page: func(_ http.Header, body string) string {
			_, rest, _ := strings.Cut(body, startOfBody)
			rest, _, _ = strings.Cut(rest, endOfBody)
			return strings.Replace(body, endOfBody, rest+endOfBody, 1)
		}}, nil},
		// The page itself.
		"not there":     {application{page: header("Test-Status", "404")}, []string{"page: it answers 404"}},
		"not a page":    {application{page: header("Content-Type", "application/json")}, []string{"page: it is no HTML but application/json"}},
		"too long":      {application{page: before(startOfBody, strings.Repeat(" ", 8<<20))}, []string{"page: it cannot be opened: the answer is longer than 8 MB"}},
		"access token":  {application{page: before(endOfBody, "<!-- "+hubspottest.AccessToken.Reveal()+" -->")}, []string{"secrets in the page: everybody can read an access token in it"}},
		"another token": {application{page: before(endOfBody, "pat-eu1-11111111-2222-4333-8444-555555555555")}, []string{"secrets in the page: everybody can read an access token in it"}},
		// The page part.
		"no page part": {application{page: func(_ http.Header, body string) string {
			return regexp.MustCompile(`(?s)<script.*</script>`).ReplaceAllString(body, "")
		}}, []string{"page part: the page has none: no element with data-hubspot-visitor"}},
		"never closed": {application{page: before("<h1>", strings.Repeat("<div>", 600))}, []string{"page part: the page cannot be read as HTML"}},
		"says why": {application{page: func(_ http.Header, body string) string {
			return regexp.MustCompile(`(?s)<script.*</script>`).ReplaceAllString(body, "<!-- hubspot-visitor: no consent -->")
		}}, []string{"page part: the page has none, since no consent"}},
		"escaped": {application{page: func(_ http.Header, body string) string {
			head, part, _ := strings.Cut(body, "<script")
			return head + strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace("<script"+part)
		}}, []string{"page part: the page part stands in the page as text"}},
		"in a comment":  {application{page: spoilPart("<!--", "-->")}, []string{"page part: the page part is within a comment or noscript"}},
		"in noscript":   {application{page: spoilPart("<noscript>", "</noscript>")}, []string{"page part: the page part is within a comment or noscript"}},
		"in a template": {application{page: spoilPart("<template>", "</template>")}, []string{"page part: the page part is within a template element", "page's loader: HubSpot's loader is not in the page"}},
		"optimised":     {application{page: replace("<script data-hubspot", `<script type="4f2d-text/javascript" data-hubspot`)}, []string{"page part: something has changed the type of the page part's scripts"}},
		"settings gone": {application{page: func(_ http.Header, body string) string {
			return regexp.MustCompile(`(?s)<script.*?</script>`).ReplaceAllStringFunc(body, func(script string) string {
				if strings.Contains(script, "identificationEmail\"") {
					return ""
				}
				return script
			})
		}}, []string{"page part: the settings are not right before the page part's script"}},
		"script moved in": {application{page: before("<script data-hubspot", "<script></script>")}, []string{"page part: the settings are not right before the page part's script"}},
		"wrong portal":    {application{page: replace(`data-portal="12345678"`, `data-portal="87654321"`)}, []string{"page part: the page part is of portal 87654321, but HUBSPOT_PORTAL_ID is 12345678"}},
		"never":           {application{page: replace(`data-hubspot-visitor=""`, `data-hubspot-visitor="-"`)}, []string{"visitor on the page: this page never identifies anybody"}},
		"everybody is Ada": {application{signedIn: true}, []string{
			"visitor on the page: it identifies a visitor, although it was asked for without any cookie",
			"token endpoint: POST /hubspot-visitor/token names a visitor, although it was asked without any cookie",
		}},
		"Ada's, without a token": {application{signedIn: true, endpoint: answer(204, "", "", "Cache-Control", "private, no-store"), page: func(_ http.Header, body string) string {
			return regexp.MustCompile(`"identificationEmail".*?}`).ReplaceAllString(body, `"identificationEmail":"","identificationToken":""}`)
		}}, []string{"visitor on the page: it identifies a visitor, although it was asked for without any cookie"}},
		// HubSpot's loader.
		"no loader": {application{page: func(_ http.Header, body string) string {
			return regexp.MustCompile(loaderStart+`.*?</script>`).ReplaceAllString(body, "")
		}}, []string{"page's loader: HubSpot's loader is not in the page, though the page part is"}},
		"second loader":          {application{page: before(endOfBody, `<script async src="//js.hs-scripts.com/12345678.js"></script>`)}, []string{"page's loader: HubSpot's scripts are included 2 times", "page's loader: a loader comes from js.hs-scripts.com"}},
		"second, by a script":    {application{page: before(endOfBody, `<script>var s=document.createElement("script");s.src="//js.hs-scripts.com/"+id+".js"</script>`)}, []string{"page's loader: an inline script adds HubSpot's loader a second time"}},
		"loader's id lost":       {application{page: replace(`id="hs-script-loader"`, `id="script-7"`)}, []string{"page's loader: the loader's element lost its id hs-script-loader"}},
		"loader's portal":        {application{page: replace("/12345678.js", "/87654321.js")}, []string{"page's loader: a loader is of portal 87654321, but HUBSPOT_PORTAL_ID is 12345678"}},
		"second, beside a click": {application{chat: []snippet.Option{snippet.WithLoad(snippet.LoadClick)}, page: before(endOfBody, `<script src="//js.hs-scripts.com/12345678.js"></script>`)}, []string{"page's loader: HubSpot's scripts are included 2 times", "page's loader: a loader comes from js.hs-scripts.com"}},
		// Somebody's own settings.
		"settings behind": {application{page: before(endOfBody, `<script>window.hsConversationsSettings = { loadImmediately: true };</script>`)}, []string{"page's own settings: a script behind the page part assigns window.hsConversationsSettings"}},
		"one of them":     {application{page: before(endOfBody, `<script>hsConversationsSettings.loadImmediately = true</script>`)}, []string{"page's own settings: a script behind the page part assigns"}},
		"settings before": {application{page: before("<h1>", `<script>window.hsConversationsSettings = { disableAttachment: true };</script>`)}, nil},
		"merged behind":   {application{page: before(endOfBody, `<script>window.hsConversationsSettings = {...window.hsConversationsSettings, disableAttachment: true};</script>`)}, nil},
		"compared behind": {application{page: before(endOfBody, `<script>if (window.hsConversationsSettings == null) alert()</script>`)}, nil},
		"written by hand": {application{page: before("<h1>", `<script>window.hsConversationsSettings = { identificationEmail: "x", identificationToken: "y" };</script>`)}, []string{"page's own settings: a script of the page's own sets identificationEmail or identificationToken"}},
		"the part is there twice": {application{page: func(_ http.Header, body string) string {
			part := regexp.MustCompile(`(?s)<script.*?</script>\s*<script data-hubspot.*?</script>`).FindString(body)
			return strings.Replace(body, part, part+part, 1)
		}}, nil},
		// Caches.
		"kept with a token": {application{signedIn: true, page: header("Cache-Control", "public, max-age=600"), endpoint: answer(204, "", "", "Cache-Control", "private, no-store")}, []string{
			"visitor on the page: it identifies a visitor",
			"caching: it holds what is one visitor's, and caches may keep it: Cache-Control: public, max-age=600",
		}},
		"token, no headers": {application{signedIn: true, page: header("Cache-Control", ""), endpoint: answer(204, "", "", "Cache-Control", "private, no-store")}, []string{
			"visitor on the page: it identifies a visitor",
			"caching: it holds what is one visitor's, and caches may keep it: there is no Cache-Control: private, no-store",
		}},
		"nginx's own header": {application{signedIn: true, page: header("X-Accel-Expires", "600"), endpoint: answer(204, "", "", "Cache-Control", "private, no-store")}, []string{
			"visitor on the page: it identifies a visitor",
			"caching: it holds what is one visitor's, and caches may keep it: X-Accel-Expires: 600",
		}},
		"made public later": {application{page: header("Cache-Control", "s-maxage=60")}, []string{"caching: caches may give it to everybody (Cache-Control: s-maxage=60)"}},
		"at the CDN only":   {application{page: header("CDN-Cache-Control", "max-age=60")}, []string{"caching: caches may give it to everybody (Cdn-Cache-Control: max-age=60)"}},
		"Vary is gone":      {application{page: header("Vary", "Accept-Encoding")}, []string{"caching: Vary: Cookie is missing"}},
		"private is fine":   {application{page: header("Cache-Control", "private, max-age=60")}, nil},
		// The policy.
		"no nonce in the part": {application{page: func(_ http.Header, body string) string { return wholeNonce.ReplaceAllString(body, "") }}, []string{"policy: script-src wants a nonce, and the page part has none"}},
		"other nonce in the part": {application{page: func(_ http.Header, body string) string {
			return wholeNonce.ReplaceAllString(body, ` nonce="x`+time.Now().String()+`"`)
		}}, []string{"policy: the page part's nonce is not the policy's"}},
		"no inline script": {application{page: policyChange(`'nonce-.*?'`, "'self'")}, []string{"policy: script-src allows no inline script, which the page part is"}},
		"always the same nonce": {application{page: func(h http.Header, body string) string {
			h.Set("Content-Security-Policy", regexp.MustCompile(`'nonce-.*?'`).ReplaceAllString(h.Get("Content-Security-Policy"), "'nonce-abc'"))
			return wholeNonce.ReplaceAllString(body, ` nonce="abc"`)
		}}, []string{"policy: two responses have the same nonce"}},
		"scripts":           {application{page: policyChange(`script-src http\S+`, "script-src")}, []string{"policy: script-src lacks http://127.0.0.1:"}},
		"strict-dynamic":    {application{page: policyChange(`script-src http\S+`, "script-src 'strict-dynamic'")}, nil},
		"connections":       {application{page: policyChange(`connect-src 'self' http\S+;`, "connect-src 'self';")}, []string{"policy: connect-src lacks http://127.0.0.1:"}},
		"not to itself":     {application{page: policyChange(`connect-src 'self'`, "connect-src")}, []string{"policy: connect-src lacks 'self'"}},
		"frames":            {application{page: policyChange(`frame-src http\S+;`, "")}, []string{"policy: frame-src lacks http://127.0.0.1:"}},
		"styles":            {application{page: policyChange(`style-src http\S+;`, "style-src 'self';")}, []string{"policy: style-src lacks http://127.0.0.1:"}},
		"inline styles":     {application{page: replace(`,"avoidInlineStyles":true`, "")}, []string{"policy: style-src forbids the inline styles of HubSpot's widget"}},
		"in a meta element": {application{page: before("<title>", `<meta http-equiv="content-security-policy" content="frame-src 'none'">`)}, []string{"policy: frame-src lacks http://127.0.0.1:"}},
		"a second policy": {application{page: func(h http.Header, body string) string {
			h.Add("Content-Security-Policy", "connect-src 'none'")
			return body
		}}, []string{"policy: connect-src lacks 'self' http://127.0.0.1:"}},
		"for a report only":   {application{page: header("Content-Security-Policy-Report-Only", "default-src 'none'")}, nil},
		"no policy":           {application{page: header("Content-Security-Policy", "")}, nil},
		"unsafe-inline and *": {application{page: header("Content-Security-Policy", "default-src * 'unsafe-inline'")}, nil},
		// The token endpoint.
		"endpoint unknown":    {application{endpoint: answer(404, "text/html", "")}, []string{"token endpoint: POST /hubspot-visitor/token does not reach chat.Handler (404)"}},
		"endpoint, CSRF":      {application{endpoint: answer(403, "text/plain", "")}, []string{"token endpoint: POST /hubspot-visitor/token is refused (403)"}},
		"endpoint, sign in":   {application{endpoint: answer(303, "text/html", "", "Location", "/login")}, []string{"token endpoint: POST /hubspot-visitor/token is redirected (303)"}},
		"endpoint, a page":    {application{endpoint: answer(200, "text/html", "<h1>Welcome</h1>")}, []string{"token endpoint: POST /hubspot-visitor/token is answered by somebody else, text/html"}},
		"endpoint, kept":      {application{endpoint: answer(204, "", "", "Cache-Control", "max-age=60")}, []string{"token endpoint: POST /hubspot-visitor/token may be kept by caches"}},
		"endpoint, trouble":   {application{endpoint: answer(500, "", "")}, []string{"token endpoint: POST /hubspot-visitor/token answers 500"}},
		"endpoint, not there": {application{endpoint: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, []string{"token endpoint: POST /hubspot-visitor/token is not answered"}},
		"endpoint, no token":  {application{endpoint: answer(503, "", "", "Cache-Control", "private, no-store")}, []string{"token endpoint: POST /hubspot-visitor/token has no token for now (503)"}},
		"no endpoint, public": {application{page: func(h http.Header, body string) string {
			h.Set("Cache-Control", "public, max-age=60")
			return replace(`data-endpoint="/hubspot-visitor/token"`, "")(h, replace(`data-hubspot-visitor=""`, `data-hubspot-visitor="*"`)(h, body))
		}}, []string{"token endpoint: there is none, and the page is the same for everybody"}},
		"no endpoint, on demand": {application{chat: []snippet.Option{snippet.WithLoad(snippet.LoadClick)}, page: replace(`data-endpoint="/hubspot-visitor/token"`, "")}, []string{"token endpoint: there is none, and the page is the same for everybody"}},
		"signed out by 401":      {application{endpoint: answer(401, "", "", "Cache-Control", "no-store")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			cfg := account(emulator)
			p := check(t, cfg, "-page", tt.serve(t, cfg))
			p.expect(t, tt.want...)
			for i, line := range p.failures() {
				if i == len(p.failures())-1 {
					said[regexp.MustCompile(`127[.0-9]+:[0-9]+`).ReplaceAllString(line, "")] = name
				}
			}
		})
	}
	if len(said) < 12 {
		t.Errorf("only %d mistakes can be told apart", len(said))
	}
	t.Logf("%d mistakes are told apart", len(said))
}

// spoilPart puts the page part into something.
func spoilPart(open, closing string) func(http.Header, string) string {
	return func(_ http.Header, body string) string {
		head, part, _ := strings.Cut(body, "<script")
		at := strings.LastIndex(part, "</script>") + len("</script>")
		return head + open + "<script" + part[:at] + closing + part[at:]
	}
}

// What an application may choose is no mistake.
func TestChoices(t *testing.T) {
	for name, tt := range map[string]struct {
		application
		says string
	}{
		"when idle":    {application{chat: []snippet.Option{snippet.WithLoad(snippet.LoadIdle)}}, "✓ page's loader: one, of this portal, which the page part's script adds (idle)"},
		"on a click":   {application{chat: []snippet.Option{snippet.WithLoad(snippet.LoadClick)}}, "✓ visitor on the page: the same page for everybody; its script asks who is signed in when the chat is wanted"},
		"kept for all": {application{chat: []snippet.Option{snippet.WithLoad(snippet.LoadManual)}, page: header("Cache-Control", "public, max-age=60")}, "✓ caching: Cache-Control: public, max-age=60"},
		"tag manager":  {application{chat: []snippet.Option{snippet.WithLoad(snippet.LoadIdle), snippet.WithoutLoader()}}, "✓ page's loader: left to the page"},
		"own snippet": {application{page: func(_ http.Header, body string) string {
			return regexp.MustCompile(loaderStart+`.*?</script>`).ReplaceAllString(body, `<script>add("https://js.hs-scripts.com/12345678.js")</script>`)
		}}, "✓ page's loader: left to the page"},
		"consent tool": {application{chat: []snippet.Option{snippet.WithLoaderAttribute("type", "text/plain")}}, "✓ page's loader: one, of this portal, held back as text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			cfg := account(emulator)
			p := check(t, cfg, "-page", tt.serve(t, cfg))
			p.expect(t)
			if !strings.Contains(p.out, tt.says) {
				t.Errorf("it does not say %q:\n%s", tt.says, p.out)
			}
		})
	}
}

func TestScriptFile(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		kind   string
		want   []string
	}{
		"there":     {200, "text/javascript; charset=utf-8", nil},
		"not there": {404, "text/html", []string{"page part: the page part's script file cannot be had: it answers 404"}},
		"a page":    {200, "text/html", []string{"page part: the page part's script file cannot be had: it answers 200, text/html"}},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			cfg := account(emulator)
			files := httptest.NewServer(answer(tt.status, tt.kind, "…"))
			defer files.Close()
			app := application{page: replace("<script data-hubspot", `<script src="`+files.URL+`/chat.js" data-hubspot`)}
			check(t, cfg, "-page", app.serve(t, cfg)).expect(t, tt.want...)
		})
	}
}

// What the widget's backend can answer for the page.
func TestChat(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*hubspottest.Server)
		want string
	}{
		"204": {func(s *hubspottest.Server) { s.SetWidgetStatus(204) }, "chat: HubSpot has no chat on this page (204)"},
		"404": {func(s *hubspottest.Server) { s.SetWidgetStatus(404) }, "chat: HubSpot has no chat on this page (404)"},
		"500": {func(s *hubspottest.Server) { s.SetWidgetStatus(500) }, "chat: HubSpot's chat is in trouble (500)"},
		"400": {func(s *hubspottest.Server) { s.SetWidgetStatus(400) }, "chat: HubSpot's chat refuses e-mail and token (400)"},
		"hidden": {func(s *hubspottest.Server) {
			s.SetWidget(func(hubspottest.WidgetLoad) hubspottest.WidgetAnswer { return hubspottest.WidgetAnswer{Hide: true} })
		}, "chat: HubSpot hides the chat from the visitor of -email on this page"},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			tt.set(emulator)
			cfg := account(emulator)
			check(t, cfg, "-page", application{}.serve(t, cfg)).expect(t, tt.want)
		})
	}
	emulator := hubspottest.NewServer(t)
	cfg := account(emulator)
	page := application{}.serve(t, cfg)
	check(t, cfg, "-page", page).expect(t)
	loads := emulator.WidgetLoads()
	if len(loads) != 1 || !loads[0].Identified || loads[0].PageURI != page {
		t.Errorf("the backend was asked %+v", loads)
	}
	if len(emulator.Inbox()) > 0 {
		t.Error("the check left a chat in the inbox")
	}
}

// A page that is opened by nobody may be the sign-in page.
func TestRedirect(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	cfg := account(emulator)
	page := application{}.serve(t, cfg)
	server := httptest.NewServer(http.RedirectHandler(page+"login?next=secret", http.StatusFound))
	defer server.Close()
	p := check(t, cfg, "-page", server.URL)
	p.expect(t)
	if !strings.Contains(p.out, "redirected to "+page+"login\n") {
		t.Errorf("it does not say where it went:\n%s", p.out)
	}
	server.Close()
	check(t, cfg, "-page", server.URL).expect(t, "page: it cannot be opened: ")

	circle := httptest.NewServer(http.RedirectHandler("/", http.StatusFound))
	defer circle.Close()
	check(t, cfg, "-page", circle.URL).expect(t, "page: it redirects again and again")
}

// With HubSpot's own hosts the policy is compared with snippet.CSP.
func TestPolicyOfHubSpot(t *testing.T) {
	const whole = "default-src 'none'; script-src 'nonce-%s' *.hs-scripts.com *.usemessages.com *.hs-banner.com *.hs-analytics.net *.hscollectedforms.net *.hubspot.com static.hsappstatic.net *.hsadspixel.net *.hsleadflows.net; " +
		"connect-src 'self' *.hubspot.com *.hubapi.com *.hs-banner.com *.hscollectedforms.net; frame-src *.hubspot.com *.hs-sites.com *.hs-sites-eu1.com; " +
		"img-src *.hubspot.com *.hubspot.net *.hsforms.com; style-src https://static.hsappstatic.net"
	for name, tt := range map[string]struct {
		old, new string
		want     []string
	}{
		"all":        {"", "", nil},
		"any https":  {"*.hubspot.com *.hubspot.net *.hsforms.com", "https:", nil},
		"one domain": {"connect-src 'self' *.hubspot.com *.hubapi.com", "connect-src 'self' https://*.hubspot.com", []string{"connect-src lacks *.hubapi.com"}},
		"one host":   {"frame-src *.hubspot.com", "frame-src app.hubspot.com", []string{"frame-src lacks *.hubspot.com"}},
		"one path":   {"static.hsappstatic.net *.hsadspixel.net", "static.hsappstatic.net/head *.hsadspixel.net", []string{"script-src lacks static.hsappstatic.net, from where"}},
		"the region": {" *.hs-sites-eu1.com", "", []string{"frame-src lacks *.hs-sites-eu1.com"}},
		"no styles":  {"; style-src https://static.hsappstatic.net", "", []string{"style-src lacks static.hsappstatic.net"}},
		"plain http": {"img-src *.hubspot.com", "img-src http://*.hubspot.com", nil}, // stands for https, too
	} {
		t.Run(name, func(t *testing.T) {
			cfg := hubspot.Config{AccessToken: hubspot.NewSecret("pat-eu1-00000000-0000-4000-8000-00000000e57a"), PortalID: "12345678", Region: "eu1"}
			app := application{page: func(h http.Header, body string) string {
				nonce := regexp.MustCompile(`nonce="([^"]*)"`).FindStringSubmatch(body)[1]
				h.Set("Content-Security-Policy", strings.Replace(strings.Replace(whole, tt.old, tt.new, 1), "%s", nonce, 1))
				return body
			}}
			c := &checker{report: &report{out: io.Discard}, cfg: cfg}
			c.look(context.Background(), app.serve(t, cfg))
			var got []string
			for _, one := range c.results {
				if one.Status == failed {
					got = append(got, one.Detail)
				}
			}
			if len(got) != len(tt.want) || len(got) == 1 && !strings.HasPrefix(got[0], tt.want[0]) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
