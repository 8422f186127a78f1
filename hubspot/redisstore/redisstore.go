// Package redisstore lets the replicas of an application share their visitors'
// tokens through Redis or Valkey: a visitor whom one replica has identified costs
// HubSpot no further call on the others, nor after a deploy.
//
//	store, err := redisstore.Open("redis://redis:6379")
//	…
//	chat, err := middleware.FromEnv(identify, middleware.WithStore(store))
//
// with HUBSPOT_STORE_SECRET in the environment, the same on every replica: 32 or
// more random characters. [Open] has forms for a single server, for one behind
// sentinels, and for a cluster.
//
// Redis may be slow, dead, full or emptied at any time: visitors notice nothing,
// HubSpot is asked instead. It sees no e-mail address and no token: keys are
// HMACs, records are encrypted and bound to their key (see [hubspot.Store]).
//
// # A failover
//
// Until another server has taken the place of one that is lost, and for up to five
// seconds after, replicas do not share: each goes on with the tokens in its memory
// and asks HubSpot for those of newcomers. So it costs no visitor anything, and
// HubSpot one call for each replica that a newcomer meets in that time. Records
// that the lost server had not passed on cost a call as well. With Redis's own
// settings the time is 30 s with sentinels (down-after-milliseconds) and 15 s in a
// cluster (cluster-node-timeout), and one to three for the election.
//
// # The client's options
//
// Open's client has the options below. One that is made for [New] should have them
// too, and be the store's own:
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
// Those of an application's other clients are made for commands that have to
// succeed sooner or later; this store's answers are of use within 100 ms (a write's
// within 250 ms) or not at all. go-redis's defaults do no harm to pages, which never
// wait longer than that; but what a page leaves behind goes on:
//
//   - ContextTimeoutEnabled: true lets the context's deadline end reads and
//     writes too. Otherwise go-redis looks at it only while it waits for a
//     connection, and a Redis that does not answer holds a goroutine and a
//     connection for ReadTimeout (5 s), and again for each retry.
//   - MaxRetries: -1 turns retries off (0 means the default, 3). A miss is cheap,
//     and a Redis in trouble gets one attempt instead of four. A cluster's
//     redirects are no retries: they are MaxRedirects, whose default 3 should
//     stay.
//   - DialTimeout (5 s) and DialerRetries (5) bound the making of a connection,
//     which no context ends: go-redis does it on a goroutine of its own, up to
//     25 s against an address that drops packets, with one of PoolSize places
//     taken for so long. A connection that is too late for the call that wanted
//     it serves the next one, so half a second leaves room for TLS and for
//     asking a sentinel.
//   - ReadTimeout (5 s; WriteTimeout follows it) bounds what go-redis asks without
//     a context of ours: a cluster's topology, for instance.
//
// Leave ReadOnly, RouteByLatency and RouteRandomly off: a copy that lags behind
// lacks the newest tokens, and still has those that were invalidated. By itself
// go-redis looks once a minute which servers a cluster has; the store makes it look
// when a command fails, or a failover would last as long.
//
// go-redis writes a line to standard error for each connection that it does not get;
// its redis.SetLogger takes them, and hubspot.Tokens logs the same once a minute.
//
// # The server
//
// The commands used are GET, SET and DEL, each on one key that begins with
// hubspot-visitor:token:. So the rights that an ACL has to give are
//
//	~hubspot-visitor:token:* +get +set +del
//
// and +cluster|slots in a cluster, +select with another database than 0.
// Records expire before their tokens do, in less than twelve hours. They need no
// persistence, and may be evicted.
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

// Store is a [hubspot.Store] in Redis. It may be used concurrently. The zero value
// has no client, and every call fails, which leaves each replica with its own
// memory.
type Store struct{ client redis.UniversalClient }

// New is a Store in the Redis that client talks to: a single server
// ([redis.NewClient]), one behind sentinels ([redis.NewFailoverClient]) or a
// cluster ([redis.NewClusterClient]); [redis.NewUniversalClient] makes any of
// them. It is for clients that [Open] cannot make, such as those with certificates
// or rotating passwords; the package documentation tells which options such a
// client should have. It stays the application's, to close as well.
//
// The Store may be used concurrently. Its errors are the client's, wrapped; a nil
// client makes every call fail, which leaves each replica with its own memory.
func New(client redis.UniversalClient) hubspot.Store { return &Store{client} }

// Close ends the connections that [Open] led to. Calls fail from then on, which is
// no harm to pages that are still being served.
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

// Get is the value of key; ok is false when there is none. Its error is the
// client's, wrapped.
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

// Set keeps value under key for ttl, which has to be positive. Its error is the
// client's, wrapped.
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

// Delete forgets key; it is no error if there is none. Its error is the client's,
// wrapped.
func (s *Store) Delete(ctx context.Context, key string) error {
	if !s.open() {
		return errNoClient
	}
	if err := s.client.Del(ctx, key).Err(); err != nil {
		return s.failed(ctx, "DEL", err)
	}
	return nil
}
