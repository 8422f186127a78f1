package hubspot

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sentinel errors: those of this package match them, by errors.Is.
var (
	// ErrUnauthorized: HubSpot does not accept the access token (401).
	ErrUnauthorized = errors.New("hubspot: the access token is not accepted")
	// ErrForbidden: the access token is valid, but the call is not allowed
	// (403). Unless ErrMissingScope matches too, the likely reason is the
	// account's plan: visitor identification needs Professional or Enterprise.
	ErrForbidden = errors.New("hubspot: the account may not identify visitors")
	// ErrMissingScope: the access token lacks a scope (403 MISSING_SCOPES),
	// named in APIError.Details. ErrForbidden matches too.
	ErrMissingScope = fmt.Errorf("%w: the access token lacks a scope", ErrForbidden)
	// ErrRateLimited: the account made too many calls (429).
	ErrRateLimited = errors.New("hubspot: too many calls")
	// ErrDailyLimit: the account has used up its calls for the day (429 DAILY).
	// ErrRateLimited matches too.
	ErrDailyLimit = fmt.Errorf("%w: the day's are used up", ErrRateLimited)
	// ErrInvalidVisitor: HubSpot rejected this visitor (400), or
	// Visitor.Validate found that it would.
	ErrInvalidVisitor = errors.New("hubspot: the visitor is not acceptable")
	// ErrUnverifiedEmail: the visitor's EmailVerified is false.
	ErrUnverifiedEmail = errors.New("hubspot: the visitor's e-mail is not verified")
	// ErrUnavailable: HubSpot could not be reached, did not answer in time,
	// reported trouble of its own, or gave an unusable answer.
	ErrUnavailable = errors.New("hubspot: not available")
	// ErrCoolingDown: HubSpot was not asked, because it failed a moment ago or
	// because the account's share of calls is used up. A later request asks
	// again.
	ErrCoolingDown = errors.New("hubspot: not asked for now")
)

// What else an answer may mean.
var (
	errProxy       = fmt.Errorf("%w: the proxy on the way cannot be used", ErrUnavailable)
	errMigrating   = fmt.Errorf("%w: the account is being moved to another data centre", ErrUnavailable)
	errWrongHublet = errors.New("hubspot: the account lives in another data centre")
	errRefused     = errors.New("hubspot: refused") // for a reason that HubSpot does not document
)

// APIError is an answer of HubSpot's API other than success. Its fields are for
// the operator: never show them to a visitor. All but StatusCode are optional in
// HubSpot's answers. No field contains what was sent: names are kept only if they
// are plain identifiers. Message is kept only for a 401, 403, 429 or 5xx; it is
// shortened, and is [redacted] if it could quote what was sent.
type APIError struct {
	StatusCode    int           // HTTP status
	Category      string        // such as MISSING_SCOPES
	Message       string        // HubSpot's words
	CorrelationID string        // what HubSpot's support asks for
	Policy        string        // which limit a 429 is about, such as TEN_SECONDLY_ROLLING or DAILY
	Details       []string      // names in the answer: codes, properties, required scopes, the account's data centre
	RetryAfter    time.Duration // how long HubSpot asked to wait: the header, or for a 429 the interval of the limit; 0 for neither
	Limit         *RateLimit    // the account's burst limit; nil if the answer does not give it
}

// RateLimit is the account's burst limit as given by an answer's headers.
type RateLimit struct {
	Max, Remaining int           // calls per Interval
	Interval       time.Duration // at most a minute
}

func (e *APIError) Error() string {
	if e == nil {
		return "hubspot: no answer of the API"
	}
	text := fmt.Sprintf("hubspot: the API answered %d", e.StatusCode)
	for _, part := range []struct{ format, what string }{
		{" %s", e.Category}, {" %s", e.Policy}, {": %s", e.Message},
		{" (%s)", strings.Join(e.Details, ", ")}, {" (correlation id %s)", e.CorrelationID},
	} {
		if part.what != "" {
			text += fmt.Sprintf(part.format, part.what)
		}
	}
	return text
}

// Is reports whether e means target, one of the sentinel errors of this package.
func (e *APIError) Is(target error) bool { return e != nil && errors.Is(e.meaning(), target) }

// 477 and 488 are HubSpot's own.
var meanings = map[int]error{
	400: ErrInvalidVisitor, 401: ErrUnauthorized, 403: ErrForbidden, 407: errProxy,
	423: ErrUnavailable, 429: ErrRateLimited, 477: errMigrating, 488: errWrongHublet,
}

func (e *APIError) meaning() error {
	switch {
	case e.StatusCode == http.StatusForbidden && e.Category == "MISSING_SCOPES":
		return ErrMissingScope
	case e.StatusCode == http.StatusTooManyRequests && strings.EqualFold(e.Policy, "DAILY"):
		return ErrDailyLimit
	case e.StatusCode >= 500 || e.StatusCode == 0:
		return ErrUnavailable
	}
	return cmp.Or(meanings[e.StatusCode], errRefused)
}

