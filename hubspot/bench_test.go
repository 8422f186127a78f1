package hubspot_test

import (
	"context"
	"sync"
	"testing"
	"time"

	gocache "github.com/patrickmn/go-cache"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// BenchmarkFreshToken serves fresh tokens of 10,000 visitors from memory, to all
// processors at once. The baselines do less: one go-cache and a map behind one
// lock, keyed by the address alone.
func BenchmarkFreshToken(b *testing.B) {
	const visitors = 10_000
	list := make([]hubspot.Visitor, visitors)
	for i := range list {
		list[i] = visitorNo(i)
		list[i].FirstName, list[i].LastName = "Ada", "Lovelace"
	}
	token := func(v hubspot.Visitor) hubspot.Token {
		return hubspot.NewToken("token-of-"+v.Email, v.Email, time.Now())
	}
	run := func(name string, get func(v hubspot.Visitor)) {
		b.Run(name, func(b *testing.B) {
			for _, v := range list {
				get(v)
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					get(list[i%visitors])
				}
			})
		})
	}
	var mu sync.Mutex
	plain := map[string]hubspot.Token{}
	run("baseline=locked-map", func(v hubspot.Visitor) {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := plain[v.Email]; !ok {
			plain[v.Email] = token(v)
		}
	})
	cache := gocache.New(12*time.Hour, 0)
	run("baseline=go-cache", func(v hubspot.Visitor) {
		if _, ok := cache.Get(v.Email); !ok {
			cache.SetDefault(v.Email, token(v))
		}
	})
	tokens, err := hubspot.NewTokens(creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		return token(v), nil
	}), hubspot.TokensConfig{CallsPerSecond: 1e9, Burst: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	run("Tokens", func(v hubspot.Visitor) {
		if _, err := tokens.Token(context.Background(), v); err != nil {
			b.Error(err)
		}
	})
}
