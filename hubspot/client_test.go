package hubspot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

var ada = hubspot.Visitor{Email: "ada@example.com", EmailVerified: true}

func newClient(t *testing.T, cfg hubspot.Config, options ...hubspot.ClientOption) *hubspot.Client {
	t.Helper()
	if cfg.AccessToken.IsZero() && cfg.AccessTokenFile == "" {
		cfg.AccessToken = hubspottest.AccessToken
	}
	client, err := hubspot.NewClient(cfg, options...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// emulated is a client of a new emulator, in memory.
func emulated(t *testing.T, cfg hubspot.Config, options ...hubspot.ClientOption) (*hubspot.Client, *hubspottest.Server) {
	t.Helper()
	s := hubspottest.New()
	t.Cleanup(s.Close)
	return newClient(t, cfg, append(options, hubspot.WithHTTPClient(s.Client()))...), s
}

func newTokens(t *testing.T, creator hubspot.Creator, cfg hubspot.TokensConfig) *hubspot.Tokens {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	tokens, err := hubspot.NewTokens(creator, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// answering is a client of a server that gives every call the same answer.
func answering(t *testing.T, answer http.HandlerFunc) *hubspot.Client {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return newClient(t, hubspot.Config{APIURL: s.URL}, hubspot.WithHTTPClient(s.Client()))
}

func TestTokenCall(t *testing.T) {
	for name, tt := range map[string]struct {
		visitor hubspot.Visitor
		want    map[string]any
	}{
		"e-mail only": {hubspot.Visitor{Email: "ada@example.com"}, map[string]any{"email": "ada@example.com"}},
		"everything": {
			hubspot.Visitor{Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace", EmailVerified: true, AgentContext: map[string]string{"plan": "gold"}},
			map[string]any{"email": "ada@example.com", "firstName": "Ada", "lastName": "Lovelace", "hsCustomerAgentContext": map[string]any{"plan": "gold"}},
		},
		"last name only":         {hubspot.Visitor{Email: "ada@example.com", LastName: "Lovelace"}, map[string]any{"email": "ada@example.com", "lastName": "Lovelace"}},
		"empty context":          {hubspot.Visitor{Email: "ada@example.com", AgentContext: map[string]string{}}, map[string]any{"email": "ada@example.com"}},
		"empty value in context": {hubspot.Visitor{Email: "ada@example.com", AgentContext: map[string]string{"k": ""}}, map[string]any{"email": "ada@example.com", "hsCustomerAgentContext": map[string]any{"k": ""}}},
		"exact spelling":         {hubspot.Visitor{Email: "Jos\u00e9+x@Example.COM"}, map[string]any{"email": "Jos\u00e9+x@Example.COM"}},
		"markup": {
			hubspot.Visitor{Email: `"</script>\"\\"@example.com`, FirstName: "<b>\u2028"},
			map[string]any{"email": `"</script>\"\\"@example.com`, "firstName": "<b>\u2028"},
		},
	} {
		var got *http.Request
		var body []byte
		client := answering(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Clone(context.WithoutCancel(r.Context()))
			body, _ = io.ReadAll(r.Body)
			io.WriteString(w, `{"token":"t-1"}`)
		})
		token, err := client.CreateToken(t.Context(), tt.visitor)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if token.Reveal() != "t-1" || token.Email() != tt.visitor.Email {
			t.Errorf("%s: token %q for %q", name, token.Reveal(), token.Email())
		}
		if got.Method != "POST" || got.URL.String() != "/visitor-identification/2026-03/tokens/create" {
			t.Errorf("%s: %s %s", name, got.Method, got.URL)
		}
		for header, want := range map[string]string{
			"Authorization": "Bearer " + hubspottest.AccessToken.Reveal(),
			"Content-Type":  "application/json",
			"Accept":        "application/json",
		} {
			if diff := cmp.Diff([]string{want}, got.Header.Values(header)); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, header, diff)
			}
		}
		if len(got.Cookies()) != 0 {
			t.Errorf("%s: cookies %v", name, got.Cookies())
		}
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Errorf("%s: body %q: %v", name, body, err)
		}
		if diff := cmp.Diff(tt.want, fields); diff != "" {
			t.Errorf("%s: body (-want +got):\n%s", name, diff)
		}
	}
}

func TestTokenIsIssuedBeforeTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, s := emulated(t, hubspot.Config{})
		s.Queue(hubspottest.Fault{Latency: 2 * time.Second})
		began := time.Now()
		token, err := client.CreateToken(t.Context(), ada)
		if err != nil {
			t.Fatal(err)
		}
		if !token.IssuedAt().Equal(began) || !token.ExpiresAt().Equal(began.Add(12*time.Hour)) {
			t.Errorf("issued %v, expires %v; the call began %v", token.IssuedAt(), token.ExpiresAt(), began)
		}
	})
}

