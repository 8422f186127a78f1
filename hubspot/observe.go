package hubspot

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/seldom"
)

// EventKind says what an [Event] is about.
type EventKind string

// Kinds of events.
const (
	EventCreated     EventKind = "created"      // HubSpot made a visitor's first token
	EventRenewed     EventKind = "renewed"      // HubSpot made a token to follow one that ages
	EventFailed      EventKind = "failed"       // a call to HubSpot failed: Err
	EventLimited     EventKind = "limited"      // a call was not made, for want of room at the pace
	EventGateClosed  EventKind = "gate_closed"  // the account is left alone for a while
	EventGateOpened  EventKind = "gate_opened"  // and served again
	EventStoreFailed EventKind = "store_failed" // the Store failed, or held a bad record: Err
)

// Event is something worth counting or tracing in a [Tokens]. Serving a token
// from memory is none.
type Event struct {
	Kind EventKind
	// Visitor tells visitors apart without telling who they are: an HMAC of what
	// identifies them, keyed by StoreSecret, or else by what each process draws.
	// Empty where no single visitor is concerned.
	Visitor string
	// Err never contains a visitor's data, a token or the credential, as far as
	// it comes from this package.
	Err error
	// Duration is what the call to HubSpot took, where one was made.
	Duration time.Duration
}

// Stats counts what a [Tokens] did since it was made.
type Stats struct {
	Misses        int64 // requests for which memory had no token; all others were served from there
	Created       int64 // tokens that HubSpot made for visitors who had none
	Renewed       int64 // and those to follow one that ages
	FailedVisitor int64 // calls refused because of the visitor or, where the gate closes too, of everybody: the plan
	FailedAccount int64 // calls refused because of credential, scope or region
	FailedLimit   int64 // calls refused because of the account's limits
	FailedOutage  int64 // calls lost to trouble at HubSpot, on the way, or in getting the access token
	Limited       int64 // calls not made, for want of room at the pace
	GateClosed    int64 // how often the account was left alone
	GateOpened    int64 // and served again

	StoreHits   int64 // tokens of other replicas, taken from the Store
	StoreErrors int64 // calls of the Store that failed, and bad records
	Evictions   int64 // tokens put out of memory for want of room
	Entries     int   // tokens in memory now
}

// Stats is a reading of the counters. They are read one after the other.
func (t *Tokens) Stats() Stats {
	t.mu.Lock()
	stats := t.stats
	t.mu.Unlock()
	stats.Evictions, stats.Entries = t.cache.Evictions(), t.cache.Len()
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
		defer o.log.Recover(context.Background(), "hubspot: the Observer panicked")
		o.callback(e)
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
	if f.class == classAccount || f.class == classVisitor && closed || errors.Is(e.Err, ErrDailyLimit) {
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

func (o *observer) gateChanged(closed bool) {
	if closed {
		o.note(Event{Kind: EventGateClosed}, &o.stats.GateClosed, slog.LevelDebug, "HubSpot is left alone for a while")
	} else {
		o.note(Event{Kind: EventGateOpened}, &o.stats.GateOpened, slog.LevelDebug, "HubSpot is asked again")
	}
}

func (o *observer) storeFailed(name string, err error) {
	o.note(Event{Kind: EventStoreFailed, Visitor: name, Err: err}, &o.stats.StoreErrors, slog.LevelWarn, "the shared store failed; tokens are kept in memory only")
}