// apiAnswer is what is read of an error answer, by the names that HubSpot uses.
type apiAnswer struct {
	Category, CorrelationID, PolicyName names
	Message                             string
	Errors                              []apiDetail
	apiDetail                           // some answers have one beside the rest
}

type apiDetail struct {
	Code, SubCategory, CorrectHublet names
	Context                          struct{ PropertyName, RequiredGranularScopes, CorrectHublet names }
}

// names are words in HubSpot's errors: a string or a list of them.
type names []string

// UnmarshalJSON takes what it can of raw.
func (n *names) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*n = names{one}
	} else {
		_ = json.Unmarshal(raw, (*[]string)(n))
	}
	return nil
}

// newAPIError reads what there is in an error answer. The body may be HTML from
// an edge server, cut short or empty; private are strings that no error text may
// contain.
func newAPIError(res *http.Response, body []byte, private []string) *APIError {
	var answer apiAnswer
	_ = json.Unmarshal(body, &answer) // what is not as expected stays empty
	plain := func(words names) []string {
		return slices.DeleteFunc(words, func(word string) bool { return !identifier.MatchString(word) || quotes(word, private) })
	}
	first := func(words names) string { return cmp.Or(plain(words)...) }
	e := &APIError{StatusCode: res.StatusCode, RetryAfter: retryAfter(res), Limit: rateLimit(res.Header)}
	e.Category, e.CorrelationID, e.Policy = first(answer.Category), first(answer.CorrelationID), first(answer.PolicyName)
	if e.StatusCode >= 500 || slices.Contains([]int{401, 403, 429}, e.StatusCode) {
		e.Message = presentable(answer.Message, private)
	}
	for _, d := range append(answer.Errors, answer.apiDetail) {
		words := slices.Concat(d.Code, d.SubCategory, d.Context.PropertyName, d.Context.RequiredGranularScopes, d.CorrectHublet, d.Context.CorrectHublet)
		e.Details = append(e.Details, plain(words)...)
	}
	e.Details = e.Details[:min(len(e.Details), maxDetails)]
	return e
}

// How much is kept of an answer, for the operator.
const maxMessage, maxDetails = 300, 10

// documented words are HubSpot's own, even if they contain a visitor's name: what an
// answer means depends on them.
var documented = []string{"MISSING_SCOPES", "DAILY", "TEN_SECONDLY_ROLLING", "INVALID_AUTHENTICATION", "EXPIRED_AUTHENTICATION", "VALIDATION_ERROR"}

var identifier = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

var plain = regexp.MustCompile(`^[ -~]*$`)

// presentable makes HubSpot's words fit for a log line. Words that could quote
// the visitor or the credential, in whatever spelling, are withheld whole.
func presentable(message string, private []string) string {
	if !plain.MatchString(message) || strings.ContainsAny(message, `@%&\`) || quotes(message, private) {
		return redacted
	}
	if len(message) > maxMessage {
		message = message[:maxMessage] + "…"
	}
	return message
}

func quotes(text string, private []string) bool {
	lower := strings.ToLower(text)
	return !slices.Contains(documented, text) && slices.ContainsFunc(private, func(p string) bool { return p != "" && strings.Contains(lower, strings.ToLower(p)) })
}

// rateLimit is what the headers of an answer tell; nil where they do not.
func rateLimit(h http.Header) *RateLimit {
	limit, err1 := strconv.Atoi(h.Get("X-HubSpot-RateLimit-Max"))
	remaining, err2 := strconv.Atoi(h.Get("X-HubSpot-RateLimit-Remaining"))
	interval := burstInterval(h)
	if err1 != nil || err2 != nil || limit <= 0 || remaining < 0 || interval <= 0 {
		return nil
	}
	return &RateLimit{limit, remaining, interval}
}

// retryAfter is the wait that an answer asks for: Retry-After, which HubSpot
// documents for 477 only, or else, of a 429, the interval of the burst limit.
func retryAfter(res *http.Response) time.Duration {
	const longest = 7 * 24 * time.Hour // keeps arithmetic on a hostile number safe
	value := res.Header.Get("Retry-After")
	if s, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return min(max(time.Duration(s), 0), longest/time.Second) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), longest)
	}
	if res.StatusCode == http.StatusTooManyRequests {
		return burstInterval(res.Header)
	}
	return 0
}

// burstInterval is the interval of the account's burst limit, at most a minute;
// 0 where an answer does not tell it.
func burstInterval(h http.Header) time.Duration {
	ms, _ := strconv.Atoi(h.Get("X-HubSpot-RateLimit-Interval-Milliseconds")) // 0 for what is no number
	return time.Duration(min(max(ms, 0), 60_000)) * time.Millisecond
}
