package gate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errWhy = fmt.Errorf("%w: why", gate.ErrClosed)

// recorded is a gate and how it changed.
type recorded struct {
	*gate.Gate
	mu      sync.Mutex
	changes []bool
}

func newGate(perSecond float64, burst int) *recorded {
	return &recorded{Gate: gate.New(perSecond, burst)}
}

// pass is one of a recorded gate.
type pass struct {
	*gate.Pass
	of *recorded
}

func (p pass) Leave(o gate.Outcome) {
	if closed, changed := p.Pass.Leave(o); changed {
		p.of.mu.Lock()
		defer p.of.mu.Unlock()
		p.of.changes = append(p.of.changes, !closed)
	}
}

func (r *recorded) heard(t *testing.T, want ...bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.changes); diff != "" {
		t.Errorf("changes, true for open (-want +got):\n%s", diff)
	}
}

// enter is enterAs for somebody new each time.
func enter(t *testing.T, g *recorded) pass {
	t.Helper()
	return enterAs(t, g, rand.Text())
}

func enterAs(t *testing.T, g *recorded, who string) pass {
	t.Helper()
	p, err := g.Enter(t.Context(), who, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatalf("Enter: %v", err)
	}
	return pass{p, g}
}

func refused(t *testing.T, g *recorded, want error) {
	t.Helper()
	began := time.Now()
	pass, err := g.Enter(t.Context(), "somebody", time.Now().Add(5*time.Second))
	if pass != nil || !errors.Is(err, want) {
		t.Errorf("Enter: %v, %v, want %v", pass, err, want)
	}
	if waited := time.Since(began); waited != 0 {
		t.Errorf("refused after %v", waited)
	}
}

func TestPaceAndBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		began := time.Now()
		for range 50 {
			enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("a burst of 50 took %v", took)
		}
		for range 10 {
			enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		}
		if took := time.Since(began).Round(time.Millisecond); took != time.Second {
			t.Errorf("the next ten took %v, want 1s", took)
		}
		g.heard(t)
	})
}

// At 10 calls a second a person has 30 calls, and one more each 20 seconds.
func TestAPersonsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		for range 30 {
			enterAs(t, g, "somebody").Leave(gate.Outcome{Sign: gate.Well})
		}
		refused(t, g, gate.ErrNoRoom) // at once, and without a turn
		for range 20 {
			enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		}
		for range 3 {
			time.Sleep(20 * time.Second)
			enterAs(t, g, "somebody").Leave(gate.Outcome{Sign: gate.Well})
			refused(t, g, gate.ErrNoRoom)
		}
		time.Sleep(time.Hour)
		for range 30 {
			enterAs(t, g, "somebody").Leave(gate.Outcome{Sign: gate.Well})
		}
	})
}

// They ask all at once, while everybody waits for a turn.
func TestAPersonDoesNotFillTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		for range 50 {
			enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		}
		var passed atomic.Int32
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				if pass, err := g.Enter(t.Context(), "somebody", time.Now().Add(5*time.Second)); err == nil {
					passed.Add(1)
					pass.Leave(gate.Outcome{Sign: gate.Well})
				}
			})
		}
		synctest.Wait()
		if pass, err := g.Enter(t.Context(), "another", time.Now().Add(5*time.Second)); err != nil {
			t.Errorf("another: %v", err)
		} else {
			pass.Leave(gate.Outcome{Sign: gate.Well})
		}
		group.Wait()
		if n := passed.Load(); n != 30 {
			t.Errorf("%d passed, want 30", n)
		}
	})
}

