package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ada = "ada@example.com"

// running is the program as somebody started it in a terminal.
type running struct {
	t       *testing.T
	said    []string // until it served
	env     []string // what it gave to export
	origin  string
	client  *http.Client
	end     func() int // as Ctrl-C does; what it exited with
	control func(form string, values ...string) (status int, body string)
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan int, 1)
	var problems bytes.Buffer
	go func() {
		code := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), write, &problems)
		_ = write.Close()
		ended <- code
	}()
	r := &running{t: t, client: &http.Client{Timeout: 10 * time.Second}}
	var code int
	var over bool
	r.end = func() int {
		if !over {
			cancel()
			r.client.CloseIdleConnections()
			code, over = <-ended, true
		}
		return code
	}
	t.Cleanup(func() { r.end() })
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		line := lines.Text()
		r.said = append(r.said, line)
		if variable, ok := strings.CutPrefix(line, "export "); ok {
			r.env = append(r.env, variable)
		}
		if strings.HasPrefix(line, "Ctrl-C") {
			break
		}
	}
	for _, variable := range r.env {
		if origin, ok := strings.CutPrefix(variable, "HUBSPOT_API_URL="); ok {
			r.origin = origin
		}
	}
	if r.origin == "" {
		t.Fatalf("it does not serve: %s%s", strings.Join(r.said, "\n"), problems.String())
	}
	r.control = func(form string, values ...string) (int, string) {
		fields := url.Values{}
		for i := 0; i+1 < len(values); i += 2 {
			fields.Set(values[i], values[i+1])
		}
		return r.ask("POST", "/control/"+form, strings.NewReader(fields.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (r *running) ask(method, path string, body io.Reader, headers ...string) (status int, answer string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.origin+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(all)
}

// account is the configuration that an application has with those variables.
func account(t *testing.T, lines []string) hubspot.Config {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "HUBSPOT_") {
			t.Setenv(name, "")
		}
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		t.Setenv(name, value)
	}
	cfg, err := hubspot.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// token asks the emulator for one, as a server does.
func (r *running) token() (hubspot.Token, error) {
	r.t.Helper()
	client, err := hubspot.NewClient(account(r.t, append(r.env, "HUBSPOT_TIMEOUT=5s")))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	return client.CreateToken(r.t.Context(), hubspot.Visitor{Email: ada})
}

// chat asks the widget's backend, as the widget in a page does.
func (r *running) chat(email, token string) (status int, session string) {
	r.t.Helper()
	ask := url.Values{"portalId": {"12345678"}, "email": {email}, "identificationToken": {token}}
	status, body := r.ask("GET", "/livechat-public/v1/message/public?"+ask.Encode(), nil)
	var answer struct {
		Session string `json:"sessionId"`
	}
	_ = json.Unmarshal([]byte(body), &answer)
	return status, answer.Session
}

var (
	emailInPage = regexp.MustCompile(`"identificationEmail":"([^"]+)"`)
	tokenInPage = regexp.MustCompile(`"identificationToken":"([^"]+)"`)
)

// An application that knows nothing but the file identifies its visitor, and the
// inbox shows who wrote.
func TestApplication(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hubspot.env")
	r := start(t, "-env", file)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) != 4 || strings.Join(lines, "\n") != strings.Join(r.env, "\n") {
		t.Fatalf("the file holds\n%s\nprinted was\n%s", content, strings.Join(r.env, "\n"))
	}
	account(t, lines)
	t.Setenv("HUBSPOT_RENDER_BUDGET", "10s") // this machine may be busy
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return hubspot.Visitor{Email: ada, EmailVerified: true}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	chat.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, string(snippet.HTML(r.Context())))
	})).ServeHTTP(page, httptest.NewRequest("GET", "/", nil))
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	body := page.Body.String()
	email, token := emailInPage.FindStringSubmatch(body), tokenInPage.FindStringSubmatch(body)
	if email == nil || token == nil || email[1] != ada {
		t.Fatalf("nobody is identified: %s", body)
	}
	if !strings.Contains(body, `src="`+r.origin+`/12345678.js"`) {
		t.Error("the page loads another loader")
	}
	if status, script := r.ask("GET", "/12345678.js", nil); status != 200 || !strings.Contains(script, "conversations-embed.js") {
		t.Errorf("the loader: %d", status)
	}
	status, session := r.chat(email[1], token[1])
	if status != 200 {
		t.Fatalf("the chat: %d", status)
	}
	r.ask("POST", "/conversations-visitor/12345678/threads/utk/"+session+"/messages", strings.NewReader(`{"text":"Hello"}`))
	if _, inbox := r.ask("GET", "/inbox.json", nil); !strings.Contains(inbox, `"contact":"ada@example.com"`) || !strings.Contains(inbox, `"identified":true`) {
		t.Errorf("the inbox: %s", inbox)
	}
	if code := r.end(); code != 0 {
		t.Errorf("it exited with %d", code)
	}
}

func TestFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want error
		says string
	}{
		"plan":    {[]string{"-plan", "starter"}, hubspot.ErrForbidden, "the plan is starter"},
		"fault":   {[]string{"-fault", "429"}, hubspot.ErrRateLimited, "token calls meet 429: too many calls in ten seconds"},
		"daily":   {[]string{"-fault", "429-daily"}, hubspot.ErrDailyLimit, "token calls meet 429"},
		"latency": {[]string{"-latency", "50ms"}, nil, "token calls take 50ms"},
		"travel":  {[]string{"-time-travel", "13h"}, nil, "HubSpot's clock is 13h0m0s ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, tt.args...)
			begun := time.Now()
			if _, err := r.token(); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if name == "latency" && time.Since(begun) < 50*time.Millisecond {
				t.Error("it answered at once")
			}
			if !strings.Contains(strings.Join(r.said, "\n"), "Now       "+tt.says) {
				t.Errorf("it says\n%s", strings.Join(r.said, "\n"))
			}
			if _, page := r.ask("GET", "/control", nil); !strings.Contains(html.UnescapeString(page), tt.says) {
				t.Errorf("the control page does not say %q", tt.says)
			}
		})
	}
}

// Time travel is for pages that have had their token for long.
func TestControlClock(t *testing.T) {
	r := start(t)
	token, err := r.token()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		by   string
		want int
	}{{"1h", 200}, {"13h", 400}, {"now", 200}} {
		if status, _ := r.control("clock", "by", step.by); status != 200 {
			t.Errorf("%s: status %d", step.by, status)
		}
		if status, _ := r.chat(ada, token.Reveal()); status != step.want {
			t.Errorf("%s: the chat answers %d, want %d", step.by, status, step.want)
		}
	}
}

func TestControl(t *testing.T) {
	r := start(t)
	expect := func(when string, want error) {
		t.Helper()
		if _, err := r.token(); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", when, err, want)
		}
	}
	expect("at first", nil)
	r.control("next", "fault", "401", "latency", "0s")
	expect("the next call", hubspot.ErrUnauthorized)
	expect("the one after", nil)
	_, page := r.control("calls", "fault", "502", "latency", "0s")
	expect("every call", hubspot.ErrUnavailable)
	if !strings.Contains(page, "token calls meet 502") || !strings.Contains(page, "401 Unauthorized") || !strings.Contains(page, ada) {
		t.Errorf("the page does not say what happens: %s", page)
	}
	r.control("next", "fault", "")
	expect("one that passes", nil)
	r.control("usual")
	expect("as usual", nil)
	r.control("account", "plan", "professional")
	expect("no scope", hubspot.ErrMissingScope)
	r.control("account", "plan", "free", "scope", "yes")
	expect("plan", hubspot.ErrForbidden)
	r.control("account", "plan", "enterprise", "scope", "yes")
	expect("another plan", nil)

	for answer, want := range map[string]int{"204": 204, "404": 404, "500": 500, "400": 400, "": 200} {
		r.control("widget", "answer", answer, "delay", "0s", "display", "0s", "release", "2026-05")
		if status, _ := r.chat("", ""); status != want {
			t.Errorf("widget %q: %d", answer, status)
		}
	}
	r.control("widget", "answer", "hide", "delay", "0s", "display", "5s", "release", "2024-12")
	if _, body := r.ask("GET", "/livechat-public/v1/message/public?portalId=12345678", nil); !strings.Contains(body, "HIDE_WIDGET") || !strings.Contains(body, `"timeDelaySeconds":5`) {
		t.Errorf("hidden: %s", body)
	}
	if _, script := r.ask("GET", "/12345678.js", nil); !strings.Contains(script, "2024-12") {
		t.Error("the widget is of another release")
	}
}

// Nothing but the page's own forms governs the emulator.
func TestControlRefuses(t *testing.T) {
	r := start(t)
	if status, _ := r.ask("POST", "/control/calls", strings.NewReader("fault=500&latency=0s"), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("another origin: %d", status)
	}
	for form, values := range map[string][]string{
		"calls":   {"fault", "no such", "latency", "0s"},
		"next":    {"fault", "no such"},
		"account": {"plan", "gold"},
		"widget":  {"answer", "", "delay", "soon", "display", "0s", "release", "2026-05"},
		"clock":   {"by", "9000h"},
	} {
		if status, _ := r.control(form, values...); status != 400 {
			t.Errorf("%s: %d", form, status)
		}
	}
	if _, err := r.token(); err != nil {
		t.Errorf("something was changed: %v", err)
	}
	if status, _ := r.ask("GET", "/control/calls", nil); status != 404 && status != 405 {
		t.Errorf("GET of a form: %d", status)
	}
}

