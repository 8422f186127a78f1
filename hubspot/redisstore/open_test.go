package redisstore_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/redisstore"
)

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		form string // %s is the server's address
		user string // that the server wants, with the password "pa/ss"
		db   int
	}{
		{form: "redis://%s"},
		{form: "redis://%s/"},
		{form: " redis://%s/0\n"},
		{form: "redis://%s/3", db: 3},
		{form: "redis://%s?db=3", db: 3},
		{form: "redis://ada:pa%%2Fss@%s/3", user: "ada", db: 3},
		{form: "redis://:pa%%2Fss@%s", user: "default"},
	} {
		m := miniredis.RunT(t)
		if tt.user != "" {
			m.RequireUserAuth(tt.user, "pa/ss")
		}
		store := mustOpen(t, fmt.Sprintf(tt.form, m.Addr()))
		mustSet(t, store, "key", []byte("value"), time.Minute)
		wantValue(t, store, "key", []byte("value"))
		if got, err := m.DB(tt.db).Get("key"); got != "value" {
			t.Errorf("%s: database %d has %q, %v", tt.form, tt.db, got, err)
		}
	}
}

func TestOpenWithTLS(t *testing.T) {
	selfSigned := httptest.NewTLSServer(nil)
	defer selfSigned.Close()
	m, err := miniredis.RunTLS(selfSigned.TLS)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	mustSet(t, mustOpen(t, "rediss://"+m.Addr()+"?skip_verify=true"), "key", []byte("value"), time.Minute)
	for _, form := range []string{"rediss://%s", "rediss://%s?skip_verify=false", "redis://%s"} {
		wantErrors(t, t.Context(), mustOpen(t, fmt.Sprintf(form, m.Addr())), nil)
	}
}

// Whatever is in a password, it is either used as it is or kept out of the error.
func TestOpenPasswords(t *testing.T) {
	for _, odd := range []string{"/", "?", "#", "@", ":", "&", "=", "%", "%zz", "+", " ", "[", "]", ";", "\n", "\x00", "'", "ü", "/?", "?&", "#@", "@/"} {
		password := "hunter" + odd + "secret"
		m := miniredis.RunT(t)
		m.RequireUserAuth("ada", password)
		encoded := url.UserPassword("ada", password).String()
		mustSet(t, mustOpen(t, "redis://"+encoded+"@"+m.Addr()), "key", []byte("value"), time.Minute)

		for _, form := range []string{
			"redis://ada:%s@127.0.0.1", "redis://:%s@127.0.0.1:6379/0", "redis://ada:%s", "redis://127.0.0.1?master_name=tokens&password=%s",
			"redis://127.0.0.1?addr=ada:%s@127.0.0.2", "unix://ada:%s@/run/redis.sock", "%s", "%s://127.0.0.1",
			"redis://ada:12%s@127.0.0.1", "redis://127.0.0.1/%s", "redis://127.0.0.1?%s", "redis://127.0.0.1?db=%s",
		} {
			store, err := redisstore.Open(fmt.Sprintf(form, password))
			if err == nil {
				_ = store.Close()
				continue
			}
			if said := err.Error(); strings.Contains(said, "hunter") || strings.Contains(said, "secret") {
				t.Errorf("%s with %q: %v", form, password, err)
			}
		}
	}
}

