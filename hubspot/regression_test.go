package hubspot_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
)

// Each of these went wrong once.

func TestObserverThatAsksForTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens *hubspot.Tokens
		creator := creatorFunc(func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.Token{}, &hubspot.APIError{StatusCode: 401}
		})
		var closed atomic.Int64
		tokens, err := hubspot.NewTokens(creator, hubspot.TokensConfig{
			Logger: slog.New(slog.DiscardHandler),
			Observer: func(e hubspot.Event) {
				if e.Kind == hubspot.EventGateClosed {
					closed.Add(1)
					_, _ = tokens.Token(context.Background(), visitorNo(2)) // must not meet the gate's own lock
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Token(t.Context(), visitorNo(1)); !errors.Is(err, hubspot.ErrUnauthorized) {
			t.Errorf("got %v", err)
		}
		if closed.Load() != 1 {
			t.Errorf("the gate closed %d times, want once", closed.Load())
		}
	})
}

func TestObserverThatDoesNotReturn(t *testing.T) {
	for name, observer := range map[string]func(hubspot.Event){
		"panic":  func(hubspot.Event) { panic("observer") },
		"Goexit": func(hubspot.Event) { runtime.Goexit() }, // as t.FailNow does
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				creator := creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
					return hubspot.NewToken("t", v.Email, time.Now()), nil
				})
				tokens := newTokens(t, creator, hubspot.TokensConfig{Observer: observer})
				if _, err := tokens.Token(t.Context(), visitorNo(1)); err != nil {
					t.Errorf("the visitor pays for it: %v", err)
				}
			})
		})
	}
}

// leavingHandler ends the goroutine that logs, as t.FailNow in a test's handler does.
type leavingHandler struct{ slog.Handler }

func (leavingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (leavingHandler) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

func TestLogHandlerThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			calls++
			return hubspot.NewToken("t", v.Email, time.Now()), nil
		}), hubspot.TokensConfig{Logger: slog.New(leavingHandler{})})
		for range 3 {
			if _, err := tokens.Token(t.Context(), ada); err != nil {
				t.Errorf("the visitor pays for it: %v", err)
			}
		}
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

// The client's own retries of a 429 were out of the gate's sight.
func TestBurstLimitStopsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		server.SetOutage(&hubspottest.Fault{
			Status: http.StatusTooManyRequests, Body: `{"policyName":"TEN_SECONDLY_ROLLING"}`, Header: http.Header{"Retry-After": {"2"}},
			Latency: 50 * time.Millisecond,
		})
		s := newSite(t, server, hubspot.TokensConfig{CallsPerSecond: 10, Burst: 1})
		each(100, func(i int) { s.view(visitorNo(i)) })
		time.Sleep(1500 * time.Millisecond)
		if got := len(server.Calls()); got != 1 {
			t.Errorf("%d calls although the first was answered 429, want 1", got)
		}
		time.Sleep(10 * time.Second) // the flights that waited for their turn end
	})
}

// With a large margin a token was used up before its time of renewal.
func TestRenewalWithLargeMargin(t *testing.T) {
	for _, margin := range []time.Duration{30 * time.Minute, 2 * time.Hour, 5 * time.Hour} {
		t.Run(margin.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := hubspottest.New()
				defer server.Close()
				s := newSite(t, server, hubspot.TokensConfig{Margin: margin})
				for range 11 * 60 {
					s.view(visitorNo(0))
					synctest.Wait()
					time.Sleep(time.Minute)
				}
				// The first page asks when it begins, and again if it has to wait.
				if stats := s.tokens.Stats(); stats.Misses < 1 || stats.Misses > 2 || stats.Renewed == 0 {
					t.Errorf("%d misses, %d renewals; want only the first page to miss", stats.Misses, stats.Renewed)
				}
			})
		})
	}
}

// mapStore is a Store in memory that obeys its contexts.
type mapStore struct {
	mu      sync.Mutex
	records map[string][]byte
}

func (s *mapStore) Get(ctx context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.records[key]
	return v, ok, ctx.Err()
}

func (s *mapStore) Set(ctx context.Context, key string, value []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key] = value
	return ctx.Err()
}

