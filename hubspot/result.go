package hubspot

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
)

// result is what came of a call, and what it means for those who come next.
type result struct {
	token   Token
	err     error
	failure               // if err is one
	asked   bool          // HubSpot was
	visitor time.Duration // how long this visitor is not asked for again
	account gate.Outcome
	again   bool // the call may be repeated once, after pause
	pause   time.Duration
}

// failure is a kind of failure, and the advice to the operator.
type failure struct {
	matches error // what the call's error is, by errors.Is
	class   class
	advice  string
}

// class decides who is affected by a failure.
type class int

const (
	classOutage  class = iota // HubSpot is in trouble or cannot be reached
	classVisitor              // this visitor is refused
	classAccount              // credential, scope or region
	classLimit                // the account's calls are used up
)

const notAccepted = "HubSpot does not accept a visitor: if it accepts none, check what the error names, HUBSPOT_API_URL and HUBSPOT_API_VERSION"

// The first that matches holds.
var failures = []failure{
	{ErrUnauthorized, classAccount, "HubSpot does not accept the access token: check HUBSPOT_ACCESS_TOKEN"},
	{ErrMissingScope, classAccount, "the access token lacks a scope: give the private app conversations.visitor_identification.tokens.create"},
	{errWrongHublet, classAccount, "the account lives in another of HubSpot's data centres: check HUBSPOT_REGION and HUBSPOT_API_URL"},
	{ErrDailyLimit, classLimit, "the account's calls of the day are used up"},
	{ErrRateLimited, classLimit, "the account makes too many calls"},
	{errMigrating, classLimit, "the account is being migrated to another of HubSpot's data centres"},
	{errCredential, classOutage, "the access token cannot be had: check HUBSPOT_ACCESS_TOKEN_FILE, or the function of WithCredential"},
	{errProxy, classOutage, "the proxy on the way to HubSpot cannot be used: check HTTPS_PROXY, its credentials, which have to be percent-encoded, and whom it lets through"},
	{ErrForbidden, classVisitor, "HubSpot refuses to identify a visitor: if it refuses all, it is most likely the account's plan, which has to be Professional or Enterprise"},
	{ErrInvalidVisitor, classVisitor, notAccepted},
	{errRefused, classVisitor, notAccepted},
}

func failureOf(err error) failure {
	for _, f := range failures {
		if errors.Is(err, f.matches) {
			return f
		}
	}
	return failure{ErrUnavailable, classOutage, "HubSpot is in trouble or cannot be reached"}
}

// How long failures are remembered.
const (
	visitorMemory = 10 * time.Minute
	accountMemory = time.Minute
	dailyMemory   = 5 * time.Minute // the quota returns at midnight; each look costs a call
	longestLimit  = time.Minute
	defaultLimit  = 10 * time.Second // HubSpot's burst window
	longestPause  = 3 * time.Second
)

// conclude judges a call by its error and the limit that HubSpot told. Only what
// speaks of the account closes the gate at once; what may be this visitor's
// own does when several visitors in a row meet it.
func conclude(token Token, err error, repeated bool) result {
	r := result{token: Token{opaque: token.opaque}, err: err, asked: true, account: gate.Outcome{Sign: gate.Well}}
	api, limit := &APIError{}, token.limit
	if answer, ok := errors.AsType[*APIError](err); ok && answer != nil {
		api, limit = answer, answer.Limit
	}
	if err != nil {
		r.failure = failureOf(err)
		why := fmt.Errorf("%w: %w", gate.ErrClosed, err) // its Error is called here: it may hang, and the gate has a lock
		switch r.class {
		case classVisitor:
			r.visitor, r.account = visitorMemory, gate.Outcome{Sign: gate.Trouble, For: accountMemory, Why: why}
		case classAccount:
			r.account = gate.Outcome{Sign: gate.Close, For: accountMemory, Why: why}
		case classLimit:
			r.account = gate.Outcome{Sign: gate.Close, For: limitMemory(err, api.RetryAfter), Why: why}
		case classOutage:
			r.visitor = between(2*time.Second, 10*time.Second)
			r.account = gate.Outcome{Sign: gate.Trouble, For: between(10*time.Second, 30*time.Second), Why: why}
			r.pause = max(between(50*time.Millisecond, 150*time.Millisecond), api.RetryAfter)
			passing := api.StatusCode >= http.StatusBadGateway && api.StatusCode <= http.StatusGatewayTimeout
			r.again = (passing || errors.Is(err, errNoAnswer)) && r.pause <= longestPause
		}
	}
	// A 401 for a credential that was replaced meanwhile says nothing about the account.
	// A second one does: the credential may be a new one for each call.
	if errors.Is(err, errReplaced) && !repeated {
		r.again, r.account = true, gate.Outcome{}
		r.failure = failure{errReplaced, classOutage, "the access token was replaced while it was used"}
	}
	// The last fifth of the account's burst limit is left to the customer's other
	// integrations.
	if limit != nil && limit.Remaining*5 < limit.Max && r.account.Sign != gate.Close {
		r.account = gate.Outcome{Sign: gate.Close, For: min(limit.Interval, longestLimit), Why: errShare}
	}
	return r
}

var errShare = fmt.Errorf("%w: the rest of the account's calls is left to its other integrations", gate.ErrClosed)

// limitMemory is what HubSpot asked to wait, within reason.
func limitMemory(err error, asked time.Duration) time.Duration {
	if errors.Is(err, ErrDailyLimit) {
		return between(dailyMemory, dailyMemory*6/5)
	}
	d := cmp.Or(min(max(asked, 0), longestLimit), defaultLimit) // an adapter's may be past or without end
	return min(between(d, d*11/10+1), longestLimit)
}