func TestOpenProblems(t *testing.T) {
	for url, want := range map[string][]string{
		"":                                     {"begin with"},
		"redis":                                {"begin with"},
		"127.0.0.1:6379":                       {"begin with"},
		"http://host":                          {"begin with"},
		"REDIS_URL://host":                     {"begin with"},
		"unix+cluster:///run/redis.sock":       {"begin with"},
		"redis://":                             {"no host"},
		"redis://:6379":                        {"no host"},
		"redis:///3":                           {"no host"},
		"redis://ada:pw@":                      {"no host"},
		"redis://host:port":                    {"host and port"},
		"redis://host:6379,other:6379":         {"host and port"},
		"redis://host,other":                   {"host and port"},
		"redis://ho st":                        {"host and port"},
		"redis://::1":                          {"host and port"},
		"redis://host:65536":                   {"host and port"},
		"redis://ada:pw@host:0":                {"host and port"},
		"redis://ada:100%x@host":               {"percent-encoded"},
		"redis://ada:a/b@host":                 {"percent-encoded"},
		"redis://ada:a?b@host":                 {"percent-encoded"},
		"redis://ada:a#b@host":                 {"percent-encoded"},
		"redis://host/0#fragment":              {"percent-encoded"},
		"redis://host?db=%zz":                  {"percent-encoded"},
		"redis://host?db=1;addr=other":         {"percent-encoded"},
		"redis://host/%zz":                     {"path"},
		"redis://host/tokens":                  {"number of a database"},
		"redis://host/-1":                      {"number of a database"},
		"redis://host/1/2":                     {"number of a database"},
		"redis://host?db=one":                  {"number of a database"},
		"redis://host?db=":                     {"db is empty"},
		"redis://host?db=1&db=2":               {"db is there more than once"},
		"redis://host?addr=other&db=1":         {"cluster"},
		"redis://host/1?addr=other":            {"cluster"},
		"redis+cluster://host/1":               {"cluster"},
		"redis+cluster://host?master_name=one": {"master_name"},
		"redis://host?master_name=":            {"master_name is empty"},
		"redis://host?addr=":                   {"addr is empty"},
		"redis://host?addr=other:port":         {"addr has to be"},
		"redis://host?addr=:6379":              {"addr has to be"},
		"redis://host?addr=other:65536":        {"addr has to be"},
		"redis://host?addr=other,third":        {"addr has to be"},
		"redis://host?addr=other/1":            {"addr has to be"},
		"redis://host?addr=ada:pw%40other":     {"addr has to be"},
		"redis://host?username=ada":            {"username and password"},
		"redis+cluster://host?password=pw":     {"username and password"},
		"redis://host?dial_timeout=3s":         {"none of addr, db"},
		"redis://host?skip_verify=true":        {"skip_verify is for"},
		"rediss://host?skip_verify=yes":        {"skip_verify has to be"},
		"unix://":                              {"socket"},
		"unix://run/redis.sock":                {"socket"},
		"unix:///run/redis.sock?addr=host":     {"socket"},
		"unix:///run/redis.sock?db=x":          {"number of a database"},
		"unix:///run/redis.sock?master_name=a": {"socket"},
		"redis:///x?skip_verify=1&addr=&b=":    {"addr is empty", "none of addr, db", "no host", "cluster", "number of a database", "skip_verify has to be", "skip_verify is for"},
	} {
		store, err := redisstore.Open(url)
		if err == nil {
			_ = store.Close()
			t.Errorf("%s: no error", url)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		for i, line := range lines {
			if len(lines) != len(want) || !strings.Contains(line, want[i]) || !strings.HasPrefix(line, "redisstore: the URL ") {
				t.Errorf("%s: %q, want %q", url, lines, want)
				break
			}
		}
	}
}

// A Redis that does not answer holds what is asked without a deadline, such as a
// cluster's topology, for half a second and not for go-redis's five.
func TestOpenGivesUp(t *testing.T) {
	silent := listenSilently(t).Addr().String()
	for _, scheme := range []string{"redis://", "redis+cluster://"} {
		began := time.Now()
		_, _, err := mustOpen(t, scheme+silent).Get(t.Context(), "key")
		if took := time.Since(began); err == nil || took > 3*time.Second {
			t.Errorf("%s: %v after %v", scheme, err, took)
		}
	}
}

// A Redis that is down is asked once for each call, and does not keep Open.
func TestOpenAsksOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_ = conn.Close()
		}
	}()
	store := mustOpen(t, "redis://"+l.Addr().String())
	if _, _, err := store.Get(t.Context(), "key"); err == nil || asked.Load() != 1 {
		t.Errorf("asked %d times, with the error %v", asked.Load(), err)
	}
	_ = l.Close()
	<-done
	// go-redis would dial five times, a tenth of a second apart. The machine may be
	// slow, but not always.
	quickest := time.Hour
	for range 5 {
		began := time.Now()
		if _, _, err := store.Get(t.Context(), "key"); err == nil {
			t.Error("no error, and no server")
		}
		quickest = min(quickest, time.Since(began))
	}
	if quickest > 90*time.Millisecond {
		t.Errorf("a refused connection took %v at least", quickest)
	}
}
