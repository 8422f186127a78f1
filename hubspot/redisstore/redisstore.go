// Package redisstore lets the replicas of an application share their visitors'
// tokens through Redis or Valkey: once one replica has a visitor's token, the
// others need no call to HubSpot for it, and none is needed after a deploy.
//
//	store, err := redisstore.Open("redis://redis:6379")
//	…
//	chat, err := middleware.FromEnv(identify, middleware.WithStore(store))
//
// HUBSPOT_STORE_SECRET has to be in the environment, the same on every replica: 32
// or more random characters. [Open] has URL forms for a single server, for one
// behind sentinels, and for a cluster.
//
// Redis may be slow, dead, full or emptied at any time: visitors notice nothing,
// and HubSpot is asked instead. It sees no e-mail address and no token: keys are
// HMACs, and records are encrypted and bound to their key (see [hubspot.Store]).
//
// # A failover
//
// When a server is lost, replicas do not share tokens until another server has
// taken its place, and for up to five seconds after. Meanwhile each replica goes
// on with the tokens in its memory and asks HubSpot for those of new visitors. So
// visitors notice nothing, and HubSpot gets one call for each replica that a new
// visitor meets in that time, and one for each record that the lost server had not
// yet replicated. With Redis's defaults a failover takes 30 s with sentinels
// (down-after-milliseconds) or 15 s in a cluster (cluster-node-timeout), and one
// to three seconds for the election.
//
// # The client's options
//
// Open's client has the options below. A client made for [New] should have them
// too, and should be used for nothing else:
//
//	rdb := redis.NewUniversalClient(&redis.UniversalOptions{
//		Addrs:                 []string{"redis:6379"},
//		ContextTimeoutEnabled: true,
//		MaxRetries:            -1,
//		DialTimeout:           500 * time.Millisecond,
//		DialerRetries:         1,
//		ReadTimeout:           500 * time.Millisecond,
//	})
//
// An application's other clients are made for commands that have to succeed sooner
// or later; this store's answers are useful within 100 ms (those to writes within
// 250 ms) or not at all. go-redis's defaults do not delay pages, which never wait
// longer than that, but what a page leaves behind goes on:
//
//   - ContextTimeoutEnabled: true makes the context's deadline end reads and
//     writes too. Otherwise go-redis checks it only while waiting for a
//     connection, and a Redis that does not answer holds a goroutine and a
//     connection for ReadTimeout (5 s), and again for each retry.
//   - MaxRetries: -1 turns retries off (0 means the default, 3). A miss is cheap,
//     and a Redis in trouble gets one attempt instead of four. A cluster's
//     redirects are not retries: they are limited by MaxRedirects, which should
//     keep its default of 3.
//   - DialTimeout (5 s) and DialerRetries (5) limit the making of a connection,
//     which no context ends: go-redis does it on a goroutine of its own, for up to
//     25 s if an address drops packets, and occupies one of PoolSize places
//     meanwhile. A connection that is too late for the call that wanted it serves
//     the next one, so half a second leaves room for TLS and for asking a
//     sentinel.
//   - ReadTimeout (5 s; WriteTimeout follows it) limits what go-redis asks without
//     a context of ours: a cluster's topology, for instance.
//
// Leave ReadOnly, RouteByLatency and RouteRandomly off: a replica that lags behind
// lacks the newest tokens, and still has those that were invalidated. By itself
// go-redis asks for a cluster's topology once a minute; the store makes it ask
// whenever a command fails, since otherwise a failover would last that long.
//
// go-redis writes a line to standard error for each connection that it does not
// get. Its redis.SetLogger redirects them; hubspot.Tokens logs the same failures
// once a minute.
//
// # The server
//
// The store uses the commands GET, SET and DEL, each on one key that begins with
// hubspot-visitor:token:. So it needs these rights from an ACL:
//
//	~hubspot-visitor:token:* +get +set +del
//
// It also needs +cluster|slots in a cluster, and +select for a database other than
// 0. Records expire before their tokens do, in less than twelve hours. They need
// no persistence, and may be evicted.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

var errNoClient = errors.New("redisstore: there is no client")

// Store is a [hubspot.Store] in Redis. It is safe for concurrent use. The zero
// value has no client: every call fails, which leaves each replica with its own
// memory.
type Store struct{ client redis.UniversalClient }

// New returns a Store in the Redis that client talks to: a single server
// ([redis.NewClient]), one behind sentinels ([redis.NewFailoverClient]) or a
// cluster ([redis.NewClusterClient]); [redis.NewUniversalClient] makes any of
// them. New is for clients that [Open] cannot make, such as those with
// certificates or rotating passwords; the package documentation says which
// options such a client should have. The application still owns the client, and
// has to close it.
//
// The Store is safe for concurrent use. Its errors wrap the client's. With a nil
// client every call fails, which leaves each replica with its own memory.
func New(client redis.UniversalClient) hubspot.Store { return &Store{client} }

// Close closes the Store's client. Later calls fail, which does no harm to pages
// that are still being served.
func (s *Store) Close() error {
	if !s.open() {
		return errNoClient
	}
	return s.client.Close()
}

func (s *Store) open() bool { return s != nil && s.client != nil }

// failed is the error of a command. go-redis asks a cluster who serves what once a
// minute, and whenever a node names another, which one that is gone cannot do: so
// that a failover does not cost a minute, it is asked now.
func (s *Store) failed(ctx context.Context, command string, err error) error {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx) // in the background, once for all who want it
	}
	return fmt.Errorf("redisstore: %s: %w", command, err)
}

// Get returns the value of key; ok is false if there is none. Its error wraps the
// client's.
func (s *Store) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if !s.open() {
		return nil, false, errNoClient
	}
	value, err = s.client.Get(ctx, key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, false, nil
	case err != nil:
		return nil, false, s.failed(ctx, "GET", err)
	}
	return value, true, nil
}

// Set stores value under key for ttl, which has to be positive. Its error wraps
// the client's.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if !s.open() {
		return errNoClient
	}
	// To go-redis 0 means for ever, and -1 the time that the key has left.
	if ttl <= 0 {
		return fmt.Errorf("redisstore: SET: the time to live is %v, and not positive", ttl)
	}
	if err := s.client.Set(ctx, key, value, ttl).Err(); err != nil {
		return s.failed(ctx, "SET", err)
	}
	return nil
}

// Delete removes key. It is not an error if there is none. Its error wraps the
// client's.
func (s *Store) Delete(ctx context.Context, key string) error {
	if !s.open() {
		return errNoClient
	}
	if err := s.client.Del(ctx, key).Err(); err != nil {
		return s.failed(ctx, "DEL", err)
	}
	return nil
}
