package redisstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// Three replicas share one Redis, which dies in the middle and returns empty: 300
// visitors cost 315 calls at most instead of 900, and no page notices anything.
func TestReplicasShareTokens(t *testing.T) {
	onEachServer(t, func(t *testing.T, server *server) {
		if strings.HasSuffix(t.Name(), "valkey") {
			needsProof(t)
		}
		testSharing(t, server)
	})
}

func testSharing(t *testing.T, server *server) {
	shop := openShop(t, 3, server.url)
	var all tally

	y := shop.browse(t, shop.visits(0, 300), nil)
	all.add(y)
	mints, _ := shop.wantShared(t, 0, 300, 0)
	hits, failures := shop.storeCounts(t)
	t.Logf("Redis up: 300 visitors at 3 replicas, %d mints, %d store hits, %d store errors; %v", mints, hits, failures, y)
	secrets := shop.secrets(0, 300)
	server.wantNoneOf(t, secrets, 300)

	// Known visitors stay identified, newcomers are identified by HubSpot.
	y = shop.browse(t, shop.visits(0, 340), func() { server.kill(t) })
	all.add(y)
	_, more := shop.storeCounts(t)
	t.Logf("Redis killed: the 300 and 40 newcomers at 3 replicas, %d mints for the newcomers, %d store errors; %v",
		shop.mints(t, 300, 340), more-failures, y)
	if more == failures {
		t.Error("nobody noticed that Redis was gone")
	}
	if again := shop.mints(t, 0, 300); again != mints {
		t.Errorf("%d further mints for visitors whom every replica knew", again-mints)
	}

	server.restart(t)
	began, probe := time.Now(), 1000
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	eventually(t, "the replicas share again", func() bool {
		<-tick.C
		probe++
		for replica := range shop.replicas {
			shop.mustPage(t, replica, probe)
		}
		return shop.mints(t, probe, probe+1) == 1
	})
	back := time.Since(began)
	_, failures = shop.storeCounts(t)
	y = shop.browse(t, shop.visits(340, 440), nil)
	all.add(y)
	mints, failures = shop.wantShared(t, 340, 440, failures)
	t.Logf("Redis back: shared again after %v; 100 newcomers at 3 replicas, %d mints, %d store errors; %v", back.Round(time.Millisecond), mints, failures, y)
	t.Logf("in all: %v", &all)

	for _, replica := range shop.replicas {
		replica.end(t)
		wantNoSecrets(t, "the log of a replica", []byte(replica.log.String()), secrets)
	}
}

// wantShared makes sure that the visitors from up to below to cost a call each, but
// for one in twenty: a busy machine misses the store's 100 ms now and then, which
// costs another. before is how often it was missed until they came, failures how
// often since then.
func (s *shop) wantShared(t *testing.T, from, to int, before int64) (mints int, failures int64) {
	t.Helper()
	_, failures = s.storeCounts(t)
	failures -= before
	mints = s.mints(t, from, to)
	if most := (to-from)*21/20 + int(failures); mints < to-from || mints > most {
		t.Errorf("%d mints for %d visitors, want %d at most (%d store errors)", mints, to-from, most, failures)
	}
	return mints, failures
}

// storeCounts are the store hits and errors of all replicas.
func (s *shop) storeCounts(t *testing.T) (hits, errors int64) {
	t.Helper()
	for replica := range s.replicas {
		stats := s.stats(t, replica)
		hits += stats.StoreHits
		errors += stats.StoreErrors
	}
	return hits, errors
}

// secrets is what must not leave a process for Redis or a log: of the visitors
// from up to below to, and of the application itself.
func (s *shop) secrets(from, to int) [][]byte {
	list := []string{"shop.example", "Lovelace", hubspottest.AccessToken.Reveal(), storeSecret}
	for number := from; number < to; number++ {
		email := visitor(number).Email
		hash := sha256.Sum256([]byte(email))
		list = append(list, email, hex.EncodeToString([]byte(email)), hex.EncodeToString(hash[:]), string(hash[:]),
			base64.RawStdEncoding.EncodeToString([]byte(email)[:len(email)/3*3]))
	}
	for _, call := range s.hubspot.Calls() {
		list = append(list, call.Token)
		list = append(list, strings.Split(call.Token, ".")[1:]...)
	}
	secrets := make([][]byte, 0, len(list))
	for _, secret := range list {
		secrets = append(secrets, []byte(secret))
	}
	return secrets
}

func wantNoSecrets(t *testing.T, where string, haystack []byte, secrets [][]byte) {
	t.Helper()
	for _, secret := range secrets {
		if len(secret) < 8 {
			t.Fatalf("the secret %q is too short to be looked for", secret)
		}
		if bytes.Contains(haystack, secret) {
			t.Errorf("%s contains %q", where, secret)
			return // one says enough, of thousands
		}
	}
}

