package hubspot

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seal"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seldom"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
)

// Creator makes tokens: it is a [*Client], or an adapter for another way to call
// HubSpot. CreateToken is called concurrently, and the Email of its token has to
// be the visitor's. Its errors should match the sentinel errors of this package
// where they apply, since those decide how long HubSpot is left alone.
type Creator interface {
	CreateToken(ctx context.Context, v Visitor) (Token, error)
}

// TokensConfig configures a [Tokens]. A field's zero value means its default.
type TokensConfig struct {
	// Account is the portal ID. It separates HubSpot accounts that share a
	// Store, and is required with one.
	Account string
	// MaxVisitors limits how many visitors' tokens are kept in memory; those of
	// visitors who do not return are dropped first. Default 50,000, at about
	// 0.7 KB each.
	MaxVisitors int
	// Margin is the least time that a token has left when it is handed out: the
	// browser uses it later, when the visitor opens the chat. Default 30
	// minutes, or a quarter of the life of a short-lived token.
	Margin time.Duration
	// CallsPerSecond and Burst limit the calls to HubSpot for all visitors
	// together. The defaults, 10 and 50, allow 150 calls in ten seconds, of the
	// 190 that HubSpot allows a private app. For a public OAuth app, with 110
	// per account, use 6 and 30. When less than a fifth of the limit that
	// HubSpot reports is left, no calls are made for a while. A single address
	// gets a burst of at most 30 calls, and then a two-hundredth of
	// CallsPerSecond (one call in 20 seconds), so that nobody can use up the
	// account's calls of the day.
	CallsPerSecond float64
	Burst          int
	// Store shares tokens between replicas. Default none.
	Store Store
	// StoreSecret is the key that seals the records in Store: at least 32
	// characters, the same on every replica. Required with a Store.
	StoreSecret Secret
	// Logger receives what an operator needs to know. Default slog.Default().
	Logger *slog.Logger
	// Observer, if set, is called for every [Event] and waited for. It has to be
	// quick and safe for concurrent use.
	Observer func(Event)
}

// Limits on what one visitor's flight may take, far apart from what a page
// waits: the page leaves within its render budget, the flight goes on.
const flightLimit = 10 * time.Second // store, turn and call together

// turnLimits are how long a call waits for its turn at the pace. A page's script asks
// for as long as four seconds: where more visitors come than the pace lets pass, a
// longer queue would not serve more of them, but all of them too late. A renewal has
// hours: it takes a free turn only.
var turnLimits = map[EventKind]time.Duration{EventCreated: 3500 * time.Millisecond, EventRenewed: 10 * time.Millisecond}

// Tokens is a source of tokens that an application can ask on every page view. It
// answers from memory, renews tokens in the background, and makes one call per
// visitor however many requests ask at once. When HubSpot is down or refuses, it
// goes on handing out valid tokens, and leaves HubSpot alone for a while.
//
// It is safe for concurrent use and needs no closing: its only goroutines are
// those of calls under way, which end by themselves within ten seconds.
type Tokens struct{ opaque[*source] }

// source is a Tokens where no printer looks: nearly all in it knows visitors.
type source struct {
	creator  Creator
	lives    lives
	gate     *gate.Gate
	cache    *tokencache.Cache[entry]
	flights  *flight.Group[Token]
	store    *sharedStore
	refusals *tokencache.Cache[refusal]
	*observer
}

// NewTokens returns a Tokens in front of creator. Its error joins all problems
// with cfg.
func NewTokens(creator Creator, cfg TokensConfig) (*Tokens, error) {
	var errs problems
	errs.check(creator != nil, "TokensConfig: there is no Creator")
	errs.check(cfg.MaxVisitors >= 0, "TokensConfig: MaxVisitors is negative")
	errs.check(cfg.Margin >= 0 && cfg.Margin < tokenLife/2, "TokensConfig: Margin is negative or more than half of a token's 12 hours")
	errs.check(cfg.CallsPerSecond >= 0, "TokensConfig: CallsPerSecond is negative")
	errs.check(cfg.Burst >= 0, "TokensConfig: Burst is negative")
	errs.check(cfg.Store == nil || cfg.Account != "", "TokensConfig: a Store needs an Account (HUBSPOT_PORTAL_ID): another account's tokens are of no use")
	errs.check(cfg.Store == nil || !cfg.StoreSecret.IsZero(), "TokensConfig: a Store needs a StoreSecret (HUBSPOT_STORE_SECRET)")
	errs.check(cfg.StoreSecret.IsZero() || isStoreSecret(cfg.StoreSecret), "TokensConfig: StoreSecret (HUBSPOT_STORE_SECRET) has less than 32 characters")
	// Without a shared secret the names in logs only have to tell visitors apart.
	sealer, err := seal.New([]byte(cmp.Or(cfg.StoreSecret.Reveal(), rand.Text()+rand.Text())))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	account := string(appendPart(nil, cfg.Account))
	o := &observer{
		log:      seldom.New(cfg.Logger),
		callback: cfg.Observer,
		name:     func(key string) string { return sealer.Name(account + key) },
	}
	limit := cmp.Or(cfg.MaxVisitors, 50_000)
	lives := lives{cmp.Or(cfg.Margin, 30*time.Minute), time.Now()}
	return &Tokens{hide(&source{
		creator:  creator,
		lives:    lives,
		gate:     gate.New(cmp.Or(cfg.CallsPerSecond, 10), cmp.Or(cfg.Burst, 50)),
		cache:    tokencache.New(limit, func(e *entry) bool { return e.freshness(lives.now()) == spent }),
		flights:  new(flight.Group[Token]),
		refusals: tokencache.New(limit, (*refusal).over),
		store:    &sharedStore{store: cfg.Store, sealer: sealer, observer: o, places: make(chan struct{}, storeMaxCalls)},
		observer: o,
	})}, nil
}

