package redisstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
	port   string
	addr   string
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
			t.Fatal("redis-server is missing: apt-get install redis-server")
		}
		t.Skip("redis-server is missing, and this test needs it: apt-get install redis-server")
	}
	for range 5 {
		s := &server{port: freePort(t)}
		s.addr = "127.0.0.1:" + s.port
		if s.start(t, binary, args...) {
			return s
		}
	}
	t.Fatal("redis-server finds no port")
	return nil
}

// start reports whether the Redis is up: its port may be somebody else's by now.
func (s *server) start(t *testing.T, binary string, args ...string) bool {
	t.Helper()
	s.dir = t.TempDir()
	command := append([]string{binary}, args...)
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

// restart starts it again, without its data.
func (s *server) restart(t *testing.T) {
	t.Helper()
	if !s.start(t, "redis-server") {
		t.Fatalf("redis-server does not come back:\n%s", s.keeper.log.String())
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

// The contract holds on each kind of server that package redis has a client for.
func TestStoreOnRealServers(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		testContract(t, redis.NewUniversalClient(clientOptions(s.addr)), nil)
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		monitor := "sentinel monitor tokens 127.0.0.1 " + s.port + " 1\n"
		if err := os.WriteFile(conf, []byte(monitor), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinel := startServer(t, conf, "--sentinel")
		options := clientOptions(sentinel.addr)
		options.MasterName = "tokens"
		testContract(t, redis.NewUniversalClient(options), nil)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		// Two nodes that share the slots, so that redirects happen.
		one, two := startServer(t, "--cluster-enabled", "yes"), startServer(t, "--cluster-enabled", "yes")
		ctx := t.Context()
		for _, err := range []error{
			one.rdb.ClusterAddSlotsRange(ctx, 0, 8191).Err(),
			two.rdb.ClusterAddSlotsRange(ctx, 8192, 16383).Err(),
			one.rdb.ClusterMeet(ctx, "127.0.0.1", two.port).Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, node := range []*server{one, two} {
			eventually(t, "the cluster is whole", func() bool { return clusterWhole(ctx, node.rdb) })
		}
		options := clientOptions(one.addr)
		options.IsClusterMode = true
		testContract(t, redis.NewUniversalClient(options), nil)
	})
}

func clusterWhole(ctx context.Context, node *redis.Client) bool {
	shards, err := node.ClusterShards(ctx).Result()
	if err != nil || len(shards) != 2 {
		return false
	}
	// The nodes answer for each other's keys only when they are sure of the state.
	err = node.Get(ctx, "any").Err()
	return err == redis.Nil || redis.HasErrorPrefix(err, "MOVED")
}
