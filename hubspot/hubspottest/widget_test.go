package hubspottest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func get(s *hubspottest.Server, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w
}

// ask asks the backend as the widget on a page does.
func ask(t *testing.T, s *hubspottest.Server, page string, query url.Values) *httptest.ResponseRecorder {
	t.Helper()
	query.Set("portalId", "12345678")
	r := httptest.NewRequest("GET", "/livechat-public/v1/message/public?"+query.Encode(), nil)
	r.Header.Set("X-HubSpot-Messages-Uri", page)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page of another origin cannot read the answer")
	}
	return w
}

// load asks the backend and returns the key of the thread that it names, and
// whose thread that is.
func load(t *testing.T, s *hubspottest.Server, query url.Values) (status int, session string, identified bool) {
	t.Helper()
	w := ask(t, s, "http://shop.test/", query)
	if w.Code != 200 {
		return w.Code, "", false
	}
	var body struct {
		Type      string `json:"@type"`
		SessionID string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Type != "WIDGET" {
		t.Fatalf("%s: %v", w.Body, err)
	}
	var thread struct{ Identified bool }
	if err := json.Unmarshal(get(s, "/conversations-visitor/12345678/threads/utk/"+body.SessionID+"/messages").Body.Bytes(), &thread); err != nil {
		t.Fatal(err)
	}
	return w.Code, body.SessionID, thread.Identified
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
	const browser = "0123456789abcdef0123456789abcdef"
	load(t, s, url.Values{"messagesUtk": {browser}})
	page := get(s, "/conversations-visitor/12345678/threads/utk/"+browser+"?domain=shop.test")
	if page.Code != 200 || !strings.Contains(page.Header().Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("chat page: %d %v", page.Code, page.Header())
	}
}

// tell is what a chat in an iframe reports or asks about what the page told it.
func tell(s *hubspottest.Server, utk, what, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/conversations-visitor/12345678/threads/utk/"+utk+"/"+what, strings.NewReader(body)))
	return w
}

func TestWidgetMessages(t *testing.T) {
	s := hubspottest.New()
	token := serve(t, s, request(nil)).Token
	const utk = "0123456789abcdef0123456789abcdef"
	_, ann, _ := load(t, s, url.Values{"email": {"ann@example.com"}, "identificationToken": {token}, "messagesUtk": {utk}})
	_, anon, _ := load(t, s, url.Values{"messagesUtk": {utk}})

	for _, body := range []string{
		`{"type":"widget-data","session":"` + ann + `"}`,
		`{"type":"refresh-widget-data","session":"` + anon + `"}`,
		`{"type":"visitor-identification-attributes","email":"ann@example.com"}`,
	} {
		if w := tell(s, utk, "told", body); w.Code != 204 {
			t.Errorf("told %s: %d", body, w.Code)
		}
	}
	want := []hubspottest.WidgetMessage{
		{MessagesUtk: utk, Type: "widget-data", Contact: "ann@example.com"},
		{MessagesUtk: utk, Type: "refresh-widget-data"},
		{MessagesUtk: utk, Type: "visitor-identification-attributes", Contact: "ann@example.com"},
	}
	if diff := cmp.Diff(want, s.WidgetMessages(), cmpopts.IgnoreFields(hubspottest.WidgetMessage{}, "Time")); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}

	if w := tell(s, utk, "identify", `{"email":"ann@example.com","token":"`+token+`"}`); w.Body.String() != `{"session":"`+ann+`"}` {
		t.Errorf("identify: %d %s", w.Code, w.Body)
	}
	for _, bad := range []string{`{"email":"bob@example.com","token":"` + token + `"}`, `{}`, `x`} {
		if w := tell(s, utk, "identify", bad); w.Code < 400 {
			t.Errorf("identify %s: %d", bad, w.Code)
		}
	}
	if w := tell(s, utk, "told", "x"); w.Code != 400 {
		t.Errorf("told garbage: %d", w.Code)
	}
}

