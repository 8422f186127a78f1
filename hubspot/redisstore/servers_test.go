package redisstore_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"
)

// The contract holds on each kind of server that Open has a form for.
func TestStoreOnRealServers(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, s *server) {
		t.Parallel()
		testContract(t, mustOpen(t, s.url), s.rdb, nil)
		s.allow(t, leastRights...)
		testLeastRights(t, withUser(t, s.url, nil))
		wantErrors(t, t.Context(), mustOpen(t, withUser(t, s.url+"/3", nil)), nil)
		s.allow(t, "+select")
		testLeastRights(t, withUser(t, s.url+"/3", nil))
	})
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		socket := filepath.Join(t.TempDir(), "redis.sock")
		s := startServer(t, "--unixsocket", socket)
		testContract(t, mustOpen(t, "unix://"+socket), s.rdb, nil)
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		topology := startSentinels(t)
		testContract(t, mustOpen(t, topology.url), topology.first.rdb, nil)
		for _, s := range topology.data {
			s.allow(t, leastRights...)
		}
		testLeastRights(t, topology.url+"&username="+url.QueryEscape(user)+"&password="+url.QueryEscape(password))
		// The sentinels have users of their own.
		for _, s := range topology.watch {
			s.allow(t, "allchannels", "+@all")
			if err := s.rdb.Do(t.Context(), "ACL", "SETUSER", "default", "off").Err(); err != nil {
				t.Fatal(err)
			}
		}
		wantErrors(t, t.Context(), mustOpen(t, topology.url), nil)
		testLeastRights(t, withUser(t, topology.url, url.Values{"username": {user}, "password": {password}}))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		topology := startCluster(t)
		options := clientOptions(topology.first.addr)
		options.IsClusterMode = true
		testContract(t, mustOpen(t, topology.url), newClient(t, options), nil)
		for _, s := range topology.data {
			s.allow(t, append(leastRights, "+cluster|slots")...)
		}
		testLeastRights(t, withUser(t, topology.url, nil))
		testLeastRights(t, withUser(t, "redis+cluster://"+topology.first.addr, nil))
	})
}

// The user that the store is, and what the package documentation says that it has
// to be allowed.
const (
	user     = "store@chat"
	password = "pa/ss ?#&@%+"
)

var leastRights = []string{"~hubspot-visitor:token:*", "+get", "+set", "+del"}

func (s *server) allow(t *testing.T, rights ...string) {
	t.Helper()
	err := s.rdb.ACLSetUser(t.Context(), user, append([]string{"on", ">" + password}, rights...)...).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// withUser is rawURL with the user and further parameters.
func withUser(t *testing.T, rawURL string, parameters url.Values) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	if parameters != nil {
		u.RawQuery += "&" + parameters.Encode()
	}
	return u.String()
}

// testLeastRights tries a store whose user has no other rights: to its own records,
// as many as to meet every node of a cluster.
func testLeastRights(t *testing.T, url string) {
	t.Helper()
	store := mustOpen(t, url)
	for i := range 20 {
		key := fmt.Sprint("hubspot-visitor:token:", i)
		mustSet(t, store, key, []byte("value"), time.Minute)
		wantValue(t, store, key, []byte("value"))
		if err := store.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	wantErrors(t, t.Context(), store, nil)
}