func TestInvalidVisitorIsNotSent(t *testing.T) {
	client, s := emulated(t, hubspot.Config{})
	_, err := client.CreateToken(t.Context(), hubspot.Visitor{Email: "Ada <ada@example.com>"})
	var v *hubspot.VisitorError
	if !errors.As(err, &v) || v.Field != "Email" || !errors.Is(err, hubspot.ErrInvalidVisitor) {
		t.Errorf("error %v", err)
	}
	if calls := s.Calls(); len(calls) != 0 {
		t.Errorf("calls %+v", calls)
	}
}

var sentinels = map[string]error{
	"Unauthorized": hubspot.ErrUnauthorized, "Forbidden": hubspot.ErrForbidden, "MissingScope": hubspot.ErrMissingScope,
	"RateLimited": hubspot.ErrRateLimited, "DailyLimit": hubspot.ErrDailyLimit, "InvalidVisitor": hubspot.ErrInvalidVisitor,
	"UnverifiedEmail": hubspot.ErrUnverifiedEmail, "Unavailable": hubspot.ErrUnavailable, "CoolingDown": hubspot.ErrCoolingDown,
}

func matching(err error) map[string]bool {
	matches := map[string]bool{}
	for name, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			matches[name] = true
		}
	}
	return matches
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

const html = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>cloudflare</body></html>"