func TestSetWidget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubspottest.New()
		t.Cleanup(s.Close)
		first := true
		s.SetWidgetDelay(3 * time.Second)
		s.SetWidget(func(load hubspottest.WidgetLoad) (a hubspottest.WidgetAnswer) {
			_ = s.WidgetLoads() // its methods can be called in here
			switch {
			case load.PageURI == "http://shop.test/none":
				a.Status = 204
			case load.PageURI == "http://shop.test/hidden":
				a.Hide = true
			case load.Email == "bob@example.com":
				a.Delay = time.Second
			case first:
				a.Status, a.DisplayAfter = 200, 5*time.Second
			}
			first = false
			return a
		})
		const (
			plain   = `{"@type":"WIDGET","sessionId":"KEY","message":{"clientTriggers":{"displayOnTimeDelay":{"enabled":false,"timeDelaySeconds":0}}},"gdprConsentOptions":{"cookieConsentPrompt":"NEVER"},"widgetLocation":"RIGHT_ALIGNED"}`
			delayed = `{"@type":"WIDGET","sessionId":"KEY","message":{"clientTriggers":{"displayOnTimeDelay":{"enabled":true,"timeDelaySeconds":5}}},"gdprConsentOptions":{"cookieConsentPrompt":"NEVER"},"widgetLocation":"RIGHT_ALIGNED"}`
			hidden  = `{"@type":"HIDE_WIDGET","message":{"clientTriggers":{"displayOnTimeDelay":{"enabled":false,"timeDelaySeconds":0}}},"gdprConsentOptions":{"cookieConsentPrompt":"NEVER"},"widgetLocation":"RIGHT_ALIGNED"}`
		)
		key := regexp.MustCompile(`"sessionId":"[^"]+"`)
		for _, tt := range []struct {
			name, page, email string
			status            int
			body              string
			took              time.Duration
		}{
			{"the first one", "http://shop.test/", "", 200, delayed, 3 * time.Second},
			{"the second one", "http://shop.test/", "", 200, plain, 3 * time.Second},
			{"a page without a chat", "http://shop.test/none", "", 204, "", 3 * time.Second},
			{"a page that hides it", "http://shop.test/hidden", "", 200, hidden, 3 * time.Second},
			{"a visitor", "http://shop.test/", "bob@example.com", 200, plain, time.Second},
			{"the page's query", "http://shop.test/?hubspot-status=500&hubspot-delay=2s", "", 500, "", 2 * time.Second},
			{"the page's query, display", "http://shop.test/?a=b&hubspot-display-after=5s", "", 200, delayed, 3 * time.Second},
			{"the page's query, hidden", "http://shop.test/?hubspot-hide", "", 200, hidden, 3 * time.Second},
			{"the page's query, nonsense", "http://shop.test/?hubspot-status=7&hubspot-delay=x", "", 200, plain, 3 * time.Second},
		} {
			begin := time.Now()
			w := ask(t, s, tt.page, url.Values{"email": {tt.email}})
			body := key.ReplaceAllString(w.Body.String(), `"sessionId":"KEY"`)
			if w.Code != tt.status || body != tt.body || time.Since(begin) != tt.took {
				t.Errorf("%s: %d after %v: %s", tt.name, w.Code, time.Since(begin), body)
			}
		}

		const utk = "0123456789abcdef0123456789abcdef"
		s.SetWidget(func(hubspottest.WidgetLoad) hubspottest.WidgetAnswer {
			return hubspottest.WidgetAnswer{FrameDelay: 4 * time.Second}
		})
		load(t, s, url.Values{"messagesUtk": {utk}})
		begin := time.Now()
		if w := get(s, "/conversations-visitor/12345678/threads/utk/"+utk); w.Code != 200 || time.Since(begin) != 4*time.Second {
			t.Errorf("the iframe: %d after %v", w.Code, time.Since(begin))
		}
	})
}

func TestSetWidgetRelease(t *testing.T) {
	s := hubspottest.New()
	for _, release := range []string{"2026-05", "2024-12"} {
		s.SetWidgetRelease(release)
		if script := get(s, "/12345678.js").Body.String(); !strings.Contains(script, `'`+release+`'`) || strings.Contains(script, "{{") {
			t.Errorf("%s: %s", release, script)
		}
	}
}
