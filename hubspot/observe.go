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
	Hits      int64 // fresh tokens served from memory
	StaleHits int64 // aging tokens served from memory while a renewal was due
	Misses    int64 // requests for which memory had no token

	Minted        int64 // tokens that HubSpot made, renewals included
	Renewals      int64 // of these, to follow one that ages
	FailedVisitor int64 // calls refused because of the visitor
	FailedAccount int64 // calls refused because of credential, scope or region
	FailedLimit   int64 // calls refused because of the account's limits
	FailedOutage  int64 // calls lost to trouble at HubSpot or on the way
	Limited       int64 // calls not made, for want of room at the pace

	GateClosed, GateOpened              int64 // how often the account was left alone, and served again
	StoreHits, StoreMisses, StoreErrors int64
	Evictions                           int64 // tokens put out of memory for want of room
	Entries                             int   // tokens in memory now
}

// Stats is a reading of the counters. They are read one after the other.
func (t *Tokens) Stats() Stats {
	t.mu.Lock()
	stats := t.rare
	t.mu.Unlock()
	stats.Hits, stats.StaleHits, stats.Misses = t.cache.Found()-t.notFresh.Load(), t.staleHits.Load(), t.misses.Load()
	stats.Evictions, stats.Entries = t.cache.Evictions(), t.cache.Len()
	return stats
}

// observer counts, logs and calls back. Whatever the application's functions do
// in it, the visitor does not pay for it.
type observer struct {
	logger   *slog.Logger
	callback func(Event)
	name     func(key string) string // what a visitor is called outside of this process

	// Of what was found in memory, which the cache counts, some was no fresh hit.
	notFresh, staleHits, misses atomic.Int64

	mu     sync.Mutex
	rare   Stats                // what is counted beside these
	logged map[string]time.Time // when each kind of problem was last logged
}

func (o *observer) count(counter *int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*counter++
}

// note counts an event and tells the Observer of it.
func (o *observer) note(e Event, counter *int64) {
	o.count(counter)
	if o.callback == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			o.logOnce(slog.LevelError, "observer", "hubspot: the Observer panicked", slog.String("panic", fmt.Sprintf("%T", p)))
		}
	}()
	o.callback(e)
}

// called is for a call that was made; closed tells that the gate is, after it.
func (o *observer) called(e Event, said verdict, closed bool) {
	attrs := []slog.Attr{slog.String("visitor", e.Visitor[:16]), slog.Duration("took", e.Duration)}
	if e.Err == nil {
		o.log(slog.LevelDebug, "hubspot: token "+string(e.Kind), attrs...)
		if e.Kind == EventRenewed {
			o.count(&o.rare.Renewals)
		}
		o.note(e, &o.rare.Minted)
		return
	}
	level, counter := slog.LevelWarn, &o.rare.FailedOutage
	switch said.class {
	case classVisitor:
		counter = &o.rare.FailedVisitor
	case classAccount:
		counter = &o.rare.FailedAccount
	case classLimit:
		counter = &o.rare.FailedLimit
	}
	// Some need the operator; of visitors, only if several were refused.
	if said.class == classAccount || said.class == classVisitor && closed || errors.Is(e.Err, ErrDailyLimit) {
		level = slog.LevelError
	}
	o.logOnce(level, string(said.class), "hubspot: "+said.advice+"; visitors without a token chat anonymously", append(attrs, slog.Any("error", e.Err))...)
	e.Kind = EventFailed
	o.note(e, counter)
}

func (o *observer) limited(key string) {
	e := Event{Kind: EventLimited, Visitor: o.name(key)}
	o.log(slog.LevelDebug, "hubspot: no room for a call at this pace", slog.String("visitor", e.Visitor[:16]))
	o.note(e, &o.rare.Limited)
}

func (o *observer) gateChanged(open bool) {
	kind, counter := EventGateClosed, &o.rare.GateClosed
	if open {
		kind, counter = EventGateOpened, &o.rare.GateOpened
	}
	o.log(slog.LevelDebug, "hubspot: "+string(kind))
	o.note(Event{Kind: kind}, counter)
}

func (o *observer) storeFailed(key string, err error) {
	o.logOnce(slog.LevelWarn, "store", "hubspot: the shared store failed; tokens are kept in memory only", slog.Any("error", err))
	o.note(Event{Kind: EventStoreFailed, Visitor: o.name(key), Err: err}, &o.rare.StoreErrors)
}

// logOnce logs a problem of a kind at most once a minute at its level, and at
// Debug level in between.
func (o *observer) logOnce(level slog.Level, kind, message string, attrs ...slog.Attr) {
	now := time.Now()
	kind += level.String()
	o.mu.Lock()
	if last, ok := o.logged[kind]; ok && now.Sub(last) < time.Minute {
		level = slog.LevelDebug
	} else {
		o.logged[kind] = now
	}
	o.mu.Unlock()
	o.log(level, message, attrs...)
}

// log does nothing where the application's handler panics.
func (o *observer) log(level slog.Level, message string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	o.logger.LogAttrs(context.Background(), level, message, attrs...)
}
