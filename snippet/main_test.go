package snippet_test

import (
	"context"
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	loaderSrc = "//js.hs-scripts.com/12345678.js"
	jwt       = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"
)

// request is a context as package middleware leaves it.
func request(chat identity.Chat, change ...func(*identity.Request)) context.Context {
	r := &identity.Request{
		LoaderSrc: loaderSrc,
		Chat:      func() identity.Chat { return chat },
		Visitor:   func() (hubspot.Visitor, bool) { return hubspot.Visitor{}, false },
	}
	for _, f := range change {
		f(r)
	}
	return identity.With(context.Background(), r)
}

func identified(email string) identity.Chat {
	return identity.Chat{Fingerprint: "0123456789abcdef", Token: hubspot.NewToken(jwt, email, time.Now())}
}

var anonymous identity.Chat

// node is an element, text or comment in a page's body.
type node struct {
	Name       string // of an element; "" otherwise
	Attributes map[string]string
	Text       string // within a script, of a text or of a comment
}

var layout = template.Must(template.New("").Parse("<!doctype html><html><head><title>Shop</title></head><body><main>Hello</main>\n{{.Chat}}</body></html>"))

// rendered is the chat in an html/template, as a browser's parser sees it: what
// comes after main.
func rendered(t testing.TB, chat template.HTML) (nodes []node) {
	t.Helper()
	var b strings.Builder
	if err := layout.Execute(&b, map[string]any{"Chat": chat}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), string(chat)) {
		t.Errorf("html/template changed the chat: %s", b.String())
	}
	for _, c := range []byte(chat) {
		if c >= 0x80 {
			t.Fatalf("not ASCII: %q", chat)
		}
	}
	document, err := html.Parse(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	var find func(*html.Node) *html.Node
	find = func(n *html.Node) *html.Node {
		if n.Type == html.ElementNode && n.Data == "main" {
			return n
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			if m := find(c); m != nil {
				return m
			}
		}
		return nil
	}
	last := find(document)
	if last == nil || last.Parent.LastChild == nil {
		t.Fatalf("the page is broken: %s", b.String())
	}
	if last.Parent.NextSibling != nil {
		t.Errorf("something comes after the body: %v", last.Parent.NextSibling)
	}
	for n := last.NextSibling; n != nil; n = n.NextSibling {
		if n.Type == html.TextNode && strings.TrimSpace(n.Data) == "" {
			continue
		}
		one := node{Text: n.Data}
		if n.Type == html.ElementNode {
			one = node{Name: n.Data, Attributes: map[string]string{}}
			for _, a := range n.Attr {
				one.Attributes[a.Key] = a.Val
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				if c.Type != html.TextNode {
					t.Errorf("within %s: %v", n.Data, c)
				}
				one.Text += c.Data
			}
		}
		nodes = append(nodes, one)
	}
	return nodes
}

// inline splits the inline script into its code and the one literal.
func inline(t testing.TB, script string) (code, literal string) {
	t.Helper()
	const boundary = "})("
	at := strings.Index(script, boundary+"{")
	if at < 0 || !strings.HasSuffix(script, ");") {
		t.Fatalf("no literal in %s", script)
	}
	at += len(boundary)
	end := len(script) - len(");")
	return script[:at] + "PAGE" + script[end:], script[at:end]
}

// decoded is a JSON object.
func decoded(t testing.TB, literal string) (fields map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(literal), &fields); err != nil {
		t.Fatalf("%v: %s", err, literal)
	}
	return fields
}

// data is what the page's script gets, with inline script.
func data(t testing.TB, ctx context.Context, opts ...snippet.Option) map[string]any {
	t.Helper()
	nodes := rendered(t, snippet.HTML(ctx, opts...))
	if len(nodes) == 0 {
		t.Fatal("nothing is emitted")
	}
	_, literal := inline(t, nodes[0].Text)
	return decoded(t, literal)
}

func keys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
