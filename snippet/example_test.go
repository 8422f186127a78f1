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

	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// A layout of html/template with the chat at the end of its body. Without
// package middleware it is the anonymous chat of the given account.
func Example() {
	layout := template.Must(template.New("").Parse(`<body><h1>{{.Title}}</h1>{{.Chat}}</body>`))
	page := func(w http.ResponseWriter, r *http.Request) {
		_ = layout.Execute(w, map[string]any{
			"Title": "Shop",
			"Chat":  snippet.HTML(r.Context(), snippet.WithAccount("12345678", "eu1")),
		})
	}
	w := httptest.NewRecorder()
	page(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(shortened(w.Body.String()))
	// Output:
	// <body><h1>Shop</h1><script>window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"identificationEmail":"","identificationToken":""}</script>
	// <script data-hubspot-visitor="-" data-portal="12345678">…</script>
	// <script id="hs-script-loader" async defer src="//js-eu1.hs-scripts.com/12345678.js"></script>
	// </body>
}

// shortened leaves the constant script out.
func shortened(page string) string {
	return regexp.MustCompile(`(?s)(<script data[^>]*>).+?(</script>)`).ReplaceAllString(page, "$1…$2")
}

func ExampleFuncMap() {
	funcs := snippet.FuncMap(snippet.WithAccount("12345678", ""))
	layout := template.Must(template.New("").Funcs(funcs).Parse(`{{hubspotChat .Request}}`))
	var b strings.Builder
	_ = layout.Execute(&b, map[string]any{"Request": httptest.NewRequest("GET", "/", nil)})
	fmt.Println(shortened(b.String()))
	// Output:
	// <script>window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"identificationEmail":"","identificationToken":""}</script>
	// <script data-hubspot-visitor="-" data-portal="12345678">…</script>
	// <script id="hs-script-loader" async defer src="//js.hs-scripts.com/12345678.js"></script>
}

type nonceKey struct{}

// Pages with a strict Content-Security-Policy give the scripts their nonce.
func ExampleWithNonce() {
	nonce := func(ctx context.Context) string { s, _ := ctx.Value(nonceKey{}).(string); return s }
	ctx := context.WithValue(context.Background(), nonceKey{}, "bm9uY2U")
	chat := snippet.HTML(ctx, snippet.WithAccount("12345678", ""), snippet.WithNonce(nonce))
	fmt.Println(shortened(string(chat)))
	// Output:
	// <script nonce="bm9uY2U">window.hsConversationsSettings={...window.hsConversationsSettings,"loadImmediately":false,"avoidInlineStyles":true,"identificationEmail":"","identificationToken":""}</script>
	// <script data-hubspot-visitor="-" data-portal="12345678" nonce="bm9uY2U">…</script>
	// <script id="hs-script-loader" async defer src="//js.hs-scripts.com/12345678.js" nonce="bm9uY2U"></script>
}

// Pages that allow no inline script get the script as a file.
func ExampleScriptHandler() {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/chat/", snippet.ScriptHandler())

	chat := snippet.HTML(context.Background(), snippet.WithAccount("12345678", ""), snippet.WithScriptPath("/assets/chat"))
	src := regexp.MustCompile(`src="(/assets/[^"]+)"`).FindStringSubmatch(string(chat))[1]
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", src, nil))
	fmt.Println(w.Code, w.Header().Get("Cache-Control"))
	// Output:
	// 200 public, max-age=31536000, immutable
}

// A Component is rendered by templ as any other: @chat.
func ExampleNewComponent() {
	chat := snippet.NewComponent(snippet.WithAccount("not a number", ""))
	_ = chat.Render(context.Background(), os.Stdout)
	// Output:
	// <!-- hubspot-visitor: WithAccount: hubspot: HUBSPOT_PORTAL_ID has to be digits only (the Hub ID) -->
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
