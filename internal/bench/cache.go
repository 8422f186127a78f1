package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
	gocache "github.com/patrickmn/go-cache"
	"github.com/viccon/sturdyc"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

const life = 12 * time.Hour

// hits measures tokens served from memory, to all processors at once. The peers
// do less: they know an address and no name, and neither watch a token's age nor
// count.
func hits(out *report, most int) {
	out.title("Tokens.Token, served from memory, on all processors")
	for _, n := range []int{1, 1_000, 100_000, 1_000_000} {
		if n <= most {
			hitsOf(out, n)
		}
		debug.FreeOSMemory() // what the next size measures is its own
	}
}

func hitsOf(out *report, n int) {
	list := visitors(n)
	tokens := newTokens(creatorFunc(created), 2*n) // as the others: room for all, however they hash
	plain := gocache.New(life, 0)
	full := must(otter.New(&otter.Options[string, hubspot.Token]{
		MaximumSize:      2 * n,
		ExpiryCalculator: otter.ExpiryWriting[string, hubspot.Token](life),
	}))
	sturdy := sturdyc.New[hubspot.Token](max(2*n, 10_000), 64, life, 10, sturdyc.WithNoContinuousEvictions())
	informed := n < 1_000_000 // with all of them the garbage collector takes minutes
	each(shuffled(list), func(v hubspot.Visitor) {
		token := must(tokens.Token(context.Background(), v))
		plain.SetDefault(v.Email, token)
		if informed {
			full.Set(v.Email, token)
			sturdy.Set(v.Email, token)
		}
	})

	contend := func(name string, get func(hubspot.Visitor) bool) contender {
		return contender{name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := rand.IntN(n)
				for pb.Next() {
					if !get(list[i]) {
						check(false, name+" lost a token")
					}
					if i++; i == n {
						i = 0
					}
				}
			})
		}}
	}
	contenders := []contender{
		contend("Tokens.Token", func(v hubspot.Visitor) bool {
			token, err := tokens.Token(context.Background(), v)
			return err == nil && token.Email() == v.Email
		}),
		contend("patrickmn/go-cache", func(v hubspot.Visitor) bool {
			value, _ := plain.Get(v.Email)
			token, ok := value.(hubspot.Token)
			return ok && token.Email() == v.Email
		}),
	}
	if informed {
		contenders = append(contenders,
			contend("maypok86/otter", func(v hubspot.Visitor) bool {
				token, ok := full.GetIfPresent(v.Email)
				return ok && token.Email() == v.Email
			}),
			contend("viccon/sturdyc", func(v hubspot.Visitor) bool {
				token, ok := sturdy.Get(v.Email)
				return ok && token.Email() == v.Email
			}))
	}
	// Package testing collects garbage before each round: with many visitors that
	// takes longer than the round.
	rounds, operations := 31, 50_000
	switch {
	case n >= 1_000_000:
		rounds, operations = 3, 400_000
	case n >= 100_000:
		rounds, operations = 5, 200_000
	}
	got := compete(rounds, operations, contenders...)
	out.own("visitors: "+group(float64(n)), got[0], allocations(got[0], 1))
	out.beside("patrickmn/go-cache", got[1], 1.5)
	for i, peer := range got[2:] {
		out.beside(contenders[2+i].name, peer, 0)
	}
}

// memory measures what a visitor costs in memory, whose 400-byte token and whose
// address nobody else holds.
func memory(out *report) {
	out.title("Memory of a full Tokens, by visitor")
	for _, n := range []int{30_000, 50_000, 100_000} {
		var tokens *hubspot.Tokens
		ours := held(func() int {
			tokens = newTokens(creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
				return hubspot.NewToken(strings.Clone(tokenValue), v.Email, time.Now()), nil
			}), n)
			parallel(n*11/10, func(i int) { must(tokens.Token(context.Background(), visitor(i))) })
			return tokens.Stats().Entries
		})
		runtime.KeepAlive(tokens)
		var plain *gocache.Cache
		theirs := held(func() int {
			plain = gocache.New(life, 0)
			for i := range n {
				v := visitor(i)
				plain.SetDefault(v.Email, hubspot.NewToken(strings.Clone(tokenValue), v.Email, time.Now()))
			}
			return plain.ItemCount()
		})
		runtime.KeepAlive(plain)
		out.print(line{
			what: "visitors: " + group(float64(n)), ours: "", bytes: group(ours),
			peer: "patrickmn/go-cache", theirs: group(theirs) + " B", ratio: fmt.Sprintf("%.2f", ours/theirs),
			goal: &goal{"≤ 700 B", ours <= 700, true},
		})
	}
}

