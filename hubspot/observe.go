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
	stats.Hits, stats.StaleHits, stats.Misses = t.hits.Load(), t.staleHits.Load(), t.misses.Load()
	stats.Evictions, stats.Entries = t.cache.Evictions(), t.cache.Len()
	return stats
}

// observer counts, logs and calls back. Whatever the application's functions do
// in it, the visitor does not pay for it.
type observer struct {
	logger   *slog.Logger
	callback func(Event)
	name     func(key string) string // what a visitor is called outside of this process

	hits, staleHits, misses atomic.Int64

	mu     sync.Mutex
	rare   Stats                // what is counted beside these
	logged map[string]time.Time // when each kind of problem was last logged
}

func (o *observer) count(what func(*Stats)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	what(&o.rare)
}

// note counts an event and tells the Observer of it.
func (o *observer) note(e Event, what func(*Stats)) {
	o.count(what)
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
func (o *observer) called(key string, kind EventKind, said verdict, closed bool, took time.Duration, err error) {
	e := Event{Kind: kind, Visitor: o.name(key), Duration: took, Err: err}
	if err == nil {
		o.log(slog.LevelDebug, "hubspot: token "+string(kind), visitorAttr(e), slog.Duration("took", took))
		o.note(e, func(s *Stats) {
			s.Minted++
			if kind == EventRenewed {
				s.Renewals++
			}
		})
		return
	}
	level := slog.LevelWarn
	if said.class == classAccount || said.class == classVisitor && closed || errors.Is(err, ErrDailyLimit) {
		level = slog.LevelError // it needs the operator
	}
	o.logOnce(level, string(said.class), "hubspot: "+said.advice+"; visitors without a token chat anonymously",
		visitorAttr(e), slog.Any("error", err), slog.Duration("took", took))
	e.Kind = EventFailed
	o.note(e, func(s *Stats) {
		*map[class]*int64{classVisitor: &s.FailedVisitor, classAccount: &s.FailedAccount, classLimit: &s.FailedLimit, classOutage: &s.FailedOutage}[said.class]++
	})
}

func (o *observer) limited(key string) {
	e := Event{Kind: EventLimited, Visitor: o.name(key)}
	o.log(slog.LevelDebug, "hubspot: no room for a call at this pace", visitorAttr(e))
	o.note(e, func(s *Stats) { s.Limited++ })
}

func (o *observer) gateChanged(open bool) {
	e := Event{Kind: EventGateClosed}
	if open {
		e.Kind = EventGateOpened
	}
	o.log(slog.LevelDebug, "hubspot: "+string(e.Kind))
	o.note(e, func(s *Stats) {
		if open {
			s.GateOpened++
		} else {
			s.GateClosed++
		}
	})
}

func (o *observer) storeFailed(key string, err error) {
	o.logOnce(slog.LevelWarn, "store", "hubspot: the shared store failed; tokens are kept in memory only", slog.Any("error", err))
	o.note(Event{Kind: EventStoreFailed, Visitor: o.name(key), Err: err}, func(s *Stats) { s.StoreErrors++ })
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

func visitorAttr(e Event) slog.Attr { return slog.String("visitor", e.Visitor[:16]) }
