package redisstore_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"

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
	paceVariable  = "REDISSTORE_TEST_PACE" // not empty: the library's own
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
	store, err := redisstore.Open(os.Getenv(redisVariable))
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
	defer store.Close()
	handler, err := newApplication(store)
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
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

func newApplication(store hubspot.Store) (http.Handler, error) {
	newChat := chatInAHurry
	if os.Getenv(paceVariable) != "" {
		newChat = chatFromEnv
	}
	chat, err := newChat(store, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /page", chat.Handler(http.HandlerFunc(servePage)))
	mux.HandleFunc("POST /sign-out", chat.SignedOut)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(chat.Stats())
	})
	return authenticate(mux), nil
}

func signedIn(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }

// chatFromEnv is what the package documentation recommends.
func chatFromEnv(store hubspot.Store, logger *slog.Logger) (*middleware.Middleware, error) {
	for variable, value := range map[string]string{
		"HUBSPOT_ACCESS_TOKEN": hubspottest.AccessToken.Reveal(),
		"HUBSPOT_PORTAL_ID":    hubspottest.PortalID,
		"HUBSPOT_API_URL":      os.Getenv(apiVariable),
		"HUBSPOT_STORE_SECRET": storeSecret,
	} {
		if err := os.Setenv(variable, value); err != nil {
			return nil, err
		}
	}
	return middleware.FromEnv(signedIn, middleware.WithStore(store), middleware.WithLogger(logger))
}

// chatInAHurry is for hundreds of visitors within a second. At the default pace
// most of them would wait for their turn, which is right and another test's subject.
func chatInAHurry(store hubspot.Store, logger *slog.Logger) (*middleware.Middleware, error) {
	cfg := hubspot.Config{
		AccessToken: hubspottest.AccessToken,
		PortalID:    hubspottest.PortalID,
		APIURL:      os.Getenv(apiVariable),
		StoreSecret: hubspot.NewSecret(storeSecret),
	}
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{
		Account:        cfg.PortalID,
		CallsPerSecond: 10_000,
		Burst:          10_000,
		Store:          store,
		StoreSecret:    cfg.StoreSecret,
		Logger:         logger,
	})
	if err != nil {
		return nil, err
	}
	return middleware.New(tokens, signedIn, middleware.WithConfig(cfg), middleware.WithLogger(logger))
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
