package redisstore_test

import (
	"log"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/redisstore"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

func ExampleNew() {
	cfg, err := hubspot.ConfigFromEnv() // with HUBSPOT_STORE_SECRET
	if err != nil {
		log.Fatal(err)
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	// One address: a single server. Several: a cluster. With MasterName: the
	// addresses of its sentinels.
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 []string{"redis:6379"},
		ContextTimeoutEnabled: true,
		MaxRetries:            -1,
		DialTimeout:           500 * time.Millisecond,
		DialerRetries:         1,
		ReadTimeout:           500 * time.Millisecond,
	})
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{
		Account:     cfg.PortalID,
		Store:       redisstore.New(rdb),
		StoreSecret: cfg.StoreSecret,
	})
	if err != nil {
		log.Fatal(err)
	}
	chat, err := middleware.New(tokens, func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context()) // where your authentication left the visitor
	}, middleware.WithConfig(cfg))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", chat.Handler(http.DefaultServeMux)))
}
