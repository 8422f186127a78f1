package snippet_test

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// pages is package middleware around handler. Nobody is signed in here, and the
// configuration does not come from the environment.
func pages(handler http.HandlerFunc) http.Handler {
	nobody := func(*http.Request) (hubspot.Visitor, bool) { return hubspot.Visitor{}, false }
	account := hubspot.Config{PortalID: "12345678", Region: "eu1", Chat: hubspot.ChatAnonymous}
	chat, err := middleware.New(nil, nobody, middleware.WithConfig(account))
	if err != nil {
		panic(err)
	}
	return chat.Handler(handler)
}

// get is the page that handler writes, without the constant script.
func get(handler http.Handler) string {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return regexp.MustCompile(`(?s)(<script data[^>]*>).+?(</script>)`).ReplaceAllString(w.Body.String(), "$1…$2")
}

// A layout of html/template with the chat at the end of its body.
func Example() {
	layout := template.Must(template.New("").Parse(`<body><h1>{{.Title}}</h1>{{.Chat}}</body>`))
	page := func(w http.ResponseWriter, r *http.Request) {
		_ = layout.Execute(w, map[string]any{"Title": "Shop", "Chat": snippet.HTML(r.Context())})
	}
	fmt.Println(get(pages(page)))
	// Output:
	// <body><h1>Shop</h1><script>window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"identificationEmail":"","identificationToken":""}</script>
	// <script data-hubspot-visitor="" data-portal="12345678">…</script>
	// <script id="hs-script-loader" async defer src="//js-eu1.hs-scripts.com/12345678.js"></script>
	// </body>
}

func ExampleFuncMap() {
	layout := template.Must(template.New("").Funcs(snippet.FuncMap()).Parse(`{{hubspotChat .Request}}`))
	page := func(w http.ResponseWriter, r *http.Request) {
		_ = layout.Execute(w, map[string]any{"Request": r})
	}
	fmt.Println(get(pages(page)))
	// Output:
	// <script>window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"identificationEmail":"","identificationToken":""}</script>
	// <script data-hubspot-visitor="" data-portal="12345678">…</script>
	// <script id="hs-script-loader" async defer src="//js-eu1.hs-scripts.com/12345678.js"></script>
}

type nonceKey struct{}

// Pages with a strict Content-Security-Policy give the scripts their nonce.
func ExampleWithNonce() {
	nonce := func(ctx context.Context) string { s, _ := ctx.Value(nonceKey{}).(string); return s }
	page := func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), nonceKey{}, "bm9uY2U") // by the code that sends the policy
		fmt.Fprint(w, snippet.HTML(ctx, snippet.WithNonce(nonce)))
	}
	fmt.Println(get(pages(page)))
	// Output:
	// <script nonce="bm9uY2U">window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"avoidInlineStyles":true,"identificationEmail":"","identificationToken":""}</script>
	// <script data-hubspot-visitor="" data-portal="12345678" nonce="bm9uY2U">…</script>
	// <script id="hs-script-loader" async defer src="//js-eu1.hs-scripts.com/12345678.js" nonce="bm9uY2U"></script>
}

// Pages that allow no inline script get the script as a file.
func ExampleScriptHandler() {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/chat/", snippet.ScriptHandler())
	mux.Handle("GET /{$}", pages(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, snippet.HTML(r.Context(), snippet.WithScriptPath("/assets/chat")))
	}))

	src := regexp.MustCompile(`src="(/assets/[^"]+)"`).FindStringSubmatch(get(mux))[1]
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", src, nil))
	fmt.Println(w.Code, w.Header().Get("Cache-Control"))
	// Output:
	// 200 public, max-age=31536000, immutable
}

// A Component is rendered by templ as any other: @chat.
func ExampleNewComponent() {
	chat := snippet.NewComponent(snippet.WithDebug())
	_ = chat.Render(context.Background(), os.Stdout) // not a request's context
	// Output:
	// <!-- hubspot-visitor: the snippet&#39;s context has no middleware: the page is outside of the chat&#39;s handler, or this is not the request&#39;s context (with gin it is c.Request.Context(), not c; with echo c.Request().Context()) -->
}

// The sources that the chat needs, merged into a policy of the application's.
func ExampleCSP() {
	sources := snippet.CSP("na1")
	var policy []string
	for directive, hosts := range sources {
		if directive == "frame-src" || directive == "style-src" {
			policy = append(policy, directive+" 'self' "+strings.Join(hosts, " "))
		}
	}
	slices.Sort(policy)
	fmt.Println(strings.Join(policy, "; "))
	// Output:
	// frame-src 'self' *.hubspot.com *.hs-sites.com; style-src 'self' static.hsappstatic.net
}
