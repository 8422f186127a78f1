package hubspot_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// sharing is the configuration of a replica that has store in common with others.
func sharing(store hubspot.Store) hubspot.TokensConfig {
	return hubspot.TokensConfig{Account: "1", Store: store, StoreSecret: hubspot.NewSecret(strings.Repeat("s", 32))}
}

func TestTokensConfigProblems(t *testing.T) {
	store, secret := &mapStore{}, hubspot.NewSecret(strings.Repeat("s", 32))
	none := creatorFunc(nil)
	for name, tt := range map[string]struct {
		creator hubspot.Creator
		cfg     hubspot.TokensConfig
		want    []string // words of the error; none: no error
	}{
		"the least":              {none, hubspot.TokensConfig{}, nil},
		"all of it":              {none, hubspot.TokensConfig{Account: "1", MaxVisitors: 1, Margin: time.Hour, CallsPerSecond: .1, Burst: 1, Store: store, StoreSecret: secret}, nil},
		"no creator":             {nil, hubspot.TokensConfig{}, []string{"Creator"}},
		"store without a secret": {none, hubspot.TokensConfig{Account: "1", Store: store}, []string{"StoreSecret"}},
		"a short secret":         {none, hubspot.TokensConfig{StoreSecret: hubspot.NewSecret(strings.Repeat("s", 31))}, []string{"StoreSecret", "32"}},
		"negative":               {none, hubspot.TokensConfig{MaxVisitors: -1, Margin: -1, CallsPerSecond: -1, Burst: -1}, []string{"MaxVisitors", "Margin", "CallsPerSecond", "Burst"}},
		"a margin of six hours":  {none, hubspot.TokensConfig{Margin: 6 * time.Hour}, []string{"Margin"}},
	} {
		tokens, err := hubspot.NewTokens(tt.creator, tt.cfg)
		if (err == nil) != (tt.want == nil) || (tokens == nil) == (err == nil) {
			t.Errorf("%s: %v, %v", name, tokens, err)
			continue
		}
		for _, word := range tt.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q is not in %v", name, word, err)
			}
		}
	}
}

// Nobody is asked for visitors who may not be identified, or whom HubSpot would not
// take.
func TestTokensAskForNobodyElse(t *testing.T) {
	tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		t.Errorf("a call for %+v", v)
		return hubspot.NewToken("t", v.Email, time.Now()), nil
	}), hubspot.TokensConfig{})
	for name, tt := range map[string]struct {
		v    hubspot.Visitor
		want error
	}{
		"unverified":       {hubspot.Visitor{Email: ada.Email}, hubspot.ErrUnverifiedEmail},
		"no address":       {hubspot.Visitor{EmailVerified: true}, hubspot.ErrInvalidVisitor},
		"no usable one":    {hubspot.Visitor{Email: "ada", EmailVerified: true}, hubspot.ErrInvalidVisitor},
		"a name of lines":  {hubspot.Visitor{Email: ada.Email, EmailVerified: true, FirstName: "A\nB"}, hubspot.ErrInvalidVisitor},
		"a context of NUL": {hubspot.Visitor{Email: ada.Email, EmailVerified: true, AgentContext: map[string]string{"plan": "\x00"}}, hubspot.ErrInvalidVisitor},
	} {
		if token, err := tokens.Token(t.Context(), tt.v); !errors.Is(err, tt.want) || token != (hubspot.Token{}) {
			t.Errorf("%s: %v, %v", name, token, err)
		}
	}
}

// Who is signed in with a token in memory may lose the proof of the address.
func TestUnverifiedWithATokenInMemory(t *testing.T) {
	tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		return hubspot.NewToken("t", v.Email, time.Now()), nil
	}), hubspot.TokensConfig{})
	if _, err := tokens.Token(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	unverified := ada
	unverified.EmailVerified = false
	if token, err := tokens.Token(t.Context(), unverified); err != hubspot.ErrUnverifiedEmail || token != (hubspot.Token{}) {
		t.Errorf("%v, %v", token, err)
	}
}

