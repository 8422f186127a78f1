package snippet

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"io"
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

// script is what a page runs, and the name of the file that has the same.
type script struct{ code, name string }

var (
	chatScript     = newScript(minified)
	launcherScript = newScript(chatScript.code + launcher)
	scripts        = map[string]script{chatScript.name: chatScript, launcherScript.name: launcherScript}
)

const scriptPrefix, scriptSuffix = "hubspot-visitor.", ".js"

func newScript(code string) script {
	code = strings.TrimSpace(code)
	sum := sha256.Sum256([]byte(code))
	return script{code, scriptPrefix + hex.EncodeToString(sum[:8]) + scriptSuffix}
}

// ScriptHandler serves the script for [WithScriptPath], with and without the
// launcher of [LoadClick]. Each has a hash in its name, and may be kept by
// browsers and shared caches forever. Mount it at any path: it looks only at the
// last element of the request's path.
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
		s, ok := scripts[name]
		if !ok {
			// A page from before or after a deploy, answered by the other release.
			s = chatScript
			h.Set("Cache-Control", "no-store")
		}
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, s.code) // the client has left if this fails
		}
	})
}