func TestErrorAnswers(t *testing.T) {
	const scope = "conversations.visitor_identification.tokens.create"
	headers := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for name, tt := range map[string]struct {
		header  http.Header
		body    string
		want    hubspot.APIError
		matches map[string]bool
	}{
		"validation": {nil, `{"status":"error","message":"Invalid input","correlationId":"c-1","category":"VALIDATION_ERROR"}`,
			hubspot.APIError{StatusCode: 400, Category: "VALIDATION_ERROR", CorrelationID: "c-1"}, set("InvalidVisitor")},
		"bad credential": {nil, `{"status":"error","message":"no","correlationId":"c-2","category":"INVALID_AUTHENTICATION"}`,
			hubspot.APIError{StatusCode: 401, Category: "INVALID_AUTHENTICATION", Message: "no", CorrelationID: "c-2"}, set("Unauthorized")},
		"expired credential": {nil, `{"message":"expired 20000 day(s) ago","category":"EXPIRED_AUTHENTICATION","context":{"expireTime":["1970-01-01T00:00:00Z"]}}`,
			hubspot.APIError{StatusCode: 401, Category: "EXPIRED_AUTHENTICATION", Message: "expired 20000 day(s) ago"}, set("Unauthorized")},
		"scope": {nil, `{"category":"MISSING_SCOPES","errors":[{"message":"m","context":{"requiredGranularScopes":["` + scope + `"]}}],"links":{"scopes":"https://x"}}`,
			hubspot.APIError{StatusCode: 403, Category: "MISSING_SCOPES", Details: []string{scope}}, set("Forbidden", "MissingScope")},
		"scope as a string": {nil, `{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":"` + scope + `"}}]}`,
			hubspot.APIError{StatusCode: 403, Category: "MISSING_SCOPES", Details: []string{scope}}, set("Forbidden", "MissingScope")},
		"scopes of several errors": {nil, `{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["a","b"],"other":"x"}},{"context":{"requiredGranularScopes":"c"}},{}]}`,
			hubspot.APIError{StatusCode: 403, Category: "MISSING_SCOPES", Details: []string{"a", "b", "c"}}, set("Forbidden", "MissingScope")},
		"scopes as numbers": {nil, `{"category":"MISSING_SCOPES","message":"m","errors":[{"context":{"requiredGranularScopes":7}}]}`,
			hubspot.APIError{StatusCode: 403, Category: "MISSING_SCOPES", Message: "m"}, set("Forbidden", "MissingScope")},
		"errors of another shape": {nil, `{"category":"MISSING_SCOPES","message":"m","errors":"many"}`,
			hubspot.APIError{StatusCode: 403, Category: "MISSING_SCOPES", Message: "m"}, set("Forbidden", "MissingScope")},
		"plan":              {nil, `{"message":"no access"}`, hubspot.APIError{StatusCode: 403, Message: "no access"}, set("Forbidden")},
		"missing scope 400": {nil, `{"category":"MISSING_SCOPES"}`, hubspot.APIError{StatusCode: 400, Category: "MISSING_SCOPES"}, set("InvalidVisitor")},
		"not found":         {nil, `{}`, hubspot.APIError{StatusCode: 404}, set()},
		"locked":            {nil, `{"message":"locked"}`, hubspot.APIError{StatusCode: 423}, set("Unavailable")},
		"burst limit": {headers("X-HubSpot-RateLimit-Interval-Milliseconds", "10000"),
			`{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT","correlationId":"c-3","policyName":"TEN_SECONDLY_ROLLING"}`,
			hubspot.APIError{StatusCode: 429, Message: "You have reached your ten_secondly_rolling limit.", CorrelationID: "c-3", Policy: "TEN_SECONDLY_ROLLING", RetryAfter: 10 * time.Second}, set("RateLimited")},
		"burst limit, Retry-After": {headers("X-HubSpot-RateLimit-Interval-Milliseconds", "10000", "Retry-After", "7"), `{"policyName":"SECONDLY"}`,
			hubspot.APIError{StatusCode: 429, Policy: "SECONDLY", RetryAfter: 7 * time.Second}, set("RateLimited")},
		"limit without a wait": {nil, `{"policyName":"TEN_SECONDLY_ROLLING"}`, hubspot.APIError{StatusCode: 429, Policy: "TEN_SECONDLY_ROLLING"}, set("RateLimited")},
		"daily limit":          {nil, `{"policyName":"DAILY"}`, hubspot.APIError{StatusCode: 429, Policy: "DAILY"}, set("RateLimited", "DailyLimit")},
		"limit in HTML":        {nil, html, hubspot.APIError{StatusCode: 429}, set("RateLimited")},
		"migration":            {headers("Retry-After", "86400"), `{"message":"moving"}`, hubspot.APIError{StatusCode: 477, RetryAfter: 24 * time.Hour}, set("Unavailable")},
		"absurd Retry-After":   {headers("Retry-After", "9223372036854775807"), ``, hubspot.APIError{StatusCode: 477, RetryAfter: 7 * 24 * time.Hour}, set("Unavailable")},
		"endless Retry-After":  {headers("Retry-After", "99999999999999999999"), ``, hubspot.APIError{StatusCode: 477, RetryAfter: 7 * 24 * time.Hour}, set("Unavailable")},
		"negative Retry-After": {headers("Retry-After", "-5"), ``, hubspot.APIError{StatusCode: 477}, set("Unavailable")},
		"Retry-After of old":   {headers("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), ``, hubspot.APIError{StatusCode: 477}, set("Unavailable")},
		"odd Retry-After":      {headers("Retry-After", "soon"), ``, hubspot.APIError{StatusCode: 477}, set("Unavailable")},
		"500 in HTML":          {nil, html, hubspot.APIError{StatusCode: 500}, set("Unavailable")},
		"501":                  {nil, ``, hubspot.APIError{StatusCode: 501}, set("Unavailable")},
		"521":                  {nil, html, hubspot.APIError{StatusCode: 521}, set("Unavailable")},
		"522":                  {nil, html, hubspot.APIError{StatusCode: 522}, set("Unavailable")},
		"523":                  {nil, html, hubspot.APIError{StatusCode: 523}, set("Unavailable")},
		"524":                  {nil, html, hubspot.APIError{StatusCode: 524}, set("Unavailable")},
		"525":                  {nil, html, hubspot.APIError{StatusCode: 525}, set("Unavailable")},
		"526":                  {nil, html, hubspot.APIError{StatusCode: 526}, set("Unavailable")},
		"empty body":           {nil, ``, hubspot.APIError{StatusCode: 401}, set("Unauthorized")},
		"truncated body":       {nil, `{"message":"Inva`, hubspot.APIError{StatusCode: 400}, set("InvalidVisitor")},
		"text":                 {nil, `error code: 1015`, hubspot.APIError{StatusCode: 403}, set("Forbidden")},
		"JSON array":           {nil, `[1]`, hubspot.APIError{StatusCode: 400}, set("InvalidVisitor")},
		"JSON null":            {nil, `null`, hubspot.APIError{StatusCode: 400}, set("InvalidVisitor")},
		"fields of other types": {nil, `{"message":{"a":1},"category":["x"],"correlationId":7,"policyName":null,"errors":[1]}`,
			hubspot.APIError{StatusCode: 400, Category: "x"}, set("InvalidVisitor")},
	} {
		t.Run(name, func(t *testing.T) {
			client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				for header, values := range tt.header {
					w.Header()[header] = values
				}
				w.WriteHeader(tt.want.StatusCode)
				io.WriteString(w, tt.body)
			})
			token, err := client.CreateToken(t.Context(), ada)
			var got *hubspot.APIError
			if !errors.As(err, &got) {
				t.Fatalf("%v, error %v", token, err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.matches, matching(err)); diff != "" {
				t.Errorf("sentinels (-want +got):\n%s", diff)
			}
			for _, part := range []string{fmt.Sprint(tt.want.StatusCode), tt.want.Category, tt.want.Policy, tt.want.CorrelationID, strings.Join(tt.want.Details, ", ")} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not tell %q", err, part)
				}
			}
			if token != (hubspot.Token{}) {
				t.Errorf("with an error, a token")
			}
		})
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	for name, message := range map[string]string{"plain": strings.Repeat("long ", 5000), "accents": strings.Repeat("\u00e9", 5000)} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			fmt.Fprintf(w, `{"message":%q,"category":%q}`, message, strings.Repeat("C", 20_000))
		})
		_, err := client.CreateToken(t.Context(), ada)
		if err == nil || len(err.Error()) > 1000 || strings.ContainsRune(err.Error(), '\ufffd') || strings.Contains(err.Error(), "long") != (name == "plain") {
			t.Errorf("%s: %d bytes: %v", name, len(err.Error()), err)
		}
	}
}

