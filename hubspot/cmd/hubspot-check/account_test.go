package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/internal/faults"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// Each fault that the emulator can play has a word of its own.
func TestFaults(t *testing.T) {
	wants := map[string]string{
		"401":       "credential: HubSpot does not know the access token (401 INVALID_AUTHENTICATION, correlation id ",
		"403-scope": "scope: the access token lacks conversations.visitor_identification.tokens.create (403 MISSING_SCOPES",
		"403-plan":  "plan: HubSpot refuses, and not for a scope: most likely the account's plan (403",
		"400":       "visitor: HubSpot does not accept the address of -email (400 VALIDATION_ERROR)",
		"429":       "burst limit: the account makes too many calls within ten seconds (429 TEN_SECONDLY_ROLLING",
		"429-daily": "daily limit: the account's calls of the day are used up (429 DAILY",
		"477":       "data centre: the account is being moved to another of HubSpot's data centres (477",
		"488":       "data centre: the account lives in another of HubSpot's data centres: eu1 (488",
		"500":       "answer: HubSpot is in trouble (500)",
		"502":       "answer: HubSpot's edge does not reach HubSpot (502)",
		"hang":      "answer: there was a connection and no answer within 1.5s",
		"drip":      "answer: the answer began, and was not whole within 1.5s",
		"reset":     "answer: the connection was cut before an answer came",
		"cut":       "answer: the answer broke off in the middle",
		"garbage":   "answer: the answer is not JSON with a token",
		"no-token":  "answer: the answer has no usable token",
		"oversize":  "answer: the answer is longer than 64 KiB",
	}
	said := make(map[string]string)
	for _, fault := range faults.All() {
		t.Run(fault.Name, func(t *testing.T) {
			want, ok := wants[fault.Name]
			if !ok {
				t.Fatal("the table has no line for it")
			}
			emulator := hubspottest.NewServer(t)
			emulator.SetOutage(&fault.Fault)
			cfg := account(emulator)
			cfg.Timeout = 10 * time.Second
			if strings.Contains(want, "within 1.5s") {
				cfg.Timeout = 1500 * time.Millisecond
			}
			p := check(t, cfg)
			p.expect(t, want)
			if !strings.Contains(p.out, "- not checked: ") || !strings.Contains(p.out, "✓ loader: ") {
				t.Errorf("what is left of the checks:\n%s", p.out)
			}
			for _, line := range p.failures() {
				what, _, _ := strings.Cut(line, "correlation id")
				if before, again := said[what]; again {
					t.Errorf("the same line as for %s: %s", before, line)
				}
				said[what] = fault.Name
			}
		})
	}
	if len(wants) != len(faults.All()) {
		t.Errorf("%d lines in the table, %d faults", len(wants), len(faults.All()))
	}
}

// What the account itself can be like, beside faults on the way.
func TestAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*hubspottest.Server)
		cfg  func(*hubspot.Config)
		want string
	}{
		"rotated access token": {func(s *hubspottest.Server) { s.SetAccessToken("pat-na1-00000000-0000-4000-8000-0000000000ff") }, nil,
			"credential: HubSpot does not know the access token"},
		"half an access token": {nil, func(c *hubspot.Config) { c.AccessToken = hubspot.NewSecret("pat-na1-00000000-0000") },
			"credential: HubSpot says that the access token has expired (401 EXPIRED_AUTHENTICATION"},
		"Starter":              {func(s *hubspottest.Server) { s.SetPlan(hubspottest.Starter) }, nil, "plan: HubSpot refuses"},
		"without the scope":    {func(s *hubspottest.Server) { s.SetScopes("tickets") }, nil, "scope: the access token lacks conversations."},
		"burst nearly used up": {func(s *hubspottest.Server) { s.SetRateLimit(1, 10*time.Second) }, nil, "burst limit: 0 of 1 calls in 10s are left"},
		"day nearly used up":   {func(s *hubspottest.Server) { s.SetDailyLimit(10); used(t, s, 9) }, nil, "daily limit: 0 of the day's 10 calls are left"},
		"13 hours ahead":       {func(s *hubspottest.Server) { s.Advance(13 * time.Hour) }, nil, "clock: this machine's is 13h0m0s behind HubSpot's"},
		"5 minutes behind":     {func(s *hubspottest.Server) { s.Advance(-5 * time.Minute) }, nil, "clock: this machine's is 5m0s ahead of HubSpot's"},
		"slow": {func(s *hubspottest.Server) {
			s.SetRateLimit(2, 10*time.Second) // one call more
			s.SetOutage(&hubspottest.Fault{Latency: 1200 * time.Millisecond})
		}, func(c *hubspot.Config) { c.Timeout = 2300 * time.Millisecond }, "latency: median 1"},
		"another path": {func(s *hubspottest.Server) { s.SetOutage(&hubspottest.Fault{Status: 404}) }, nil, "answer: what answers knows no token call (404)"},
		"a redirect": {func(s *hubspottest.Server) {
			s.SetOutage(&hubspottest.Fault{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}})
		}, nil, "answer: what answers points elsewhere"},
		"locked":               {func(s *hubspottest.Server) { s.SetOutage(&hubspottest.Fault{Status: 423}) }, nil, "answer: HubSpot refuses for a reason that it does not document (423)"},
		"a token for a moment": {func(s *hubspottest.Server) { s.SetOutage(&hubspottest.Fault{Body: shortLived(10 * time.Minute)}) }, nil, "token: it expires after 10m0s"},
		"trouble in the middle": {func(s *hubspottest.Server) {
			s.Queue(hubspottest.Fault{}, hubspottest.Fault{}, hubspottest.FaultServerError())
		}, nil, "latency: of 3 calls the last one failed: HubSpot is in trouble (500)"},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			if tt.set != nil {
				tt.set(emulator)
			}
			cfg := account(emulator)
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			check(t, cfg).expect(t, tt.want)
		})
	}
}

