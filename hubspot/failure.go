package hubspot

import (
	"context"
	"errors"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/wait"
)

// failure is what is remembered of a call for one visitor.
type failure struct {
	err   error
	until time.Time
}

// class is a kind of failure: it decides who is affected, and for how long.
type class string

const (
	classNone    class = ""
	classVisitor class = "visitor" // this visitor is not acceptable
	classAccount class = "account" // credential, scope, plan, or a wrong API URL
	classLimit   class = "limit"   // the account's calls are used up
	classOutage  class = "outage"  // HubSpot is in trouble or cannot be reached
)

func classify(err error) class {
	var api *APIError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return classNone // a caller that left says nothing about HubSpot
	case errors.Is(err, ErrInvalidVisitor):
		return classVisitor
	case errors.Is(err, ErrUnauthorized), errors.Is(err, ErrForbidden), errors.Is(err, ErrMissingScope):
		return classAccount
	case errors.Is(err, ErrRateLimited), errors.Is(err, ErrDailyLimit), errors.As(err, &api) && api.StatusCode == statusMigrating:
		return classLimit
	case errors.Is(err, ErrUnavailable), !errors.As(err, &api):
		return classOutage
	}
	return classAccount // a redirect or another 4xx: the call itself is wrong
}

// How long failures are remembered.
const (
	visitorMemory = 10 * time.Minute
	accountMemory = time.Minute
	dailyMemory   = 5 * time.Minute // the quota returns at midnight; each look costs a call
	longestLimit  = time.Minute
	defaultLimit  = 10 * time.Second // HubSpot's burst window
)

// conclude remembers what the result of a call means for this visitor, and says
// what it means for the account.
func (t *Tokens) conclude(key string, err error, l limits) gate.Outcome {
	remember := func(d time.Duration) {
		t.failures.Add(key, failure{err, time.Now().Add(d)}, d, t.failures.Generation(key))
	}
	var o gate.Outcome
	// The last fifth of the account's burst limit is left to the customer's
	// other integrations.
	if l.max > 0 && l.remaining*5 < l.max {
		o.Pause = l.interval
	}
	switch classify(err) {
	case classNone:
		if err == nil {
			o.Verdict = gate.Well
		}
	case classVisitor:
		remember(visitorMemory)
		o.Verdict = gate.Well // the account itself was served
	case classAccount:
		o.Verdict, o.For = gate.Close, accountMemory
	case classLimit:
		o.Verdict, o.For = gate.Close, limitMemory(err)
	case classOutage:
		remember(wait.Between(2*time.Second, 10*time.Second))
		o.Verdict = gate.Trouble
	}
	return o
}

func limitMemory(err error) time.Duration {
	if errors.Is(err, ErrDailyLimit) {
		return wait.Between(dailyMemory, dailyMemory*6/5)
	}
	d := defaultLimit
	var api *APIError
	if errors.As(err, &api) && api.RetryAfter > 0 {
		d = api.RetryAfter
	}
	return min(wait.Between(d, d*11/10+1), longestLimit)
}
