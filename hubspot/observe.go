package hubspot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// EventKind says what an [Event] is about.
type EventKind string

// Kinds of events.
const (
	EventMinted      EventKind = "minted"       // HubSpot made a visitor's first token
	EventRenewed     EventKind = "renewed"      // HubSpot made a token to follow one that ages
	EventFailed      EventKind = "failed"       // a call to HubSpot failed: Err
	EventLimited     EventKind = "limited"      // a call was not made, for want of room at the pace
	EventGateClosed  EventKind = "gate closed"  // the account is left alone for a while
	EventGateOpened  EventKind = "gate opened"  // and served again
	EventStoreFailed EventKind = "store failed" // the Store failed, or held a bad record: Err
)

// Event is something worth counting or tracing in a [Tokens]. Serving a token
// from memory is none.
type Event struct {
	Kind EventKind
	// Visitor tells visitors apart without telling who they are: an HMAC of what
	// identifies them. Empty where no single visitor is concerned.
	Visitor string
	// Err never contains a visitor's data, a token or the credential, as far as
	// it comes from this package.
	Err error
	// Duration is what the call to HubSpot took, where one was made.
	Duration time.Duration
}

// Stats counts what a [Tokens] did since it was made.
type Stats struct {
	Hits        int64 // fresh tokens served from memory
	StaleHits   int64 // aging tokens served from memory while a renewal was due
	Misses      int64 // requests for which memory had no token
	SharedWaits int64 // requests that shared one flight with others

	Minted        int64 // tokens that HubSpot made, renewals included
	Renewals      int64 // of these, to follow one that ages
	FailedVisitor int64 // calls refused because of the visitor
	FailedAccount int64 // calls refused because of credential, scope or plan
	FailedLimit   int64 // calls refused because of the account's limits
	FailedOutage  int64 // calls lost to trouble at HubSpot or on the way
	Limited       int64 // calls not made, for want of room at the pace

	GateClosed, GateOpened              int64 // how often the account was left alone, and served again
	StoreHits, StoreMisses, StoreErrors int64
	Evictions                           int64 // tokens put out of memory by younger ones
	Entries                             int   // tokens in memory now
}

type counters struct {
	hits, staleHits, misses, sharedWaits                    atomic.Int64
	minted, renewals                                        atomic.Int64
	failedVisitor, failedAccount, failedLimit, failedOutage atomic.Int64
	limited, gateClosed, gateOpened                         atomic.Int64
	storeHits, storeMisses, storeErrors                     atomic.Int64
}

// Stats is a reading of the counters. They are read one after the other.
func (t *Tokens) Stats() Stats {
	c := &t.stats
	return Stats{
		Hits: c.hits.Load(), StaleHits: c.staleHits.Load(), Misses: c.misses.Load(), SharedWaits: c.sharedWaits.Load(),
		Minted: c.minted.Load(), Renewals: c.renewals.Load(),
		FailedVisitor: c.failedVisitor.Load(), FailedAccount: c.failedAccount.Load(),
		FailedLimit: c.failedLimit.Load(), FailedOutage: c.failedOutage.Load(),
		Limited: c.limited.Load(), GateClosed: c.gateClosed.Load(), GateOpened: c.gateOpened.Load(),
		StoreHits: c.storeHits.Load(), StoreMisses: c.storeMisses.Load(), StoreErrors: c.storeErrors.Load(),
		Evictions: t.cache.Evictions(), Entries: t.cache.Len(),
	}
}

// observer is the part of Tokens that counts, logs and calls back.
type observer struct {
	stats    counters
	logger   *slog.Logger
	callback func(Event)

	mu     sync.Mutex
	logged map[string]time.Time // when each kind of problem was last logged
}

func (t *Tokens) emit(e Event) {
	if t.callback == nil {
		return
	}
	// Some events happen on goroutines where a panic would end the process.
	defer func() {
		if p := recover(); p != nil {
			t.logOnce(slog.LevelError, "observer", "hubspot: the Observer panicked", slog.String("panic", fmt.Sprintf("%T", p)))
		}
	}()
	t.callback(e)
}

