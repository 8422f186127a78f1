package hubspot

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seldom"
)

// EventKind says what happened in an [Event].
type EventKind string

// Kinds of events.
const (
	EventCreated     EventKind = "created"      // HubSpot made a visitor's first token
	EventRenewed     EventKind = "renewed"      // HubSpot made a token to replace an aging one
	EventFailed      EventKind = "failed"       // a call to HubSpot failed: Err
	EventLimited     EventKind = "limited"      // a call was not made: CallsPerSecond and Burst left no room
	EventGateClosed  EventKind = "gate_closed"  // HubSpot is left alone for a while
	EventGateOpened  EventKind = "gate_opened"  // and is asked again
	EventStoreFailed EventKind = "store_failed" // the Store failed, or held a bad record: Err
)

// Event is something worth counting or tracing in a [Tokens]. There is no event
// for a token served from memory.
type Event struct {
	Kind EventKind
	// Visitor distinguishes visitors without revealing who they are: it is an
	// HMAC of what identifies them, keyed by StoreSecret, or by a random key of
	// this process if that is empty. It is empty if the event concerns no
	// single visitor.
	Visitor string
	// Err never contains a visitor's data, a token or the credential, as long
	// as the error comes from this package.
	Err error
	// Duration is how long the call to HubSpot took, if one was made.
	Duration time.Duration
}

// Stats counts what a [Tokens] has done since it was made.
type Stats struct {
	Misses        int64 // requests for which memory had no token; all others were served from memory
	Created       int64 // tokens that HubSpot made for visitors who had none
	Renewed       int64 // tokens that HubSpot made to replace aging ones
	FailedVisitor int64 // calls refused because of the visitor or, if the gate closes too, of the plan
	FailedAccount int64 // calls refused because of the credential, scope or region
	FailedLimit   int64 // calls refused because of the account's limits
	FailedOutage  int64 // calls that failed at HubSpot, on the way, or while getting the access token
	Limited       int64 // calls not made: CallsPerSecond and Burst left no room
	GateClosed    int64 // how often HubSpot was left alone
	GateOpened    int64 // how often it was asked again after that

	StoreHits   int64 // tokens found in the Store
	StoreErrors int64 // calls to the Store that failed, and bad records
	Evictions   int64 // tokens dropped from memory for lack of room
	Entries     int   // tokens in memory now
}

// Stats returns the current counters. They are not read atomically as a whole.
func (t *Tokens) Stats() Stats {
	s := t.get()
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Evictions, stats.Entries = s.cache.Evictions(), s.cache.Len()
	return stats
}

// observer counts, logs and calls back. Whatever the application's functions do
// in it, the visitor does not pay for it.
type observer struct {
	log      *seldom.Logger
	callback func(Event)
	name     func(key string) string // what a visitor is called outside of this process

	mu    sync.Mutex
	stats Stats // but for what the cache counts
}

func (o *observer) count(counter *int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*counter++
}

// note counts an event, logs it, and tells the Observer of it.
func (o *observer) note(e Event, counter *int64, level slog.Level, message string) {
	o.count(counter)
	attrs := []slog.Attr{slog.String("visitor", e.Visitor[:min(16, len(e.Visitor))]), slog.Duration("took", e.Duration)}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	o.log.Seldom(context.Background(), level, message, "hubspot: "+message, attrs...)
	if o.callback != nil {
		if panicked, ok := flight.Run(func() { o.callback(e) }).(*flight.PanicError); ok {
			o.log.Panicked(context.Background(), "hubspot: the Observer panicked", panicked)
		}
	}
}

// called is for a call that was made, and failed if e has an Err; closed tells that
// the gate is, after it.
func (o *observer) called(e Event, f failure, closed bool) {
	if e.Err == nil {
		counters := map[EventKind]*int64{EventCreated: &o.stats.Created, EventRenewed: &o.stats.Renewed}
		o.note(e, counters[e.Kind], slog.LevelDebug, "token "+string(e.Kind))
		return
	}
	level := slog.LevelWarn
	// Some need the operator; of visitors, only if several were refused.
	if f.class == classAccount || f.class == classVisitor && closed || f.matches == ErrDailyLimit {
		level = slog.LevelError
	}
	counters := [...]*int64{
		classVisitor: &o.stats.FailedVisitor,
		classAccount: &o.stats.FailedAccount,
		classLimit:   &o.stats.FailedLimit,
		classOutage:  &o.stats.FailedOutage,
	}
	e.Kind = EventFailed
	o.note(e, counters[f.class], level, f.advice+"; visitors without a token chat anonymously")
}
