package hubspot_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// environment makes env the only HUBSPOT_ variables.
func environment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "HUBSPOT_") {
			t.Setenv(name, value) // to be restored
			os.Unsetenv(name)
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func with(env map[string]string, more ...string) map[string]string {
	all := map[string]string{"HUBSPOT_ACCESS_TOKEN": secretCredential, "HUBSPOT_PORTAL_ID": "12345678"}
	for name, value := range env {
		all[name] = value
	}
	for _, name := range more {
		delete(all, name)
	}
	return all
}

var variable = regexp.MustCompile(`HUBSPOT_[A-Z_]+`)

// variables are the first variables that the lines of an error name.
func variables(err error) (names []string) {
	if err == nil {
		return nil
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		names = append(names, variable.FindString(line))
	}
	slices.Sort(names)
	return names
}

func TestConfigFromEnvProblems(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	twoLines := filepath.Join(t.TempDir(), "two-lines")
	if err := os.WriteFile(twoLines, []byte(secretCredential+"\n"+secretCredential+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"the least":              {with(nil), nil},
		"nothing":                {nil, []string{"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PORTAL_ID"}},
		"no token":               {with(nil, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN"}},
		"empty token":            {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": ""}), []string{"HUBSPOT_ACCESS_TOKEN"}},
		"token of two lines":     {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": secretCredential + "\nX-Other: 1"}), []string{"HUBSPOT_ACCESS_TOKEN"}},
		"token with Bearer":      {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": "Bearer " + secretCredential}), []string{"HUBSPOT_ACCESS_TOKEN"}},
		"from end to end":        {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": "x-of-oauth-x"}), nil},
		"no portal":              {with(nil, "HUBSPOT_PORTAL_ID"), []string{"HUBSPOT_PORTAL_ID"}},
		"portal with letters":    {with(map[string]string{"HUBSPOT_PORTAL_ID": "12a45"}), []string{"HUBSPOT_PORTAL_ID"}},
		"portal as a path":       {with(map[string]string{"HUBSPOT_PORTAL_ID": "../1"}), []string{"HUBSPOT_PORTAL_ID"}},
		"portal with a line end": {with(map[string]string{"HUBSPOT_PORTAL_ID": "123\n"}), []string{"HUBSPOT_PORTAL_ID"}},
		"region eu1":             {with(map[string]string{"HUBSPOT_REGION": "eu1", "HUBSPOT_ACCESS_TOKEN": "CI-of-oauth"}), nil},
		"region na2":             {with(map[string]string{"HUBSPOT_REGION": "na2", "HUBSPOT_ACCESS_TOKEN": "CI-of-oauth"}), nil},
		"region na3":             {with(map[string]string{"HUBSPOT_REGION": "na3", "HUBSPOT_ACCESS_TOKEN": "CI-of-oauth"}), nil},
		"what a secret prints":   {with(map[string]string{"HUBSPOT_ACCESS_TOKEN": "[redacted]"}), []string{"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_ACCESS_TOKEN"}},
		"region ap1":             {with(map[string]string{"HUBSPOT_REGION": "ap1", "HUBSPOT_ACCESS_TOKEN": "CI-of-oauth"}), nil},
		"region na1":             {with(map[string]string{"HUBSPOT_REGION": "na1"}), nil},
		"unknown region":         {with(map[string]string{"HUBSPOT_REGION": "mars1"}), []string{"HUBSPOT_REGION"}},
		"region as a host":       {with(map[string]string{"HUBSPOT_REGION": "x.evil.example/"}), []string{"HUBSPOT_REGION"}},
		"https API":              {with(map[string]string{"HUBSPOT_API_URL": "https://api-eu1.hubapi.com"}), nil},
		"https API and slash":    {with(map[string]string{"HUBSPOT_API_URL": "https://api.hubapi.com/"}), nil},
		"http API elsewhere":     {with(map[string]string{"HUBSPOT_API_URL": "http://api.hubapi.com"}), []string{"HUBSPOT_API_URL"}},
		"http like loopback":     {with(map[string]string{"HUBSPOT_API_URL": "http://localhost.evil.example"}), []string{"HUBSPOT_API_URL"}},
		"http to 127.0.0.1":      {with(map[string]string{"HUBSPOT_API_URL": "http://127.0.0.1:8081"}), nil},
		"http to localhost":      {with(map[string]string{"HUBSPOT_API_URL": "http://localhost:8081"}), nil},
		"http to ::1":            {with(map[string]string{"HUBSPOT_API_URL": "http://[::1]:8081"}), nil},
		"API without scheme":     {with(map[string]string{"HUBSPOT_API_URL": "api.hubapi.com"}), []string{"HUBSPOT_API_URL"}},
		"API over ftp":           {with(map[string]string{"HUBSPOT_API_URL": "ftp://api.hubapi.com"}), []string{"HUBSPOT_API_URL"}},
		"loopback over ftp":      {with(map[string]string{"HUBSPOT_API_URL": "ftp://localhost"}), []string{"HUBSPOT_API_URL"}},
		"API with a user":        {with(map[string]string{"HUBSPOT_API_URL": "https://user:" + secretCredential + "@api.hubapi.com"}), []string{"HUBSPOT_API_URL"}},
		"API with a query":       {with(map[string]string{"HUBSPOT_API_URL": "https://api.hubapi.com?hapikey=" + secretCredential}), []string{"HUBSPOT_API_URL"}},
		"API with control":       {with(map[string]string{"HUBSPOT_API_URL": "https://api.hubapi.com\x7f"}), []string{"HUBSPOT_API_URL"}},
		"version by date":        {with(map[string]string{"HUBSPOT_API_VERSION": "2026-09"}), nil},
		"version v3":             {with(map[string]string{"HUBSPOT_API_VERSION": "v3"}), nil},
		"version of old":         {with(map[string]string{"HUBSPOT_API_VERSION": "conversations-v3"}), nil},
		"unknown version":        {with(map[string]string{"HUBSPOT_API_VERSION": "v9"}), []string{"HUBSPOT_API_VERSION"}},
		"month 13":               {with(map[string]string{"HUBSPOT_API_VERSION": "2026-13"}), []string{"HUBSPOT_API_VERSION"}},
		"version as a path":      {with(map[string]string{"HUBSPOT_API_VERSION": "../v3"}), []string{"HUBSPOT_API_VERSION"}},
		"durations":              {with(map[string]string{"HUBSPOT_TIMEOUT": "2s", "HUBSPOT_RENDER_BUDGET": "250ms"}), nil},
		"no durations":           {with(map[string]string{"HUBSPOT_TIMEOUT": "soon", "HUBSPOT_RENDER_BUDGET": "300"}), []string{"HUBSPOT_RENDER_BUDGET", "HUBSPOT_TIMEOUT"}},
		"negative durations":     {with(map[string]string{"HUBSPOT_TIMEOUT": "-1s", "HUBSPOT_RENDER_BUDGET": "-1ns"}), []string{"HUBSPOT_RENDER_BUDGET", "HUBSPOT_TIMEOUT"}},
		"loader":                 {with(map[string]string{"HUBSPOT_LOADER_URL": "http://127.0.0.1:8081"}), nil},
		"loader of any scheme":   {with(map[string]string{"HUBSPOT_LOADER_URL": "//cdn.example.com"}), nil},
		"loader as a script":     {with(map[string]string{"HUBSPOT_LOADER_URL": "javascript:alert(1)"}), []string{"HUBSPOT_LOADER_URL"}},
		"chat on":                {with(map[string]string{"HUBSPOT_CHAT": "on"}), nil},
		"chat unknown":           {with(map[string]string{"HUBSPOT_CHAT": "maybe"}), []string{"HUBSPOT_CHAT"}},
		"chat off":               {map[string]string{"HUBSPOT_CHAT": "off"}, nil},
		"chat off, no file":      {map[string]string{"HUBSPOT_CHAT": "off", "HUBSPOT_ACCESS_TOKEN_FILE": missing}, nil},
		"chat anonymous":         {map[string]string{"HUBSPOT_CHAT": "anonymous", "HUBSPOT_PORTAL_ID": "12345678"}, nil},
		"chat anonymous, empty":  {map[string]string{"HUBSPOT_CHAT": "anonymous"}, []string{"HUBSPOT_PORTAL_ID"}},
		"store secret":           {with(map[string]string{"HUBSPOT_STORE_SECRET": strings.Repeat("s", 32)}), nil},
		"short store secret":     {with(map[string]string{"HUBSPOT_STORE_SECRET": strings.Repeat("s", 31)}), []string{"HUBSPOT_STORE_SECRET"}},
		"file missing":           {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": missing}, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN_FILE"}},
		"file empty":             {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": empty}, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN_FILE"}},
		"file of two lines":      {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": twoLines}, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN_FILE"}},
		"file is a directory":    {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": t.TempDir()}, "HUBSPOT_ACCESS_TOKEN"), []string{"HUBSPOT_ACCESS_TOKEN_FILE"}},
		"token and file":         {with(map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": twoLines}), []string{"HUBSPOT_ACCESS_TOKEN_FILE", "HUBSPOT_ACCESS_TOKEN_FILE"}},
		"everything": {map[string]string{
			"HUBSPOT_ACCESS_TOKEN": "Bearer " + secretCredential, "HUBSPOT_ACCESS_TOKEN_FILE": missing, "HUBSPOT_PORTAL_ID": secretCredential,
			"HUBSPOT_REGION": secretCredential, "HUBSPOT_API_URL": secretCredential, "HUBSPOT_API_VERSION": secretCredential,
			"HUBSPOT_TIMEOUT": secretCredential, "HUBSPOT_RENDER_BUDGET": secretCredential, "HUBSPOT_LOADER_URL": secretCredential,
			"HUBSPOT_CHAT": secretCredential, "HUBSPOT_STORE_SECRET": secretCredential[:31], "HUBSPOT_DEBUG": secretCredential,
		}, []string{
			"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_ACCESS_TOKEN_FILE", "HUBSPOT_ACCESS_TOKEN_FILE", "HUBSPOT_API_URL", "HUBSPOT_API_VERSION",
			"HUBSPOT_CHAT", "HUBSPOT_DEBUG", "HUBSPOT_LOADER_URL", "HUBSPOT_PORTAL_ID", "HUBSPOT_REGION", "HUBSPOT_RENDER_BUDGET", "HUBSPOT_STORE_SECRET", "HUBSPOT_TIMEOUT",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, tt.env)
			cfg, err := hubspot.ConfigFromEnv()
			if diff := cmp.Diff(tt.want, variables(err)); diff != "" {
				t.Errorf("variables (-want +got):\n%s\n%v", diff, err)
			}
			if err == nil {
				return
			}
			if cfg != (hubspot.Config{}) {
				t.Errorf("with an error, a configuration: %+v", cfg)
			}
			if spelling := leaks(err.Error(), secretCredential[:31]); spelling != "" {
				t.Errorf("a secret, %s: %v", spelling, err)
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "hubspot: ") {
					t.Errorf("line %q does not begin with the package's name", line)
				}
			}
		})
	}
}

// Whoever puts the access token where its file's name belongs finds it in the
// log of the failed start.
func TestAccessTokenInsteadOfItsFile(t *testing.T) {
	environment(t, map[string]string{"HUBSPOT_ACCESS_TOKEN_FILE": secretCredential, "HUBSPOT_PORTAL_ID": "12345678"})
	_, err := hubspot.ConfigFromEnv()
	if diff := cmp.Diff([]string{"HUBSPOT_ACCESS_TOKEN_FILE"}, variables(err)); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if err != nil && leaks(err.Error(), secretCredential) != "" {
		t.Errorf("the access token is in the error: %v", err)
	}
}

func TestConfigFromEnvReadsEveryVariable(t *testing.T) {
	environment(t, map[string]string{
		"HUBSPOT_ACCESS_TOKEN":  strings.Replace(secretCredential, "na1", "eu1", 1),
		"HUBSPOT_PORTAL_ID":     "12345678",
		"HUBSPOT_REGION":        "eu1",
		"HUBSPOT_API_URL":       "https://api-eu1.hubapi.com",
		"HUBSPOT_API_VERSION":   "2025-09",
		"HUBSPOT_TIMEOUT":       "2s",
		"HUBSPOT_RENDER_BUDGET": "150ms",
		"HUBSPOT_LOADER_URL":    "https://cdn.example.com",
		"HUBSPOT_CHAT":          "anonymous",
		"HUBSPOT_STORE_SECRET":  "0123456789abcdef0123456789abcdef",
		"HUBSPOT_DEBUG":         "true",
	})
	got, err := hubspot.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	want := hubspot.Config{
		AccessToken: hubspot.NewSecret(strings.Replace(secretCredential, "na1", "eu1", 1)), PortalID: "12345678", Region: "eu1", APIURL: "https://api-eu1.hubapi.com", APIVersion: "2025-09",
		Timeout: 2 * time.Second, RenderBudget: 150 * time.Millisecond, LoaderURL: "https://cdn.example.com", Chat: "anonymous",
		StoreSecret: hubspot.NewSecret("0123456789abcdef0123456789abcdef"), Debug: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoaderSrc(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  hubspot.Config
		want string
	}{
		"no portal":        {hubspot.Config{Region: "eu1"}, ""},
		"default":          {hubspot.Config{PortalID: "12345678"}, "//js.hs-scripts.com/12345678.js"},
		"na1":              {hubspot.Config{PortalID: "12345678", Region: "na1"}, "//js.hs-scripts.com/12345678.js"},
		"na2":              {hubspot.Config{PortalID: "12345678", Region: "na2"}, "//js-na2.hs-scripts.com/12345678.js"},
		"na3":              {hubspot.Config{PortalID: "12345678", Region: "na3"}, "//js-na3.hs-scripts.com/12345678.js"},
		"eu1":              {hubspot.Config{PortalID: "12345678", Region: "eu1"}, "//js-eu1.hs-scripts.com/12345678.js"},
		"ap1":              {hubspot.Config{PortalID: "12345678", Region: "ap1"}, "//js-ap1.hs-scripts.com/12345678.js"},
		"own loader":       {hubspot.Config{PortalID: "12345678", Region: "eu1", LoaderURL: "http://127.0.0.1:8081"}, "http://127.0.0.1:8081/12345678.js"},
		"own loader slash": {hubspot.Config{PortalID: "12345678", LoaderURL: "http://127.0.0.1:8081/"}, "http://127.0.0.1:8081/12345678.js"},
	} {
		if got := tt.cfg.LoaderSrc(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// The documented spellings of the token call, by HUBSPOT_API_VERSION.
func TestAPIVersionPaths(t *testing.T) {
	for version, path := range map[string]string{
		"":                 "/visitor-identification/2026-03/tokens/create",
		"2026-03":          "/visitor-identification/2026-03/tokens/create",
		"2025-09":          "/visitor-identification/2025-09/tokens/create",
		"2026-09":          "/visitor-identification/2026-09/tokens/create",
		"v3":               "/visitor-identification/v3/tokens/create",
		"conversations-v3": "/conversations/v3/visitor-identification/tokens/create",
	} {
		for _, slash := range []string{"", "/"} {
			s := hubspottest.NewServer(t)
			environment(t, map[string]string{
				"HUBSPOT_ACCESS_TOKEN": hubspottest.AccessToken.Reveal(), "HUBSPOT_PORTAL_ID": hubspottest.PortalID,
				"HUBSPOT_API_URL": s.URL + slash, "HUBSPOT_API_VERSION": version,
			})
			cfg, err := hubspot.ConfigFromEnv()
			if err != nil {
				t.Fatal(err)
			}
			client, err := hubspot.NewClient(cfg, hubspot.WithHTTPClient(s.Client()))
			if err != nil {
				t.Fatal(err)
			}
			token, err := client.CreateToken(t.Context(), ada)
			if err != nil {
				t.Errorf("%q: %v", version, err)
				continue
			}
			if err := s.Verify(ada.Email, token.Reveal()); err != nil {
				t.Errorf("%q: %v", version, err)
			}
			if calls := s.Calls(); len(calls) != 1 || calls[0].Path != path {
				t.Errorf("%q: calls %+v, want one of %s", version, calls, path)
			}
		}
	}
}

func TestDefaultHost(t *testing.T) {
	s := hubspottest.New()
	t.Cleanup(s.Close)
	client, err := hubspot.NewClient(hubspot.Config{AccessToken: hubspottest.AccessToken}, hubspot.WithHTTPClient(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateToken(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if host := s.Calls()[0].Host; host != "api.hubapi.com" {
		t.Errorf("called %s", host)
	}
}

func TestNewClientProblems(t *testing.T) {
	_, err := hubspot.NewClient(hubspot.Config{Region: "mars1", APIVersion: "v9", Timeout: -1})
	want := []string{"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_API_VERSION", "HUBSPOT_REGION", "HUBSPOT_TIMEOUT"}
	if diff := cmp.Diff(want, variables(err)); diff != "" {
		t.Errorf("variables (-want +got):\n%s\n%v", diff, err)
	}
}

// The README's table has each variable of Config, and no other.
func TestREADMETable(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	got := regexp.MustCompile("(?m)^[|] `HUBSPOT_.*|, `HUBSPOT_[A-Z_]+`").FindAllString(section, -1)
	variables := regexp.MustCompile("HUBSPOT_[A-Z_]+").FindAllString(strings.Join(got, "\n"), -1)
	var want []string
	for field := range reflect.TypeFor[hubspot.Config]().Fields() {
		if name, ok := field.Tag.Lookup("env"); ok {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	slices.Sort(variables)
	if variables = slices.Compact(variables); !slices.Equal(variables, want) {
		t.Errorf("README.md has %q, Config %q", variables, want)
	}
}
