package e2e_test

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// embedSize is how long HubSpot's conversations-embed.js is (release 2026-05). Its
// chat, within the iframe, is longer than that, and not counted.
const embedSize = 122_250

// padded serves HubSpot's emulated widget at the length of the real one.
func padded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Timing-Allow-Origin", "*")
		if r.URL.Path != "/conversations-embed.js" {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var b strings.Builder
		b.WriteString(rec.Body.String())
		for i := 0; b.Len() < embedSize; i++ {
			fmt.Fprintf(&b, "\nfunction unused%d(a, b) { return a + b * %[1]d; }", i)
		}
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, b.String())
	})
}

// TestWeightProof prints what a chat costs a page before anybody wants it, by four
// ways to put it there.
func TestWeightProof(t *testing.T) {
	onlyAsProof(t, "it loads 25 pages, one after the other")
	const loads = 5
	loader := `<script id="hs-script-loader" async defer src="LOADER"></script>`
	bundle := reactChatLoader(t)
	pages := []struct {
		name string
		page func(chat template.HTML, loader string) string
		site []func(*site, *configure)
	}{
		{"no chat", func(template.HTML, string) string { return "" }, nil},
		{"HubSpot's documented snippet, anonymous", func(_ template.HTML, l string) string {
			return strings.ReplaceAll(documented+loader, "LOADER", l)
		}, nil},
		{"react-live-chat-loader, anonymous", func(template.HTML, string) string {
			return `<div id="root"></div><script src="/bundle.js"></script>`
		}, []func(*site, *configure){func(s *site, _ *configure) { s.files["/bundle.js"] = bundle }}},
		{"this library, identified", func(chat template.HTML, _ string) string { return string(chat) }, nil},
		{"this library, LoadClick", func(chat template.HTML, _ string) string { return string(chat) }, []func(*site, *configure){onDemand()}},
	}
	t.Logf("%-42s %9s %12s %12s", "before anybody wants the chat", "requests", "bytes", "scripts")
	for _, p := range pages {
		s := newSite(t, append(p.site, func(s *site, c *configure) {
			c.emulator = hubspottest.NewServer(t)
			c.front = padded
			s.page = func(_ string, chat template.HTML) string {
				return `<!doctype html><html lang="en"><head><title>Shop</title></head><body><h1>Shop</h1>` +
					p.page(chat, c.hubspot.LoaderURL+"/"+hubspottest.PortalID+".js") + `</body></html>`
			}
		})...)
		var requests, bytes int
		var busy []float64
		for range loads {
			tb := newTab(t)
			if _, err := chromedp.Call(tb.ctx, performance.Enable, performance.EnableParams{}); err != nil {
				t.Fatal(err)
			}
			tb.open(s.url + "/login?as=" + first)
			time.Sleep(quiet)
			got := eval[[]int](tb, `(l => [l.length, l.reduce((sum, e) => sum + (e.encodedBodySize || 0), 0)])([...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource").filter((e) => !/favicon|bundle/.test(e.name))])`)
			requests, bytes = got[0], got[1]
			metrics, err := chromedp.Call(tb.ctx, performance.GetMetrics, cdp.Empty{})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range metrics.Metrics {
				if m.Name == "ScriptDuration" {
					busy = append(busy, m.Value*1000)
				}
			}
		}
		slices.Sort(busy)
		t.Logf("%-42s %9d %12d %9.1f ms", p.name, requests, bytes, busy[loads/2])
	}
	t.Logf("(react-live-chat-loader without its bundle with React, of %d bytes)", len(bundle))
}

// reactChatLoader is a page's bundle with react-live-chat-loader and its stand-in
// for HubSpot's chat.
func reactChatLoader(t *testing.T) string {
	t.Helper()
	vendored(t, "react-live-chat-loader/package.json")
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	entry := filepath.Join(t.TempDir(), "entry.js")
	if err := os.WriteFile(entry, []byte(`
		import { createElement as h } from "react";
		import { createRoot } from "react-dom/client";
		import { LiveChatLoaderProvider, HubSpot } from "react-live-chat-loader";
		createRoot(document.getElementById("root")).render(h(LiveChatLoaderProvider, { provider: "hubSpot", providerKey: "`+hubspottest.PortalID+`" }, h(HubSpot)));`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "-modfile=../tools/go.mod", "esbuild", entry, "--bundle", "--minify", `--define:process.env.NODE_ENV="production"`, "--log-level=warning")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
