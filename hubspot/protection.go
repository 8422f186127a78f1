package hubspot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
)

// refusal is what is remembered of a visitor whose call went wrong.
type refusal struct {
	err     error // for those who come until then
	until   time.Time
	invalid bool // HubSpot does not accept the visitor: no other replica has a token either
}

// over reports whether there is nothing to remember any more; nil is nothing.
func (r *refusal) over() bool { return r == nil || !time.Now().Before(r.until) }

// create stands between the visitors and HubSpot: it makes a token for v, by one
// call and at most one quick repetition, unless HubSpot refused v a moment ago.
func (s *source) create(ctx context.Context, key string, v Visitor, kind EventKind) (Token, error) {
	if refused := s.refusals.Get(key); !refused.over() {
		return Token{}, refused.err
	}
	r := s.call(ctx, key, v, kind, false)
	if r.again {
		select {
		case <-time.After(r.pause):
		case <-ctx.Done():
		}
		// Where the gate has closed meanwhile, the first answer stands.
		if repeated := s.call(ctx, key, v, kind, true); repeated.asked {
			r = repeated
		}
	}
	if r.visitor > 0 {
		err := fmt.Errorf("%w: %w", ErrCoolingDown, r.err)
		s.refusals.Add(key, refusal{err, time.Now().Add(r.visitor), r.matches == ErrInvalidVisitor}, s.refusals.Generation(key))
	}
	return r.token, r.err
}

// call makes one call when its turn comes, and draws the conclusions for those
// who come next. It believes nothing: the Creator may panic, hang, or give a token
// that is somebody else's or no longer good, and so may its error's methods, all
// of which are called in here.
func (s *source) call(ctx context.Context, key string, v Visitor, kind EventKind, repeated bool) result {
	pass, err := s.gate.Enter(ctx, v.Email, time.Now().Add(turnLimits[kind])) // one person can have many keys
	if err != nil {
		if errors.Is(err, gate.ErrNoRoom) {
			s.note(Event{Kind: EventLimited, Visitor: s.name(key)}, &s.stats.Limited, slog.LevelInfo, "no room for a call at this pace; visitors without a token chat anonymously")
		}
		return result{err: fmt.Errorf("%w: %w", ErrCoolingDown, err)}
	}
	began := time.Now()
	r, err := flight.Guard(ctx, func(ctx context.Context) (result, error) {
		token, err := s.creator.CreateToken(ctx, v)
		switch e := s.lives.entry(token); {
		case err != nil:
		case token.Email() != v.Email, token.Reveal() == "":
			// A mistake of an adapter's must not become somebody else's chat.
			err = fmt.Errorf("%w: the Creator's token is empty or for another visitor", ErrUnavailable)
		case e.freshness(s.lives.now()) == spent:
			err = fmt.Errorf("%w: the new token has expired; is this machine's clock right?", ErrUnavailable)
		}
		return conclude(token, err, repeated), nil
	})
	if err != nil { // it did not return
		r = conclude(Token{}, err, repeated)
	}
	closed, changed := pass.Leave(r.account)
	if changed && closed {
		s.note(Event{Kind: EventGateClosed}, &s.stats.GateClosed, slog.LevelDebug, "HubSpot is left alone for a while")
	} else if changed {
		s.note(Event{Kind: EventGateOpened}, &s.stats.GateOpened, slog.LevelDebug, "HubSpot is asked again")
	}
	if r.account.Why == errShare {
		s.log.Seldom(ctx, slog.LevelWarn, "share", "hubspot: the account's calls are nearly used up, and the rest is left to its other integrations; visitors without a token chat anonymously")
	}
	if panicked, ok := err.(*flight.PanicError); ok {
		s.log.Panicked(ctx, "hubspot: the Creator panicked", panicked)
	}
	s.called(Event{kind, s.name(key), r.err, time.Since(began)}, r.failure, closed)
	return r
}
