package hubspot

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
)

// Creator makes tokens: a [*Client], or an adapter over another way to call
// HubSpot. CreateToken is called concurrently; its token's Email has to be the
// visitor's. Its error should match the sentinels of this package where they
// apply, since they decide how long HubSpot is left alone.
type Creator interface {
	CreateToken(ctx context.Context, v Visitor) (Token, error)
}

// TokensConfig is how [Tokens] behaves. The zero value of a field means its
// default.
type TokensConfig struct {
	// Account tells HubSpot accounts apart where they share a Store: the portal
	// ID.
	Account string
	// MaxVisitors bounds how many visitors' tokens are kept in memory; the oldest
	// goes first. Default 50,000, about 1 KB each.
	MaxVisitors int
	// Margin is the least life that a token has left when it is handed out: the
	// browser uses it later, when the visitor opens the chat. Default 30 minutes.
	Margin time.Duration
	// CallsPerSecond and Burst bound the calls to HubSpot, over all visitors.
	// Default 10 and 50: at most 150 in ten seconds, of the 190 that the account
	// shares among all its integrations.
	CallsPerSecond float64
	Burst          int
	// Store shares tokens between replicas. Default none.
	Store Store
	// StoreSecret is what the records in Store are sealed with: at least 32
	// characters, the same on every replica. Required with a Store.
	StoreSecret Secret
	// Logger gets what an operator needs to know. Default slog.Default().
	Logger *slog.Logger
	// Observer, if set, is called for every [Event], on the goroutine where it
	// happened: it has to be quick and safe for concurrent use.
	Observer func(Event)
}

// Limits on what one visitor's flight may take, far apart from what a page
// waits: the page leaves within its render budget, the flight goes on.
const (
	flightLimit = 10 * time.Second // store, turn and call together
	turnLimit   = 5 * time.Second  // for this call's turn at the pace
)

// Tokens is a source of tokens that applications can ask on every page view. It
// answers from memory, renews in the background, and makes one call for a
// visitor however many ask at once. When HubSpot is down or refuses, valid
// tokens are handed out on, and HubSpot is left alone for a while.
//
// It may be used concurrently, and needs no closing: it has no goroutine but
// those of calls under way, which end by themselves within ten seconds.
type Tokens struct {
	creator  Creator
	account  string
	margin   time.Duration
	cache    *tokencache.Cache[*entry]
	failures *tokencache.Cache[failure]
	flights  flight.Group[Token]
	gate     *gate.Gate
	store    *sharedStore // nil without one
	sealer   *seal.Sealer
	observer
}

// NewTokens puts a Tokens in front of creator. Every problem with cfg comes in
// one joined error.
func NewTokens(creator Creator, cfg TokensConfig) (*Tokens, error) {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("hubspot: TokensConfig: "+problem))
		}
	}
	check(creator != nil, "there is no Creator")
	check(cfg.MaxVisitors >= 0, "MaxVisitors is negative")
	check(cfg.Margin >= 0 && cfg.Margin < tokenLife/2, "Margin is negative or more than half of a token's 12 hours")
	check(cfg.CallsPerSecond >= 0, "CallsPerSecond is negative")
	check(cfg.Burst >= 0, "Burst is negative")
	check(cfg.Store == nil || cfg.StoreSecret != "", "a Store needs a StoreSecret (HUBSPOT_STORE_SECRET)")
	check(cfg.StoreSecret == "" || len(cfg.StoreSecret) >= minSecretLength, "StoreSecret (HUBSPOT_STORE_SECRET) has less than 32 characters")
	// Without a shared secret the names in logs only have to tell visitors apart.
	secret := cmp.Or(string(cfg.StoreSecret), rand.Text()+rand.Text())
	sealer, err := seal.New([]byte(secret))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	limit := cmp.Or(cfg.MaxVisitors, 50_000)
	t := &Tokens{
		creator:  creator,
		account:  cfg.Account,
		margin:   cmp.Or(cfg.Margin, 30*time.Minute),
		cache:    tokencache.New[*entry](limit),
		failures: tokencache.New[failure](limit),
		sealer:   sealer,
	}
	t.observer.logger = cmp.Or(cfg.Logger, slog.Default())
	t.observer.callback = cfg.Observer
	t.gate = gate.New(cmp.Or(cfg.CallsPerSecond, 10), cmp.Or(cfg.Burst, 50), t.gateChanged)
	if cfg.Store != nil {
		t.store = &sharedStore{store: cfg.Store, sealer: sealer}
	}
	return t, nil
}

// Token is a token for v with at least Margin of life left.
//
// A fresh one is served from memory, past its soft point while a renewal runs in
// the background. Otherwise HubSpot is asked, once for everybody who waits; ctx
// ends the wait, not the call, whose result is kept for the next request.
//
// The error is ErrUnverifiedEmail, a [*VisitorError], ctx's error, what the
// Creator said, or matches ErrCoolingDown (and what led to it) where HubSpot was
// not asked. None of them is for the visitor's eyes, none contains who it was.
func (t *Tokens) Token(ctx context.Context, v Visitor) (Token, error) {
	if !v.EmailVerified {
		return Token{}, ErrUnverifiedEmail
	}
	key := visitorKey(t.account, v)
	now := time.Now()
	if e, ok := t.cache.Get(key); ok {
		switch e.freshness(now, t.margin) {
		case fresh:
			t.stats.hits.Add(1)
			return e.token, nil
		case aging:
			t.stats.staleHits.Add(1)
			if e.claimRenewal(now) {
				go t.fly(context.WithoutCancel(ctx), key, v, e)
			}
			return e.token, nil
		}
	}
	t.stats.misses.Add(1)
	// The cheap refusals come before any flight: keys in the caches have passed
	// Validate, others must before they go anywhere.
	if err := v.Validate(); err != nil {
		return Token{}, err
	}
	if f, ok := t.failures.Get(key); ok && now.Before(f.until) {
		return Token{}, fmt.Errorf("%w: %w", ErrCoolingDown, f.err)
	}
	if t.store == nil { // with one, another replica may have the token
		if err := t.gate.Refuses(turnLimit); err != nil {
			return Token{}, t.refused(key, err)
		}
	}
	return t.fly(ctx, key, v, nil)
}

// Invalidate forgets v's token, in memory and in the Store: at log-out, after a
// change of the address, for an erasure. v has to be the same Visitor in every
// field that is sent, since each of them is part of what a token is kept under.
//
// It also beats a call under way: those who began to wait before get that call's
// token, it is not kept, and whoever asks later gets another. A failure to reach
// the Store is observed; the record there then lives until it expires. Other
// replicas keep what they have in memory. HubSpot has no way to revoke a token:
// pages that have it keep it.
func (t *Tokens) Invalidate(ctx context.Context, v Visitor) {
	ctx = context.WithoutCancel(ctx) // a browser that leaves at the log-out must not keep the record; the store has its limit
	key := visitorKey(t.account, v)
	t.cache.Delete(key)
	t.failures.Delete(key)
	if t.store != nil {
		if err := t.store.delete(ctx, t.sealer.Name(key)); err != nil {
			t.storeFailed(key, err)
		}
		// Again, for a flight that began after the first and read the record.
		t.cache.Delete(key)
	}
}

// Purge forgets everything in this process's memory, tokens and failures. The
// Store keeps its records.
func (t *Tokens) Purge() {
	t.cache.Purge()
	t.failures.Purge()
}
