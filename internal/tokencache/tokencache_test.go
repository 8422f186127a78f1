package tokencache_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// add keeps value for an hour, as somebody does who was not interrupted.
func add(c *tokencache.Cache[int], key string, value int) bool {
	return c.Add(key, value, time.Hour, c.Generation(key))
}

func wantValue(t *testing.T, c *tokencache.Cache[int], key string, want int) {
	t.Helper()
	if got, ok := c.Get(key); !ok || got != want {
		t.Errorf("%s: %d, %v, want %d", key, got, ok, want)
	}
}

func wantNothing(t *testing.T, c *tokencache.Cache[int], key string) {
	t.Helper()
	if got, ok := c.Get(key); ok {
		t.Errorf("%s: %d, want nothing", key, got)
	}
}

func TestAddAndGet(t *testing.T) {
	c := tokencache.New[int](10)
	wantNothing(t, c, "a")
	if !add(c, "a", 1) || !add(c, "b", 2) || !add(c, "a", 3) {
		t.Error("not added")
	}
	wantValue(t, c, "a", 3)
	wantValue(t, c, "b", 2)
	if c.Len() != 2 || c.Evictions() != 0 {
		t.Errorf("%d values, %d evictions", c.Len(), c.Evictions())
	}
}

func TestOldestGoesFirst(t *testing.T) {
	c := tokencache.New[int](3)
	for i, key := range []string{"a", "b", "c"} {
		add(c, key, i)
	}
	add(c, "a", 10) // the newest now
	add(c, "d", 11)
	wantNothing(t, c, "b")
	wantValue(t, c, "a", 10)
	wantValue(t, c, "c", 2)
	wantValue(t, c, "d", 11)
	c.Get("c") // reading does not make young
	add(c, "e", 12)
	wantNothing(t, c, "c")
	if c.Len() != 3 || c.Evictions() != 2 {
		t.Errorf("%d values, %d evictions", c.Len(), c.Evictions())
	}
}

func TestBound(t *testing.T) {
	for _, limit := range []int{-1, 0, 1, 2, 1000, 4096, 4097, 10_000} {
		c := tokencache.New[int](limit)
		for i := range 2*limit + 10 {
			add(c, fmt.Sprint(i), i)
		}
		most := max(limit, 1)
		// Keys fall unevenly on the shards, so it may hold a little less.
		if n := c.Len(); n > most || n < most*9/10 {
			t.Errorf("limit %d: holds %d", limit, n)
		}
		if added := int64(2*limit + 10); limit >= 0 && c.Evictions() != added-int64(c.Len()) {
			t.Errorf("limit %d: %d evictions, %d values", limit, c.Evictions(), c.Len())
		}
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokencache.New[int](10)
		c.Add("a", 1, time.Minute, c.Generation("a"))
		time.Sleep(time.Minute - time.Nanosecond)
		wantValue(t, c, "a", 1)
		time.Sleep(2 * time.Nanosecond)
		wantNothing(t, c, "a")
		// It can come again, and the old one's end is not its end.
		c.Add("a", 2, time.Minute, c.Generation("a"))
		add(c, "b", 3)
		wantValue(t, c, "a", 2)
		if c.Len() != 2 || c.Evictions() != 0 {
			t.Errorf("%d values, %d evictions", c.Len(), c.Evictions())
		}
	})
}

func TestExpiredAreSweptWithoutAJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokencache.New[int](1000)
		for i := range 100 {
			c.Add(fmt.Sprint("old ", i), i, time.Minute, c.Generation(fmt.Sprint("old ", i)))
		}
		time.Sleep(2 * time.Minute)
		for i := range 100 {
			add(c, fmt.Sprint("new ", i), i)
		}
		if n := c.Len(); n != 100 {
			t.Errorf("%d values, want the 100 new ones", n)
		}
		if c.Evictions() != 0 {
			t.Errorf("%d evictions: expired values are none", c.Evictions())
		}
	})
}

func TestNothingIsKeptForEver(t *testing.T) {
	c := tokencache.New[int](10)
	for _, ttl := range []time.Duration{0, -1, -time.Hour} {
		if c.Add("a", 1, ttl, c.Generation("a")) {
			t.Errorf("ttl %v: kept", ttl)
		}
		wantNothing(t, c, "a")
	}
}

func TestDelete(t *testing.T) {
	c := tokencache.New[int](10)
	add(c, "a", 1)
	c.Delete("a")
	c.Delete("never there")
	wantNothing(t, c, "a")
	if c.Len() != 0 {
		t.Errorf("%d values", c.Len())
	}
	if !add(c, "a", 2) {
		t.Error("a later value is not kept")
	}
	wantValue(t, c, "a", 2)
}

// A value that was on the way while its key was deleted must not come back.
func TestDeleteBeatsAdd(t *testing.T) {
	for name, forget := range map[string]func(*tokencache.Cache[int]){
		"Delete": func(c *tokencache.Cache[int]) { c.Delete("a") },
		"Purge":  func(c *tokencache.Cache[int]) { c.Purge() },
	} {
		c := tokencache.New[int](10_000)
		generation := c.Generation("a")
		forget(c)
		if c.Add("a", 1, time.Hour, generation) {
			t.Errorf("%s: an earlier value was kept", name)
		}
		wantNothing(t, c, "a")
		if c.Generation("a") == generation {
			t.Errorf("%s: the generation did not change", name)
		}
	}
}

func TestDeleteLeavesAnExpiredNamesake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokencache.New[int](2)
		c.Add("a", 1, time.Second, c.Generation("a"))
		time.Sleep(2 * time.Second)
		c.Delete("a")
		add(c, "a", 2)
		add(c, "b", 3)
		wantValue(t, c, "a", 2)
		wantValue(t, c, "b", 3)
		if n := c.Len(); n > 2 {
			t.Errorf("%d values of 2", n)
		}
	})
}

func TestPurge(t *testing.T) {
	c := tokencache.New[int](10_000)
	for i := range 1000 {
		add(c, fmt.Sprint(i), i)
	}
	c.Purge()
	if c.Len() != 0 {
		t.Errorf("%d values", c.Len())
	}
	for i := range 1000 {
		wantNothing(t, c, fmt.Sprint(i))
	}
	for i := range 1000 {
		add(c, fmt.Sprint(i), i)
	}
	if c.Len() != 1000 {
		t.Errorf("%d values after the Purge, want 1000", c.Len())
	}
}

func TestConcurrentUse(t *testing.T) {
	c := tokencache.New[int](5000)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 2000 {
				n := (i*7 + g) % 6000
				key := fmt.Sprint(n)
				switch i % 10 {
				case 0:
					c.Delete(key)
				case 1:
					if i%500 == 1 {
						c.Purge()
					}
				default:
					add(c, key, n)
				}
				if got, ok := c.Get(key); ok && got != n {
					t.Errorf("%s: %d", key, got)
				}
			}
		})
	}
	group.Wait()
	if n := c.Len(); n > 5000 {
		t.Errorf("holds %d", n)
	}
}
