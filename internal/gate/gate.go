// Package gate stands between the token source and HubSpot's API. It keeps the
// pace of calls within the account's share, and it remembers for the whole
// account when HubSpot is better left alone.
//
// A closed gate reopens by a single trial call: when its time is over, one call
// passes, and the others only after that one went well.
package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/wait"
)

// Reasons why Enter does not let a call pass.
var (
	ErrClosed = errors.New("gate: closed")
	ErrNoRoom = errors.New("gate: no room at this pace")
)

// troublesToClose failures in a row close the gate for the whole account.
const troublesToClose = 5

// Gate may be used concurrently.
type Gate struct {
	limiter  *rate.Limiter
	onChange func(open bool) // called without mu: it may be the application's code

	mu          sync.Mutex
	closed      bool
	closedUntil time.Time
	trial       bool // a trial call is under way
	troubles    int  // in a row
	pausedUntil time.Time
}

// New is an open gate that lets perSecond calls pass, burst of them at once.
// onChange hears when it closes and opens; it must be quick.
func New(perSecond float64, burst int, onChange func(open bool)) *Gate {
	return &Gate{limiter: rate.NewLimiter(rate.Limit(perSecond), burst), onChange: onChange}
}

// Outcome is what a call that passed has to say about the account.
type Outcome struct {
	Verdict Verdict
	For     time.Duration // of Close: for how long
	Pause   time.Duration // no further call for so long: the account's limit is near
}

// Verdict is the part of an Outcome that moves the gate.
type Verdict int

// Verdicts.
const (
	Unknown Verdict = iota // the call ended without telling anything
	Well                   // the account can be served
	Trouble                // HubSpot is in trouble; several in a row close the gate
	Close                  // the account cannot be served for a while
)

// Pass is the right to make one call.
type Pass struct {
	gate  *Gate
	Trial bool // this call decides whether the gate reopens
}

// Enter waits for this call's turn and gives the right to make it, to be ended
// with Leave. It does not wait when that would be in vain: ErrClosed when the
// account is to be left alone, ErrNoRoom when the turn would come after
// deadline.
func (g *Gate) Enter(ctx context.Context, deadline time.Time) (*Pass, error) {
	pass, pause, err := g.knock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if !wait.Sleep(ctx, pause) || g.limiter.Wait(ctx) != nil {
		pass.Leave(Outcome{})
		return nil, ErrNoRoom
	}
	if err := g.changed(pass.Trial); err != nil { // while this call waited
		pass.Leave(Outcome{})
		return nil, err
	}
	return pass, nil
}

// Refuses is the error with which Enter would refuse a call now, nil if it might
// pass within turn. It changes nothing, and is cheap.
func (g *Gate) Refuses(turn time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.shut(now) {
		return ErrClosed
	}
	queued := 1 - g.limiter.TokensAt(now) // calls whose turn comes before this one's, it included
	if g.pausedUntil.Sub(now) > turn || queued > turn.Seconds()*float64(g.limiter.Limit()) {
		return ErrNoRoom
	}
	return nil
}

// shut reports whether not even a trial call may pass.
func (g *Gate) shut(now time.Time) bool {
	return g.closed && (g.trial || now.Before(g.closedUntil))
}

func (g *Gate) knock() (pass *Pass, pause time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.shut(now) {
		return nil, 0, ErrClosed
	}
	g.trial = g.closed
	return &Pass{g, g.closed}, g.pausedUntil.Sub(now), nil
}

func (g *Gate) changed(trial bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed && !trial:
		return ErrClosed
	case time.Now().Before(g.pausedUntil):
		return ErrNoRoom
	}
	return nil
}

// Leave ends a pass with what the call told.
func (p *Pass) Leave(o Outcome) {
	g := p.gate
	was, is := g.conclude(p.Trial, o)
	if was != is {
		g.onChange(!is)
	}
}

// conclude reports whether the gate was closed and is.
func (g *Gate) conclude(trial bool, o Outcome) (was, is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	was = g.closed
	if trial {
		g.trial = false
	}
	if o.Pause > 0 {
		g.pausedUntil = now.Add(o.Pause)
	}
	switch o.Verdict {
	case Well:
		g.troubles = 0
		// Calls that were under way when the gate closed do not open it.
		if trial {
			g.open(now)
		}
	case Trouble:
		g.troubles++
		if trial || g.troubles >= troublesToClose {
			g.close(now, wait.Between(10*time.Second, 30*time.Second))
		}
	case Close:
		g.close(now, o.For)
	}
	return was, g.closed
}

func (g *Gate) open(now time.Time) {
	g.closed = false
	// The pace starts from nothing: everybody waited, and a saved-up burst would
	// meet HubSpot in its first good moment.
	g.limiter.ReserveN(now, max(0, int(g.limiter.TokensAt(now))))
}

func (g *Gate) close(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(g.closedUntil) {
		g.closedUntil = until
	}
	g.closed = true
}