// A storm gets through at the pace, and whoever's turn would come after the
// deadline is told at once.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		var passed, noRoom atomic.Int32
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				began := time.Now()
				pass, err := g.Enter(t.Context(), rand.Text(), began.Add(5001*time.Millisecond)) // no turn comes at that very moment
				switch {
				case err == nil:
					passed.Add(1)
					pass.Leave(gate.Outcome{Sign: gate.Well})
					if time.Since(began) > 5001*time.Millisecond {
						t.Errorf("waited %v", time.Since(began))
					}
				case errors.Is(err, gate.ErrNoRoom):
					noRoom.Add(1)
					if time.Since(began) != 0 {
						t.Errorf("no room, said after %v", time.Since(began))
					}
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := passed.Load(); n != 100 || n+noRoom.Load() != 1000 {
			t.Errorf("%d passed, %d had no room; want 100 and 900", n, noRoom.Load())
		}
	})
}

func TestCallerLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 1)
		enter(t, g).Leave(gate.Outcome{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		began := time.Now()
		if _, err := g.Enter(ctx, "somebody", began.Add(time.Minute)); err == nil || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestCloseForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Minute})
		refused(t, g, gate.ErrClosed)
		time.Sleep(time.Minute - time.Nanosecond)
		refused(t, g, gate.ErrClosed)
		time.Sleep(time.Nanosecond)
		trial := enter(t, g)
		// One trial only: the others wait for its end.
		for range 10 {
			refused(t, g, gate.ErrClosed)
		}
		g.heard(t, false)
		trial.Leave(gate.Outcome{Sign: gate.Well})
		g.heard(t, false, true)
		enter(t, g) // no trial at an open gate
		enter(t, g)
	})
}

func TestTrialOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome     gate.Outcome
		least, most time.Duration // until the next trial; -1: open
	}{
		"well":    {gate.Outcome{Sign: gate.Well}, -1, -1},
		"close":   {gate.Outcome{Sign: gate.Close, Why: errWhy, For: 2 * time.Minute}, 2 * time.Minute, 2 * time.Minute},
		"trouble": {gate.Outcome{Sign: gate.Trouble, Why: errWhy, For: 20 * time.Second}, 20 * time.Second, 20 * time.Second},
		"unknown": {gate.Outcome{}, 0, 0}, // the next call tries
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(10, 50)
				enter(t, g).Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Minute})
				time.Sleep(time.Minute)
				enter(t, g).Leave(tt.outcome)
				if tt.least < 0 {
					enter(t, g)
					enter(t, g)
					return
				}
				if tt.least > 0 {
					time.Sleep(tt.least - time.Nanosecond)
					refused(t, g, gate.ErrClosed)
					time.Sleep(tt.most - tt.least + time.Nanosecond)
				}
				enter(t, g)
				refused(t, g, gate.ErrClosed) // it is a trial
				g.heard(t, false)
			})
		})
	}
}

func TestFiveTroublesInARowClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 50)
		trouble := func(n int) {
			for range n {
				enter(t, g).Leave(gate.Outcome{Sign: gate.Trouble, Why: errWhy, For: 20 * time.Second})
			}
		}
		trouble(4)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Well}) // not in a row any more
		trouble(4)
		g.heard(t)
		trouble(1)
		g.heard(t, false)
		refused(t, g, gate.ErrClosed)
		time.Sleep(20*time.Second - time.Nanosecond)
		refused(t, g, gate.ErrClosed)
		time.Sleep(time.Nanosecond)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		// After the recovery it takes five again.
		trouble(4)
		g.heard(t, false, true)
	})
}

func TestALongerClosingIsNotShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		first, second := enter(t, g), enter(t, g)
		first.Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Minute})
		second.Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Second})
		time.Sleep(59 * time.Second)
		refused(t, g, gate.ErrClosed)
		g.heard(t, false)
	})
}

// A call that was under way when the gate closed says nothing about now.
func TestALateSuccessDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		late := enter(t, g)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Minute})
		late.Leave(gate.Outcome{Sign: gate.Well})
		refused(t, g, gate.ErrClosed)
		g.heard(t, false)
	})
}