// A mistake of an adapter's must not become somebody else's chat.
func TestMistakesOfAdapters(t *testing.T) {
	for name, give := range map[string]func(v hubspot.Visitor) hubspot.Token{
		"another's token":  func(hubspot.Visitor) hubspot.Token { return hubspot.NewToken("t", "grace@example.com", time.Now()) },
		"another spelling": func(hubspot.Visitor) hubspot.Token { return hubspot.NewToken("t", "Ada@example.com", time.Now()) },
		"an empty one":     func(v hubspot.Visitor) hubspot.Token { return hubspot.NewToken("", v.Email, time.Now()) },
		"none":             func(hubspot.Visitor) hubspot.Token { return hubspot.Token{} },
		"one that was good": func(v hubspot.Visitor) hubspot.Token {
			return hubspot.NewToken("t", v.Email, time.Now().Add(-12*time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &mapStore{records: map[string][]byte{}}
			tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) { return give(v), nil }),
				sharing(store))
			for range 2 {
				if token, err := tokens.Token(t.Context(), ada); !errors.Is(err, hubspot.ErrUnavailable) || token != (hubspot.Token{}) {
					t.Errorf("%v, %v", token, err)
				}
			}
			if stats := tokens.Stats(); stats.Created != 0 || stats.Entries != 0 || stats.FailedOutage != 1 || len(store.records) != 0 {
				t.Errorf("%+v, %d records", stats, len(store.records))
			}
		})
	}
}

// events are what an Observer was told.
type events struct {
	mu  sync.Mutex
	all []hubspot.Event
}

func (e *events) observe(event hubspot.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *events) kinds() (kinds []hubspot.EventKind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		kinds = append(kinds, event.Kind)
	}
	return kinds
}

func TestEventsOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told events
		var fail error
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			time.Sleep(100 * time.Millisecond)
			return hubspot.NewToken("t", v.Email, time.Now()), fail
		}), hubspot.TokensConfig{Observer: told.observe, CallsPerSecond: .01, Burst: 4})
		view := func(i int) { _, _ = tokens.Token(t.Context(), visitorNo(i)) }
		want := func(kinds ...hubspot.EventKind) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(kinds, told.kinds()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			told.all = nil
		}
		view(0)
		want(hubspot.EventCreated)
		view(0) // from memory
		want()
		time.Sleep(11 * time.Hour)
		view(0)
		time.Sleep(time.Second)
		want(hubspot.EventRenewed)
		fail = hubspot.ErrUnauthorized
		view(1)
		want(hubspot.EventGateClosed, hubspot.EventFailed)
		view(2) // nobody is asked
		want()
		time.Sleep(10 * time.Minute)
		fail = nil
		view(2)
		want(hubspot.EventGateOpened, hubspot.EventCreated)
		view(3)
		want(hubspot.EventLimited) // the pace begins anew behind a gate that opens
		stats := tokens.Stats()
		stats.Misses, stats.Entries = 0, 0
		if diff := cmp.Diff(hubspot.Stats{Created: 2, Renewed: 1, FailedAccount: 1, GateClosed: 1, GateOpened: 1, Limited: 1}, stats); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// countedStore counts how often it is asked.
type countedStore struct {
	mapStore
	gets int
}

func (s *countedStore) Get(ctx context.Context, key string) ([]byte, bool, error) {
	s.gets++
	return s.mapStore.Get(ctx, key)
}

// A replica asks the Store once for a visitor; that it holds nothing is no failure.
func TestStoreIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countedStore{mapStore{records: map[string][]byte{}}, 0}
		calls := 0
		for replica := range 2 {
			tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				calls++
				return hubspot.NewToken("t", v.Email, time.Now()), nil
			}), sharing(store))
			for range 3 {
				if _, err := tokens.Token(t.Context(), ada); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if stats := tokens.Stats(); stats.StoreErrors != 0 || stats.StoreHits != int64(replica) {
				t.Errorf("replica %d: %+v", replica, stats)
			}
		}
		if store.gets != 2 || calls != 1 {
			t.Errorf("the Store was asked %d times, and HubSpot %d times; want 2 and 1", store.gets, calls)
		}
	})
}

