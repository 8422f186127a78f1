package hubspottest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func get(s *hubspottest.Server, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w
}

// load asks the backend as the widget does and returns the thread key.
func load(t *testing.T, s *hubspottest.Server, query url.Values) (status int, utk string, identified bool) {
	t.Helper()
	query.Set("portalId", "12345678")
	r := httptest.NewRequest("GET", "/livechat-public/v1/message/public?"+query.Encode(), nil)
	r.Header.Set("X-HubSpot-Messages-Uri", "http://shop.test/")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page of another origin cannot read the answer")
	}
	if w.Code != 200 {
		return w.Code, "", false
	}
	var body struct {
		MessagesUtk string
		Identified  bool
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	return w.Code, body.MessagesUtk, body.Identified
}

// say writes into a thread as the iframe does.
func say(s *hubspottest.Server, utk, text string) int {
	body, _ := json.Marshal(map[string]string{"text": text})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/conversations-visitor/12345678/threads/utk/"+utk+"/messages", strings.NewReader(string(body))))
	return w.Code
}

func TestStaticParts(t *testing.T) {
	s := hubspottest.New()
	for _, tt := range []struct {
		path        string
		status      int
		contentType string
	}{
		{"/12345678.js", 200, "text/javascript"},
		{"/87654321.js", 404, ""},
		{"/conversations-embed.js", 200, "text/javascript"},
		{"/conversations-embed/widget.css", 200, "text/css"},
		{"/inbox", 200, "text/html"},
		{"/inbox/inbox.js", 200, "text/javascript"},
		{"/inbox/inbox.css", 200, "text/css"},
		{"/inbox.json", 200, "application/json"},
		{"/calls.json", 200, "application/json"},
		{"/conversations-visitor/visitor.js", 200, "text/javascript"},
		{"/conversations-visitor/visitor.css", 200, "text/css"},
		{"/conversations-visitor/12345678/threads/utk/unknown", 404, ""},
		{"/conversations-visitor/12345678/threads/utk/unknown/messages", 404, ""},
		{"/", 302, ""},
		{"/nothing", 404, ""},
	} {
		w := get(s, tt.path)
		if w.Code != tt.status || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.contentType) {
			t.Errorf("%s: %d %v", tt.path, w.Code, w.Header())
		}
	}
}

func TestPreflight(t *testing.T) {
	r := httptest.NewRequest("OPTIONS", "/livechat-public/v1/message/public?portalId=12345678", nil)
	r.Header.Set("Origin", "http://shop.test")
	r.Header.Set("Access-Control-Request-Method", "GET")
	r.Header.Set("Access-Control-Request-Headers", "x-hubspot-messages-uri")
	w := httptest.NewRecorder()
	hubspottest.New().Handler().ServeHTTP(w, r)
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.EqualFold(h.Get("Access-Control-Allow-Headers"), "X-HubSpot-Messages-Uri") {
		t.Errorf("%d %v", w.Code, h)
	}
}

// The API is for servers: a browser must not get a token with a leaked
// credential from another origin.
func TestTokenCallHasNoCORS(t *testing.T) {
	got := serve(t, hubspottest.New(), request(func(r *http.Request) { r.Header.Set("Origin", "http://shop.test") }))
	if got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("the token call can be made from a page")
	}
}

