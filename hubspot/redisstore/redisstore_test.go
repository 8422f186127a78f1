package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/redisstore"
)

// newStore is a store on a Redis in this process.
func newStore(t *testing.T) (*redisstore.Store, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.RunT(t)
	return mustOpen(t, "redis://"+m.Addr()), m
}

func mustOpen(t *testing.T, url string) *redisstore.Store {
	t.Helper()
	store, err := redisstore.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func newClient(t *testing.T, options *redis.UniversalOptions) redis.UniversalClient {
	t.Helper()
	client := redis.NewUniversalClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestStore(t *testing.T) {
	t.Run("Open", func(t *testing.T) {
		store, m := newStore(t)
		testContract(t, store, newClient(t, clientOptions(m.Addr())), m.FastForward)
	})
	t.Run("New", func(t *testing.T) {
		m := miniredis.RunT(t)
		client := newClient(t, clientOptions(m.Addr()))
		testContract(t, redisstore.New(client), client, m.FastForward)
	})
}

// testContract tries what hubspot.Store promises; client looks at what store does.
// elapse lets time pass; without it, it passes by itself.
func testContract(t *testing.T, store hubspot.Store, client redis.UniversalClient, elapse func(time.Duration)) {
	ctx := t.Context()
	binary := []byte("\x00\r\n\xff$5\r\n")

	t.Run("no record", func(t *testing.T) {
		wantNone(t, store, "absent")
		if err := store.Delete(ctx, "absent"); err != nil {
			t.Errorf("Delete of nothing: %v", err)
		}
	})
	t.Run("records", func(t *testing.T) {
		// As many keys as to meet every node of a cluster.
		for i := range 20 {
			key, value := fmt.Sprint("record ", i), append(binary, byte(i))
			mustSet(t, store, key, []byte("older"), time.Minute)
			mustSet(t, store, key, value, time.Hour)
			wantValue(t, store, key, value)
			if got := client.TTL(ctx, key).Val(); got < 59*time.Minute || got > time.Hour {
				t.Errorf("the record lives for %v, want 1h", got)
			}
			if err := store.Delete(ctx, key); err != nil {
				t.Errorf("Delete: %v", err)
			}
			wantNone(t, store, key)
		}
	})
	t.Run("empty value", func(t *testing.T) {
		mustSet(t, store, "empty", nil, time.Minute)
		wantValue(t, store, "empty", []byte{})
	})
	t.Run("expiry", func(t *testing.T) {
		for _, ttl := range []time.Duration{time.Second, 20 * time.Millisecond, time.Microsecond} {
			mustSet(t, store, "short", binary, ttl)
			if elapse != nil {
				elapse(max(ttl, time.Millisecond))
			}
			eventually(t, "the record expires", func() bool {
				_, ok, err := store.Get(ctx, "short")
				return !ok && err == nil
			})
		}
	})
	t.Run("ttl not positive", func(t *testing.T) {
		mustSet(t, store, "kept", binary, time.Minute)
		// go-redis takes 0 for no expiry, and -1 for the time that is left.
		for _, ttl := range []time.Duration{0, redis.KeepTTL, -time.Second} {
			for _, key := range []string{"kept", "new"} {
				if err := store.Set(ctx, key, []byte("other"), ttl); err == nil {
					t.Errorf("Set with a ttl of %v: no error", ttl)
				}
			}
		}
		wantValue(t, store, "kept", binary)
		wantNone(t, store, "new")
	})
	t.Run("concurrent use", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 16 {
			key, value := fmt.Sprint("key ", i), []byte(fmt.Sprint("value ", i))
			wg.Go(func() {
				for range 20 {
					if err := store.Set(ctx, key, value, time.Minute); err != nil {
						t.Errorf("Set: %v", err)
					}
					if got, ok, err := store.Get(ctx, key); err != nil || !ok || !bytes.Equal(got, value) {
						t.Errorf("Get = %q, %v, %v, want %q", got, ok, err, value)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestStoreErrors(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		damage func(*miniredis.Miniredis, *redisstore.Store)
		want   error // nil for any
	}{
		{name: "server refuses", damage: func(m *miniredis.Miniredis, _ *redisstore.Store) {
			m.SetError("LOADING Redis is loading the dataset in memory")
		}},
		{name: "server closed", damage: func(m *miniredis.Miniredis, _ *redisstore.Store) { m.Close() }},
		{name: "store closed", damage: func(_ *miniredis.Miniredis, s *redisstore.Store) { _ = s.Close() }, want: redis.ErrClosed},
		{name: "context ended", ctx: canceled, want: context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, m := newStore(t)
			mustSet(t, store, "key", []byte("value"), time.Minute)
			ctx := t.Context()
			if tt.ctx != nil {
				ctx = tt.ctx
			}
			if tt.damage != nil {
				tt.damage(m, store)
			}
			wantErrors(t, ctx, store, tt.want)
		})
	}
	t.Run("no client", func(t *testing.T) {
		for _, store := range []hubspot.Store{redisstore.New(nil), new(redisstore.Store), (*redisstore.Store)(nil)} {
			wantErrors(t, t.Context(), store, nil)
		}
		if err := new(redisstore.Store).Close(); err == nil {
			t.Error("Close of no client: no error")
		}
	})
	t.Run("value of another type", func(t *testing.T) {
		store, m := newStore(t)
		if _, err := m.Lpush("key", "element"); err != nil {
			t.Fatal(err)
		}
		if value, ok, err := store.Get(t.Context(), "key"); err == nil || ok || value != nil {
			t.Errorf("Get = %q, %v, %v, want an error alone", value, ok, err)
		}
		mustSet(t, store, "key", []byte("value"), time.Minute)
		wantValue(t, store, "key", []byte("value"))
	})
}

func TestStoreReturnsAfterRestart(t *testing.T) {
	store, m := newStore(t)
	mustSet(t, store, "key", []byte("value"), time.Minute)
	m.Close()
	wantErrors(t, t.Context(), store, nil)
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store works again", func() bool {
		_, ok, err := store.Get(t.Context(), "key")
		return ok && err == nil
	})
}

// A call ends with its context's deadline, however long the server takes: with
// Open, and with the options that New's client should have.
func TestStoreEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	silent := listenSilently(t).Addr().String()
	for _, url := range []string{"redis://" + silent, "redis+cluster://" + silent, "redis://" + silent + "?master_name=tokens"} {
		testDeadline(t, mustOpen(t, url))
	}
	testDeadline(t, redisstore.New(newClient(t, clientOptions(silent))))
}

func testDeadline(t *testing.T, store hubspot.Store) {
	t.Helper()
	for name, call := range calls(store) {
		quickest := time.Hour // the machine may be slow, but not always
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			began := time.Now()
			err := call(ctx)
			quickest = min(quickest, time.Since(began))
			cancel()
			var timeout net.Error
			if !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &timeout) && timeout.Timeout()) {
				t.Errorf("%s = %v, want a time-out", name, err)
			}
		}
		if quickest > 400*time.Millisecond { // less than ReadTimeout
			t.Errorf("%s took %v at least, want about 50ms", name, quickest)
		}
	}
}

// listenSilently is a server that accepts and never answers.
func listenSilently(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // when the listener is closed
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l
}

func calls(s hubspot.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			value, ok, err := s.Get(ctx, "key")
			if ok || value != nil {
				return nil // which is an error to all who ask
			}
			return err
		},
		"Set":    func(ctx context.Context) error { return s.Set(ctx, "key", []byte("value"), time.Minute) },
		"Delete": func(ctx context.Context) error { return s.Delete(ctx, "key") },
	}
}

func wantErrors(t *testing.T, ctx context.Context, s hubspot.Store, want error) {
	t.Helper()
	for name, call := range calls(s) {
		if err := call(ctx); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
	}
}

func mustSet(t *testing.T, s hubspot.Store, key string, value []byte, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, value, ttl); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

func wantValue(t *testing.T, s hubspot.Store, key string, want []byte) {
	t.Helper()
	got, ok, err := s.Get(t.Context(), key)
	if err != nil || !ok || !bytes.Equal(got, want) {
		t.Errorf("Get(%q) = %q, %v, %v, want %q", key, got, ok, err, want)
	}
}

func wantNone(t *testing.T, s hubspot.Store, key string) {
	t.Helper()
	if got, ok, err := s.Get(t.Context(), key); err != nil || ok || got != nil {
		t.Errorf("Get(%q) = %q, %v, %v, want none", key, got, ok, err)
	}
}
