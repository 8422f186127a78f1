package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func unread() (hubspot.Config, error) {
	return hubspot.Config{}, errors.New("the environment was read")
}

func TestEmulate(t *testing.T) {
	p := start(t, unread, "-emulate")
	p.expect(t)
	if p.err != "" {
		t.Errorf("stderr: %s", p.err)
	}
	var checks []string
	for line := range strings.Lines(p.out) {
		name, _, ok := strings.Cut(strings.TrimPrefix(line, "✓ "), ": ")
		if !ok || !strings.HasPrefix(line, "✓ ") {
			t.Errorf("no check: %s", line)
		}
		checks = append(checks, name)
	}
	for _, want := range []string{
		"configuration", "region", "dns", "connection", "tls", "answer", "data centre", "credential", "scope", "plan", "visitor",
		"burst limit", "daily limit", "latency", "token", "clock", "loader", "page", "secrets in the page", "page part",
		"visitor on the page", "page's loader", "page's own settings", "caching", "policy", "token endpoint", "chat",
	} {
		if !slices.Contains(checks, want) {
			t.Errorf("no check of %s", want)
		}
	}
}

func TestUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"no email":       {},
		"no address":     {"-email", "nobody"},
		"unknown flag":   {"-email", email, "-frobnicate"},
		"an argument":    {"-email", email, "https://www.example.com/"},
		"no url":         {"-email", email, "-page", "www.example.com"},
		"another scheme": {"-email", email, "-page", "file:///etc/passwd"},
		"both":           {"-emulate", "-page", "https://www.example.com/"},
	} {
		p := start(t, unread, args...)
		if p.code != 2 || p.out != "" || !strings.Contains(p.err, "-emulate") {
			t.Errorf("%s: %d\n%s%s", name, p.code, p.out, p.err)
		}
	}
	if p := start(t, unread, "-help"); p.code != 0 || p.out != "" || !strings.Contains(p.err, "-page url") {
		t.Errorf("-help: %d\n%s%s", p.code, p.out, p.err)
	}
}

func TestJSON(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	emulator.SetScopes()
	p := check(t, account(emulator), "-json")
	var got struct {
		OK     bool
		Checks []struct{ Check, Status, Detail, Mend string }
	}
	if err := json.Unmarshal([]byte(p.out), &got); err != nil {
		t.Fatalf("%v:\n%s", err, p.out)
	}
	if got.OK || p.code != 1 {
		t.Errorf("ok is %v, exit code %d", got.OK, p.code)
	}
	seen := make(map[string]string)
	for _, one := range got.Checks {
		seen[one.Check] = one.Status
		if one.Detail == "" || (one.Status == "failed") != (one.Mend != "") {
			t.Errorf("%+v", one)
		}
	}
	for check, want := range map[string]string{"credential": "passed", "scope": "failed", "plan": "skipped", "loader": "passed", "page": "skipped"} {
		if seen[check] != want {
			t.Errorf("%s is %q, want %s", check, seen[check], want)
		}
	}
	if p := start(t, unread, "-emulate", "-json"); p.code != 0 || !strings.Contains(p.out, `"ok": true`) {
		t.Errorf("-emulate: %d\n%s", p.code, p.out)
	}
}

// environment sets the variables, and takes all others away.
func environment(t *testing.T, lines ...string) {
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
}

func TestConfiguration(t *testing.T) {
	token := hubspottest.AccessToken.Reveal()
	for name, tt := range map[string]struct {
		env  []string
		want []string
	}{
		"nothing": {nil, []string{
			"configuration: HUBSPOT_PORTAL_ID is missing. To mend it: set it: the Hub ID stands in",
			"configuration: HUBSPOT_ACCESS_TOKEN (or HUBSPOT_ACCESS_TOKEN_FILE) is missing. To mend it: set it to the access token: in HubSpot, Development > Keys > Service keys",
		}},
		"quotes": {[]string{`HUBSPOT_ACCESS_TOKEN="` + token + `"`, "HUBSPOT_PORTAL_ID=12345678"}, []string{
			"configuration: HUBSPOT_ACCESS_TOKEN has quotes around it",
		}},
		"name for a number": {[]string{"HUBSPOT_ACCESS_TOKEN=" + token, "HUBSPOT_PORTAL_ID=fernhill"}, []string{
			"configuration: HUBSPOT_PORTAL_ID has to be digits only (the Hub ID)",
		}},
		"other region": {[]string{"HUBSPOT_ACCESS_TOKEN=" + token, "HUBSPOT_PORTAL_ID=12345678", "HUBSPOT_REGION=eu1"}, []string{
			"region: HUBSPOT_REGION is eu1, but the access token is of na1. To mend it: leave it away",
		}},
		"no file": {[]string{"HUBSPOT_ACCESS_TOKEN_FILE=" + filepath.Join(t.TempDir(), "none"), "HUBSPOT_PORTAL_ID=12345678"}, []string{
			"configuration: HUBSPOT_ACCESS_TOKEN_FILE cannot be read",
		}},
		"plain http": {[]string{"HUBSPOT_ACCESS_TOKEN=" + token, "HUBSPOT_PORTAL_ID=12345678", "HUBSPOT_API_URL=http://api.hubapi.com"}, []string{
			"configuration: HUBSPOT_API_URL has to be an https URL",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, tt.env...)
			p := start(t, hubspot.ConfigFromEnv, "-email", email)
			p.expect(t, tt.want...)
			if !strings.Contains(p.out, "- not checked: dns,") {
				t.Errorf("it does not say what was not checked:\n%s", p.out)
			}
		})
	}
}

// The environment is the application's own, the file with the access token too.
func TestEnvironment(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	environment(t, hubspottest.Env(emulator.URL)...)
	start(t, hubspot.ConfigFromEnv, "-email", email).expect(t)

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(hubspottest.AccessToken.Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HUBSPOT_ACCESS_TOKEN", "")
	t.Setenv("HUBSPOT_ACCESS_TOKEN_FILE", file)
	p := start(t, hubspot.ConfigFromEnv, "-email", email)
	p.expect(t)
	if !strings.Contains(p.out, "✓ region: na1, as the access token says") {
		t.Errorf("the file's region:\n%s", p.out)
	}
}

// Nothing is asked of HubSpot that the application would not ask.
func TestChatIsSwitchedOff(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	for _, chat := range []string{hubspot.ChatOff, hubspot.ChatAnonymous} {
		cfg := account(emulator)
		cfg.Chat = chat
		p := check(t, cfg)
		p.expect(t)
		if !strings.Contains(p.out, "HUBSPOT_CHAT is "+chat) {
			t.Errorf("it does not say so:\n%s", p.out)
		}
	}
	if calls := emulator.Calls(); len(calls) > 0 {
		t.Errorf("%d token calls", len(calls))
	}
}

// No program on the way out may write over the terminal.
func TestLinesStayLines(t *testing.T) {
	var out strings.Builder
	r := &report{out: &out, secrets: []string{"s3cret"}}
	r.fail("page", problem{"said \x1b[2J s3cret\nand more", "nothing\r"})
	if got, want := out.String(), "✗ page: said  [2J [redacted] and more. To mend it: nothing .\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
