package snippet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// logged is what the package says in the log: some of it once per process.
var logged safeBuffer

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	goleak.VerifyTestMain(m)
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) lines(containing string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.b.String()) {
		if strings.Contains(line, containing) {
			n++
		}
	}
	return n
}

const (
	portalID    = "12345678"
	loaderSrc   = "//js.hs-scripts.com/12345678.js"
	jwt         = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"
	fingerprint = "0123456789abcdef"
)

// page is a context's value as package middleware leaves it.
type page struct{ chat identity.Chat }

func (p page) Chat(context.Context, bool) identity.Chat { return p.chat }

// request is a context as package middleware leaves it, with an account.
func request(chat identity.Chat) context.Context {
	chat.PortalID, chat.LoaderSrc = portalID, loaderSrc
	return identity.With(context.Background(), page{chat})
}

func identified(email string) identity.Chat {
	return identity.Chat{Claim: fingerprint, Token: hubspot.NewToken(jwt, email, time.Now())}
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

// literal is the JSON object of the element with the settings: an inline script,
// or a block of data.
func literal(t testing.TB, settings node) string {
	t.Helper()
	if settings.Attributes["type"] == "application/json" {
		return settings.Text
	}
	const before = "window.hsConversationsSettings={...window.hsConversationsSettings,"
	rest, ok := strings.CutPrefix(settings.Text, before)
	if !ok {
		t.Fatalf("no settings in %s", settings.Text)
	}
	return "{" + rest
}

// decoded is a JSON object.
func decoded(t testing.TB, literal string) (fields map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(literal), &fields); err != nil {
		t.Fatalf("%v: %s", err, literal)
	}
	return fields
}

// part is what a page part consists of: settings, claim and loader.
func part(t testing.TB, ctx context.Context, opts ...snippet.Option) (settings map[string]any, claim map[string]string) {
	t.Helper()
	nodes := rendered(t, snippet.HTML(ctx, opts...))
	if len(nodes) < 2 {
		t.Fatalf("got %+v", nodes)
	}
	return decoded(t, literal(t, nodes[0])), nodes[1].Attributes
}

func constantScript(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile("chat.min.js")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}