func TestBackend(t *testing.T) {
	s := hubspottest.New()
	token := serve(t, s, request(nil)).Token
	otherTab := serve(t, s, request(nil)).Token

	_, annKey, identified := load(t, s, url.Values{"email": {"ann@example.com"}, "identificationToken": {token}})
	if !identified || annKey == "" {
		t.Fatal("a valid pair does not identify")
	}
	_, again, _ := load(t, s, url.Values{"email": {"ann@example.com"}, "identificationToken": {otherTab}})
	if again != annKey {
		t.Error("a contact has two threads")
	}
	_, anonKey, identified := load(t, s, url.Values{})
	if identified || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(anonKey) {
		t.Errorf("anonymous: key %q, identified %v", anonKey, identified)
	}

	for _, tt := range []struct {
		name       string
		query      url.Values
		status     int
		identified bool
		key        string // "" for a fresh one
	}{
		{"returning", url.Values{"messagesUtk": {anonKey}}, 200, false, anonKey},
		{"cookie of another server", url.Values{"messagesUtk": {"0123456789abcdef0123456789abcdef"}}, 200, false, "0123456789abcdef0123456789abcdef"},
		{"bad cookie", url.Values{"messagesUtk": {"../x"}}, 200, false, ""},
		{"somebody's thread", url.Values{"messagesUtk": {annKey}}, 200, false, ""},
		{"e-mail only", url.Values{"email": {"ann@example.com"}}, 200, false, ""},
		{"token only", url.Values{"identificationToken": {token}}, 200, false, ""},
		{"other e-mail", url.Values{"email": {"bob@example.com"}, "identificationToken": {token}}, 400, false, ""},
		{"bad token", url.Values{"email": {"ann@example.com"}, "identificationToken": {"x"}}, 400, false, ""},
	} {
		status, key, identified := load(t, s, tt.query)
		if status != tt.status || identified != tt.identified {
			t.Errorf("%s: %d, identified %v", tt.name, status, identified)
		}
		if tt.key != "" && key != tt.key || tt.key == "" && (key == annKey || key == anonKey) {
			t.Errorf("%s: key %q", tt.name, key)
		}
	}

	loads := s.WidgetLoads()
	want := hubspottest.WidgetLoad{
		PortalID: "12345678", Email: "ann@example.com", Token: token,
		PageURI: "http://shop.test/", Identified: true, Status: 200,
	}
	if diff := cmp.Diff(want, loads[0], cmpopts.IgnoreFields(hubspottest.WidgetLoad{}, "Time")); diff != "" {
		t.Errorf("first load (-want +got):\n%s", diff)
	}
	if last := loads[len(loads)-1]; last.Status != 400 || last.Identified {
		t.Errorf("last load %+v", last)
	}

	if w := get(s, "/livechat-public/v1/message/public?portalId=1"); w.Code != 404 {
		t.Errorf("other account: %d", w.Code)
	}
	s.SetWidgetStatus(500)
	if status, _, _ := load(t, s, url.Values{}); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	s.SetWidgetStatus(0)
	if status, _, _ := load(t, s, url.Values{}); status != 200 {
		t.Errorf("status %d, want 200", status)
	}
}

func TestInbox(t *testing.T) {
	s := hubspottest.New()
	if got := get(s, "/inbox.json").Body.String(); got != "[]" {
		t.Errorf("empty inbox: %s", got)
	}
	if got := get(s, "/calls.json").Body.String(); got != "[]" {
		t.Errorf("no calls: %s", got)
	}

	token := serve(t, s, withBody(`{"email":"ann@example.com","firstName":"Ann","lastName":"Lee"}`)).Token
	serve(t, s, withBody(`{"email":"ann@example.com","firstName":"Anna"}`))
	_, anon, _ := load(t, s, url.Values{})
	_, ann, _ := load(t, s, url.Values{"email": {"ann@example.com"}, "identificationToken": {token}})
	load(t, s, url.Values{}) // somebody who writes nothing

	for _, m := range []struct{ key, text string }{{anon, "hello"}, {ann, "<script>alert(1)</script>"}, {anon, "again"}} {
		if code := say(s, m.key, m.text); code != 204 {
			t.Errorf("send: %d", code)
		}
	}
	for _, bad := range []struct{ key, text string }{{anon, "  "}, {"unknown", "hello"}} {
		if code := say(s, bad.key, bad.text); code < 400 {
			t.Errorf("send %q to %q: %d", bad.text, bad.key, code)
		}
	}

	want := []hubspottest.Chat{
		{Messages: []string{"hello", "again"}},
		{Contact: "ann@example.com", FirstName: "Ann", LastName: "Lee", Identified: true, Messages: []string{"<script>alert(1)</script>"}},
	}
	if diff := cmp.Diff(want, s.Inbox(), cmpopts.IgnoreFields(hubspottest.Chat{}, "Started")); diff != "" {
		t.Errorf("inbox (-want +got):\n%s", diff)
	}
	var entries []map[string]any
	if err := json.Unmarshal(get(s, "/inbox.json").Body.Bytes(), &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		delete(e, "started")
	}
	wantJSON := []map[string]any{
		{"contact": nil, "name": "", "identified": false, "messages": []any{"hello", "again"}},
		{"contact": "ann@example.com", "name": "Ann Lee", "identified": true, "messages": []any{"<script>alert(1)</script>"}},
	}
	if diff := cmp.Diff(wantJSON, entries); diff != "" {
		t.Errorf("inbox.json (-want +got):\n%s", diff)
	}
	wantCalls := `[{"path":"/visitor-identification/2026-03/tokens/create","email":"ann@example.com","status":200},` +
		`{"path":"/visitor-identification/2026-03/tokens/create","email":"ann@example.com","status":200}]`
	if got := get(s, "/calls.json").Body.String(); got != wantCalls {
		t.Errorf("calls.json: %s", got)
	}

	thread := get(s, "/conversations-visitor/12345678/threads/utk/"+ann+"/messages").Body.String()
	if thread != `{"identified":true,"messages":["\u003cscript\u003ealert(1)\u003c/script\u003e"]}` {
		t.Errorf("thread: %s", thread)
	}
	page := get(s, "/conversations-visitor/12345678/threads/utk/"+ann+"?domain=shop.test")
	if page.Code != 200 || !strings.Contains(page.Header().Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("chat page: %d %v", page.Code, page.Header())
	}
}
