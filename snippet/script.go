package snippet

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:generate go tool -modfile=../internal/tools/go.mod esbuild chat.js --bundle --format=iife --minify --target=es2018 --log-level=warning --outfile=chat.min.js
//go:generate go tool -modfile=../internal/tools/go.mod esbuild launcher.js --bundle --format=iife --minify --target=es2018 --log-level=warning --outfile=launcher.min.js

// minified is chat.js as emitted: the same bytes on every page.
//
//go:embed chat.min.js
var minified string

// launcher is launcher.js as emitted, which follows chat.js where the page has it.
//
//go:embed launcher.min.js
var launcher string

var (
	script             = strings.TrimSpace(minified)
	scriptName         = scriptPrefix + hash(script) + scriptSuffix
	scriptWithLauncher = script + strings.TrimSpace(launcher)
	nameWithLauncher   = scriptPrefix + hash(scriptWithLauncher) + scriptSuffix
)

const scriptPrefix, scriptSuffix = "hubspot-visitor.", ".js"

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// ScriptHandler serves the script for [WithScriptPath], with and without the
// launcher of [LoadClick], each under a name that contains its hash, to be kept by browsers and shared caches for ever. Mount it
// at any path: it looks at the last element only.
//
//	mux.Handle("GET /assets/chat/", snippet.ScriptHandler())   // WithScriptPath("/assets/chat")
func ScriptHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		if !strings.HasPrefix(name, scriptPrefix) || !strings.HasSuffix(name, scriptSuffix) {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		content := script
		switch name {
		case scriptName:
		case nameWithLauncher:
			content = scriptWithLauncher
		default:
			// A page from before or after a deploy, answered by the other release.
			h.Set("Cache-Control", "no-store")
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(content)) // the client has left if this fails
		}
	})
}
