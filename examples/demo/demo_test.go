package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The session store of every shop looks for expired sessions for good.
		goleak.IgnoreAnyFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// browser is somebody who visits a shop.
type browser struct {
	t        *testing.T
	shop     string
	client   *http.Client
	emulator *hubspottest.Server
}

func open(t *testing.T) *browser {
	t.Helper()
	emulator := hubspottest.NewServer(t)
	return visit(t, emulator.URL, emulator)
}

func visit(t *testing.T, origin string, emulator *hubspottest.Server) *browser {
	t.Helper()
	shop, err := newShop(origin)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(shop)
	t.Cleanup(server.Close)
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	return &browser{t, server.URL, client, emulator}
}

// response is where a request ended, after redirects.
type response struct {
	status int
	path   string
	header http.Header
	body   string
}

func (b *browser) send(req *http.Request, err error) response {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response{res.StatusCode, res.Request.URL.Path, res.Header, string(body)}
}

func (b *browser) get(path string) response {
	b.t.Helper()
	return b.send(http.NewRequest("GET", b.shop+path, nil))
}

func (b *browser) post(path string, form url.Values) response {
	b.t.Helper()
	req, err := http.NewRequest("POST", b.shop+path, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return b.send(req, err)
}

func (b *browser) signIn(email string) response {
	b.t.Helper()
	res := b.post("/login", url.Values{"email": {email}})
	if res.status != http.StatusOK || res.path != "/account" {
		b.t.Fatalf("signing in as %s ended at %s with %d", email, res.path, res.status)
	}
	return res
}

var (
	identifiedAs = regexp.MustCompile(`"identificationEmail":"([^"]*)"`)
	tokenInPage  = regexp.MustCompile(`"identificationToken":"([^"]+)"`)
)

// expectVisitor checks whom the page identifies, nobody if email is empty, and
// that HubSpot would believe it.
func (b *browser) expectVisitor(res response, email string) {
	b.t.Helper()
	if !strings.Contains(res.body, "/12345678.js") {
		b.t.Errorf("%s has no chat", res.path)
	}
	names, tokens := identifiedAs.FindStringSubmatch(res.body), tokenInPage.FindStringSubmatch(res.body)
	if email == "" {
		if names != nil && names[1] != "" || tokens != nil {
			b.t.Errorf("%s identifies a visitor: %v", res.path, names)
		}
		return
	}
	if names == nil || tokens == nil || names[1] != email {
		b.t.Fatalf("%s identifies %v, want %s", res.path, names, email)
	}
	if err := b.emulator.Verify(email, tokens[1]); err != nil {
		b.t.Errorf("HubSpot refuses what %s says: %v", res.path, err)
	}
	if cc := strings.Join(res.header.Values("Cache-Control"), ", "); !strings.HasPrefix(cc, "private, no-store") {
		b.t.Errorf("%s with a token may be kept: Cache-Control %q", res.path, cc)
	}
}

func (b *browser) expectCalls(emails ...string) {
	b.t.Helper()
	var got []string
	for _, call := range b.emulator.Calls() {
		got = append(got, call.Email)
	}
	if strings.Join(got, " ") != strings.Join(emails, " ") {
		b.t.Errorf("token calls for %v, want %v", got, emails)
	}
}

func TestSignedOut(t *testing.T) {
	b := open(t)
	for path, want := range map[string]struct {
		status int
		ends   string
	}{
		"/":         {http.StatusOK, "/"},
		"/help":     {http.StatusOK, "/help"},
		"/workshop": {http.StatusOK, "/workshop"},
		"/login":    {http.StatusOK, "/login"},
		"/account":  {http.StatusOK, "/login"},
		"/nowhere":  {http.StatusNotFound, "/nowhere"},
	} {
		res := b.get(path)
		if res.status != want.status || res.path != want.ends {
			t.Errorf("%s: ended at %s with %d, want %s with %d", path, res.path, res.status, want.ends, want.status)
		}
		b.expectVisitor(res, "")
	}
	b.expectCalls()
}

func TestBothPeopleOneAfterTheOther(t *testing.T) {
	b := open(t)

	b.expectVisitor(b.signIn("first@example.com"), "first@example.com")
	b.expectVisitor(b.get("/"), "first@example.com")
	help := b.get("/help")
	b.expectVisitor(help, "")
	if cc := help.header.Get("Cache-Control"); !strings.Contains(help.body, "Fiona First") || !strings.HasPrefix(cc, "private, no-store") {
		t.Errorf("/help with the person's name may be kept: Cache-Control %q", cc)
	}
	b.expectCalls("first@example.com")
	if call := b.emulator.Calls()[0]; call.FirstName != "Fiona" || call.LastName != "First" {
		t.Errorf("HubSpot was told the name %q %q", call.FirstName, call.LastName)
	}

	res := b.post("/logout", nil)
	if res.path != "/" {
		t.Errorf("signing out ended at %s", res.path)
	}
	b.expectVisitor(res, "")
	if res := b.get("/account"); res.path != "/login" {
		t.Error("the account is open after signing out")
	}

	b.expectVisitor(b.signIn("second@example.com"), "second@example.com")
	b.expectVisitor(b.get("/account"), "second@example.com")
	b.expectCalls("first@example.com", "second@example.com")
}

func TestChangeOfPersonWithoutSigningOut(t *testing.T) {
	b := open(t)
	b.signIn("first@example.com")
	b.expectVisitor(b.signIn("second@example.com"), "second@example.com")
	b.expectCalls("first@example.com", "second@example.com")
}

func TestUnknownEmail(t *testing.T) {
	b := open(t)
	for _, email := range []string{"", "third@example.com", "<script>@example.com"} {
		res := b.post("/login", url.Values{"email": {email}})
		if res.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: status %d, want 422", email, res.status)
		}
		for _, want := range []string{"Nobody has an account with this e-mail address.", `value="first@example.com"`} {
			if !strings.Contains(res.body, want) {
				t.Errorf("%q: the page lacks %s", email, want)
			}
		}
	}
	if res := b.get("/account"); res.path != "/login" {
		t.Error("an unknown e-mail address signed in")
	}
}