func TestAnswersWithoutAToken(t *testing.T) {
	for name, body := range map[string]string{
		"empty":              ``,
		"HTML":               html,
		"text":               `OK`,
		"no field":           `{}`,
		"null":               `null`,
		"empty token":        `{"token":""}`,
		"null token":         `{"token":null}`,
		"number":             `{"token":7}`,
		"object":             `{"token":{"value":"x"}}`,
		"array":              `["x"]`,
		"truncated":          `{"token":"abc`,
		"two values":         `{"token":"abc"}{"token":"def"}`,
		"space in the token": `{"token":"a b"}`,
		"line end":           `{"token":"a\nb"}`,
		"not ASCII":          `{"token":"caf\u00e9"}`,
		"another parameter":  `{"token":"a&email=eve@example.com"}`,
		"fragment":           `{"token":"a#b"}`,
		"10 MiB of spaces":   `{"token":"abc"}` + strings.Repeat(" ", 10<<20),
		"10 MiB of token":    `{"token":"` + strings.Repeat("a", 10<<20) + `"}`,
	} {
		var calls atomic.Int32
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			io.WriteString(w, body)
		})
		token, err := client.CreateToken(t.Context(), ada)
		if diff := cmp.Diff(set("Unavailable"), matching(err)); diff != "" || token != (hubspot.Token{}) {
			t.Errorf("%s: %q, error %v", name, token.Reveal(), err)
		}
		if calls.Load() != 1 {
			t.Errorf("%s: %d calls, want 1", name, calls.Load())
		}
	}
}

