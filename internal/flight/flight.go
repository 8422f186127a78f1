// Package flight is golang.org/x/sync/singleflight made safe for work that
// outlives the request that began it: the work runs detached from every caller,
// under a time limit of its own; a caller leaves when its own context ends; and
// work that panics, calls runtime.Goexit or ignores its context becomes an error
// for the callers instead of the end of the process or an endless wait.
package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"
)

// ErrGoexit is the result of work that called runtime.Goexit.
var ErrGoexit = errors.New("the work called runtime.Goexit")

// PanicError is the result of work that panicked. It has the type of the panic's
// value only: the value may quote anything.
type PanicError struct {
	text  string
	Stack []byte
}

// Panicked is the PanicError of a recovered value, on the goroutine that panicked.
func Panicked(value any) *PanicError {
	text := fmt.Sprintf("panic with a %T", value)
	if err, ok := value.(interface{ RuntimeError() }); ok {
		text = fmt.Sprintf("panic: %v", err) // the runtime's own words
	}
	return &PanicError{text, debug.Stack()}
}

func (e *PanicError) Error() string { return e.text }

// Group shares work by key. The zero Group is ready; it may be used concurrently.
type Group[V any] struct{ flights singleflight.Group }

// Flight is work under way.
type Flight[V any] <-chan singleflight.Result

// Begin begins work for key, or joins the work that is under way for it. work
// gets a context of its own, which ends after limit. It has none of a request's
// values: the work outlives the request, belongs to many, and servers such as
// fasthttp use a request again.
func (g *Group[V]) Begin(key string, limit time.Duration, work func(context.Context) (V, error)) Flight[V] {
	return g.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		return Guard(ctx, work)
	})
}

// Wait gives the result. When ctx ends first, the error is ctx's and the work
// goes on.
func (f Flight[V]) Wait(ctx context.Context) (v V, err error) {
	select {
	case r := <-f:
		return r.Val.(V), r.Err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// Guard runs work on a goroutine of its own and gives its result, or an error
// when work panics, calls runtime.Goexit, or has not returned when ctx ends.
func Guard[V any](ctx context.Context, work func(context.Context) (V, error)) (v V, err error) {
	type result struct {
		v   V
		err error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: ErrGoexit}
		defer func() {
			if p := recover(); p != nil {
				r.err = Panicked(p)
			}
			done <- r
		}()
		r.v, r.err = work(ctx)
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// Run runs work on a goroutine of its own and waits for it. The error tells that
// work panicked, or called runtime.Goexit.
func Run(work func()) error {
	_, err := Guard(context.Background(), func(context.Context) (_ any, _ error) { work(); return })
	return err
}