func (t *Tokens) minted(key string, renewal bool, took time.Duration, err error) {
	e := Event{Kind: EventMinted, Visitor: t.sealer.Name(key), Duration: took, Err: err}
	switch {
	case err != nil:
		e.Kind = EventFailed
		t.failed(e)
	case renewal:
		e.Kind = EventRenewed
		t.stats.renewals.Add(1)
		fallthrough
	default:
		t.stats.minted.Add(1)
		t.logger.LogAttrs(context.Background(), slog.LevelDebug, "hubspot: token "+string(e.Kind), visitorAttr(e), slog.Duration("took", took))
	}
	t.emit(e)
}

func (t *Tokens) failed(e Event) {
	level, message := slog.LevelWarn, "hubspot: HubSpot is in trouble or cannot be reached; visitors without a token chat anonymously"
	c := classify(e.Err)
	switch c {
	case classNone:
		return
	case classVisitor:
		t.stats.failedVisitor.Add(1)
		message = "hubspot: HubSpot does not accept a visitor, who chats anonymously"
	case classAccount:
		t.stats.failedAccount.Add(1)
		level, message = slog.LevelError, accountAdvice(e.Err)
	case classLimit:
		t.stats.failedLimit.Add(1)
		message = "hubspot: the account's calls are used up; visitors without a token chat anonymously"
		if errors.Is(e.Err, ErrDailyLimit) {
			level = slog.LevelError
		}
	case classOutage:
		t.stats.failedOutage.Add(1)
	}
	t.logOnce(level, string(c), message, visitorAttr(e), slog.Any("error", e.Err), slog.Duration("took", e.Duration))
}

// accountAdvice is what the operator can do about a refusal.
func accountAdvice(err error) string {
	switch {
	case errors.Is(err, ErrUnauthorized):
		return "hubspot: HubSpot does not accept the access token: check HUBSPOT_ACCESS_TOKEN"
	case errors.Is(err, ErrMissingScope):
		return "hubspot: the access token lacks a scope: give the private app conversations.visitor_identification.tokens.create"
	case errors.Is(err, ErrForbidden):
		return "hubspot: HubSpot refuses to identify visitors: most likely the account's plan, which has to be Professional or Enterprise"
	}
	return "hubspot: HubSpot does not understand the token call: check HUBSPOT_API_URL and HUBSPOT_API_VERSION"
}

func (t *Tokens) limited(key string) {
	e := Event{Kind: EventLimited, Visitor: t.sealer.Name(key)}
	t.stats.limited.Add(1)
	t.logger.LogAttrs(context.Background(), slog.LevelDebug, "hubspot: no room for a call at this pace", visitorAttr(e))
	t.emit(e)
}

func (t *Tokens) gateChanged(open bool) {
	e := Event{Kind: EventGateClosed}
	count := &t.stats.gateClosed
	if open {
		e.Kind, count = EventGateOpened, &t.stats.gateOpened
	}
	count.Add(1)
	t.logger.LogAttrs(context.Background(), slog.LevelDebug, "hubspot: "+string(e.Kind))
	t.emit(e)
}

func (t *Tokens) storeFailed(key string, err error) {
	e := Event{Kind: EventStoreFailed, Visitor: t.sealer.Name(key), Err: err}
	t.stats.storeErrors.Add(1)
	t.logOnce(slog.LevelWarn, "store", "hubspot: the shared store failed; tokens are kept in memory only", slog.Any("error", err))
	t.emit(e)
}

// logOnce logs a problem of a kind at most once a minute, and at Debug level in
// between.
func (t *Tokens) logOnce(level slog.Level, kind, message string, attrs ...slog.Attr) {
	now := time.Now()
	t.mu.Lock()
	if last, ok := t.logged[kind]; ok && now.Sub(last) < time.Minute {
		level = slog.LevelDebug
	} else {
		if t.logged == nil {
			t.logged = make(map[string]time.Time)
		}
		t.logged[kind] = now
	}
	t.mu.Unlock()
	t.logger.LogAttrs(context.Background(), level, message, attrs...)
}

func visitorAttr(e Event) slog.Attr { return slog.String("visitor", e.Visitor[:16]) }
