package redisstore_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/redisstore"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// What a replica is told, besides its role.
const (
	apiVariable   = "REDISSTORE_TEST_API"
	redisVariable = "REDISSTORE_TEST_REDIS"
)

const storeSecret = "one secret for all of the replicas"

// sessionCookie holds the number of the visitor who is signed in.
const sessionCookie = "session"

// visitor is the one with a number. The names are there so that records have
// them to betray, if they did.
func visitor(number int) hubspot.Visitor {
	return hubspot.Visitor{
		Email:         fmt.Sprintf("visitor-%04d@shop.example", number),
		FirstName:     "Ada",
		LastName:      fmt.Sprintf("Lovelace-%04d", number),
		EmailVerified: true,
	}
}

// serveReplica is one replica of an application, as the package documentation
// says, until stdin closes. Its first line of output is its URL.
func serveReplica() (exitCode int) {
	handler, rdb, err := newApplication(os.Getenv(apiVariable), os.Getenv(redisVariable))
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
	defer rdb.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }() // until Close
	fmt.Println("http://" + listener.Addr().String())
	untilStdinCloses()
	_ = server.Close()
	return 0
}

func newApplication(apiURL, redisAddr string) (http.Handler, redis.UniversalClient, error) {
	cfg := hubspot.Config{
		AccessToken: hubspottest.AccessToken,
		PortalID:    hubspottest.PortalID,
		APIURL:      apiURL,
		StoreSecret: hubspot.NewSecret(storeSecret),
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, nil, err
	}
	rdb := redis.NewUniversalClient(clientOptions(redisAddr))
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{
		Account: cfg.PortalID,
		// Hundreds of visitors come within a second. At the default pace most of
		// them would wait for their turn, which is right and another test's subject.
		CallsPerSecond: 10_000,
		Burst:          10_000,
		Store:          redisstore.New(rdb),
		StoreSecret:    cfg.StoreSecret,
		Logger:         logger,
	})
	if err != nil {
		return nil, nil, err
	}
	chat, err := middleware.New(tokens, func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	}, middleware.WithConfig(cfg), middleware.WithLogger(logger))
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /page", chat.Handler(http.HandlerFunc(servePage)))
	mux.HandleFunc("POST /invalidate", func(w http.ResponseWriter, r *http.Request) {
		if v, ok := middleware.VisitorFrom(r.Context()); ok {
			tokens.Invalidate(r.Context(), v)
		}
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(tokens.Stats())
	})
	return authenticate(mux), rdb, nil
}

// authenticate is the application's own authentication.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie(sessionCookie); err == nil {
			if number, err := strconv.Atoi(cookie.Value); err == nil {
				r = r.WithContext(middleware.WithVisitor(r.Context(), visitor(number)))
			}
		}
		next.ServeHTTP(w, r)
	})
}

func servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html>\n<title>Account</title>\n%s</html>\n", snippet.HTML(r.Context()))
}
