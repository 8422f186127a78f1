package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clientOptions are those that the package documentation recommends.
func clientOptions(addr string) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                 []string{addr},
		ContextTimeoutEnabled: true,
		MaxRetries:            -1,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           500 * time.Millisecond,
	}
}

// server is a real Redis that this test started.
type server struct {
	binary string
	args   []string
	port   string
	addr   string
	url    string
	dir    string        // where SAVE writes
	rdb    *redis.Client // to look inside
	keeper *child
}

// startServer starts a Redis that nobody else uses. Without its binary the test
// is skipped, unless CI counts on it.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing, and required with CI=true (Debian: apt-get install redis-server)")
		}
		t.Skip("SKIPPED: redis-server is missing (Debian: apt-get install redis-server)")
	}
	return startBinary(t, binary, args...)
}

// startBinary starts what serves as Redis does.
func startBinary(t *testing.T, binary string, args ...string) *server {
	t.Helper()
	for range 5 {
		s := &server{binary: binary, args: args, port: freePort(t)}
		s.addr = "127.0.0.1:" + s.port
		s.url = "redis://" + s.addr
		if s.start(t) {
			return s
		}
	}
	t.Fatal(binary + " finds no port")
	return nil
}

// start reports whether the Redis is up: its port may be somebody else's by now.
func (s *server) start(t *testing.T) bool {
	t.Helper()
	s.dir = t.TempDir()
	command := append([]string{s.binary}, s.args...)
	s.keeper = startChild(t, roleKeeper, append(command,
		"--save", "", "--appendonly", "no", "--port", s.port, "--bind", "127.0.0.1",
		"--dir", s.dir, "--rdbcompression", "no"), nil) // so that a dump can be searched
	s.rdb = redis.NewClient(clientOptions(s.addr).Simple())
	t.Cleanup(func() { _ = s.rdb.Close() })
	itself := "process_id:" + s.keeper.ready + "\r\n"
	eventually(t, "redis-server answers", func() bool {
		return !s.keeper.alive() || strings.Contains(s.rdb.Info(t.Context(), "server").Val(), itself)
	})
	return s.keeper.alive()
}

// kill ends the Redis with SIGKILL.
func (s *server) kill(t *testing.T) { s.keeper.end(t) }

// freeze lets it keep its connections and answer no more.
func (s *server) freeze(t *testing.T) {
	t.Helper()
	// By the shell, so that the tests build where there is no such signal.
	if err := exec.Command("sh", "-c", "kill -STOP "+s.keeper.ready).Run(); err != nil {
		t.Error(err)
	}
}

// restart starts it again, without its data.
func (s *server) restart(t *testing.T) {
	t.Helper()
	if !s.start(t) {
		t.Fatalf("the Redis does not come back:\n%s", s.keeper.log.String())
	}
}

// keys are all keys of the Redis.
func (s *server) keys(t *testing.T) []string {
	t.Helper()
	var keys []string
	all := s.rdb.Scan(t.Context(), 0, "*", 1000).Iterator()
	for all.Next(t.Context()) {
		keys = append(keys, all.Val())
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// freePort is one where nobody listens. It is below the ports that Linux gives to
// outgoing connections, one of which could otherwise take it, or meet itself.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(12_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			_, port, _ := net.SplitHostPort(addr)
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// onEachServer runs a test on Redis, and on Valkey where there is one: not every
// Debian has it, so without it the test is skipped, in CI too.
func onEachServer(t *testing.T, test func(*testing.T, *server)) {
	t.Run("redis", func(t *testing.T) { test(t, startServer(t)) })
	t.Run("valkey", func(t *testing.T) {
		binary, err := exec.LookPath("valkey-server")
		if err != nil {
			t.Skip("SKIPPED: valkey-server is missing (from Debian 13 on: apt-get install valkey-server)")
		}
		test(t, startBinary(t, binary))
	})
}

// needsProof skips a test that takes long.
func needsProof(t *testing.T) {
	t.Helper()
	if os.Getenv("PROOF") == "" {
		t.Skip("takes long: PROOF=1 runs it")
	}
}