// The page needs nothing from elsewhere, and each field has a name for those who
// do not see it.
func TestControlPage(t *testing.T) {
	r := start(t)
	res, err := r.client.Get(r.origin + "/control")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; form-action 'self'") {
		t.Errorf("policy: %s", csp)
	}
	root, err := html.Parse(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	labels, ids := make(map[string]bool), make(map[string]bool)
	var fields []string
	for n := range root.Descendants() {
		at := make(map[string]string)
		for _, a := range n.Attr {
			at[a.Key] = a.Val
		}
		for _, name := range []string{"href", "src", "action", "formaction"} {
			if at[name] != "" && (!strings.HasPrefix(at[name], "/") || strings.HasPrefix(at[name], "//")) {
				t.Errorf("%s leaves the page: %s", n.Data, at[name])
			}
		}
		if id := at["id"]; id != "" {
			if ids[id] {
				t.Errorf("two elements are %s", id)
			}
			ids[id] = true
		}
		switch {
		case n.Data == "label" && at["for"] != "":
			labels[at["for"]] = true
		case n.Data == "select":
			fields = append(fields, at["id"])
		case n.Data == "script", n.Data == "style", at["style"] != "":
			t.Errorf("the page has %s %s", n.Data, at["style"])
		}
	}
	if len(fields) != 7 {
		t.Errorf("fields: %v", fields)
	}
	for _, field := range fields {
		if !labels[field] {
			t.Errorf("%s has no label", field)
		}
	}
	if status, css := r.ask("GET", "/control/control.css", nil); status != 200 || !strings.Contains(css, "prefers-color-scheme: dark") || strings.Contains(css, "url(") {
		t.Errorf("the style sheet: %d", status)
	}
}

func TestUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"another machine": {"-addr", "0.0.0.0:8081"},
		"no port":         {"-addr", "127.0.0.1"},
		"unknown flag":    {"-frobnicate"},
		"an argument":     {"429"},
		"no such fault":   {"-fault", "418"},
		"no such plan":    {"-plan", "gold"},
		"no duration":     {"-latency", "2"},
		"back in time":    {"-latency", "-2s"},
		"too far":         {"-time-travel", "9000h"},
	} {
		var out, problems bytes.Buffer
		if code := run(t.Context(), args, &out, &problems); code != 2 || out.Len() > 0 || problems.Len() == 0 {
			t.Errorf("%s: %d\n%s%s", name, code, out.String(), problems.String())
		}
	}
	var out, problems bytes.Buffer
	if code := run(t.Context(), []string{"-fault", "help"}, &out, &problems); code != 0 || !strings.Contains(out.String(), "429-daily") {
		t.Errorf("-fault help: %d\n%s%s", code, out.String(), problems.String())
	}
}

func TestTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var out, problems bytes.Buffer
	if code := run(t.Context(), []string{"-addr", taken.Addr().String()}, &out, &problems); code != 1 || !strings.Contains(problems.String(), "is in use by another program: end that, or choose another with -addr") {
		t.Errorf("%d\n%s%s", code, out.String(), problems.String())
	}
	if strings.Contains(out.String(), "export") {
		t.Errorf("it says that it serves:\n%s", out.String())
	}
}

// The application's own .env is not overwritten; a former one of ours is.
func TestEnvFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("DATABASE_URL=postgres://\nHUBSPOT_PORTAL_ID=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	if code := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-env", file}, &out, &problems); code != 1 || !strings.Contains(problems.String(), "holds other things, which would be lost") {
		t.Errorf("%d\n%s%s", code, out.String(), problems.String())
	}
	if content, _ := os.ReadFile(file); !strings.HasPrefix(string(content), "DATABASE_URL=") {
		t.Errorf("the file is lost: %s", content)
	}
	if err := os.WriteFile(file, []byte("HUBSPOT_PORTAL_ID=1\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "-env", file)
	if content, _ := os.ReadFile(file); !strings.Contains(string(content), "HUBSPOT_PORTAL_ID=12345678\n") {
		t.Errorf("the file: %s", content)
	}
}

// Devices and pipes may have no end, or nobody at it.
func TestEnvIsNoFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it would serve
	for _, file := range []string{os.DevNull, t.TempDir()} {
		var out, problems bytes.Buffer
		if code := run(ctx, []string{"-addr", "127.0.0.1:0", "-env", file}, &out, &problems); code != 1 || !strings.Contains(problems.String(), "-env: "+file+" is not a regular file") {
			t.Errorf("%d\n%s%s", code, out.String(), problems.String())
		}
	}
}

// Ctrl-C does not wait for calls that hang.
func TestEndsWhileACallHangs(t *testing.T) {
	r := start(t, "-fault", "hang")
	failed := make(chan error, 1)
	go func() {
		client := &http.Client{}
		defer client.CloseIdleConnections()
		res, err := client.Post(r.origin+"/visitor-identification/2026-03/tokens/create", "application/json", strings.NewReader(`{"email":"ada@example.com"}`))
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	for {
		if _, page := r.ask("GET", "/control", nil); strings.Contains(page, "Token calls (1)") {
			break
		}
	}
	begun := time.Now()
	if code := r.end(); code != 0 || time.Since(begun) > time.Second {
		t.Errorf("it exited with %d after %v", code, time.Since(begun))
	}
	if <-failed == nil {
		t.Error("the call was answered")
	}
}
