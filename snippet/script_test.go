package snippet_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// scriptName is the script's file name as pages refer to it.
func scriptName(t testing.TB) string {
	t.Helper()
	return strings.TrimPrefix(rendered(t, snippet.HTML(request(anonymous), snippet.WithScriptPath("/")))[1].Attributes["src"], "/")
}

func TestScriptHandler(t *testing.T) {
	name := scriptName(t)
	h := snippet.ScriptHandler()
	const forEver, never = "public, max-age=31536000, immutable", "no-store"
	for what, tt := range map[string]struct {
		method, path string
		status       int
		cache        string
	}{
		"root":                       {"GET", "/" + name, 200, forEver},
		"prefix":                     {"GET", "/assets/chat/" + name, 200, forEver},
		"HEAD":                       {"HEAD", "/assets/" + name, 200, forEver},
		"query":                      {"GET", "/" + name + "?v=1", 200, forEver},
		"other release":              {"GET", "/assets/hubspot-visitor.0123456789abcdef.js", 200, never},
		"HEAD of another release":    {"HEAD", "/assets/hubspot-visitor.0123456789abcdef.js", 200, never},
		"other file":                 {"GET", "/assets/jquery.js", 404, ""},
		"other type":                 {"GET", "/assets/" + strings.TrimSuffix(name, "js") + "css", 404, ""},
		"directory":                  {"GET", "/assets/", 404, ""},
		"nothing":                    {"GET", "/", 404, ""},
		"its map":                    {"GET", "/" + name + ".map", 404, ""},
		"POST":                       {"POST", "/" + name, 405, ""},
		"DELETE":                     {"DELETE", "/" + name, 405, ""},
		"POST of something unknown":  {"POST", "/assets/jquery.js", 404, ""},
		"the name as a directory":    {"GET", "/" + name + "/jquery.js", 404, ""},
		"upper case is another name": {"GET", "/" + strings.ToUpper(name), 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status {
			t.Errorf("%s: %d, want %d", what, w.Code, tt.status)
		}
		if got := w.Header().Get("Cache-Control"); got != tt.cache {
			t.Errorf("%s: Cache-Control %q, want %q", what, got, tt.cache)
		}
		if allow := w.Header().Get("Allow"); (allow == "GET, HEAD") != (tt.status == 405) {
			t.Errorf("%s: Allow %q", what, allow)
		}
		if tt.status != 200 {
			continue
		}
		if got := w.Header().Get("Content-Type") + " " + w.Header().Get("X-Content-Type-Options"); got != "text/javascript; charset=utf-8 nosniff" {
			t.Errorf("%s: %s", what, got)
		}
		if (w.Body.Len() == 0) != (tt.method == "HEAD") {
			t.Errorf("%s: %d bytes", what, w.Body.Len())
		}
	}
}

func file(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	snippet.ScriptHandler().ServeHTTP(w, httptest.NewRequest("GET", "/"+scriptName(t), nil))
	return w.Body.String()
}

// What is kept for ever has to change its name with its content.
func TestScriptNameIsItsHash(t *testing.T) {
	name := scriptName(t)
	sum := sha256.Sum256([]byte(file(t)))
	part := regexp.MustCompile(`^hubspot-visitor\.([0-9a-f]{16,})\.js$`).FindStringSubmatch(name)
	if part == nil || !strings.HasPrefix(hex.EncodeToString(sum[:]), part[1]) {
		t.Errorf("name %s, SHA-256 %x", name, sum)
	}
}

func TestFileAndInlineScriptAreTheSameCode(t *testing.T) {
	inline := rendered(t, snippet.HTML(request(anonymous)))[1].Text
	if got := file(t); got != inline {
		t.Errorf("file %s\ninline %s", got, inline)
	}
}

// It is on every page.
func TestMinifiedScript(t *testing.T) {
	content := constantScript(t)
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	_, _ = z.Write([]byte(content))
	_ = z.Close()
	if len(content) > 7000 || zipped.Len() > 3530 {
		t.Errorf("%d bytes, %d zipped; want at most 7,000 and 3,530", len(content), zipped.Len())
	}
	for i, c := range []byte(content) {
		if c >= 0x80 || c == 0 {
			t.Errorf("byte %d is %#x", i, c)
		}
	}
	// What ends or confuses a script element in HTML.
	for _, bad := range []string{"</", "<!--", "<script", "]]>"} {
		if strings.Contains(strings.ToLower(content), bad) {
			t.Errorf("contains %q", bad)
		}
	}
	for _, needed := range []string{"hsConversationsSettings", "hsConversationsOnReady", "HubSpotConversations", "resetWidget", "identificationEmail", "identificationToken", "hubspot_visitor_"} {
		if !strings.Contains(content, needed) {
			t.Errorf("does not mention %s", needed)
		}
	}
}
