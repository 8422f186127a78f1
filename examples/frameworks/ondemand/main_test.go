package main

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func TestVisitors(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	tell(t, hubspot, site)
}

// Behind nginx the same, and the application makes the page once.
func TestBehindNginx(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	cache := nginx(t, strings.TrimPrefix(site, "http://"))
	tell(t, hubspot, cache)
	browser := story.Open(t, cache)
	browser.SignIn("ada@example.com")
	for _, path := range []string{"/", "/account"} {
		page := browser.Get(path)
		if got := page.Header.Get("X-Cache"); (got == "HIT") != (path == "/") {
			t.Errorf("%s comes with X-Cache %q", path, got)
		}
	}
}

// tell is the story of one browser, two people one after the other, and somebody
// else who never signs in, where pages are public.
func tell(t *testing.T, hubspot *hubspottest.Server, site string) {
	t.Helper()
	browser, other := story.Open(t, site), story.Open(t, site)
	first := browser.Get("/")
	public := func(b *story.Browser) {
		t.Helper()
		page := b.Get("/")
		if page.Status != http.StatusOK || page.Body != first.Body || !strings.Contains(page.Body, `data-hubspot-visitor="?"`) || page.Email+page.Token != "" {
			t.Errorf("the page is not the same for everybody: %d %s", page.Status, page.Body)
		}
		if caching, vary := page.Header.Values("Cache-Control"), page.Header.Get("Vary"); len(caching) != 1 || caching[0] != "public, max-age=60" || vary != "" {
			t.Errorf("the page has Cache-Control %q and Vary %q", caching, vary)
		}
		if got := page.Header.Values("Set-Cookie"); got != nil {
			t.Errorf("the page sets %q", got)
		}
	}
	calls, marker := 0, ""
	for _, email := range []string{"ada@example.com", "grace@example.com"} {
		browser.SignIn(email)
		if browser.Marker() == "" || browser.Marker() == marker {
			t.Errorf("%s has the marker cookie %q, and the one before %q", email, browser.Marker(), marker)
		}
		marker = browser.Marker()
		public(browser)
		public(other)
		account := browser.Get("/account")
		if !strings.Contains(account.Body, email+" <button>Sign out") || account.Token != "" || account.Header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s's account: %v %s", email, account.Header, account.Body)
		}
		if n := len(hubspot.Calls()); n != calls {
			t.Errorf("%d calls to HubSpot before %s opens the chat, want %d", n, email, calls)
		}

		// On the click:
		if status, got, token := browser.Ask(); status != http.StatusOK || got != email || hubspot.Verify(email, token) != nil {
			t.Errorf("the endpoint says %d, %q, %q to %s", status, got, token, email)
		}
		if status, _, _ := other.Ask(); status != http.StatusNoContent {
			t.Errorf("the endpoint says %d to somebody else, want 204", status)
		}
		if calls++; len(hubspot.Calls()) != calls {
			t.Errorf("%d calls to HubSpot for %d chats", len(hubspot.Calls()), calls)
		}

		browser.SignOut()
		public(browser)
		if browser.Marker() != "" {
			t.Errorf("after the sign-out there is the marker cookie %q", browser.Marker())
		}
		if status, _, _ := browser.Ask(); status != http.StatusNoContent {
			t.Errorf("after the sign-out the endpoint says %d, want 204", status)
		}
	}
}

// nginx runs with the lines of nginx.conf in front of origin, and gives its address.
func nginx(t *testing.T, origin string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil { // Debian keeps servers where only root's PATH looks
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		story.Missing(t, "nginx is missing (Debian: apt-get install nginx)")
	}
	lines, err := os.ReadFile("nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // somebody else may take the port meanwhile
		if site := try(t, program, string(lines), origin); site != "" {
			return site
		}
	}
	t.Fatal("nginx does not start")
	return ""
}

func try(t *testing.T, program, lines, origin string) (site string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	for written, here := range map[string]string{"127.0.0.1:8000": address, "127.0.0.1:8080": origin, "/var/cache/nginx": dir} {
		if strings.Count(lines, written) != 1 {
			t.Fatalf("nginx.conf does not have %s once", written)
		}
		lines = strings.Replace(lines, written, here, 1)
	}
	config := filepath.Join(dir, "nginx.conf")
	frame := "daemon off; master_process off; pid " + dir + "/pid; events {}\nhttp { access_log off;\n"
	for _, temporary := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		frame += temporary + "_temp_path " + dir + "/" + temporary + ";\n"
	}
	if err := os.WriteFile(config, []byte(frame+lines+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "-p", dir, "-c", config, "-e", "stderr")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); <-ended })
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case <-ended:
			t.Logf("nginx: %s", said.String())
			return ""
		case <-time.After(10 * time.Millisecond): // another process's start has no other sign
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return "http://" + address
		}
	}
	return ""
}