// endless is a transport whose answers never end.
type endless struct {
	status int
	read   atomic.Int64
}

func (e *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: e.status, Header: http.Header{}, Body: e, Request: r}, nil
}
func (e *endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return copy(p, bytes.Repeat([]byte("{"), len(p))), nil
}
func (e *endless) Close() error { return nil }

func TestEndlessAnswerIsNotRead(t *testing.T) {
	for _, status := range []int{200, 400, 500} {
		e := &endless{status: status}
		client := newClient(t, hubspot.Config{}, hubspot.WithHTTPClient(&http.Client{Transport: e}))
		if _, err := client.CreateToken(t.Context(), ada); err == nil {
			t.Errorf("%d: no error", status)
		}
		if n := e.read.Load(); n > 1<<20 {
			t.Errorf("%d: read %d bytes", status, n)
		}
	}
}

// A redirect must not carry the credential to another host.
func TestRedirectIsNotFollowed(t *testing.T) {
	var mu sync.Mutex
	var visits []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		visits = append(visits, r.Method+" "+r.Header.Get("Authorization"))
		io.WriteString(w, `{"token":"stolen"}`)
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		t.Cleanup(s.Close)
		follows := s.Client()
		follows.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
		client := newClient(t, hubspot.Config{APIURL: s.URL}, hubspot.WithHTTPClient(follows))
		_, err := client.CreateToken(t.Context(), ada)
		var api *hubspot.APIError
		if !errors.As(err, &api) || api.StatusCode != status || len(matching(err)) != 0 {
			t.Errorf("%d: error %v", status, err)
		}
		// The application's own client keeps its behaviour.
		if follows.CheckRedirect(nil, nil) != nil {
			t.Errorf("%d: the HTTP client was changed", status)
		}
	}
	if len(visits) != 0 {
		t.Errorf("the other host was visited: %q", visits)
	}
}

func TestTimeout(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout, want time.Duration
		fault         hubspottest.Fault
	}{
		"default":         {0, 3 * time.Second, hubspottest.Fault{Hang: true}},
		"set":             {time.Second, time.Second, hubspottest.Fault{Hang: true}},
		"dripping answer": {time.Second, time.Second, hubspottest.Fault{Drip: 300 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s := emulated(t, hubspot.Config{Timeout: tt.timeout})
				s.SetOutage(&tt.fault)
				began := time.Now()
				_, err := client.CreateToken(t.Context(), ada)
				if took := time.Since(began); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				if !errors.Is(err, hubspot.ErrUnavailable) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestCallerLeaves(t *testing.T) {
	for name, tt := range map[string]struct {
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		fault hubspottest.Fault
		want  error
		after time.Duration
	}{
		"cancels":          {cancelAfter(100 * time.Millisecond), hubspottest.Fault{Hang: true}, context.Canceled, 100 * time.Millisecond},
		"deadline":         {deadlineAfter(100 * time.Millisecond), hubspottest.Fault{Hang: true}, context.DeadlineExceeded, 100 * time.Millisecond},
		"was gone already": {cancelAfter(0), hubspottest.Fault{}, context.Canceled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s := emulated(t, hubspot.Config{})
				s.SetOutage(&tt.fault)
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				began := time.Now()
				_, err := client.CreateToken(ctx, ada)
				if err != tt.want {
					t.Errorf("error %v, want the context's own", err)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
			})
		})
	}
}

func cancelAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		if d == 0 {
			cancel()
		} else {
			time.AfterFunc(d, cancel)
		}
		return ctx, cancel
	}
}

func deadlineAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
}

