// Package wait has the two ways in which this library spends time on purpose.
package wait

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d and reports true. It reports false when ctx ends first, at
// once where its deadline shows that it will.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Between is a random duration from low up to high, so that what failed together
// is not tried again together.
func Between(low, high time.Duration) time.Duration { return low + rand.N(high-low) }