// Token returns a token for v that is valid for at least Margin.
//
// A fresh token is served from memory, and so is an aging one, while it is
// renewed in the background. Otherwise HubSpot is asked, once for all who wait.
// When ctx ends, the wait ends but not the call, whose result is kept for the
// next request. If ctx has already ended, Token does not wait: it answers from
// memory, or starts the call and returns ctx's error at once. The call does not
// see ctx's values.
//
// The error is ErrUnverifiedEmail, joins [*VisitorError]s, is ctx's error or the
// Creator's, or matches ErrCoolingDown (and what led to it) if HubSpot was not
// asked. None of them is meant for visitors, and none says who the visitor is.
func (t *Tokens) Token(ctx context.Context, v Visitor) (Token, error) {
	s := t.get()
	if !v.EmailVerified {
		return Token{}, ErrUnverifiedEmail
	}
	key, now := v.key(), s.lives.now()
	old, state := s.cache.Get(key), spent
	if old != nil {
		state = old.freshness(now)
	}
	if state == fresh || state == aging && !old.claimRenewal(now) {
		return old.token(), nil
	}
	if state == spent {
		s.count(&s.stats.Misses)
		// Keys in memory have passed Validate, others must before they go anywhere.
		if err := v.Validate(); err != nil {
			return Token{}, err
		}
		// A page whose headers leave before the chat is drawn has to know, without waiting.
		if refused := s.refusals.Get(key); !refused.over() && refused.invalid {
			return Token{}, refused.err
		}
	}
	v, key = v.clone(key)
	f := s.begin(key, v, state)
	if state == aging {
		return old.token(), nil
	}
	return f.Wait(ctx)
}

// begin joins the visitor's flight, or begins it. state is what the entry in memory
// is worth.
func (s *source) begin(key string, v Visitor, state freshness) flight.Flight[Token] {
	// The generation is part of the flight's key: nobody who asks after an
	// Invalidate joins a flight from before it.
	generation := s.cache.Generation(key)
	return s.flights.Begin(strconv.FormatUint(uint64(generation), 36)+" "+key, flightLimit, func(ctx context.Context) (Token, error) {
		return s.fetch(ctx, key, v, state, generation)
	})
}

// fetch is one flight: somebody's fresh token in memory or in the Store, or else
// a new one from HubSpot.
func (s *source) fetch(ctx context.Context, key string, v Visitor, state freshness, generation uint32) (Token, error) {
	// Another flight may have landed between this caller's look and its flight.
	if e := s.cache.Get(key); e != nil && e.freshness(s.lives.now()) == fresh {
		return e.token(), nil
	}
	kind, least := EventCreated, aging
	if state == aging {
		kind, least = EventRenewed, fresh
	}
	// Another replica may have made one that is at least so good.
	if e := s.lives.entry(s.store.get(ctx, key)); e.token().Email() == v.Email && e.freshness(s.lives.now()) >= least {
		s.count(&s.stats.StoreHits)
		s.cache.Add(key, e, generation)
		return e.token(), nil
	}
	token, err := s.create(ctx, key, v, kind)
	if err != nil {
		return Token{}, err
	}
	if s.cache.Add(key, s.lives.entry(token), generation) && !s.store.resting() {
		go s.share(key, token, generation) // nobody waits for it
	}
	return token, nil
}

// share puts a new token into the Store.
func (s *source) share(key string, token Token, generation uint32) {
	ctx, e := context.Background(), s.lives.entry(token)
	s.store.set(ctx, key, token, e.left(s.lives.now()))
	// An Invalidate since then may have deleted before this wrote, and a write
	// that was too late for its limit may have been done all the same.
	if s.cache.Generation(key) != generation {
		s.store.delete(ctx, key)
	}
}

// Invalidate forgets v's token, in memory and in the Store: at sign-out, after a
// change of address, or to erase data. v has to be equal in every field that is
// sent to HubSpot, since tokens are kept under all of them.
//
// Invalidate also covers a call under way: those already waiting get its token,
// but it is not kept, and later callers get a new one. If the Store cannot be
// reached, an Event says so, and the record there lives until it expires. Other
// replicas keep what they have in memory. HubSpot has no way to revoke a token:
// pages that have it keep it.
func (t *Tokens) Invalidate(ctx context.Context, v Visitor) {
	s := t.get()
	ctx = context.WithoutCancel(ctx) // a browser that leaves at the log-out must not keep the record; the store has its limit
	key := v.key()
	s.cache.Delete(key)
	s.refusals.Delete(key)
	s.store.delete(ctx, key)
	s.cache.Delete(key) // again, for a flight that began after the first and read the record
}
