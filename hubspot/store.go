package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
)

// Store shares tokens between the replicas of an application; package redisstore
// is one. It sees neither e-mail addresses nor tokens: keys are HMACs, values
// are sealed. It is used concurrently. Whatever it does, pages go on: an error
// is a miss, and calls that outlast their context are left behind.
type Store interface {
	// Get is the value of key; ok is false when there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Set keeps value under key for ttl, which is positive.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete forgets key; it is no error if there is none.
	Delete(ctx context.Context, key string) error
}

// How long a Store may take, and when it is left alone.
const (
	storeReadLimit   = 100 * time.Millisecond
	storeWriteLimit  = 250 * time.Millisecond
	storeMaxFailures = 5
	storeRest        = 5 * time.Second
)

// errStoreResting is the result of calls to a Store that is left alone.
var errStoreResting = errors.New("hubspot: the store failed repeatedly and is left alone for a moment")

// sharedStore guards a Store: time limits, seal, and a rest after failures.
type sharedStore struct {
	store  Store
	sealer *seal.Sealer

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

// get is the token under name; a zero Token means there is none. A record that
// is damaged, altered or another key's is an error.
func (s *sharedStore) get(ctx context.Context, name string) (token Token, err error) {
	type found struct {
		value []byte
		ok    bool
	}
	f, err := guarded(ctx, s, storeReadLimit, func(ctx context.Context) (f found, err error) {
		f.value, f.ok, err = s.store.Get(ctx, storePrefix+name)
		return f, err
	})
	if err != nil || !f.ok {
		return Token{}, err
	}
	plain, err := s.sealer.Open(name, f.value)
	if err != nil {
		return Token{}, err
	}
	var r record
	if err := json.Unmarshal(plain, &r); err != nil {
		return Token{}, errors.New("hubspot: the store's record has another format")
	}
	// The age is carried over to this process's monotonic clock.
	now := time.Now()
	age := now.Round(0).Sub(r.IssuedAt)
	if age < -clockSkew {
		return Token{}, errors.New("hubspot: the store's record is from the future")
	}
	return NewToken(r.Token, r.Email, now.Add(-age)), nil
}

func (s *sharedStore) set(ctx context.Context, name string, token Token, ttl time.Duration) error {
	plain, err := json.Marshal(record{token.Reveal(), token.Email(), token.IssuedAt().Round(0)})
	if err != nil {
		return err
	}
	_, err = guarded(ctx, s, storeWriteLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.Set(ctx, storePrefix+name, s.sealer.Seal(name, plain), ttl)
	})
	return err
}

// delete tries even while the store rests: it is rare, and what stays would come
// back after the rest.
func (s *sharedStore) delete(ctx context.Context, name string) error {
	_, err := counted(ctx, s, storeWriteLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.Delete(ctx, storePrefix+name)
	})
	return err
}

// guarded is counted, unless the store rests.
func guarded[V any](ctx context.Context, s *sharedStore, limit time.Duration, call func(context.Context) (V, error)) (v V, err error) {
	s.mu.Lock()
	resting := time.Now().Before(s.restUntil)
	s.mu.Unlock()
	if resting {
		return v, errStoreResting
	}
	return counted(ctx, s, limit, call)
}

// counted calls the store within limit, and counts failures.
func counted[V any](ctx context.Context, s *sharedStore, limit time.Duration, call func(context.Context) (V, error)) (V, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := flight.Guard(limited, call)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.failures = 0
	case ctx.Err() != nil: // the caller left: that is not the store's failure
	default:
		if s.failures++; s.failures >= storeMaxFailures {
			s.failures, s.restUntil = 0, time.Now().Add(storeRest)
		}
	}
	return v, err
}

// fromStore is the token that another replica made, if it is good enough: for a
// renewal it has to be younger than the old one.
func (t *Tokens) fromStore(ctx context.Context, key string, v Visitor, old *entry) (*entry, bool) {
	if t.store == nil {
		return nil, false
	}
	token, err := t.store.get(ctx, t.sealer.Name(key))
	switch {
	case errors.Is(err, errStoreResting):
		return nil, false
	case err != nil:
		t.storeFailed(key, err)
		return nil, false
	case token.Email() != v.Email:
		t.stats.storeMisses.Add(1)
		return nil, false
	}
	needed := aging
	if old != nil {
		needed = fresh
	}
	now := time.Now()
	e := newEntry(token, now, t.margin)
	if e.freshness(now, t.margin) < needed {
		t.stats.storeMisses.Add(1)
		return nil, false
	}
	t.stats.storeHits.Add(1)
	return e, true
}

// toStore shares a new token, behind the back of those who wait for it.
func (t *Tokens) toStore(key string, token Token, generation uint64) {
	ttl := time.Until(token.ExpiresAt()) - t.margin
	if t.store == nil || ttl <= 0 {
		return
	}
	go func() {
		ctx, name := context.Background(), t.sealer.Name(key)
		err := t.store.set(ctx, name, token, ttl)
		// An Invalidate since then may have deleted before this wrote, and a write
		// that was too late for its limit may have been done all the same.
		if t.cache.Generation(key) != generation {
			err = t.store.delete(ctx, name)
		}
		if err != nil && !errors.Is(err, errStoreResting) {
			t.storeFailed(key, err)
		}
	}()
}