// held is the memory that each of the things takes that fill makes.
func held(fill func() int) float64 {
	before := heap()
	n := fill()
	return float64(heap()-before) / float64(n)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held until the first
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// pause measures the longest time of a hit while the tokens of n visitors expire,
// beside what a janitor of go-cache does. A time includes whatever else the
// machine does in between. So the collector is off, the figure is that of the
// quieter round, and the last line is what the machine does to a loop that asks
// for nothing meanwhile: where that is no less, the first tells nothing. The
// benchmark of internal/tokencache measures the cache alone.
func pause(out *report, n int) {
	out.title("The longest pause of a hit while tokens expire")
	const rounds = 2
	ours, theirs, none, expired := time.Hour, time.Hour, time.Hour, n
	for range rounds {
		hit, nothing, count := pauseOfTokens(n)
		ours, none, expired = min(ours, hit), min(none, nothing), min(expired, count)
		theirs = min(theirs, pauseOfCache(n))
		debug.FreeOSMemory()
	}
	out.print(line{
		what: group(float64(expired)) + " expire, 1,000 stay", ours: microseconds(ours),
		peer: "go-cache, DeleteExpired", theirs: microseconds(theirs), ratio: fmt.Sprintf("%.2f", float64(ours)/float64(theirs)),
		goal: &goal{"< 1 ms", ours < time.Millisecond, false},
	})
	out.print(line{peer: "asking for nothing", theirs: microseconds(none)})
}

const regulars = 1_000

// pauseOfTokens fills a Tokens with n tokens that expire at the same moment; new
// visitors who come after it have them taken out. On a busy machine it ends up
// with fewer, and says with how many.
func pauseOfTokens(n int) (hit, nothing time.Duration, expired int) {
	began := time.Now()
	sample := newTokens(creatorFunc(created), n)
	parallel(n/20, func(i int) { must(sample.Token(context.Background(), visitor(i))) })
	end := time.Now().Add(40 * time.Since(began))

	var long atomic.Bool
	tokens := newTokens(creatorFunc(func(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		if long.Load() {
			return created(ctx, v)
		}
		return hubspot.NewToken(tokenValue, v.Email, end.Add(-life)), nil
	}), 3*n)
	get := func(v hubspot.Visitor) { must(tokens.Token(context.Background(), v)) }
	parallel(n, func(i int) {
		if time.Until(end) > time.Second/2 {
			_, _ = tokens.Token(context.Background(), visitor(regulars+i)) // one that comes too late is no entry
		}
	})
	expired = tokens.Stats().Entries
	long.Store(true)
	list := visitors(regulars)
	each(list, get)
	time.Sleep(time.Until(end))

	next := regulars + n
	come := func(visitors int) {
		for range visitors {
			get(visitor(next))
			next++
		}
	}
	entries := expired
	hit = longest(func(i int) { get(list[i%regulars]) }, func() {
		for last := entries + 1; entries < last; { // until none is left to take out
			last = entries
			come(10_000)
			entries = tokens.Stats().Entries
		}
	})
	check(next > regulars+n+10_000, "nothing was taken out")
	nothing = longest(func(int) {}, func() { come(n / 5) })
	return hit, nothing, expired
}

func pauseOfCache(n int) time.Duration {
	plain := gocache.New(life, 0)
	list := visitors(regulars)
	for _, v := range list {
		plain.SetDefault(v.Email, v)
	}
	for i := range n {
		plain.Set(visitor(regulars+i).Email, list[0], time.Nanosecond)
	}
	return longest(func(i int) { plain.Get(list[i%regulars].Email) }, plain.DeleteExpired)
}

// longest is the longest time that hit takes while meanwhile runs.
func longest(hit func(i int), meanwhile func()) time.Duration {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var over atomic.Bool
	go func() {
		defer over.Store(true)
		meanwhile()
	}()
	most := time.Duration(0)
	for i := 0; !over.Load(); i++ {
		began := time.Now()
		hit(i)
		most = max(most, time.Since(began))
	}
	return most
}

func visitor(i int) hubspot.Visitor {
	return hubspot.Visitor{
		Email:         fmt.Sprintf("visitor-%d@example.com", i),
		FirstName:     "Ada",
		LastName:      "Lovelace",
		EmailVerified: true,
	}
}

func visitors(n int) []hubspot.Visitor {
	list := make([]hubspot.Visitor, n)
	for i := range list {
		list[i] = visitor(i)
	}
	return list
}

// shuffled is list in another order: caches that are filled in it are read all
// over the place, as they are by real visitors.
func shuffled(list []hubspot.Visitor) []hubspot.Visitor {
	mixed := make([]hubspot.Visitor, len(list))
	for to, from := range rand.New(rand.NewPCG(1, 2)).Perm(len(list)) {
		mixed[to] = list[from]
	}
	return mixed
}

// each calls do for all of list, on all processors.
func each(list []hubspot.Visitor, do func(hubspot.Visitor)) {
	parallel(len(list), func(i int) { do(list[i]) })
}

// parallel calls do for 0 to n-1, on all processors.
func parallel(n int, do func(i int)) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				do(i)
			}
		})
	}
	wg.Wait()
}