// Somebody who can write to the Store gives a visitor's record another's place, or
// keeps one for a year.
func TestRecordsThatWereMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mapStore{records: map[string][]byte{}}
		replica := func() *hubspot.Tokens {
			return newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				return hubspot.NewToken("for-"+v.Email, v.Email, time.Now()), nil
			}), sharing(store))
		}
		all := func(tokens *hubspot.Tokens) {
			for i := range 2 {
				v := visitorNo(i)
				if token, err := tokens.Token(t.Context(), v); err != nil || token.Email() != v.Email || token.Reveal() != "for-"+v.Email || time.Until(token.ExpiresAt()) < 30*time.Minute {
					t.Errorf("%q for %q until %v, %v", token.Email(), token.Reveal(), token.ExpiresAt(), err)
				}
				synctest.Wait() // the record is written
			}
		}
		all(replica())
		keys := slices.Collect(maps.Keys(store.records))
		if len(keys) != 2 {
			t.Fatalf("%d records, want 2", len(keys))
		}
		store.records[keys[0]], store.records[keys[1]] = store.records[keys[1]], store.records[keys[0]]
		swapped := replica()
		all(swapped)
		if stats := swapped.Stats(); stats.StoreHits != 0 || stats.StoreErrors != 2 || stats.Created != 2 {
			t.Errorf("%+v", stats)
		}
		time.Sleep(365 * 24 * time.Hour)
		old := replica()
		all(old)
		if stats := old.Stats(); stats.StoreHits != 0 || stats.Created != 2 {
			t.Errorf("%+v", stats)
		}
	})
}

// slowStore takes its time to write.
type slowStore struct{ mapStore }

func (s *slowStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	time.Sleep(100 * time.Millisecond)
	return s.mapStore.Set(ctx, key, value, ttl)
}

// A visitor signs out while the record of the token is being written.
func TestInvalidateWhileTheRecordIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{mapStore{records: map[string][]byte{}}}
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.NewToken("t", v.Email, time.Now()), nil
		}), sharing(store))
		if _, err := tokens.Token(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		tokens.Invalidate(t.Context(), ada)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(store.records) != 0 {
			t.Error("the record is still there")
		}
	})
}

// hookedStore tells before it deletes.
type hookedStore struct {
	mapStore
	before func()
}

func (s *hookedStore) Delete(ctx context.Context, key string) error {
	s.before()
	return s.mapStore.Delete(ctx, key)
}

// A page is drawn between the steps of a sign-out: while the record is still there,
// and where another replica has deleted it.
func TestPageWhileInvalidating(t *testing.T) {
	for name, deleted := range map[string]bool{"the record is there": false, "it is gone": true} {
		synctest.Test(t, func(t *testing.T) {
			store, calls := &hookedStore{mapStore: mapStore{records: map[string][]byte{}}}, 0
			tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				calls++
				return hubspot.NewToken(fmt.Sprint("token ", calls), v.Email, time.Now()), nil
			}), sharing(store))
			token := func() string {
				token, err := tokens.Token(context.Background(), ada)
				if err != nil {
					t.Error(err)
				}
				return token.Reveal()
			}
			old := token()
			synctest.Wait() // the record is written
			meanwhile := ""
			store.before = func() {
				store.before = func() {}
				if deleted {
					clear(store.records)
				}
				meanwhile = token()
			}
			tokens.Invalidate(t.Context(), ada)
			if (meanwhile == old) == deleted {
				t.Errorf("%s: meanwhile %q, at first %q", name, meanwhile, old)
			}
			if now := token(); now == old {
				t.Errorf("%s: the token is still there", name)
			}
			synctest.Wait()
		})
	}
}