func TestSessionCookie(t *testing.T) {
	b := open(t)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cookie := func(email string) string {
		res := b.post("/login", url.Values{"email": {email}})
		for _, line := range res.header.Values("Set-Cookie") {
			if strings.HasPrefix(line, "fernhill_session=") {
				return line
			}
		}
		t.Fatal("no session cookie")
		return ""
	}
	first := cookie("first@example.com")
	for _, want := range []string{"HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(first, want) {
			t.Errorf("the session cookie lacks %s: %s", want, first)
		}
	}
	again := cookie("first@example.com")
	if strings.Split(first, ";")[0] == strings.Split(again, ";")[0] {
		t.Error("signing in keeps the session token")
	}
}

func TestSigningOutExpiresTheChatsCookies(t *testing.T) {
	b := open(t)
	b.signIn("first@example.com")
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	set := strings.Join(b.post("/logout", nil).header.Values("Set-Cookie"), "\n")
	if !strings.Contains(set, "messagesUtk=; Path=/; Max-Age=0") {
		t.Errorf("Set-Cookie at sign-out: %s", set)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	b := open(t)
	for _, path := range []string{"/login", "/logout", "/hubspot-visitor/token"} {
		req, err := http.NewRequest("POST", b.shop+path, nil)
		if err == nil {
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		if res := b.send(req, err); res.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", path, res.status)
		}
	}
}

func TestTokenEndpoint(t *testing.T) {
	b := open(t)
	if res := b.post("/hubspot-visitor/token", nil); res.status != http.StatusNoContent {
		t.Errorf("signed out: status %d, want 204", res.status)
	}
	b.signIn("first@example.com")
	if res := b.post("/hubspot-visitor/token", nil); res.status != http.StatusOK || !strings.Contains(res.body, `"email":"first@example.com"`) {
		t.Errorf("signed in: %d %s", res.status, res.body)
	}
	b.expectCalls("first@example.com")
}

func TestContentSecurityPolicy(t *testing.T) {
	b := open(t)
	nonces := make(map[string]bool)
	for range 2 {
		res := b.get("/")
		csp := res.header.Get("Content-Security-Policy")
		found := regexp.MustCompile(`script-src 'nonce-(\w{20,})'`).FindStringSubmatch(csp)
		if found == nil {
			t.Fatalf("no nonce in %s", csp)
		}
		nonces[found[1]] = true
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, b.emulator.URL) {
			t.Errorf("policy: %s", csp)
		}
		scripts := strings.Count(res.body, "<script")
		if scripts < 2 || strings.Count(res.body, `nonce="`+found[1]+`"`) != scripts {
			t.Errorf("not all of the %d scripts have the nonce", scripts)
		}
		if strings.Contains(res.body, "style=") || strings.Contains(res.body, "<style") {
			t.Error("the page has inline styles")
		}
	}
	if len(nonces) != 2 {
		t.Error("two pages have the same nonce")
	}
}