func TestCredentialFunction(t *testing.T) {
	refused := errors.New("the vault is sealed")
	credential, fails := "pat-na1-11111111-1111-4111-8111-111111111111", false
	client, s := emulated(t, hubspot.Config{}, hubspot.WithCredential(func(context.Context) (string, error) {
		if fails {
			return "", refused
		}
		return credential, nil
	}))
	if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, hubspot.ErrUnauthorized) {
		t.Errorf("with another credential: %v", err)
	}
	// Asked again for every call.
	credential = hubspottest.AccessToken.Reveal()
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Errorf("with the good credential: %v", err)
	}
	fails = true
	before := len(s.Calls())
	if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, refused) {
		t.Errorf("without a credential: %v", err)
	}
	if after := len(s.Calls()); after != before {
		t.Errorf("%d calls without a credential", after-before)
	}
}

func TestCredentialFunctionEndsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := emulated(t, hubspot.Config{}, hubspot.WithCredential(func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}))
		began := time.Now()
		if _, err := client.CreateToken(t.Context(), ada); err == nil {
			t.Error("no error")
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

// A secret that the orchestrator replaces is used without a restart.
func TestAccessTokenFileRotation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(hubspottest.AccessToken.Reveal() + "\n")
	client, s := emulated(t, hubspot.Config{AccessTokenFile: file})
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	s.SetAccessToken(secretCredential)
	if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, hubspot.ErrUnauthorized) {
		t.Errorf("after the rotation at HubSpot: %v", err)
	}
	write(secretCredential)
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Errorf("after the rotation here: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	before := len(s.Calls())
	if _, err := client.CreateToken(t.Context(), ada); !errors.Is(err, os.ErrNotExist) || len(s.Calls()) != before {
		t.Errorf("without the file: %v, %d calls", err, len(s.Calls())-before)
	}
}

func TestConnectionIsReused(t *testing.T) {
	s := hubspottest.NewServer(t)
	var opened, reused int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if info.Reused {
			reused++
		} else {
			opened++
		}
	}})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := newClient(t, hubspot.Config{APIURL: s.URL}, hubspot.WithHTTPClient(&http.Client{Transport: transport}))
	s.Queue(hubspottest.Fault{}, hubspottest.FaultUnauthorized(), hubspottest.FaultServerError(), hubspottest.FaultScope(), hubspottest.FaultBurstLimit(),
		hubspottest.Fault{Status: 200, Body: html})
	for range 10 {
		_, _ = client.CreateToken(ctx, ada)
	}
	if calls := len(s.Calls()); opened != 1 || reused != calls-1 {
		t.Errorf("%d connections opened and %d times reused, in %d calls", opened, reused, calls)
	}
}

// echo answers with everything that it was sent, wherever an answer has room.
func echo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		var fields struct{ Email, FirstName, LastName string }
		_ = json.Unmarshal(sent, &fields)
		all := strings.Join([]string{r.Header.Get("Authorization"), strings.ToUpper(fields.Email), fields.FirstName, fields.LastName, string(sent)}, " ")
		body, _ := json.Marshal(map[string]any{
			"message": "Not acceptable: " + all, "category": "C " + all, "correlationId": fields.Email, "policyName": all,
			"errors": []any{map[string]any{"message": all, "context": map[string]any{"requiredGranularScopes": []string{all}, "email": fields.Email}}},
		})
		w.Header().Set("X-Echo", fields.Email)
		w.WriteHeader(status)
		w.Write(body)
	}
}