// After five failures in a row a Store is left alone for five seconds.
func TestStoreHasARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gets := 0
		store := failingStore{func() { gets++ }}
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			return hubspot.Token{}, &hubspot.APIError{StatusCode: 404} // and so nothing to write
		}), sharing(store))
		next := 0
		ask := func(visitors, want int) {
			t.Helper()
			before := gets
			for range visitors {
				next++
				_, _ = tokens.Token(t.Context(), visitorNo(next))
			}
			if gets-before != want {
				t.Errorf("the Store was asked %d times, want %d", gets-before, want)
			}
		}
		ask(4, 4)
		time.Sleep(time.Hour)
		ask(4, 1)
		time.Sleep(6 * time.Second)
		ask(8, 5)
		if errs := tokens.Stats().StoreErrors; errs != 10 {
			t.Errorf("%d errors, want 10", errs)
		}
	})
}

type failingStore struct{ asked func() }

func (s failingStore) Get(context.Context, string) ([]byte, bool, error) {
	s.asked()
	return nil, false, errors.New("dead")
}
func (failingStore) Set(context.Context, string, []byte, time.Duration) error {
	return errors.New("dead")
}
func (failingStore) Delete(context.Context, string) error { return errors.New("dead") }

// Whom HubSpot does not accept is known for ten minutes, also to those who do not
// wait; other refusals may be over for another replica, whose record is looked for.
func TestRefusedVisitorWithoutWaiting(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		known  bool
	}{"not acceptable": {400, true}, "not allowed": {403, false}, "in trouble": {500, false}} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			tokens := newTokens(t, creatorFunc(func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
				calls++
				return hubspot.Token{}, &hubspot.APIError{StatusCode: tt.status}
			}), hubspot.TokensConfig{})
			_, first := tokens.Token(t.Context(), ada)
			ended, end := context.WithCancel(t.Context())
			end()
			_, err := tokens.Token(ended, ada)
			if errors.Is(first, hubspot.ErrCoolingDown) || tt.known != (errors.Is(err, hubspot.ErrCoolingDown) && errors.Is(err, hubspot.ErrInvalidVisitor)) {
				t.Errorf("%s: %v, and then %v", name, first, err)
			}
			synctest.Wait()
			if calls != 1 {
				t.Errorf("%s: %d calls, want 1", name, calls)
			}
			time.Sleep(10*time.Minute + time.Second)
			_, _ = tokens.Token(t.Context(), ada)
			if calls != 2 {
				t.Errorf("%s: %d calls after ten minutes, want 2", name, calls)
			}
		})
	}
}

// However many pages are viewed while a renewal fails, the next try is minutes away.
func TestRenewalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, fail := 0, error(nil)
		tokens := newTokens(t, creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
			calls++
			return hubspot.NewToken("t", v.Email, time.Now()), fail
		}), hubspot.TokensConfig{})
		if _, err := tokens.Token(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Hour)
		calls, fail = 0, hubspot.ErrUnavailable
		for range 4 * 60 {
			if _, err := tokens.Token(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls in four minutes, want 1", calls)
		}
	})
}

// What HubSpot said of somebody is forgotten together with the token.
func TestInvalidateForgetsRefusals(t *testing.T) {
	calls := 0
	tokens := newTokens(t, creatorFunc(func(context.Context, hubspot.Visitor) (hubspot.Token, error) {
		calls++
		return hubspot.Token{}, hubspot.ErrInvalidVisitor
	}), hubspot.TokensConfig{})
	for _, want := range []int{1, 1, 2} {
		if want == 2 {
			tokens.Invalidate(t.Context(), ada)
		}
		if _, err := tokens.Token(t.Context(), ada); !errors.Is(err, hubspot.ErrInvalidVisitor) || calls != want {
			t.Errorf("%v after %d calls, want %d", err, calls, want)
		}
	}
}
