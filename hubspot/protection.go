package hubspot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/tokencache"
)

// protection stands between the visitors and HubSpot: every call takes its turn
// at the pace, and what went wrong a moment ago is not tried again.
type protection struct {
	creator  Creator
	lives    lives
	gate     *gate.Gate
	refusals *tokencache.Cache[refusal] // by visitor
	*observer
}

// refusal is what is remembered of a visitor whose call went wrong.
type refusal struct {
	err   error
	until time.Time
}

func (r *refusal) over() bool { return !time.Now().Before(r.until) }

// create makes a token for v, by one call and at most one quick repetition,
// unless HubSpot refused v a moment ago.
func (p *protection) create(ctx context.Context, key string, v Visitor, kind EventKind) (Token, error) {
	if r := p.refusals.Get(key); r != nil && !r.over() {
		return Token{}, fmt.Errorf("%w: %w", ErrCoolingDown, r.err)
	}
	token, said, err := p.call(ctx, key, v, kind)
	if said.again {
		select {
		case <-time.After(said.pause):
		case <-ctx.Done():
		}
		// Where the gate has closed meanwhile, the first answer stands.
		if t, s, e := p.call(ctx, key, v, kind); s.asked {
			token, said, err = t, s, e
		}
	}
	if said.visitor > 0 {
		p.refusals.Add(key, refusal{err, time.Now().Add(said.visitor)}, p.refusals.Generation(key))
	}
	return token, err
}

// call makes one call when its turn comes, and draws the conclusions for those
// who come next. It believes nothing: the Creator may panic, hang, or give a token
// that is somebody else's or no longer good, and so may its error's methods, all
// of which are called in here.
func (p *protection) call(ctx context.Context, key string, v Visitor, kind EventKind) (Token, verdict, error) {
	pass, err := p.gate.Enter(ctx, key, time.Now().Add(turnLimit))
	if err != nil {
		if errors.Is(err, gate.ErrNoRoom) {
			p.note(Event{Kind: EventLimited, Visitor: p.name(key)}, &p.stats.Limited, slog.LevelDebug, "no room for a call at this pace")
		}
		return Token{}, verdict{}, fmt.Errorf("%w: %w", ErrCoolingDown, err)
	}
	type result struct {
		token   Token
		verdict verdict
	}
	began := time.Now()
	got, err := flight.Guard(ctx, func(ctx context.Context) (result, error) {
		token, err := p.creator.CreateToken(ctx, v)
		switch e := p.lives.entry(token); {
		case err != nil:
		case token.Email() != v.Email, token.Reveal() == "":
			// A mistake of an adapter's must not become somebody else's chat.
			err = fmt.Errorf("%w: the Creator's token is empty or for another visitor", ErrUnavailable)
		case e.freshness(p.lives.now()) == spent:
			err = fmt.Errorf("%w: the new token has expired; is this machine's clock right?", ErrUnavailable)
		}
		return result{Token{opaque: token.opaque}, conclude(err, token.limit)}, err
	})
	if !got.verdict.asked { // it did not return
		got.verdict = conclude(err, nil)
	}
	closed, changed := pass.Leave(got.verdict.account)
	if changed {
		p.gateChanged(closed)
	}
	if panicked, ok := err.(*flight.PanicError); ok {
		p.log.Panicked(ctx, "hubspot: the Creator panicked", panicked)
	}
	p.called(Event{kind, p.name(key), err, time.Since(began)}, got.verdict, closed)
	return got.token, got.verdict, err
}
