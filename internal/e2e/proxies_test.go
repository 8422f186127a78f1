package e2e_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// proxy is a cache in front of the application, as Debian packages it.
type proxy struct {
	name     string
	program  string
	packaged string // Debian's package
	config   string // a template: .Dir, .Port and where the application is
	args     string // another
	hit      func(http.Header) bool

	asks     bool // requests with cookies are not answered from the cache
	careless bool // it overlooks cookies
	keeps    bool // everything is kept, whatever the application says of it, apart from Vary
}

// proxies are common set-ups, careful ones and careless ones.
var proxies = []proxy{
	{name: "nginx", program: "nginx", packaged: "nginx", config: nginx(""), args: nginxArgs, hit: xCache},
	// Two lines that are found in many a site's configuration.
	{name: "nginx that ignores Vary", program: "nginx", packaged: "nginx", config: nginx("proxy_ignore_headers Vary; proxy_cache_methods GET HEAD POST;"), args: nginxArgs, hit: xCache, careless: true},
	{name: "nginx that keeps everything", program: "nginx", packaged: "nginx", config: nginx("proxy_ignore_headers Cache-Control Expires Set-Cookie X-Accel-Expires;"), args: nginxArgs, hit: xCache, keeps: true},
	{name: "Varnish", program: "varnishd", packaged: "varnish", config: varnish(""), args: varnishArgs, hit: xVarnish, asks: true},
	// Whose vcl_recv never comes to the built-in one, which does not look up
	// requests that have cookies.
	{name: "Varnish that strips cookies", program: "varnishd", packaged: "varnish", config: varnish(`
sub vcl_recv {
	if (req.url ~ "^/(public|surrogate)") { unset req.http.Cookie; }
	if (req.method == "GET" || req.method == "HEAD") { return (hash); }
}`), args: varnishArgs, hit: xVarnish, careless: true},
	{name: "Squid", program: "squid", packaged: "squid", config: squid, args: "-N -f {{.Dir}}/config", hit: xCache},
}

const nginxArgs = "-p {{.Dir}} -c {{.Dir}}/config -e stderr"

func nginx(more string) string {
	return `daemon off;
master_process off; # one process, the current user's
pid {{.Dir}}/pid;
events {}
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	proxy_cache_path {{.Dir}}/cache keys_zone=pages:1m;
	server {
		listen 127.0.0.1:{{.Port}};
		location / {
			proxy_pass http://{{.Origin}};
			proxy_set_header Host $http_host;
			proxy_cache pages;
			proxy_cache_valid 200 10m;
			proxy_cache_lock on;
			proxy_cache_lock_timeout 50ms;
			proxy_cache_revalidate on;
			add_header X-Cache $upstream_cache_status always;
			` + more + `
		}
	}
}`
}

const varnishArgs = "-F -j none -n {{.Dir}}/work -a 127.0.0.1:{{.Port}} -T none -f {{.Dir}}/config -s malloc,16m -t 600 -p vsl_space=1M"

func varnish(more string) string {
	return `vcl 4.1;
backend default { .host = "{{.Host}}"; .port = "{{.OriginPort}}"; }` + more
}

const squid = `http_port 127.0.0.1:{{.Port}} accel vhost
cache_peer {{.Host}} parent {{.OriginPort}} 0 no-query no-digest originserver
http_access allow all
visible_hostname cache.test
cache_mem 16 MB
memory_cache_shared off
collapsed_forwarding on
refresh_pattern . 1 20% 5
access_log none
cache_log {{.Dir}}/log
pid_filename none
netdb_filename none
pinger_enable off
coredump_dir {{.Dir}}
shutdown_lifetime 0 seconds
`

// xCache is nginx's and Squid's word: HIT, or "HIT from cache.test".
func xCache(h http.Header) bool {
	state, _, _ := strings.Cut(h.Get("X-Cache"), " ")
	return state != "" && state != "MISS" && state != "EXPIRED" && state != "BYPASS"
}

// xVarnish has a second number for the request that fetched the object.
func xVarnish(h http.Header) bool { return len(strings.Fields(h.Get("X-Varnish"))) == 2 }

// start runs the cache in front of origin until the test ends.
func (p proxy) start(t *testing.T, origin string) (address string) {
	t.Helper()
	program, err := exec.LookPath(p.program)
	if err != nil { // Debian keeps servers where only root's PATH looks
		program, err = exec.LookPath("/usr/sbin/" + p.program)
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and required with CI=true", p.program)
	}
	if err != nil {
		t.Skipf("SKIPPED: %s is missing (Debian: apt-get install %s)", p.program, p.packaged)
	}
	host := strings.TrimPrefix(origin, "http://")
	for range 3 { // somebody else may take the port meanwhile
		if address := p.try(t, program, host); address != "" {
			return address
		}
	}
	t.Fatalf("%s does not start", p.name)
	return ""
}

func (p proxy) try(t *testing.T, program, origin string) (address string) {
	t.Helper()
	dir := t.TempDir()
	// Squid started by root goes on as another user.
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(origin)
	if err != nil {
		t.Fatal(err)
	}
	free := freeAddr(t)
	at, _ := url.Parse("http://" + free)
	fill := func(text string) string {
		var b strings.Builder
		if err := template.Must(template.New("").Parse(text)).Execute(&b, map[string]string{
			"Dir": dir, "Port": at.Port(), "Origin": origin, "Host": host, "OriginPort": port,
		}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(fill(p.config)), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, strings.Fields(fill(p.args))...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-ended:
			t.Logf("%s: %s", p.name, said.String())
			return ""
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", free); err == nil {
			conn.Close()
			return at.String()
		}
	}
	stop()
	t.Logf("%s is silent: %s", p.name, said.String())
	return ""
}
