package redisstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/redisstore"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// All that an application with many replicas needs, besides the environment:
// HUBSPOT_ACCESS_TOKEN, HUBSPOT_PORTAL_ID, and HUBSPOT_STORE_SECRET, which has to be
// the same on every replica.
func ExampleOpen() {
	store, err := redisstore.Open("redis://redis:6379")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context()) // where your authentication left the visitor
	}, middleware.WithStore(store))
	if err != nil {
		log.Fatal(err)
	}
	log.Print(http.ListenAndServe("127.0.0.1:8080", chat.Handler(http.DefaultServeMux)))
}

// A password that a library of your cloud renews does not fit into a URL: New takes
// a client of your own making. The other options are those of the package
// documentation.
func ExampleNew() {
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                      []string{"redis:6379"},
		CredentialsProviderContext: passwordOfTheHour,
		ContextTimeoutEnabled:      true,
		MaxRetries:                 -1,
		DialTimeout:                500 * time.Millisecond,
		DialerRetries:              1,
		ReadTimeout:                500 * time.Millisecond,
	})
	defer rdb.Close()
	chat, err := middleware.FromEnv(func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	}, middleware.WithStore(redisstore.New(rdb)))
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(http.ListenAndServe("127.0.0.1:8080", chat.Handler(http.DefaultServeMux)))
}

func passwordOfTheHour(context.Context) (username, password string, err error) {
	return "chat", "…", nil
}

// Mistakes are named, and never with what they are made of.
func ExampleOpen_problems() {
	_, err := redisstore.Open("redis://chat:p/ssword@redis:6379")
	fmt.Println(err)
	_, err = redisstore.Open("redis://redis/tokens?skip_verify=true")
	fmt.Println(err)
	// Output:
	// redisstore: the URL is not one to use: its user name and password, or a parameter, are not percent-encoded
	// redisstore: the URL is not one to use: its path, or its parameter db, is not the number of a database
	// redisstore: the URL is not one to use: its parameter skip_verify is for rediss://
}