// used makes n calls of the day.
func used(t *testing.T, s *hubspottest.Server, n int) {
	t.Helper()
	cfg := hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID}
	client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := client.CreateToken(t.Context(), hubspot.Visitor{Email: email}); err != nil {
			t.Fatal(err)
		}
	}
}

// shortLived is an answer with a token that expires after life.
func shortLived(life time.Duration) string {
	now := time.Now().Unix()
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d,"exp":%d}`, now, now+int64(life.Seconds())))
	answer, _ := json.Marshal(map[string]string{"token": "eyJhbGciOiJIUzI1NiJ9." + payload + ".c2lnbmF0dXJl"})
	return string(answer)
}

// The account's calls are its other integrations', too.
func TestTenCallsAtMost(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	check(t, account(emulator)).expect(t)
	if calls := len(emulator.Calls()); calls > 10 || calls < 5 {
		t.Errorf("%d token calls, want 10 at most", calls)
	}
	emulator.SetRateLimit(14, 10*time.Second)
	before := len(emulator.Calls())
	emulator.SetOutage(nil)
	check(t, account(emulator))
	if calls := len(emulator.Calls()) - before; calls > 3 {
		t.Errorf("%d token calls with 4 left", calls)
	}
}

func TestNetwork(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewUnstartedServer(emulator.Handler())
	secure.Config.ErrorLog = quiet()
	secure.StartTLS()
	defer secure.Close()
	for name, tt := range map[string]struct{ api, want string }{
		"no such host":      {"https://api.hubapi.invalid", "dns: api.hubapi.invalid cannot be found: "},
		"nobody listens":    {closed.URL, "connection: 127.0.0.1:"},
		"unknown authority": {secure.URL, "tls: the certificate is of an authority that this machine does not know"},
		"not TLS":           {strings.Replace(emulator.URL, "http:", "https:", 1), "tls: what answers does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := account(emulator)
			cfg.APIURL = tt.api
			p := check(t, cfg)
			p.expect(t, tt.want)
			if !strings.Contains(p.out, "- not checked: answer, data centre, credential, scope, plan,") {
				t.Errorf("what is left of the checks:\n%s", p.out)
			}
		})
	}
}

func TestRegion(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	c := &checker{report: &report{out: new(strings.Builder)}}
	for name, tt := range map[string]struct {
		cfg   hubspot.Config
		named string
		want  status
		text  string
	}{
		"token's":         {hubspot.Config{Region: "eu1"}, "eu1", passed, "eu1, as the access token says"},
		"variable's":      {hubspot.Config{Region: "ap1"}, "", passed, "ap1, as HUBSPOT_REGION says"},
		"default":         {hubspot.Config{}, "", passed, "na1, since neither"},
		"other loader":    {hubspot.Config{Region: "eu1", LoaderURL: "https://js.hs-scripts.com"}, "eu1", failed, "HUBSPOT_LOADER_URL is of na1, but the account of eu1"},
		"other API":       {hubspot.Config{Region: "na1", APIURL: "https://api-eu1.hubapi.com"}, "na1", failed, "HUBSPOT_API_URL is of eu1, but the account of na1"},
		"API of all":      {hubspot.Config{Region: "eu1", APIURL: "https://api.hubapi.com"}, "eu1", passed, "eu1"},
		"emulated loader": {hubspot.Config{Region: "eu1", LoaderURL: emulator.URL}, "eu1", passed, "eu1"},
	} {
		c.cfg = tt.cfg
		c.region(tt.named)
		if got := c.results[len(c.results)-1]; got.Status != tt.want || !strings.Contains(got.Detail, tt.text) {
			t.Errorf("%s: %+v, want %s: %s", name, got, tt.want, tt.text)
		}
	}
}

func TestLoader(t *testing.T) {
	const script = "text/javascript"
	for name, tt := range map[string]struct {
		kind, body string
		status     int
		want       string
	}{
		"as HubSpot's":   {script, `add("https://js.usemessages.com/conversations-embed.js",{"data-hsjs-portal":12345678})`, 200, ""},
		"another portal": {script, `add("https://js.usemessages.com/conversations-embed.js",{"data-hsjs-portal":87654321})`, 200, "loader: the loader script is another portal's: 87654321"},
		"no chat":        {script, `add("https://js.hs-analytics.net/analytics.js")`, 200, "loader: the loader script brings no chat"},
		"a page":         {"text/html", `<h1>Welcome</h1>`, 200, "loader: "},
		"unknown portal": {script, ``, 404, "loader: there is no loader script for portal 12345678"},
		"trouble":        {script, ``, 503, "loader: "},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := hubspottest.NewServer(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			cfg := account(emulator)
			cfg.LoaderURL = server.URL
			if tt.want == "" {
				check(t, cfg).expect(t)
				return
			}
			check(t, cfg).expect(t, tt.want)
		})
	}
	emulator := hubspottest.NewServer(t)
	cfg := account(emulator)
	cfg.PortalID = "87654321"
	check(t, cfg).expect(t, "loader: there is no loader script for portal 87654321")
}
