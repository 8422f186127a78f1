// Package tokencache keeps a bounded number of values by key: go-cache, cut into
// shards so that visitors do not share a lock. Where a shard is full, its values
// are gone through in a circle, and the first that nobody has asked for since the
// last time goes (the second-chance rule): those who come once do not push out
// those who come again.
//
// It starts no goroutine. Instead of sweeping, every Add looks at a few values
// and takes out those that are of no more use, so no lock is held longer than
// that takes, however large the cache.
package tokencache

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	gocache "github.com/patrickmn/go-cache"
)

const (
	// shardSize is how many values one go-cache holds at most. A table of Go's maps
	// has 1,024 places and is cut in two when 896 are in use; those of values that
	// went are among them.
	shardSize = 800
	maxShards = 1024 // bounds what an empty cache costs; beyond it shards grow
	// An Add looks at more values than the one that it puts in, so that a cache
	// full of dead ones empties.
	looksPerAdd = 4
	// maxChances bounds how long an Add looks for somebody to put out.
	maxChances = 64
	// maxSpins bounds how long a Get lets a writer go first, about 15 µs. A writer is
	// done in fewer; a Get that waits for go-cache's lock is put to sleep, and woken
	// up to a tick of the kernel later, which is 4 ms.
	maxSpins = 30_000
)

// Cache holds values of type V. It may be used concurrently.
type Cache[V any] struct {
	seed      maphash.Seed
	dead      func(*V) bool
	shards    []shard[V]
	evictions atomic.Int64
}

// shard is one go-cache and, under mu, its values in a circle. Readers only take
// the go-cache's own read lock.
type shard[V any] struct {
	items   *gocache.Cache
	limit   int
	writing atomic.Bool // somebody has mu, and may have the go-cache's own lock

	mu     sync.Mutex
	circle []*node[V]
	hand   int // whose turn it is to go
	eye    int // whose turn it is to be looked at
	// generations tell whether a key was deleted while its value was on the way.
	// A few keys share one: a value that came while a neighbour was deleted is
	// then not kept, which costs one more call and nothing else.
	generations [64]uint32

	_ [64]byte // the next shard's lock is on another cache line
}

// node is what go-cache holds.
type node[V any] struct {
	key   string
	value V
	place uint32 // in the circle
	asked uint32 // atomic: 1 if somebody asked for it since its last turn
}

// New is a Cache for at most limit values (at least one), which are of no more
// use once dead says so.
func New[V any](limit int, dead func(*V) bool) *Cache[V] {
	limit = max(limit, 1)
	count := min((limit-1)/shardSize+1, maxShards)
	c := &Cache[V]{seed: maphash.MakeSeed(), dead: dead, shards: make([]shard[V], count)}
	for i := range c.shards {
		c.shards[i].items = gocache.New(gocache.NoExpiration, 0) // 0: no janitor goroutine
		c.shards[i].limit = limit / count
	}
	return c
}

// Get is the value of key, dead or not; nil if there is none.
func (c *Cache[V]) Get(key string) *V {
	s, _ := c.locate(key)
	for i := 0; i < maxSpins && s.writing.Load(); i++ {
	}
	item, ok := s.items.Get(key)
	if !ok {
		return nil
	}
	n := item.(*node[V])
	if atomic.LoadUint32(&n.asked) == 0 { // written once a round, so that readers share the line
		atomic.StoreUint32(&n.asked, 1)
	}
	return &n.value
}

// Generation is what Add wants to know: take it before going to get a value.
func (c *Cache[V]) Generation(key string) uint32 {
	s, slot := c.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generations[slot]
}

// Add keeps value, unless key was deleted since generation. It reports whether
// it did.
func (c *Cache[V]) Add(key string, value V, generation uint32) bool {
	s, slot := c.locate(key)
	s.lock()
	defer s.unlock()
	if s.generations[slot] != generation {
		return false
	}
	n := &node[V]{key: key, value: value}
	if old, ok := s.items.Get(key); ok {
		n.place, n.asked = old.(*node[V]).place, atomic.LoadUint32(&old.(*node[V]).asked)
	} else {
		c.look(s)
		n.place = c.room(s)
	}
	s.circle[n.place] = n
	s.items.Set(key, n, gocache.NoExpiration)
	return true
}

// look takes out a few dead values.
func (c *Cache[V]) look(s *shard[V]) {
	for range looksPerAdd {
		switch {
		case s.eye >= len(s.circle):
			s.eye = 0
		case c.dead(&s.circle[s.eye].value):
			s.remove(s.circle[s.eye])
		default:
			s.eye++
		}
	}
}

// room is a place for one more: a new one, or that of the value that is put out.
func (c *Cache[V]) room(s *shard[V]) uint32 {
	if len(s.circle) < s.limit {
		s.circle = append(s.circle, nil)
		return uint32(len(s.circle) - 1)
	}
	for chances := 0; ; chances++ {
		s.hand = (s.hand + 1) % len(s.circle)
		n := s.circle[s.hand]
		if atomic.SwapUint32(&n.asked, 0) == 0 || chances == maxChances {
			s.items.Delete(n.key)
			c.evictions.Add(1)
			return n.place
		}
	}
}

func (s *shard[V]) lock()   { s.mu.Lock(); s.writing.Store(true) }
func (s *shard[V]) unlock() { s.writing.Store(false); s.mu.Unlock() }

func (s *shard[V]) remove(n *node[V]) {
	last := len(s.circle) - 1
	s.circle[n.place] = s.circle[last]
	s.circle[n.place].place = n.place
	s.circle[last] = nil
	s.circle = s.circle[:last]
	s.items.Delete(n.key)
}

// Delete forgets key, and whatever is on the way for it: an Add with an earlier
// generation does nothing.
func (c *Cache[V]) Delete(key string) {
	s, slot := c.locate(key)
	s.lock()
	defer s.unlock()
	s.generations[slot]++
	if n, ok := s.items.Get(key); ok {
		s.remove(n.(*node[V]))
	}
}

// Len is the number of values held, dead ones not yet taken out included.
func (c *Cache[V]) Len() (total int) {
	for i := range c.shards {
		total += c.shards[i].items.ItemCount()
	}
	return total
}

// Evictions counts the values put out for want of room.
func (c *Cache[V]) Evictions() int64 { return c.evictions.Load() }

func (c *Cache[V]) locate(key string) (s *shard[V], slot int) {
	h := maphash.String(c.seed, key)
	at, _ := bits.Mul64(h, uint64(len(c.shards))) // a number below it, from the hash's high bits
	return &c.shards[at], int(h & 63)
}