// Calls that queued before the closing must not storm through it.
func TestClosingReachesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 1)
		first := enter(t, g)
		var closed atomic.Int32
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				if _, err := g.Enter(t.Context(), "somebody", time.Now().Add(10*time.Second)); errors.Is(err, gate.ErrClosed) {
					closed.Add(1)
				}
			})
		}
		synctest.Wait()
		first.Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Minute})
		group.Wait()
		if closed.Load() != 3 {
			t.Errorf("%d of 3 were refused", closed.Load())
		}
	})
}

// The burst that was saved up while the gate was closed must not meet HubSpot in
// its first good moment.
func TestReopeningDrainsTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 50)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Minute})
		time.Sleep(time.Minute)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		began := time.Now()
		for range 10 {
			enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		}
		if took := time.Since(began); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("ten calls after the reopening took %v, want 1s", took)
		}
	})
}

// A trial that finds no room must leave the trial to another call.
func TestATrialThatIsNotMadeIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0.1, 2)
		enter(t, g)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Second})
		time.Sleep(2 * time.Second)
		if _, err := g.Enter(t.Context(), "somebody", time.Now().Add(time.Second)); !errors.Is(err, gate.ErrNoRoom) {
			t.Errorf("without room: %v", err)
		}
		enter(t, g)
		refused(t, g, gate.ErrClosed)
	})
}

// Whoever leaves while the trial waits for its turn leaves it to others.
func TestATrialThatLeavesTheQueueIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0.1, 1)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Second})
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Enter(ctx, "impatient", time.Now().Add(time.Minute)); !errors.Is(err, gate.ErrNoRoom) {
			t.Errorf("%v", err)
		}
		enter(t, g).Leave(gate.Outcome{Sign: gate.Well})
		g.heard(t, false, true)
	})
}

// One whom HubSpot cannot serve asks again and again, others seldom.
func TestOneInTroubleClosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 50)
		for range 100 {
			enterAs(t, g, "in trouble").Leave(gate.Outcome{Sign: gate.Trouble, Why: errWhy, For: time.Minute})
			time.Sleep(2 * time.Second)
		}
		g.heard(t)
	})
}

// Who met trouble is not the next trial: somebody else is, if there is anybody.
func TestOthersGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 50)
		why := fmt.Errorf("%w: revoked", gate.ErrClosed)
		enter(t, g).Leave(gate.Outcome{Sign: gate.Close, For: time.Minute, Why: why})
		refused(t, g, why)
		time.Sleep(time.Minute)
		enterAs(t, g, "in trouble").Leave(gate.Outcome{Sign: gate.Trouble, Why: errWhy, For: 20 * time.Second})
		time.Sleep(20 * time.Second)
		enterAs(t, g, "another").Leave(gate.Outcome{Sign: gate.Unknown})
		for range 60 {
			if _, err := g.Enter(t.Context(), "in trouble", time.Now().Add(time.Minute)); !errors.Is(err, gate.ErrClosed) {
				t.Fatalf("who met trouble is the next trial: %v", err)
			}
			time.Sleep(time.Second)
		}
		// Where there is nobody else.
		enterAs(t, g, "in trouble").Leave(gate.Outcome{Sign: gate.Well})
		g.heard(t, false, true)
	})
}

func TestFiveTroublesAnHourApartAreNotInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 50)
		for range 20 {
			enter(t, g).Leave(gate.Outcome{Sign: gate.Trouble, Why: errWhy, For: time.Minute})
			time.Sleep(time.Hour)
		}
		g.heard(t)
	})
}

// A call that waited for its turn finds the gate closed, though the time of the
// closing is over.
func TestQueueDoesNotPassBesideTheTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0.1, 1)
		first := enter(t, g)
		var err error
		go func() { _, err = g.Enter(t.Context(), "queued", time.Now().Add(time.Minute)) }()
		synctest.Wait()
		first.Leave(gate.Outcome{Sign: gate.Close, Why: errWhy, For: time.Second})
		time.Sleep(time.Minute)
		synctest.Wait()
		if !errors.Is(err, gate.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}