func (s *mapStore) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		delete(s.records, key)
	}
	return ctx.Err()
}

// The browser leaves while its log-out is served.
func TestInvalidateForClientThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		store := &mapStore{records: map[string][]byte{}}
		s := newSite(t, server, hubspot.TokensConfig{Store: store, StoreSecret: hubspot.NewSecret("0123456789abcdef0123456789abcdef")})
		if !s.view(visitorNo(0)) {
			t.Fatal("anonymous")
		}
		synctest.Wait()
		if len(store.records) != 1 {
			t.Fatalf("%d records, want 1", len(store.records))
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		s.tokens.Invalidate(gone, visitorNo(0))
		if len(store.records) != 0 {
			t.Error("the record is still there")
		}
	})
}

// After a deploy all records have another format, say, and many visitors come at
// once: new records take their place, and the Store, which is well, has no rest.
func TestBadRecordsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mapStore{records: map[string][]byte{}}
		view := func() {
			calls := 0
			creator := creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				calls++
				time.Sleep(time.Second + time.Duration(calls)*time.Millisecond) // one after the other
				return hubspot.NewToken("t", v.Email, time.Now()), nil
			})
			tokens := newTokens(t, creator, sharing(store))
			for i := range 20 {
				go tokens.Token(t.Context(), visitorNo(i))
				synctest.Wait() // the record is read, and the call is under way
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		view()
		for name := range store.records {
			store.records[name] = []byte("another format")
		}
		view()
		good := 0
		for _, record := range store.records {
			if string(record) != "another format" {
				good++
			}
		}
		if good != 20 {
			t.Errorf("%d good records, want 20", good)
		}
	})
}

// Two replicas with different margins, during a deploy: of a record of a
// short-lived token the margin is a quarter.
func TestStoreRecordShorterThanTheMargin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mapStore{records: map[string][]byte{}}
		// A JWT whose exp is an hour after the beginning of the bubble.
		exp := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(time.Hour).Unix()))
		short := true
		creator := creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			if short {
				return hubspot.NewToken("e30."+exp+".c2ln", v.Email, time.Now()), nil
			}
			return hubspot.NewToken("long-lived", v.Email, time.Now()), nil
		})
		replica := func(margin time.Duration) *hubspot.Tokens {
			tokens, err := hubspot.NewTokens(creator, hubspot.TokensConfig{
				Account: "1", Margin: margin, Store: store, StoreSecret: hubspot.NewSecret("0123456789abcdef0123456789abcdef"), Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			return tokens
		}
		if _, err := replica(30*time.Minute).Token(t.Context(), visitorNo(0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(store.records) != 1 {
			t.Fatalf("%d records, want 1", len(store.records))
		}
		short = false
		time.Sleep(20 * time.Minute)
		token, err := replica(2*time.Hour).Token(t.Context(), visitorNo(0))
		if err != nil {
			t.Fatal(err)
		}
		if token.Reveal() == "long-lived" {
			t.Error("the record was not used although two thirds of its life are left")
		}
		time.Sleep(26 * time.Minute)
		token, err = replica(2*time.Hour).Token(t.Context(), visitorNo(0))
		if err != nil {
			t.Fatal(err)
		}
		if token.Reveal() != "long-lived" {
			t.Error("the record was used although less than a quarter of its life is left")
		}
		synctest.Wait()
	})
}

// An adapter wraps only the sentinel that says most.
func TestSentinelsOfAdapters(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		most int // calls in five minutes of one page a second
	}{
		"daily limit":   {hubspot.ErrDailyLimit, 1},
		"missing scope": {hubspot.ErrMissingScope, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				tokens, err := hubspot.NewTokens(creatorFunc(func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
					calls.Add(1)
					return hubspot.Token{}, fmt.Errorf("another SDK: %w", tt.err)
				}), hubspot.TokensConfig{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 5 * 60 {
					_, _ = tokens.Token(t.Context(), visitorNo(i))
					time.Sleep(time.Second)
				}
				if got := int(calls.Load()); got > tt.most {
					t.Errorf("%d calls in five minutes, want at most %d", got, tt.most)
				}
			})
		})
	}
}

