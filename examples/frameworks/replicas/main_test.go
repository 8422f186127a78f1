package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// start starts two replicas around one Redis.
func start(t *testing.T) (hubspot *hubspottest.Server, redisURL, first, second string) {
	t.Helper()
	hubspot, redisURL = story.HubSpot(t), redisServer(t)
	t.Setenv("HUBSPOT_STORE_SECRET", "32 characters that all replicas know")
	replica := func() string {
		app, quit, err := newApp(redisURL)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(app)
		t.Cleanup(func() {
			server.Close()
			if err := quit(); err != nil {
				t.Error(err)
			}
		})
		return server.URL
	}
	return hubspot, redisURL, replica(), replica()
}

// Whichever replica a request comes to, the visitor is the session's.
func TestVisitors(t *testing.T) {
	hubspot, _, first, second := start(t)
	story.Tell(t, hubspot, balance(t, first, second))
}

// What one replica asked HubSpot, the other need not: there the page is identified
// while HubSpot does not answer.
func TestShareTokens(t *testing.T) {
	hubspot, redisURL, first, second := start(t)
	browser := story.Open(t, first)
	before := browser.SignIn("ada@example.com")
	story.Expect(t, hubspot, "the first replica's page", before, "ada@example.com")
	waitForRecord(t, redisURL)

	outage := hubspottest.FaultUnavailable()
	hubspot.SetOutage(&outage)
	after := browser.At(second).Get("/")
	story.Expect(t, hubspot, "the second replica's page", after, "ada@example.com")
	if after.Token != before.Token {
		t.Error("the second replica's page has another token")
	}
	if n := len(hubspot.Calls()); n != 1 {
		t.Errorf("%d calls to HubSpot, want 1", n)
	}

	browser.At(second).SignOut()
	for _, site := range []string{first, second} {
		story.Expect(t, hubspot, "the page after the sign-out", browser.At(site).Get("/"), "")
	}
}

// waitForRecord waits for the token in Redis: no page waits until it is there.
func waitForRecord(t *testing.T, redisURL string) {
	t.Helper()
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		keys, err := client.Keys(t.Context(), "hubspot-visitor:token:*").Result()
		if err == nil && len(keys) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Redis has the records %q: %v", keys, err)
		}
	}
}

// balance gives the replicas the requests in turn.
func balance(t *testing.T, replicas ...string) string {
	t.Helper()
	var n atomic.Int64
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		target, _ := url.Parse(replicas[int(n.Add(1))%len(replicas)])
		r.SetURL(target)
		r.Out.Host = r.In.Host // the token endpoint compares it with the page's origin
	}}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// redisServer starts a Redis that nobody else uses, and gives its URL.
func redisServer(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		story.Missing(t, "redis-server is missing (Debian: apt-get install redis-server)")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	var said bytes.Buffer
	cmd := exec.Command(program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return "unix://" + socket
		}
		select {
		case <-ended:
			t.Fatalf("redis-server does not start: %s", said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
}
