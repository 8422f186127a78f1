package hubspottest_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

const (
	tokenPath = "/visitor-identification/2026-03/tokens/create"
	annBody   = `{"email":"ann@example.com"}`
)

// request is a token call as the documentation wants it, but for what a test
// changes.
func request(change func(*http.Request)) *http.Request {
	r := httptest.NewRequest("POST", "https://api.hubapi.com"+tokenPath, strings.NewReader(annBody))
	r.Header.Set("Authorization", "Bearer "+hubspottest.AccessToken.Reveal())
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	return r
}

func withBody(body string) *http.Request {
	return request(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body)) })
}

// answer is any answer of the token call.
type answer struct {
	Status        int    `json:"-"`
	Token         string `json:"token"`
	StatusField   string `json:"status"`
	Message       string `json:"message"`
	ErrorType     string `json:"errorType"`
	CorrelationID string `json:"correlationId"`
	Category      string `json:"category"`
	PolicyName    string `json:"policyName"`
	Errors        []struct {
		Context map[string]any `json:"context"`
	} `json:"errors"`
	Links  map[string]string `json:"links"`
	Header http.Header       `json:"-"`
}

func serve(t testing.TB, s *hubspottest.Server, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	a := answer{Status: w.Code, Header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil && w.Code == 200 {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return a
}

func TestTokenPaths(t *testing.T) {
	s := hubspottest.New()
	for path, want := range map[string]int{
		"/visitor-identification/2026-03/tokens/create":           200,
		"/visitor-identification/2025-09/tokens/create":           200,
		"/visitor-identification/2026-09/tokens/create":           200,
		"/visitor-identification/v3/tokens/create":                200,
		"/conversations/v3/visitor-identification/tokens/create":  200,
		"/visitor-identification/v4/tokens/create":                404,
		"/visitor-identification/2026-13/tokens/create":           404,
		"/visitor-identification/2026-04/tokens/create":           404,
		"/visitor-identification/2027-03/tokens/create":           404,
		"/visitor-identification/2026-03/tokens":                  404,
		"/conversations/2026-03/visitor-identification/tokens/cr": 404,
	} {
		got := serve(t, s, request(func(r *http.Request) { r.URL.Path = path }))
		if got.Status != want {
			t.Errorf("%s: status %d, want %d", path, got.Status, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	header := func(key, value string) *http.Request {
		return request(func(r *http.Request) { r.Header.Set(key, value) })
	}
	noSetup := func(*hubspottest.Server) {}
	tests := []struct {
		name     string
		setup    func(*hubspottest.Server)
		request  *http.Request
		status   int
		category string
	}{
		{"method", noSetup, request(func(r *http.Request) { r.Method = "GET" }), 405, ""},
		{"no credential", noSetup, request(func(r *http.Request) { r.Header.Del("Authorization") }), 401, "INVALID_AUTHENTICATION"},
		{"other scheme", noSetup, header("Authorization", "Basic "+hubspottest.AccessToken.Reveal()), 401, "INVALID_AUTHENTICATION"},
		{"unknown credential", noSetup, header("Authorization", "Bearer pat-na1-11111111-1111-4111-8111-111111111111"), 401, "INVALID_AUTHENTICATION"},
		{"malformed credential", noSetup, header("Authorization", "Bearer nonsense"), 401, "EXPIRED_AUTHENTICATION"},
		{"api key", noSetup, request(func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "hapikey=" + hubspottest.AccessToken.Reveal()
		}), 401, "INVALID_AUTHENTICATION"},
		{"rotated", func(s *hubspottest.Server) { s.SetAccessToken("pat-eu1-22222222-2222-4222-8222-222222222222") }, request(nil), 401, "INVALID_AUTHENTICATION"},
		{"no scope", func(s *hubspottest.Server) { s.SetScopes() }, request(nil), 403, "MISSING_SCOPES"},
		{"other scope", func(s *hubspottest.Server) { s.SetScopes("crm.objects.contacts.read") }, request(nil), 403, "MISSING_SCOPES"},
		{"free", func(s *hubspottest.Server) { s.SetPlan(hubspottest.Free) }, request(nil), 403, ""},
		{"starter", func(s *hubspottest.Server) { s.SetPlan(hubspottest.Starter) }, request(nil), 403, ""},
		{"no content type", noSetup, request(func(r *http.Request) { r.Header.Del("Content-Type") }), 415, ""},
		{"form", noSetup, header("Content-Type", "application/x-www-form-urlencoded"), 415, ""},
		{"too large", noSetup, withBody(`{"email":"` + strings.Repeat("a", 2<<20) + `"}`), 413, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := hubspottest.New()
			tt.setup(s)
			got := serve(t, s, tt.request)
			if got.Status != tt.status || got.Category != tt.category {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Category, tt.status, tt.category)
			}
			if got.StatusField != "error" || got.Message == "" || !isUUID.MatchString(got.CorrelationID) {
				t.Errorf("not HubSpot's error body: %+v", got)
			}
		})
	}
}

var isUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func TestMissingScopesNamesTheScope(t *testing.T) {
	s := hubspottest.New()
	s.SetScopes()
	got := serve(t, s, request(nil))
	want := []any{"conversations.visitor_identification.tokens.create"}
	if len(got.Errors) != 1 || !cmp.Equal(got.Errors[0].Context["requiredGranularScopes"], any(want)) || got.Links["scopes"] == "" {
		t.Errorf("got %+v", got)
	}
}

func TestPlans(t *testing.T) {
	s := hubspottest.New()
	s.SetPlan(hubspottest.Enterprise)
	if got := serve(t, s, request(nil)); got.Status != 200 {
		t.Errorf("Enterprise: %d", got.Status)
	}
}

func TestBodies(t *testing.T) {
	tests := []struct {
		body string
		ok   bool
	}{
		{`{"email":"ann@example.com"}`, true},
		{`{"email":"ann@example.com","firstName":"Ann","lastName":"Lee"}`, true},
		{`{"email":"ann@example.com","firstName":"","lastName":""}`, true},
		{`{"email":"ann@example.com","hsCustomerAgentContext":{"plan":"gold"}}`, true},
		{`{"email":"ann@example.com","hsCustomerAgentContext":{}}`, true},
		{`{"email":"jos\u00e9+test@example.co.uk"}`, true},
		{`{"email":"o'brien@example.com"}`, true},
		{` {"email":"ann@example.com"} `, true},
		{``, false},
		{`null`, false},
		{`[]`, false},
		{`"ann@example.com"`, false},
		{`{"email":"ann@example.com"`, false},
		{`{"email":"ann@example.com"}{}`, false},
		{`{}`, false},
		{`{"email":""}`, false},
		{`{"email":null}`, false},
		{`{"email":1}`, false},
		{`{"email":["ann@example.com"]}`, false},
		{`{"Email":"ann@example.com"}`, false},
		{`{"email":"ann@example.com","phone":"1"}`, false},
		{`{"email":"ann@example.com","firstName":1}`, false},
		{`{"email":"ann@example.com","lastName":null}`, false},
		{`{"email":"ann@example.com","hsCustomerAgentContext":"gold"}`, false},
		{`{"email":"ann@example.com","hsCustomerAgentContext":{"seats":5}}`, false},
		{`{"email":"ann@example.com","hsCustomerAgentContext":{"seats":null}}`, false},
		{`{"email":"ann"}`, false},
		{`{"email":"@example.com"}`, false},
		{`{"email":"ann@"}`, false},
		{`{"email":"ann@localhost"}`, false},
		{`{"email":"ann@example..com"}`, false},
		{`{"email":".ann@example.com"}`, true},
		{`{"email":"ann..lee@docomo.ne.jp"}`, true},
		{`{"email":"ann lee@example.com"}`, false},
		{`{"email":" ann@example.com"}`, false},
		{`{"email":"ann@example.com\n"}`, false},
		{`{"email":"ann@bob@example.com"}`, false},
		{`{"email":"Ann <ann@example.com>"}`, false},
		{`{"email":"` + strings.Repeat("a", 65) + `@example.com"}`, false},
		{"{\"email\":\"ann\xff@example.com\"}", false},
	}
	for _, tt := range tests {
		got := serve(t, hubspottest.New(), withBody(tt.body))
		switch {
		case tt.ok && (got.Status != 200 || got.Token == ""):
			t.Errorf("%s: got %d %q, want a token", tt.body, got.Status, got.Message)
		case !tt.ok && (got.Status != 400 || got.Category != "VALIDATION_ERROR"):
			t.Errorf("%s: got %d %q, want 400 VALIDATION_ERROR", tt.body, got.Status, got.Category)
		}
	}
}

func TestTokenIsAJWTForTheEmail(t *testing.T) {
	s := hubspottest.New()
	before := time.Now().Unix()
	got := serve(t, s, request(nil))
	parts := strings.Split(got.Token, ".")
	if len(parts) != 3 || regexp.MustCompile(`[^A-Za-z0-9_.-]`).MatchString(got.Token) {
		t.Fatalf("token %q is not a URL-safe JWT", got.Token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		Email    string `json:"email"`
		ID       string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Email != "ann@example.com" || claims.ID == "" || claims.IssuedAt < before || claims.Expires-claims.IssuedAt != 12*60*60 {
		t.Errorf("claims %+v", claims)
	}
}

func TestVerify(t *testing.T) {
	s := hubspottest.New()
	first := serve(t, s, request(nil)).Token
	second := serve(t, s, request(nil)).Token
	other := serve(t, hubspottest.New(), request(nil)).Token
	if first == second {
		t.Error("two calls gave the same token")
	}
	tests := []struct {
		name, email, token string
		ok                 bool
	}{
		{"first", "ann@example.com", first, true},
		{"second", "ann@example.com", second, true},
		{"other e-mail", "bob@example.com", first, false},
		{"other case", "Ann@example.com", first, false},
		{"no e-mail", "", first, false},
		{"no token", "ann@example.com", "", false},
		{"garbage", "ann@example.com", "a.b.c", false},
		{"damaged", "ann@example.com", first[:len(first)-4] + "AAAA", false},
		{"other account", "ann@example.com", other, false},
	}
	check := func(name, email, token string, ok bool) {
		t.Helper()
		if err := s.Verify(email, token); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tt := range tests {
		check(tt.name, tt.email, tt.token, tt.ok)
	}
	s.Advance(12*time.Hour - time.Minute)
	check("just before 12 hours", "ann@example.com", first, true)
	s.Advance(2 * time.Minute)
	check("after 12 hours", "ann@example.com", first, false)
	check("new token after 12 hours", "ann@example.com", serve(t, s, request(nil)).Token, true)
}

func TestCalls(t *testing.T) {
	s := hubspottest.New()
	ok := serve(t, s, request(func(r *http.Request) {
		r.Header.Set("User-Agent", "test/1")
		r.Body = io.NopCloser(strings.NewReader(`{"email":"ann@example.com","firstName":"Ann","hsCustomerAgentContext":{"plan":"gold"}}`))
	}))
	serve(t, s, request(func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer pat-na1-11111111-1111-4111-8111-111111111111")
		r.URL.Path = "/visitor-identification/v3/tokens/create"
	}))
	want := []hubspottest.Call{
		{
			Host: "api.hubapi.com", Path: tokenPath, UserAgent: "test/1",
			Body:  `{"email":"ann@example.com","firstName":"Ann","hsCustomerAgentContext":{"plan":"gold"}}`,
			Email: "ann@example.com", FirstName: "Ann", AgentContext: map[string]string{"plan": "gold"},
			Status: 200, Token: ok.Token,
		},
		{
			Host: "api.hubapi.com", Path: "/visitor-identification/v3/tokens/create",
			Body: annBody, Email: "ann@example.com", Status: 401,
		},
	}
	got := s.Calls()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(hubspottest.Call{}, "Time")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if time.Since(got[0].Time) > time.Minute {
		t.Errorf("time %v", got[0].Time)
	}
	got[0].AgentContext["plan"] = "changed"
	if s.Calls()[0].AgentContext["plan"] != "gold" {
		t.Error("Calls does not return a copy")
	}
}
