package wait_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSleep(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout time.Duration // of the context; 0: none
		cancel  time.Duration // -1: never
		sleep   time.Duration
		slept   bool
		took    time.Duration
	}{
		"undisturbed":              {0, -1, time.Second, true, time.Second},
		"nothing":                  {0, -1, 0, true, 0},
		"less than nothing":        {0, -1, -time.Second, true, 0},
		"nothing, ctx has ended":   {0, 0, 0, false, 0},
		"ctx has ended":            {0, 0, time.Second, false, 0},
		"cancelled on the way":     {0, 400 * time.Millisecond, time.Second, false, 400 * time.Millisecond},
		"deadline is far":          {2 * time.Second, -1, time.Second, true, time.Second},
		"deadline would interrupt": {time.Second, -1, 2 * time.Second, false, 0},
		"deadline at the end":      {time.Second, -1, time.Second, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				switch {
				case tt.cancel == 0:
					cancel()
				case tt.cancel > 0:
					time.AfterFunc(tt.cancel, cancel)
				}
				began := time.Now()
				if slept := wait.Sleep(ctx, tt.sleep); slept != tt.slept {
					t.Errorf("%v, want %v", slept, tt.slept)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestBetween(t *testing.T) {
	low, high := 50*time.Millisecond, 150*time.Millisecond
	least, most := high, low
	for range 10_000 {
		d := wait.Between(low, high)
		least, most = min(least, d), max(most, d)
	}
	if least < low || most >= high {
		t.Errorf("%v to %v, want within %v to %v", least, most, low, high)
	}
	// Ten thousand draws that miss a tenth of the range on a side: 0.9^10000.
	if least > 60*time.Millisecond || most < 140*time.Millisecond {
		t.Errorf("only %v to %v of %v to %v", least, most, low, high)
	}
}
