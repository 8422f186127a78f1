package tokencache_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// value is dead when somebody says so.
type value struct {
	n    int
	dead bool
}

func dead(v *value) bool { return v.dead }

// add keeps a value, as somebody does who was not interrupted.
func add(c *tokencache.Cache[value], key string, n int) bool {
	return c.Add(key, value{n: n}, c.Generation(key))
}

func wantValue(t *testing.T, c *tokencache.Cache[value], key string, want int) {
	t.Helper()
	if got := c.Get(key); got == nil || got.n != want {
		t.Errorf("%s: %v, want %d", key, got, want)
	}
}

func wantNothing(t *testing.T, c *tokencache.Cache[value], key string) {
	t.Helper()
	if got := c.Get(key); got != nil {
		t.Errorf("%s: %v, want nothing", key, got)
	}
}

func TestAddAndGet(t *testing.T) {
	c := tokencache.New(10, dead)
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

// Who was asked for gets a second chance, once.
func TestSecondChance(t *testing.T) {
	c := tokencache.New(3, dead)
	for i, key := range []string{"a", "b", "c"} {
		add(c, key, i)
	}
	wantValue(t, c, "b", 1)
	add(c, "d", 3)
	add(c, "e", 4)
	wantValue(t, c, "b", 1)
	if c.Len() != 3 || c.Evictions() != 2 {
		t.Errorf("%d values, %d evictions", c.Len(), c.Evictions())
	}
	// A renewed value keeps the chance that the old one had.
	add(c, "b", 10)
	add(c, "f", 5)
	add(c, "g", 6)
	wantValue(t, c, "b", 10)
	for i := range 6 {
		add(c, fmt.Sprint(i), i)
	}
	wantNothing(t, c, "b")
}

// A cache for 1,000 visitors, 100 of whom look at a page now and then, while
// 20,000 others come once. Oldest out first, a regular would be put out after
// every thousand of them.
func TestRegularsStay(t *testing.T) {
	c := tokencache.New(1000, dead)
	random := rand.New(rand.NewPCG(1, 2))
	views, misses := 0, 0
	var line []string // oldest out first, for comparison
	lineMisses := 0
	for i := range 20_000 {
		add(c, fmt.Sprint("once ", i), i)
		line = append(line, "")
		if i%2 == 0 { // each regular about every 200 newcomers
			key := fmt.Sprint("regular ", random.IntN(100))
			if views++; c.Get(key) == nil {
				misses++
				add(c, key, i)
			}
			if line = line[max(0, len(line)-1000):]; !slices.Contains(line, key) {
				lineMisses++
				line = append(line, key)
			}
		}
	}
	if misses*10 > lineMisses {
		t.Errorf("of %d views of regulars %d were misses, and %d with oldest out first; want a tenth of that", views, misses, lineMisses)
	}
	t.Logf("of %d views of regulars %d were misses, and %d with oldest out first", views, misses, lineMisses)
}

// However many were asked for, an Add does not look for long.
func TestAllWereAskedFor(t *testing.T) {
	c := tokencache.New(500, dead) // so few that keys cannot fall unevenly
	for i := range 500 {
		add(c, fmt.Sprint(i), i)
		c.Get(fmt.Sprint(i))
	}
	add(c, "one more", 1)
	asked := 0
	for i := range 500 {
		if c.Get(fmt.Sprint(i)) != nil {
			asked++
		}
	}
	if asked != 499 || c.Len() != 500 {
		t.Errorf("%d of 500 are left, %d in all", asked, c.Len())
	}
}

func TestBound(t *testing.T) {
	for _, limit := range []int{-1, 0, 1, 2, 800, 801, 4096, 4097, 10_000} {
		c := tokencache.New(limit, dead)
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

func TestDeadAreSweptWithoutAJanitor(t *testing.T) {
	c := tokencache.New(1000, dead)
	for i := range 100 {
		add(c, fmt.Sprint("old ", i), i)
		c.Get(fmt.Sprint("old ", i)).dead = true
	}
	for i := range 100 {
		add(c, fmt.Sprint("new ", i), i)
	}
	if n := c.Len(); n != 100 {
		t.Errorf("%d values, want the 100 new ones", n)
	}
	for i := range 100 {
		wantValue(t, c, fmt.Sprint("new ", i), i)
	}
	if c.Evictions() != 0 {
		t.Errorf("%d evictions: dead values are none", c.Evictions())
	}
}

func TestDelete(t *testing.T) {
	c := tokencache.New(10, dead)
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
	c := tokencache.New(10_000, dead)
	generation := c.Generation("a")
	c.Delete("a")
	if c.Add("a", value{n: 1}, generation) {
		t.Error("an earlier value was kept")
	}
	wantNothing(t, c, "a")
	if c.Generation("a") == generation {
		t.Error("the generation did not change")
	}
}

func TestConcurrentUse(t *testing.T) {
	c := tokencache.New(5000, dead)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 2000 {
				n := (i*7 + g) % 6000
				key := fmt.Sprint(n)
				switch i % 10 {
				case 0:
					c.Delete(key)
				default:
					add(c, key, n)
				}
				if got := c.Get(key); got != nil && got.n != n {
					t.Errorf("%s: %v", key, got)
				}
			}
		})
	}
	group.Wait()
	if n := c.Len(); n > 5000 {
		t.Errorf("holds %d", n)
	}
}
