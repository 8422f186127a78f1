// Package gate stands between the token source and HubSpot's API. It keeps the
// pace of calls within the account's share, and it remembers for the whole
// account when HubSpot is better left alone.
//
// A closed gate reopens by a single trial call: when its time is over, one call
// passes, and the others only after that one went well. Who met trouble lets
// others go first, so that nobody whom HubSpot cannot serve keeps the gate closed;
// and nobody has more than a share of the pace, so that nobody uses up the
// account's calls of the day, by signing in and out for ever, for example.
package gate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Reasons why Enter does not let a call pass.
var (
	ErrClosed = errors.New("gate: closed")
	ErrNoRoom = errors.New("gate: no room at this pace")
)

const (
	troublesToClose = 5               // of so many in a row, whose trouble closes the gate for all
	stillInARow     = 5 * time.Minute // at most so long after the one before
	othersFirst     = time.Minute     // so long after the closing they leave the trial to others
	maxTroubled     = 32              // so many are remembered
)

// One person's calls: so many at once, and then this part of the pace.
const (
	personBurst = 30
	personShare = 1. / 200
)

// Gate may be used concurrently.
type Gate struct {
	limiter *rate.Limiter

	mu          sync.Mutex
	closed      error // what those hear who do not pass; nil while the gate is open
	closedUntil time.Time
	trial       bool     // a trial call is under way
	troubled    []string // in a row, each once
	lastTrouble time.Time
	persons     map[string]*rate.Limiter // of those who made calls of late: not many, at the pace
}

// New is an open gate that lets perSecond calls pass, burst of them at once.
func New(perSecond float64, burst int) *Gate {
	return &Gate{limiter: rate.NewLimiter(rate.Limit(perSecond), burst), persons: make(map[string]*rate.Limiter)}
}

// Outcome is what a call that passed has to say about the account.
type Outcome struct {
	Sign Sign
	For  time.Duration // how long the gate closes, if it does
	Why  error         // and what those hear who do not pass then: it wraps ErrClosed; required with Trouble and Close
}

// Sign is the part of an Outcome that moves the gate.
type Sign int

// Signs.
const (
	Unknown Sign = iota // the call ended without telling anything
	Well                // the account can be served
	Trouble             // for this one; in a row for several, it closes the gate
	Close               // the account cannot be served for a while
)

// Pass is the right to make one call.
type Pass struct {
	gate  *Gate
	who   string
	trial bool // this call decides whether the gate reopens
}

// Enter waits for this call's turn and gives the right to make it for who, to be
// ended with Leave. It does not wait when that would be in vain: ErrClosed, with
// the reason, when the account is to be left alone, ErrNoRoom when the turn would
// come after deadline, or who has had their share. Who waits has had it already:
// whoever asks many times at once does not fill the queue.
func (g *Gate) Enter(ctx context.Context, who string, deadline time.Time) (*Pass, error) {
	g.mu.Lock()
	err := g.closedFor(who)
	if err == nil && (g.limiter.TokensAt(deadline) < 1 || !g.charge(who)) {
		err = ErrNoRoom
	}
	pass := &Pass{g, who, g.closed != nil}
	g.trial = g.trial || err == nil && pass.trial
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if g.limiter.Wait(ctx) != nil {
		pass.Leave(Outcome{})
		return nil, ErrNoRoom
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !pass.trial && g.closed != nil { // meanwhile
		return nil, g.closed
	}
	return pass, nil
}

// closedFor is the error for a call that may not even be the trial.
func (g *Gate) closedFor(who string) error {
	now, until := time.Now(), g.closedUntil
	if slices.Contains(g.troubled, who) {
		until = until.Add(othersFirst)
	}
	if !g.trial && !now.Before(until) {
		return nil
	}
	return g.closed
}

// charge takes a call from who's share of the pace, if there is one left. Those who
// have all of theirs again are forgotten.
func (g *Gate) charge(who string) bool {
	if g.persons[who] == nil {
		maps.DeleteFunc(g.persons, func(_ string, share *rate.Limiter) bool { return share.Tokens() >= personBurst })
		g.persons[who] = rate.NewLimiter(g.limiter.Limit()*personShare, personBurst)
	}
	return g.persons[who].Allow()
}

// Leave ends a pass with what the call told. It reports whether the gate is
// closed now, and whether this call closed or opened it.
func (p *Pass) Leave(o Outcome) (closed, changed bool) {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.closed != nil
	g.trial = g.trial && !p.trial
	switch o.Sign {
	case Well:
		// Calls that were under way when the gate closed do not open it.
		if !was || p.trial {
			g.troubled = nil
		}
		if p.trial {
			g.closed = nil
			// The pace starts from nothing: everybody waited, and a saved-up burst
			// would meet HubSpot in its first good moment.
			now := time.Now()
			g.limiter.ReserveN(now, max(0, int(g.limiter.TokensAt(now))))
		}
	case Trouble:
		if g.count(p.who) >= troublesToClose || p.trial {
			g.close(o)
		}
	case Close:
		g.close(o)
	}
	closed = g.closed != nil
	return closed, closed != was
}

// count is how many met trouble in a row, who included.
func (g *Gate) count(who string) int {
	now := time.Now()
	if now.Sub(g.lastTrouble) > stillInARow && g.closed == nil {
		g.troubled = nil
	}
	g.lastTrouble = now
	if !slices.Contains(g.troubled, who) {
		g.troubled = append(g.troubled, who)
		g.troubled = g.troubled[max(0, len(g.troubled)-maxTroubled):]
	}
	return len(g.troubled)
}

func (g *Gate) close(o Outcome) {
	if until := time.Now().Add(o.For); g.closed == nil || until.After(g.closedUntil) {
		g.closedUntil, g.closed = until, o.Why
	}
}
