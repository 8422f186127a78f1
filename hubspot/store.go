package hubspot

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
)

// Store shares tokens between the replicas of an application; package redisstore
// provides one. It sees neither e-mail addresses nor tokens: keys are HMACs, and
// values are sealed. It is used concurrently. Its troubles never fail a page: an
// error counts as a miss, and calls that outlast their context are left behind.
type Store interface {
	// Get returns the value of key; ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Set stores value under key for ttl, which is positive.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete removes key. It is not an error if there is none.
	Delete(ctx context.Context, key string) error
}

// How long a Store may take, how many of its calls are under way, and when it is
// left alone. Calls that outlast their context keep their place, so that a dead
// Store holds no more goroutines than there are places.
const (
	storeReadLimit   = 100 * time.Millisecond
	storeWriteLimit  = 250 * time.Millisecond
	storeMaxCalls    = 128
	storeMaxFailures = 5
	storeRest        = 5 * time.Second
)

// sharedStore guards a Store: time limits, seal, and a rest after failures, each
// of which is observed.
type sharedStore struct {
	store    Store // nil for none: it always rests
	sealer   *seal.Sealer
	observer *observer
	places   chan struct{}

	mu        sync.Mutex
	failures  int // in a row
	restUntil time.Time
}

// record is what a Store holds, sealed.
type record struct {
	Token    string    `json:"token"`
	Email    string    `json:"email"`
	IssuedAt time.Time `json:"issuedAt"`
}

const storePrefix = "hubspot-visitor:token:"

// get is the token under key; the zero Token where there is none.
func (s *sharedStore) get(ctx context.Context, key string) Token {
	if s.resting() {
		return Token{}
	}
	return s.call(ctx, key, storeReadLimit, func(ctx context.Context, name string) (Token, error) {
		sealed, ok, err := s.store.Get(ctx, storePrefix+name)
		if !ok || err != nil {
			return Token{}, err
		}
		return s.open(name, sealed)
	})
}

// recordError tells that the Store is well, and what it holds is of no use.
type recordError string

func (e recordError) Error() string { return "hubspot: the store's record " + string(e) }

// open reads a record. One that is damaged, altered or another name's is an error.
func (s *sharedStore) open(name string, sealed []byte) (Token, error) {
	plain, err := s.sealer.Open(name, sealed)
	if err != nil {
		return Token{}, recordError("is damaged or not for this key")
	}
	var r record
	if err := json.Unmarshal(plain, &r); err != nil || r.Token == "" || r.IssuedAt.IsZero() {
		return Token{}, recordError("has another format")
	}
	// The age is carried over to this process's monotonic clock.
	now := time.Now()
	age := now.Round(0).Sub(r.IssuedAt)
	if age < -clockSkew {
		return Token{}, recordError("is from the future")
	}
	return NewToken(r.Token, r.Email, now.Add(-age)), nil
}

// set is not called while the store rests.
func (s *sharedStore) set(ctx context.Context, key string, token Token, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	s.call(ctx, key, storeWriteLimit, func(ctx context.Context, name string) (Token, error) {
		plain, err := json.Marshal(record{token.Reveal(), token.Email(), token.IssuedAt().Round(0)})
		if err != nil {
			return Token{}, err
		}
		return Token{}, s.store.Set(ctx, storePrefix+name, s.sealer.Seal(name, plain), ttl)
	})
}

// delete tries even while the store rests: it is rare, and what stays would come
// back after the rest.
func (s *sharedStore) delete(ctx context.Context, key string) {
	if s.store == nil {
		return
	}
	s.call(ctx, key, storeWriteLimit, func(ctx context.Context, name string) (Token, error) {
		return Token{}, s.store.Delete(ctx, storePrefix+name)
	})
}

func (s *sharedStore) resting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store == nil || time.Now().Before(s.restUntil)
}

// call calls the store within limit, by the name that it has for key, and counts
// failures. work gives no Token with an error.
func (s *sharedStore) call(ctx context.Context, key string, limit time.Duration, work func(ctx context.Context, name string) (Token, error)) (token Token) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	name := s.observer.name(key)
	var err error
	select {
	case s.places <- struct{}{}:
		token, err = flight.Guard(ctx, func(ctx context.Context) (Token, error) {
			defer func() { <-s.places }()
			return work(ctx, name)
		})
	case <-ctx.Done():
		err = ctx.Err()
	}
	_, bad := err.(recordError)
	s.mu.Lock()
	if err == nil || bad {
		s.failures = 0
	} else if s.failures++; s.failures >= storeMaxFailures {
		s.failures, s.restUntil = 0, time.Now().Add(storeRest)
	}
	s.mu.Unlock()
	if err != nil {
		s.observer.note(Event{Kind: EventStoreFailed, Visitor: name, Err: err}, &s.observer.stats.StoreErrors, slog.LevelWarn, "the shared store failed; tokens are kept in memory only")
	}
	return token
}