// Every error text that CreateToken can be brought to make is free of the
// credential, the e-mail and the token, however it is printed.
func TestErrorTextsKeepSecrets(t *testing.T) {
	const credential, email, value = "pat-na1-5ec0e700-0000-4000-8000-0123456789ab", "ada.lovelace@example.com", "eyJ0b2tlbiI6MX0.c2VjcmV0.c2ln nature"
	visitor := hubspot.Visitor{Email: email, EmailVerified: true}
	answers := map[string]http.HandlerFunc{
		"token that cannot be used": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"token":%q}`, value) },
		"token in no JSON":          func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, value+" for "+email) },
		"token of a wrong type":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"token":[%q,%q]}`, value, email) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, "<p>"+email+" "+credential)
		},
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://eve.example/?email="+email+"&token="+credential, http.StatusFound)
		},
		"broken header": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(conn, "HTTP/1.1 "+email+" "+credential+"\r\n\r\n")
				conn.Close()
			}
		},
	}
	for _, status := range []int{400, 401, 403, 404, 423, 429, 477, 500, 503, 525} {
		answers[fmt.Sprintf("echo %d", status)] = echo(status)
	}
	errs := map[string]error{}
	for name, answer := range answers {
		s := httptest.NewUnstartedServer(answer)
		s.Config.ErrorLog = nil
		s.Start()
		t.Cleanup(s.Close)
		client := newClient(t, hubspot.Config{APIURL: s.URL, AccessToken: hubspot.NewSecret(credential)}, hubspot.WithHTTPClient(s.Client()))
		_, errs[name] = client.CreateToken(t.Context(), visitor)
	}
	bad := newClient(t, hubspot.Config{}, hubspot.WithCredential(func(context.Context) (string, error) { return credential + "\r\nX: 1", nil }))
	_, errs["credential that is no header"] = bad.CreateToken(t.Context(), visitor)
	nobody := newClient(t, hubspot.Config{APIURL: "http://127.0.0.1:1", AccessToken: hubspot.NewSecret(credential)})
	_, errs["nobody listens"] = nobody.CreateToken(t.Context(), visitor)
	_, errs["not acceptable"] = nobody.CreateToken(t.Context(), hubspot.Visitor{Email: "<" + email + ">", FirstName: "\x00" + credential})
	for name, err := range errs {
		t.Run(name, func(t *testing.T) {
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err)} {
				for what, secret := range map[string]string{"credential": credential, "e-mail": email, "token": value} {
					if spelling := leaks(text, secret); spelling != "" {
						t.Errorf("the %s, %s: %s", what, spelling, text)
					}
				}
			}
		})
	}
}

// CreateToken's errors promise to contain nothing of the visitor: names and
// agent context are the visitor's too.
func TestErrorTextsKeepNames(t *testing.T) {
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		body, _ := json.Marshal(map[string]string{"message": "not acceptable: " + strings.ReplaceAll(string(sent), "ada@example.com", "…")})
		w.WriteHeader(400)
		w.Write(body)
	})
	_, err := client.CreateToken(t.Context(), hubspot.Visitor{
		Email: "ada@example.com", FirstName: "Wilhelmina", LastName: "Featherstonehaugh", AgentContext: map[string]string{"diagnosis": "hypertension"},
	})
	for _, private := range []string{"Wilhelmina", "Featherstonehaugh", "hypertension"} {
		if err == nil || strings.Contains(err.Error(), private) {
			t.Errorf("error %v contains %s", err, private)
		}
	}
}

func TestClientConcurrently(t *testing.T) {
	client, s := emulated(t, hubspot.Config{})
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			v := hubspot.Visitor{Email: fmt.Sprintf("v%d@example.com", i)}
			token, err := client.CreateToken(t.Context(), v)
			if err == nil {
				err = s.Verify(v.Email, token.Reveal())
			}
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	group.Wait()
}

// HubSpot may quote an address as it stands in JSON, in a URL or in HTML; it is
// the visitor's in every spelling.
func TestErrorTextsKeepOtherSpellings(t *testing.T) {
	const quoted = `"ada lovelace"@example.com`
	for name, tt := range map[string]struct{ email, message string }{
		"capitals":       {"ada@example.com", "Contact ADA@EXAMPLE.COM is not acceptable"},
		"quoted":         {quoted, "Property email: " + fmt.Sprintf("%q", quoted) + " is not acceptable"},
		"percent":        {"ada@example.com", "GET /contacts/ada%40example.com failed"},
		"HTML":           {"ada@example.com", "Contact ada&#64;example.com is not acceptable"},
		"JSON in a text": {"ada@example.com", `{"email":"ada\u0040example.com"}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(400)
				body, _ := json.Marshal(map[string]string{"message": tt.message})
				w.Write(body)
			})
			_, err := client.CreateToken(t.Context(), hubspot.Visitor{Email: tt.email})
			if err == nil || strings.Contains(strings.ToLower(err.Error()), "ada") {
				t.Errorf("%v", err)
			}
		})
	}
}