var recordKey = regexp.MustCompile(`^hubspot-visitor:token:[0-9a-f]{64}$`)

// wantNoneOf makes sure that Redis holds this many records, which expire, and
// nothing of secrets: neither in keys and values, nor in what DUMP and SAVE make
// of them.
func (s *server) wantNoneOf(t *testing.T, secrets [][]byte, records int) {
	t.Helper()
	ctx := t.Context()
	// Records are written behind the back of those who wait for a page.
	eventually(t, "every record is written", func() bool { return s.rdb.DBSize(ctx).Val() == int64(records) })
	var contents bytes.Buffer
	for _, key := range s.keys(t) {
		if !recordKey.MatchString(key) {
			t.Fatalf("a key is %q", key)
		}
		if ttl := s.rdb.TTL(ctx, key).Val(); ttl <= 11*time.Hour || ttl > 11*time.Hour+30*time.Minute {
			t.Fatalf("a record lives for %v, want half an hour less than the token's 12h", ttl)
		}
		value, err := s.rdb.Get(ctx, key).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		dump, err := s.rdb.Dump(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		contents.WriteString(key + "\n")
		contents.Write(value)
		contents.WriteString("\n" + dump + "\n")
	}
	wantNoSecrets(t, "Redis", contents.Bytes(), secrets)

	if err := s.rdb.Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(s.dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	if found := bytes.Count(file, []byte("hubspot-visitor:token:")); found != records {
		t.Errorf("the RDB file shows %d records, want %d", found, records)
	}
	wantNoSecrets(t, "the RDB file", file, secrets)
	t.Logf("searched %d records (%d bytes) and an RDB file (%d bytes) for %d secrets", records, contents.Len(), len(file), len(secrets))
}

// A record that is not the one written for its key is refused: HubSpot is asked,
// the page shows the right visitor, and the record is replaced.
func TestReplicasRefuseForeignRecords(t *testing.T) {
	set := func(change func(own, other []byte) []byte) func(*testing.T, *redis.Client, string, string) {
		return func(t *testing.T, rdb *redis.Client, key, otherKey string) {
			own, err := rdb.Get(t.Context(), key).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			other, err := rdb.Get(t.Context(), otherKey).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if err := rdb.Set(t.Context(), key, change(own, other), time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at func(length int) int) func(own, _ []byte) []byte {
		return func(own, _ []byte) []byte {
			own[at(len(own))] ^= 1
			return own
		}
	}
	tests := []struct {
		name   string
		tamper func(t *testing.T, rdb *redis.Client, key, otherKey string)
	}{
		{"another visitor's record", set(func(_, other []byte) []byte { return other })},
		{"first bit changed", set(flip(func(int) int { return 0 }))},
		{"bit in the middle changed", set(flip(func(length int) int { return length / 2 }))},
		{"last bit changed", set(flip(func(length int) int { return length - 1 }))},
		{"cut short", set(func(own, _ []byte) []byte { return own[:len(own)-1] })},
		{"made longer", set(func(own, _ []byte) []byte { return append(own, 0) })},
		{"half of it another's", set(func(own, other []byte) []byte {
			return append(bytes.Clone(own[:len(own)/2]), other[len(other)/2:]...)
		})},
		{"empty", set(func(_, _ []byte) []byte { return nil })},
		{"a record that was never sealed", set(func(_, _ []byte) []byte {
			return []byte(`{"token":"t","email":"` + visitor(0).Email + `","issuedAt":"2026-01-01T00:00:00Z"}`)
		})},
		{"value of another type", func(t *testing.T, rdb *redis.Client, key, _ string) {
			if err := rdb.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
			if err := rdb.LPush(t.Context(), key, "element").Err(); err != nil {
				t.Fatal(err)
			}
		}},
	}
	onEachServer(t, func(t *testing.T, server *server) {
		shop := openShop(t, 3, server.url)
		other := 999
		_, otherKey := shop.firstPage(t, server, other)
		for number, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				first, key := shop.firstPage(t, server, number)
				tt.tamper(t, server.rdb, key, otherKey)
				errors := shop.stats(t, 1).StoreErrors
				second := shop.mustPage(t, 1, number)
				if second == first || shop.mints(t, number, number+1) != 2 {
					t.Error("HubSpot was not asked for a token in place of the record")
				}
				if got := shop.stats(t, 1).StoreErrors - errors; got != 1 {
					t.Errorf("%d store errors were counted, want 1", got)
				}
				// The third replica finds the second's record in place of the bad one.
				eventually(t, "the record is replaced", func() bool { return server.rdb.TTL(t.Context(), key).Val() > 11*time.Hour })
				shop.wantToken(t, 2, number, second)
			})
		}
	})
}

// firstPage opens a visitor's first page, at the first replica, and gives the
// token on it and the key of the record that it led to.
func (s *shop) firstPage(t *testing.T, server *server, number int) (token, key string) {
	t.Helper()
	before := server.keys(t)
	token = s.mustPage(t, 0, number)
	eventually(t, "the record is written", func() bool {
		for _, k := range server.keys(t) {
			if !slices.Contains(before, k) {
				key = k
			}
		}
		return key != ""
	})
	return token, key
}

// wantToken makes sure that a replica takes a visitor's token from Redis.
func (s *shop) wantToken(t *testing.T, replica, number int, want string) {
	t.Helper()
	before := s.stats(t, replica).StoreErrors
	token := s.mustPage(t, replica, number)
	// A busy machine misses the store's 100 ms now and then, which costs a call.
	if token != want && s.stats(t, replica).StoreErrors == before {
		t.Errorf("replica %d does not use the token in Redis", replica)
	}
}

// A sign-out at one replica takes the record from all of them.
func TestReplicasSignOut(t *testing.T) { onEachServer(t, testSignOut) }

func testSignOut(t *testing.T, server *server) {
	shop := openShop(t, 3, server.url)
	first, key := shop.firstPage(t, server, 7)
	_, otherKey := shop.firstPage(t, server, 8)

	if _, err := shop.request("POST", "/sign-out", 0, 7); err != nil {
		t.Fatal(err)
	}
	if got := server.keys(t); !slices.Equal(got, []string{otherKey}) {
		t.Errorf("Redis holds %q after the sign-out, want %q", got, otherKey)
	}
	second := shop.mustPage(t, 1, 7) // at a replica that has not met the visitor
	if second == first || shop.mints(t, 7, 8) != 2 {
		t.Error("the other replica did not mint anew")
	}
	eventually(t, "the record is written anew", func() bool { return server.rdb.Exists(t.Context(), key).Val() == 1 })
	shop.wantToken(t, 0, 7, second) // the replica that forgot it
}

// Open, WithStore and the environment are all that replicas need.
func TestReplicasFromEnv(t *testing.T) { onEachServer(t, testFromEnv) }

func testFromEnv(t *testing.T, server *server) {
	shop := openShop(t, 3, server.url, paceVariable+"=the library's own")
	for replica := range shop.replicas {
		for number := range 30 {
			shop.mustPage(t, replica, number)
		}
		eventually(t, "the records are written", func() bool { return len(server.keys(t)) >= 29 })
	}
	mints, failures := shop.wantShared(t, 0, 30, 0)
	hits, _ := shop.storeCounts(t)
	t.Logf("30 visitors at 3 replicas, %d mints, %d store hits, %d store errors", mints, hits, failures)
	server.wantNoneOf(t, shop.secrets(0, 30), len(server.keys(t)))
}

// A store that fails five times in a row is left alone for five seconds, and
// pages are in time before, during and after that.
func TestReplicasLeaveADeadStoreAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		addr func(*testing.T) string
	}{
		{"connection refused", func(t *testing.T) string { return "127.0.0.1:" + freePort(t) }},
		{"never answers", func(t *testing.T) string { return listenSilently(t).Addr().String() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			shop := openShop(t, 1, "redis://"+tt.addr(t))
			var y tally
			visit := func() (storeErrors int64) {
				t.Helper()
				took, late, err := shop.open(visit{0, len(y.took)}) // somebody new each time
				if err != nil {
					t.Fatal(err)
				}
				y.add(&tally{took: took, late: late})
				return shop.stats(t, 0).StoreErrors
			}
			failed := visit()
			for failed < 5 {
				failed = visit()
			}
			left := time.Now()
			trying := len(y.took)
			if trying > 10 { // each visitor costs it a read and a write
				t.Errorf("five failures took %d pages", trying)
			}

			last := failed
			for time.Since(left) < time.Second {
				last = visit()
			}
			// Writes that were under way when it was given up fail a little later.
			if last-failed > 4 {
				t.Errorf("the store was asked %d times while it was to be left alone", last-failed)
			}
			alone := len(y.took) - trying
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			eventually(t, "the store is asked again", func() bool {
				<-tick.C
				return visit() > last
			})
			again := time.Since(left)
			if again < 4*time.Second || again > 8*time.Second {
				t.Errorf("the store was asked again after %v, want 5s", again)
			}
			t.Logf("given up after %d pages, %d pages in the second after that, asked again after %v; %v",
				trying, alone, again.Round(time.Millisecond), &y)
		})
	}
}
