package flight_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func do[V any](ctx context.Context, g *flight.Group[V], key string, limit time.Duration, work func(context.Context) (V, error)) (V, error) {
	return g.Begin(key, limit, work).Wait(ctx)
}

type ctxKey struct{}

func TestOneRunForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int]
		var runs atomic.Int32
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				v, err := do(t.Context(), &g, "k", time.Minute, func(context.Context) (int, error) {
					runs.Add(1)
					time.Sleep(time.Second)
					return 42, nil
				})
				if v != 42 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
		}
		group.Wait()
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
		// The result is not kept, and other keys do not wait.
		v, err := do(t.Context(), &g, "k", time.Minute, func(context.Context) (int, error) { return 43, nil })
		if v != 43 || err != nil {
			t.Errorf("afterwards: %d, %v", v, err)
		}
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[string]
		go do(t.Context(), &g, "slow", time.Minute, func(context.Context) (string, error) {
			time.Sleep(30 * time.Second)
			return "slow", nil
		})
		synctest.Wait()
		began := time.Now()
		v, err := do(t.Context(), &g, "quick", time.Minute, func(context.Context) (string, error) { return "quick", nil })
		if v != "quick" || err != nil || time.Since(began) != 0 {
			t.Errorf("%q, %v after %v", v, err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// The request that began the work may end: the others get the result.
func TestTheFirstLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int]
		first, leave := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "value"))
		work := func(ctx context.Context) (int, error) {
			if ctx.Value(ctxKey{}) != nil {
				t.Error("the work's context has the caller's values, which may be another request's by now")
			}
			select {
			case <-time.After(2 * time.Second):
				return 42, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		var group sync.WaitGroup
		group.Go(func() {
			began := time.Now()
			if v, err := do(first, &g, "k", time.Minute, work); v != 0 || err != context.Canceled || time.Since(began) != time.Second {
				t.Errorf("who left: %d, %v after %v", v, err, time.Since(began))
			}
		})
		synctest.Wait()
		group.Go(func() {
			if v, err := do(t.Context(), &g, "k", time.Minute, work); v != 42 || err != nil {
				t.Errorf("who stayed: %d, %v", v, err)
			}
		})
		time.Sleep(time.Second)
		leave()
		group.Wait()
	})
}

// Who begins work with a context that has ended does not wait for it.
func TestBeginWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int]
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		runs := 0
		work := func(context.Context) (int, error) { runs++; time.Sleep(time.Second); return 42, nil }
		began := time.Now()
		if _, err := do(ended, &g, "k", time.Minute, work); err != context.Canceled || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if v, err := do(t.Context(), &g, "k", time.Minute, work); v != 42 || err != nil || runs != 1 {
			t.Errorf("%d, %v after %d runs", v, err, runs)
		}
	})
}

func TestWaiterLeavesAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int]
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := do(ctx, &g, "k", 10*time.Second, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		if err != context.DeadlineExceeded || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// Work has its own limit, whatever the caller's context says.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int]
		began := time.Now()
		_, err := do(context.Background(), &g, "k", 10*time.Second, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Work that ignores its context holds nobody, and not the key either.
func TestHangingWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group[int]
		release := make(chan struct{})
		began := time.Now()
		_, err := do(t.Context(), &g, "k", 10*time.Second, func(context.Context) (int, error) { <-release; return 1, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if v, err := do(t.Context(), &g, "k", 10*time.Second, func(context.Context) (int, error) { return 2, nil }); v != 2 || err != nil {
			t.Errorf("the next: %d, %v", v, err)
		}
		close(release)
	})
}

func write(m map[string]int) { m["a"] = 1 }

func TestPanicsAndGoexitBecomeErrors(t *testing.T) {
	private := "ada@example.com"
	for name, tt := range map[string]struct {
		work  func(context.Context) (int, error)
		check func(error) bool
	}{
		"panic with a string": {func(context.Context) (int, error) { panic(private) }, isPanic("panic with a string", private)},
		"panic with an error": {func(context.Context) (int, error) { panic(errors.New(private)) }, isPanic("panic with a *errors.errorString", private)},
		"nil map": {func(context.Context) (int, error) { write(nil); return 0, nil },
			isPanic("panic: assignment to entry in nil map", private)},
		"panic with nil": {func(context.Context) (int, error) { panic(nil) }, isPanic("panic", private)},
		"Goexit":         {func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, func(err error) bool { return errors.Is(err, flight.ErrGoexit) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g flight.Group[int]
				var group sync.WaitGroup
				for range 10 {
					group.Go(func() {
						v, err := do(t.Context(), &g, "k", time.Minute, func(ctx context.Context) (int, error) {
							time.Sleep(time.Second)
							return tt.work(ctx)
						})
						if v != 0 || !tt.check(err) {
							t.Errorf("%d, %v", v, err)
						}
					})
				}
				group.Wait()
				if v, err := do(t.Context(), &g, "k", time.Minute, func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
					t.Errorf("the next: %d, %v", v, err)
				}
			})
		})
	}
}

func isPanic(text, private string) func(error) bool {
	return func(err error) bool {
		var p *flight.PanicError
		return errors.As(err, &p) && strings.HasPrefix(err.Error(), text) && !strings.Contains(err.Error(), private) &&
			strings.Contains(string(p.Stack), "flight_test.go")
	}
}

func TestErrorsPass(t *testing.T) {
	var g flight.Group[int]
	refused := errors.New("refused")
	if _, err := do(t.Context(), &g, "k", time.Minute, func(context.Context) (int, error) { return 0, refused }); err != refused {
		t.Errorf("%v", err)
	}
}

func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		v, err := flight.Guard(ctx, func(context.Context) (int, error) { return 5, nil })
		if v != 5 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		release := make(chan struct{})
		began := time.Now()
		v, err = flight.Guard(ctx, func(context.Context) (int, error) { <-release; return 6, nil })
		if v != 0 || err != context.DeadlineExceeded || time.Since(began) != time.Second {
			t.Errorf("%d, %v after %v", v, err, time.Since(began))
		}
		close(release)
	})
}
