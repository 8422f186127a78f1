package hubspot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What errors of this package match, by errors.Is.
var (
	// ErrUnauthorized: HubSpot does not accept the access token (401).
	ErrUnauthorized = errors.New("hubspot: the access token is not accepted")
	// ErrForbidden: the access token is good but the call is not allowed (403).
	// Unless ErrMissingScope matches too, the account's plan is the likely
	// reason: visitor identification needs Professional or Enterprise.
	ErrForbidden = errors.New("hubspot: the account may not identify visitors")
	// ErrMissingScope: the access token lacks a scope (403 MISSING_SCOPES); see
	// APIError.RequiredScopes. ErrForbidden matches too.
	ErrMissingScope = errors.New("hubspot: the access token lacks a scope")
	// ErrRateLimited: the account made too many calls (429).
	ErrRateLimited = errors.New("hubspot: too many calls")
	// ErrDailyLimit: the account's calls of the day are used up (429 DAILY).
	// ErrRateLimited matches too.
	ErrDailyLimit = errors.New("hubspot: the day's calls are used up")
	// ErrInvalidVisitor: HubSpot does not accept this visitor (400), or
	// Visitor.Validate saw that it would not.
	ErrInvalidVisitor = errors.New("hubspot: the visitor is not acceptable")
	// ErrUnverifiedEmail: the visitor's EmailVerified is false.
	ErrUnverifiedEmail = errors.New("hubspot: the visitor's e-mail is not verified")
	// ErrUnavailable: HubSpot could not be reached, did not answer in time, or
	// answered that it is in trouble or nothing that can be used.
	ErrUnavailable = errors.New("hubspot: not available")
	// ErrCoolingDown: HubSpot was not asked, since it failed a moment ago or since
	// the account's share of calls is used up. A later request asks again.
	ErrCoolingDown = errors.New("hubspot: not asked for now")
)

// statusMigrating is what HubSpot answers while it moves an account to another
// data centre.
const statusMigrating = 477

// APIError is an answer of HubSpot's API other than success. Its fields are for
// the operator: never show them to a visitor. Everything but StatusCode is
// optional in HubSpot's answers.
type APIError struct {
	StatusCode     int           // HTTP status
	Category       string        // such as MISSING_SCOPES
	Message        string        // HubSpot's words, shortened; [redacted] with a 400 and where they quote the e-mail or the credential
	CorrelationID  string        // what HubSpot's support asks for
	Policy         string        // of a 429: which limit, such as TEN_SECONDLY_ROLLING or DAILY
	RequiredScopes []string      // of a MISSING_SCOPES
	RetryAfter     time.Duration // what HubSpot asked to wait; 0 if it did not
}

func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "hubspot: the API answered %d", e.StatusCode)
	for _, part := range []string{e.Category, e.Policy} {
		if part != "" {
			b.WriteString(" " + part)
		}
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if len(e.RequiredScopes) > 0 {
		b.WriteString(" (required: " + strings.Join(e.RequiredScopes, ", ") + ")")
	}
	if e.CorrelationID != "" {
		b.WriteString(" (correlation id " + e.CorrelationID + ")")
	}
	return b.String()
}

// Is matches the sentinel errors of this package.
func (e *APIError) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrMissingScope:
		return e.StatusCode == http.StatusForbidden && e.Category == "MISSING_SCOPES"
	case ErrRateLimited:
		return e.StatusCode == http.StatusTooManyRequests
	case ErrDailyLimit:
		return e.StatusCode == http.StatusTooManyRequests && strings.EqualFold(e.Policy, "DAILY")
	case ErrInvalidVisitor:
		return e.StatusCode == http.StatusBadRequest
	case ErrUnavailable:
		return e.StatusCode >= 500 || e.StatusCode == http.StatusLocked || e.StatusCode == statusMigrating
	}
	return false
}

// maxMessage is how much of HubSpot's words is kept for the operator.
const maxMessage = 300

// newAPIError reads what there is in an error answer. The body may be HTML from
// an edge server, cut short or empty; private are strings that no error text may
// contain.
func newAPIError(res *http.Response, body []byte, private ...string) *APIError {
	e := &APIError{StatusCode: res.StatusCode, RetryAfter: retryAfter(res)}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return e
	}
	text := func(name string) string {
		var s string
		if json.Unmarshal(fields[name], &s) != nil {
			return ""
		}
		return presentable(s, private)
	}
	e.Category = text("category")
	e.Message = text("message")
	if e.StatusCode == http.StatusBadRequest && e.Message != "" {
		e.Message = redacted // it is about the visitor, and quotes what was sent in ways not to be foreseen
	}
	e.CorrelationID = text("correlationId")
	e.Policy = text("policyName")
	var details []struct {
		Context map[string]oneOrMore `json:"context"`
	}
	// Best effort: a part that has another shape leaves the rest readable.
	_ = json.Unmarshal(fields["errors"], &details)
	for _, d := range details {
		for _, scope := range d.Context["requiredGranularScopes"] {
			e.RequiredScopes = append(e.RequiredScopes, presentable(scope, private))
		}
	}
	return e
}

// oneOrMore is a context value in HubSpot's errors: a string or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	var more []string
	_ = json.Unmarshal(data, &more) // anything else is of no use here
	*o = more
	return nil
}

// presentable makes HubSpot's words fit for a log line. Words that quote the
// visitor or the credential are withheld whole: redacting them letter by letter
// would miss another spelling.
func presentable(s string, private []string) string {
	folded := strings.ToLower(s)
	for _, p := range private {
		if p != "" && strings.Contains(folded, strings.ToLower(p)) {
			return redacted
		}
	}
	s = strings.ToValidUTF8(s, "")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// retryAfter is the wait that an answer asks for: Retry-After, which HubSpot
// documents for 477 only, or else, of a 429, the interval of the burst limit.
func retryAfter(res *http.Response) time.Duration {
	h := res.Header
	const longest = 7 * 24 * time.Hour // keeps arithmetic on a hostile number safe
	if v := h.Get("Retry-After"); v != "" {
		if s, err := strconv.ParseInt(v, 10, 64); err == nil {
			return min(time.Duration(min(max(s, 0), 1e6))*time.Second, longest)
		}
		if at, err := http.ParseTime(v); err == nil {
			return min(max(time.Until(at), 0), longest)
		}
	}
	if res.StatusCode == http.StatusTooManyRequests {
		return burstInterval(h)
	}
	return 0
}

// burstInterval is the interval of the account's burst limit, at most a minute;
// 0 where an answer does not tell it.
func burstInterval(h http.Header) time.Duration {
	ms, err := strconv.Atoi(h.Get("X-HubSpot-RateLimit-Interval-Milliseconds"))
	if err != nil {
		return 0
	}
	return time.Duration(min(max(ms, 0), 60_000)) * time.Millisecond
}
