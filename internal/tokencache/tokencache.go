// Package tokencache keeps a bounded number of values by key: go-cache, cut into
// shards so that visitors do not share a lock, with the oldest value put out
// when a shard is full.
//
// It starts no goroutine. Instead of sweeping, every Add takes out at most a few
// values that have expired or are too many, so no lock is held longer than that
// takes, however large the cache.
package tokencache

import (
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// shardSize is how many values one go-cache holds at most.
const shardSize = 4096

// maxShards bounds what an empty cache costs; beyond it shards grow.
const maxShards = 1024

// sweepPerAdd is how many expired values an Add takes out: more than the one it
// puts in, so that a cache full of them empties.
const sweepPerAdd = 2

// Cache holds values of type V. It may be used concurrently.
type Cache[V any] struct {
	seed      maphash.Seed
	shards    []shard[V] // a power of two of them
	evictions atomic.Int64
}

// shard is one go-cache and, under mu, the order in which its values came.
// Readers only take the go-cache's own read lock.
type shard[V any] struct {
	items *gocache.Cache
	limit int

	mu    sync.Mutex
	order *list.List // of *node, the oldest in front
	// generations tell whether a key was deleted while its value was on the way.
	// A few keys share one: a value that came while a neighbour was deleted is
	// then not kept, which costs one more call and nothing else.
	generations [256]uint64

	_ [64]byte // the next shard's lock is on another cache line
}

// node is what go-cache holds: the value, and its place in the order of arrival.
type node[V any] struct {
	key     string
	value   V
	expires time.Time
	place   *list.Element
}

// New is a Cache for at most limit values (at least one).
func New[V any](limit int) *Cache[V] {
	limit = max(limit, 1)
	count := 1
	for limit > count*shardSize && count < maxShards {
		count *= 2
	}
	c := &Cache[V]{seed: maphash.MakeSeed(), shards: make([]shard[V], count)}
	for i := range c.shards {
		c.shards[i].items = gocache.New(gocache.NoExpiration, 0) // 0: no janitor goroutine
		c.shards[i].limit = limit / count
		c.shards[i].order = list.New()
	}
	return c
}

// Get is the value of key, unless it has expired or there is none.
func (c *Cache[V]) Get(key string) (V, bool) {
	s, _ := c.locate(key)
	if n, ok := s.items.Get(key); ok {
		return n.(*node[V]).value, true
	}
	var zero V
	return zero, false
}

// Generation is what Add wants to know: take it before going to get a value.
func (c *Cache[V]) Generation(key string) uint64 {
	s, slot := c.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generations[slot]
}

// Add keeps value for ttl, as the newest, unless key was deleted since
// generation. It reports whether it did.
func (c *Cache[V]) Add(key string, value V, ttl time.Duration, generation uint64) bool {
	if ttl <= 0 {
		return false // go-cache would keep it for ever
	}
	s, slot := c.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generations[slot] != generation {
		return false
	}
	if old, ok := s.items.Get(key); ok {
		s.order.Remove(old.(*node[V]).place)
	}
	n := &node[V]{key: key, value: value, expires: time.Now().Add(ttl).Round(0)}
	n.place = s.order.PushBack(n)
	s.items.Set(key, n, ttl)
	c.evictions.Add(int64(s.sweep()))
	return true
}

// Delete forgets key, and whatever is on the way for it: an Add with an earlier
// generation does nothing.
func (c *Cache[V]) Delete(key string) {
	s, slot := c.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generations[slot]++
	if n, ok := s.items.Get(key); ok {
		s.remove(n.(*node[V]))
	}
}

// Purge forgets everything, as Delete does.
func (c *Cache[V]) Purge() {
	for i := range c.shards {
		c.shards[i].purge()
	}
}

func (s *shard[V]) purge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.generations {
		s.generations[slot]++
	}
	s.items.Flush()
	s.order.Init()
}

// Len is the number of values held, expired ones not yet swept included.
func (c *Cache[V]) Len() int {
	total := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		total += s.order.Len()
		s.mu.Unlock()
	}
	return total
}

// Evictions counts the values put out for want of room.
func (c *Cache[V]) Evictions() int64 { return c.evictions.Load() }

func (c *Cache[V]) locate(key string) (s *shard[V], slot int) {
	h := maphash.String(c.seed, key)
	return &c.shards[h&uint64(len(c.shards)-1)], int(h >> 32 & 255)
}

// sweep takes out what is too much and some of what has expired; it returns how
// many of the former there were.
func (s *shard[V]) sweep() (evicted int) {
	for s.order.Len() > s.limit {
		s.remove(s.order.Front().Value.(*node[V]))
		evicted++
	}
	now := time.Now().Round(0)
	for range sweepPerAdd {
		oldest := s.order.Front()
		if oldest == nil || now.Before(oldest.Value.(*node[V]).expires) {
			break
		}
		s.remove(oldest.Value.(*node[V]))
	}
	return evicted
}

// remove takes n out. Once n has expired go-cache hides it, so that the key may
// have come a second time: that value stays.
func (s *shard[V]) remove(n *node[V]) {
	s.order.Remove(n.place)
	if held, ok := s.items.Get(n.key); !ok || held == n {
		s.items.Delete(n.key)
	}
}