// The workshop's page is the same for everybody, so that caches may keep it.
func TestWorkshop(t *testing.T) {
	b := open(t)
	nobodys := b.get("/workshop")
	b.signIn("first@example.com")
	mine := b.get("/workshop")
	if mine.body != nobodys.body {
		t.Error("the page of somebody who is signed in is another one")
	}
	b.expectVisitor(mine, "")
	if cc, vary := mine.header.Get("Cache-Control"), mine.header.Get("Vary"); cc != "public, max-age=60" || vary != "" {
		t.Errorf("Cache-Control %q, Vary %q", cc, vary)
	}
	if set := mine.header.Values("Set-Cookie"); set != nil {
		t.Errorf("the page sets %q", set)
	}
	// A nonce that a cache keeps is no secret: the script is a file.
	if csp := mine.header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self' ") || strings.Contains(csp, "nonce-") {
		t.Errorf("policy: %s", csp)
	}
	for _, script := range regexp.MustCompile("<script[^>]*>").FindAllString(mine.body, -1) {
		src := regexp.MustCompile(` src="([^"]*)"`).FindStringSubmatch(script)
		if src == nil {
			if script != `<script type="application/json">` {
				t.Errorf("a script within the page: %s", script)
			}
			continue
		}
		if res := b.get(src[1]); res.status != http.StatusOK || !strings.HasPrefix(res.header.Get("Content-Type"), "text/javascript") {
			t.Errorf("%s: %d %s", src[1], res.status, res.header.Get("Content-Type"))
		}
	}
	for _, want := range []string{`data-load="click"`, `data-hubspot-chat="open"`, `data-fallback="mailto:`} {
		if !strings.Contains(mine.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestStaticFiles(t *testing.T) {
	b := open(t)
	for path, want := range map[string]string{"/static/shop.css": "text/css", "/static/icon.svg": "image/svg+xml"} {
		if res := b.get(path); res.status != http.StatusOK || !strings.HasPrefix(res.header.Get("Content-Type"), want) {
			t.Errorf("%s: %d %s", path, res.status, res.header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/static/", "/static/nothing.css", "/static/..%2fshop.go"} {
		if res := b.get(path); res.status != http.StatusNotFound && res.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", path, res.status)
		}
	}
}

// With the variables of the real HubSpot nothing of the emulator is left, except
// that this test points HUBSPOT_API_URL to one.
func TestRealHubSpot(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	european := strings.Replace(hubspottest.AccessToken.Reveal(), "na1", "eu1", 1)
	emulator.SetAccessToken(european)
	t.Setenv("HUBSPOT_ACCESS_TOKEN", european)
	t.Setenv("HUBSPOT_PORTAL_ID", hubspottest.PortalID)
	t.Setenv("HUBSPOT_API_URL", emulator.URL)
	t.Setenv("HUBSPOT_LOADER_URL", "")
	if cfg := configFromEnv(); cfg.emulatorAddr != "" {
		t.Fatalf("the emulator would be started on %s", cfg.emulatorAddr)
	}
	b := visit(t, "", emulator)
	res := b.signIn("first@example.com")
	b.expectVisitor(res, "first@example.com")
	if !strings.Contains(res.body, `src="//js-eu1.hs-scripts.com/12345678.js"`) {
		t.Error("the page does not load HubSpot's script of the region")
	}
	if !strings.Contains(res.header.Get("Content-Security-Policy"), "*.hs-sites-eu1.com") {
		t.Error("the policy is of another region")
	}
	if all := res.body + res.header.Get("Content-Security-Policy"); strings.Contains(all, "/inbox") || strings.Contains(all, emulator.URL) {
		t.Error("the page knows the emulator")
	}
}

func TestConfigFromEnv(t *testing.T) {
	for _, name := range []string{"ADDR", "HUBSPOT_EMULATOR_ADDR", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PORTAL_ID"} {
		t.Setenv(name, "")
	}
	if got, want := configFromEnv(), (config{"127.0.0.1:8080", "127.0.0.1:8081"}); got != want {
		t.Errorf("defaults: %+v, want %+v", got, want)
	}
	t.Setenv("ADDR", "127.0.0.1:9000")
	t.Setenv("HUBSPOT_EMULATOR_ADDR", "127.0.0.1:9001")
	t.Setenv("HUBSPOT_PORTAL_ID", "1") // not enough for the real HubSpot
	if got, want := configFromEnv(), (config{"127.0.0.1:9000", "127.0.0.1:9001"}); got != want {
		t.Errorf("set: %+v, want %+v", got, want)
	}
	// In the shell where the lines that the demo prints were exported.
	t.Setenv("HUBSPOT_ACCESS_TOKEN", hubspottest.AccessToken.Reveal())
	if got, want := configFromEnv(), (config{"127.0.0.1:9000", "127.0.0.1:9001"}); got != want {
		t.Errorf("with the emulator's access token: %+v, want %+v", got, want)
	}
}

func TestRunServesUntilItIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, config{"127.0.0.1:0", "127.0.0.1:0"}, write)
		_ = write.Close()
		ended <- err
	}()

	origins := make(map[string]string)
	exported := make(map[string]string)
	lines := bufio.NewScanner(read)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
		if line, ok := strings.CutPrefix(lines.Text(), "  export "); ok {
			name, value, _ := strings.Cut(line, "=")
			exported[name] = value
		}
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && strings.HasPrefix(fields[1], "http://") {
			origins[fields[0]] = fields[1]
		}
	}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for _, address := range []string{origins["Shop"] + "/", origins["HubSpot"] + "/inbox"} {
		res, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", address, res.StatusCode)
		}
	}
	for name, want := range map[string]string{
		"HUBSPOT_ACCESS_TOKEN": hubspottest.AccessToken.Reveal(), "HUBSPOT_PORTAL_ID": "12345678",
		"HUBSPOT_API_URL": origins["HubSpot"], "HUBSPOT_LOADER_URL": origins["HubSpot"],
	} {
		if got := exported[name]; got != want {
			t.Errorf("another application is told %s=%s, want %s", name, got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for variable, cfg := range map[string]config{
		"ADDR":                  {addr, "127.0.0.1:0"},
		"HUBSPOT_EMULATOR_ADDR": {"127.0.0.1:0", addr},
	} {
		err := run(t.Context(), cfg, io.Discard)
		want := addr + " is in use by another program: end that, or set " + variable + " to another address"
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", variable, err, want)
		}
	}
}
