package hubspot

import (
	"errors"
	"net/http"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/gate"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/wait"
)

// verdict is what the result of a call means for those who come next.
type verdict struct {
	asked   bool          // HubSpot was
	class   class         // of failure
	advice  string        // to the operator
	visitor time.Duration // how long this visitor is not asked for again
	account gate.Outcome
	again   bool // the call may be repeated once, after pause
	pause   time.Duration
}

// class is a kind of failure: it decides who is affected.
type class string

const (
	classNone    class = ""
	classVisitor class = "visitor" // this visitor is refused
	classAccount class = "account" // credential, scope or region
	classLimit   class = "limit"   // the account's calls are used up
	classOutage  class = "outage"  // HubSpot is in trouble or cannot be reached
)

// How long failures are remembered.
const (
	visitorMemory = 10 * time.Minute
	accountMemory = time.Minute
	dailyMemory   = 5 * time.Minute // the quota returns at midnight; each look costs a call
	longestLimit  = time.Minute
	defaultLimit  = 10 * time.Second // HubSpot's burst window
	longestPause  = 3 * time.Second
)

// conclude judges a call by its error and the limit that the answer told. Only
// what speaks of the account closes the gate at once; what may be this visitor's
// own does when several visitors in a row meet it.
func conclude(err error, limit *RateLimit) verdict {
	v := verdict{asked: true, account: gate.Outcome{Sign: gate.Well}}
	var api *APIError
	status := 0
	if errors.As(err, &api) && api != nil {
		status, limit = api.StatusCode, api.Limit
	}
	account := func(class class, closing time.Duration, advice string) {
		v.class, v.advice, v.account = class, advice, gate.Outcome{Sign: gate.Close, For: closing, Why: err}
	}
	trouble := func(class class, memory, closing time.Duration, advice string) {
		v.class, v.advice, v.visitor, v.account = class, advice, memory, gate.Outcome{Sign: gate.Trouble, For: closing, Why: err}
	}
	outage := func(advice string) {
		trouble(classOutage, wait.Between(2*time.Second, 10*time.Second), wait.Between(10*time.Second, 30*time.Second), advice)
	}
	switch {
	case err == nil:
	case errors.Is(err, errReplaced):
		outage("the access token was replaced while it was used")
		v.account, v.again = gate.Outcome{}, true
	case errors.Is(err, ErrUnauthorized):
		account(classAccount, accountMemory, "HubSpot does not accept the access token: check HUBSPOT_ACCESS_TOKEN")
	case errors.Is(err, ErrMissingScope):
		account(classAccount, accountMemory, "the access token lacks a scope: give the private app conversations.visitor_identification.tokens.create")
	case status == statusWrongHublet:
		account(classAccount, accountMemory, "the account lives in another of HubSpot's data centres: check HUBSPOT_REGION and HUBSPOT_API_URL")
	case errors.Is(err, ErrDailyLimit):
		account(classLimit, wait.Between(dailyMemory, dailyMemory*6/5), "the account's calls of the day are used up")
	case errors.Is(err, ErrRateLimited):
		account(classLimit, limitMemory(api), "the account makes too many calls")
	case status == statusMigrating:
		account(classLimit, limitMemory(api), "the account is being migrated to another of HubSpot's data centres")
	case errors.Is(err, errCredential):
		outage("the access token cannot be had: check HUBSPOT_ACCESS_TOKEN_FILE, or the function of WithCredential")
	case status == http.StatusProxyAuthRequired, errors.Is(err, errProxy):
		outage("the proxy on the way to HubSpot wants credentials: check HTTPS_PROXY")
	case errors.Is(err, ErrForbidden):
		trouble(classVisitor, visitorMemory, accountMemory, "HubSpot refuses to identify a visitor: if it refuses all, it is most likely the account's plan, which has to be Professional or Enterprise")
	case errors.Is(err, ErrInvalidVisitor), status != 0 && !errors.Is(err, ErrUnavailable):
		trouble(classVisitor, visitorMemory, accountMemory, "HubSpot does not accept a visitor: if it accepts none, check what the error names, HUBSPOT_API_URL and HUBSPOT_API_VERSION")
	default:
		outage("HubSpot is in trouble or cannot be reached")
		v.pause = wait.Between(50*time.Millisecond, 150*time.Millisecond)
		v.again = errors.Is(err, errNoAnswer)
		switch status {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			v.pause = max(v.pause, api.RetryAfter)
			v.again = v.pause <= longestPause
		}
	}
	// The last fifth of the account's burst limit is left to the customer's other
	// integrations.
	if limit != nil && limit.Remaining*5 < limit.Max && v.account.Sign != gate.Close {
		v.account = gate.Outcome{Sign: gate.Close, For: limit.Interval, Why: errShare}
	}
	return v
}

var errShare = errors.New("hubspot: the rest of the account's calls is left to its other integrations")

// limitMemory is what HubSpot asked to wait, within reason.
func limitMemory(api *APIError) time.Duration {
	d := defaultLimit
	if api != nil && api.RetryAfter > 0 {
		d = api.RetryAfter
	}
	return min(wait.Between(d, d*11/10+1), longestLimit)
}