// More come than the pace lets pass, for minutes or all at once: as many as it does
// are identified on their first page, or by its script, and not nearly all too late
// for both.
func TestQueueIsAsLongAsAnybodyWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		visitors int
		every    time.Duration
		want     int64
	}{
		"a few more":  {12 * 120, time.Second / 12, 50 + 10*120 - 20},
		"all at once": {100, 0, 50 + 10*3},
	} {
		synctest.Test(t, func(t *testing.T) {
			tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				time.Sleep(100 * time.Millisecond)
				return hubspot.NewToken("t", v.Email, time.Now()), nil
			}), hubspot.TokensConfig{})
			var identified atomic.Int64
			for i := range tt.visitors {
				go func() {
					for _, wait := range []time.Duration{renderBudget, 4 * time.Second} { // the page's, and the endpoint's
						ctx, cancel := context.WithTimeout(t.Context(), wait)
						defer cancel()
						if _, err := tokens.Token(ctx, visitorNo(i)); err == nil {
							identified.Add(1)
							return
						}
					}
				}()
				time.Sleep(tt.every)
			}
			time.Sleep(time.Minute)
			if n := identified.Load(); n < tt.want {
				t.Errorf("%s: %d of %d were identified, want what the pace allows, %d", name, n, tt.visitors, tt.want)
			}
		})
	}
}

// Ten hours after a busy morning many tokens age at once. Their visitors have hours,
// newcomers have none.
func TestRenewalsLetNewcomersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			time.Sleep(100 * time.Millisecond)
			return hubspot.NewToken("t", v.Email, time.Now()), nil
		}), hubspot.TokensConfig{})
		for i := range 600 {
			go tokens.Token(t.Context(), visitorNo(i))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10*time.Hour + 15*time.Minute)
		var anonymous atomic.Int64
		for i := range 600 { // 30 a second, and 5 newcomers
			go tokens.Token(t.Context(), visitorNo(i))
			if i%6 == 0 {
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), renderBudget)
					defer cancel()
					if _, err := tokens.Token(ctx, visitorNo(1000+i)); err != nil {
						anonymous.Add(1)
					}
				}()
			}
			time.Sleep(time.Second / 30)
		}
		time.Sleep(time.Minute)
		if n := anonymous.Load(); n > 0 {
			t.Errorf("%d of 100 newcomers stayed anonymous", n)
		}
		if n := tokens.Stats().Renewed; n < 100 {
			t.Errorf("%d renewals, want what the pace leaves, about 150", n)
		}
	})
}

// An adapter says how long is left, which may be nothing or for ever.
func TestLimitsOfAdapters(t *testing.T) {
	for name, tt := range map[string]struct {
		err   hubspot.APIError
		after time.Duration // HubSpot is not asked before, and is soon after
	}{
		"past":        {hubspot.APIError{StatusCode: 429, RetryAfter: -5 * time.Second}, 10 * time.Second},
		"without end": {hubspot.APIError{StatusCode: 429, RetryAfter: math.MaxInt64}, time.Minute},
		"of a day":    {hubspot.APIError{StatusCode: 500, Limit: &hubspot.RateLimit{Max: 250_000, Remaining: 40_000, Interval: 24 * time.Hour}}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				tokens := newTokens(t, creatorFunc(func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
					calls++
					return hubspot.Token{}, &tt.err
				}), hubspot.TokensConfig{})
				_, err := tokens.Token(t.Context(), visitorNo(0))
				if _, ok := errors.AsType[*hubspot.APIError](err); !ok {
					t.Errorf("%v", err)
				}
				time.Sleep(tt.after - time.Second)
				_, _ = tokens.Token(t.Context(), visitorNo(1))
				if calls != 1 {
					t.Errorf("%d calls, want 1", calls)
				}
				time.Sleep(8 * time.Second)
				_, _ = tokens.Token(t.Context(), visitorNo(2))
				if calls != 2 {
					t.Errorf("%d calls, want 2", calls)
				}
			})
		})
	}
}

func TestLimitsWithoutEnd(t *testing.T) {
	if _, err := hubspot.NewTokens(creatorFunc(nil), hubspot.TokensConfig{MaxVisitors: math.MaxInt}); err != nil {
		t.Error(err)
	}
}

