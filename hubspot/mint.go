package hubspot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
)

// fly joins the visitor's flight, or begins it. old is the entry to be renewed,
// nil for a visitor without a token.
func (t *Tokens) fly(ctx context.Context, key string, v Visitor, old *entry) (Token, error) {
	// The generation is part of the flight's key: nobody who asks after an
	// Invalidate joins a flight from before it.
	generation := t.cache.Generation(key)
	// The flight outlives the caller, whose map may change.
	v.AgentContext = maps.Clone(v.AgentContext)
	flightKey := strconv.FormatUint(generation, 36) + " " + key
	token, shared, err := t.flights.Do(ctx, flightKey, flightLimit, func(ctx context.Context) (Token, error) {
		return t.get(ctx, key, v, old, generation)
	})
	if shared {
		t.stats.sharedWaits.Add(1)
	}
	return token, err
}

// get is one flight: somebody's fresh token in memory or in the Store, or else a
// new one from HubSpot.
func (t *Tokens) get(ctx context.Context, key string, v Visitor, old *entry, generation uint64) (Token, error) {
	// Another flight may have landed between this caller's look and its flight.
	if e, ok := t.cache.Get(key); ok && e != old && e.freshness(time.Now(), t.margin) == fresh {
		return e.token, nil
	}
	if e, ok := t.fromStore(ctx, key, v, old); ok {
		t.keep(key, e, generation)
		return e.token, nil
	}
	e, err := t.mint(ctx, key, v, old != nil)
	if err != nil {
		return Token{}, err
	}
	if t.keep(key, e, generation) {
		t.toStore(key, e.token, generation)
	}
	return e.token, nil
}

// keep puts e into memory, unless it was invalidated on the way.
func (t *Tokens) keep(key string, e *entry, generation uint64) bool {
	return t.cache.Add(key, e, time.Until(e.token.ExpiresAt())-t.margin, generation)
}

// mint makes the one call to HubSpot, when its turn comes, and draws the
// conclusions for those who come next.
func (t *Tokens) mint(ctx context.Context, key string, v Visitor, renewal bool) (*entry, error) {
	pass, err := t.gate.Enter(ctx, time.Now().Add(turnLimit))
	if err != nil {
		return nil, t.refused(key, err)
	}
	began := time.Now()
	e, l, err := t.call(ctx, v, pass.Trial)
	pass.Leave(t.conclude(key, err, l))
	t.minted(key, renewal, time.Since(began), err)
	return e, err
}

// refused is the error for a call that the gate did not let pass.
func (t *Tokens) refused(key string, err error) error {
	if errors.Is(err, gate.ErrNoRoom) {
		t.limited(key)
	}
	return fmt.Errorf("%w: %w", ErrCoolingDown, err)
}

// call asks the Creator and believes nothing: it may panic, hang, or give a
// token that is somebody else's or no longer good.
func (t *Tokens) call(ctx context.Context, v Visitor, trial bool) (*entry, limits, error) {
	type answer struct {
		token  Token
		limits limits
	}
	got, err := flight.Guard(ctx, func(ctx context.Context) (answer, error) {
		a := &attempt{paced: true, single: trial}
		token, err := t.creator.CreateToken(withAttempt(ctx, a), v)
		return answer{token, a.limits}, err
	})
	var p *flight.PanicError
	if errors.As(err, &p) {
		t.logOnce(slog.LevelError, "panic", "hubspot: the Creator panicked", slog.String("panic", p.Error()), slog.String("stack", string(p.Stack)))
	}
	if err != nil {
		return nil, got.limits, err
	}
	now := time.Now()
	e := newEntry(got.token, now, t.margin)
	switch {
	case e.token.Email() != v.Email || e.token.Reveal() == "":
		// A mistake of an adapter's must not become somebody else's chat.
		return nil, got.limits, fmt.Errorf("%w: the Creator's token is empty or for another visitor", ErrUnavailable)
	case e.freshness(now, t.margin) == spent:
		return nil, got.limits, fmt.Errorf("%w: the new token expires too soon; is this machine's clock right?", ErrUnavailable)
	}
	return e, got.limits, nil
}
