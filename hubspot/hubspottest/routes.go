package hubspottest

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets
var assets embed.FS

// pagePolicy keeps what strangers wrote into e-mails and messages from ever
// running on the emulator's own pages.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()

	mux.HandleFunc("/visitor-identification/{version}/tokens/create", s.serveTokens)
	mux.HandleFunc("/conversations/v3/visitor-identification/tokens/create", s.serveTokens)

	mux.HandleFunc("GET /{script}", s.serveLoader())
	mux.HandleFunc("GET /conversations-embed.js", asset("conversations-embed.js"))
	mux.HandleFunc("GET /conversations-embed/widget.css", asset("widget.css"))
	mux.HandleFunc("GET "+backendPath, s.serveWidget)
	mux.HandleFunc("OPTIONS "+backendPath, servePreflight)

	const threadPath = "/conversations-visitor/{portal}/threads/utk/{utk}"
	mux.HandleFunc("GET "+threadPath, s.serveThreadPage())
	mux.HandleFunc("GET /conversations-visitor/visitor.js", asset("visitor.js"))
	mux.HandleFunc("GET /conversations-visitor/visitor.css", asset("visitor.css"))
	mux.HandleFunc("GET "+threadPath+"/messages", s.serveMessages)
	mux.HandleFunc("POST "+threadPath+"/messages", s.serveSend)
	mux.HandleFunc("POST "+threadPath+"/identify", s.serveIdentify)
	mux.HandleFunc("POST "+threadPath+"/told", s.serveTold)

	mux.Handle("GET /{$}", http.RedirectHandler("/inbox", http.StatusFound))
	mux.HandleFunc("GET /inbox", page("inbox.html"))
	mux.HandleFunc("GET /inbox/inbox.js", asset("inbox.js"))
	mux.HandleFunc("GET /inbox/inbox.css", asset("inbox.css"))
	mux.HandleFunc("GET /inbox.json", s.serveInbox)
	mux.HandleFunc("GET /calls.json", s.serveCalls)
	return mux
}

// readAsset returns an embedded file.
func readAsset(file string) []byte {
	content, err := fs.ReadFile(assets, "assets/"+file)
	if err != nil {
		panic(err) // the file is embedded, or this package does not work at all
	}
	return content
}

// asset serves an embedded file.
func asset(file string) http.HandlerFunc {
	content := readAsset(file)
	return func(w http.ResponseWriter, _ *http.Request) { writeAsset(w, file, content) }
}

var assetTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
}

func writeAsset(w http.ResponseWriter, file string, content []byte) {
	h := w.Header()
	h.Set("Content-Type", assetTypes[path.Ext(file)])
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(content)
}

// page serves an embedded document that runs only the emulator's own scripts.
func page(file string) http.HandlerFunc {
	serve := asset(file)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		w.Header().Set("Referrer-Policy", "no-referrer") // a thread's address is its key
		serve(w, r)
	}
}