type roundTripper struct{ http.RoundTripper }

// Tracing set-ups replace http.DefaultTransport by a kind of their own.
func TestReplacedDefaultTransport(t *testing.T) {
	old := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = old })
	http.DefaultTransport = roundTripper{old}
	if _, err := hubspot.NewClient(hubspot.Config{AccessToken: hubspottest.AccessToken}); err != nil {
		t.Error(err)
	}
}

// The caller changes its map while the call is under way.
func TestAgentContextBelongsToTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan string, 1)
		tokens, err := hubspot.NewTokens(creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			time.Sleep(time.Second)
			seen <- v.AgentContext["plan"]
			return hubspot.NewToken("t", v.Email, time.Now()), nil
		}), hubspot.TokensConfig{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		v := visitorNo(0)
		v.AgentContext = map[string]string{"plan": "gold"}
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		_, _ = tokens.Token(ctx, v)
		v.AgentContext["plan"] = "none"
		if got := <-seen; got != "gold" {
			t.Errorf("the call sent %q", got)
		}
	})
}

// Ten calls a second are 864,000 a day, and an account has 250,000: one visitor
// could use them all up.
func TestOneVisitorsShareOfTheCalls(t *testing.T) {
	for name, views := range map[string]func(*hubspot.Tokens, hubspot.Visitor, int){
		"signs in and out for ever": func(tokens *hubspot.Tokens, v hubspot.Visitor, _ int) {
			_, _ = tokens.Token(context.Background(), v)
			tokens.Invalidate(context.Background(), v)
		},
		"has ever new agent contexts": func(tokens *hubspot.Tokens, v hubspot.Visitor, i int) {
			v.AgentContext = map[string]string{"page": fmt.Sprint(i)}
			_, _ = tokens.Token(context.Background(), v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
					calls++
					return hubspot.NewToken("t", v.Email, time.Now()), nil
				}), hubspot.TokensConfig{})
				for i := range 3600 {
					views(tokens, visitorNo(1), i)
					time.Sleep(time.Second)
				}
				if calls > 30+180+1 || calls < 180 {
					t.Errorf("%d calls in an hour, want 30 and then one in 20 seconds", calls)
				}
				if _, err := tokens.Token(t.Context(), visitorNo(2)); err != nil {
					t.Errorf("another visitor: %v", err)
				}
			})
		})
	}
}

// toldStore tells of what is put into it.
type toldStore struct {
	mapStore
	keys chan string
}

func (s *toldStore) Set(_ context.Context, key string, _ []byte, _ time.Duration) error {
	s.keys <- key
	return nil
}

// Another release may call the parts of a record otherwise, and seal it all the same;
// and another replica's clock may be wrong.
func TestRecordsOfAnotherRelease(t *testing.T) {
	secret := strings.Repeat("s", 32)
	sealer, err := seal.New([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string]string{
		"of tomorrow": `{"token":"old","email":"ada@example.com","issuedAt":%q}`,
		"no token":    `{"value":"old","email":"ada@example.com","issuedAt":%q}`,
		"no time":     `{"token":"old","email":"ada@example.com","issued":%q}`,
		"no address":  `{"token":"old","address":"ada@example.com","issuedAt":%q}`,
	} {
		store := &toldStore{mapStore{records: map[string][]byte{}}, make(chan string)}
		for _, want := range []string{"old", "new"} {
			tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				return hubspot.NewToken(want, v.Email, time.Now()), nil
			}), hubspot.TokensConfig{Account: "1", Store: store, StoreSecret: hubspot.NewSecret(secret)})
			if got, err := tokens.Token(t.Context(), ada); got.Reveal() != want {
				t.Errorf("%s: %q, %v, want %q", name, got.Reveal(), err, want)
				break
			}
			key := <-store.keys
			issued := time.Now()
			if name == "of tomorrow" {
				issued = issued.Add(24 * time.Hour)
			}
			plain := fmt.Sprintf(record, issued.Format(time.RFC3339))
			store.records[key] = sealer.Seal(strings.TrimPrefix(key, "hubspot-visitor:token:"), []byte(plain))
		}
	}
}
