package hubspot

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/wait"
)

// maxAnswer bounds what is read of an answer; a token is a few hundred bytes.
const maxAnswer = 64 << 10

// Client makes HubSpot's token call. It keeps nothing but connections; put
// [Tokens] in front of it. It may be used concurrently.
type Client struct {
	http       *http.Client
	url        string
	timeout    time.Duration
	credential func(context.Context) (string, error)
}

// ClientOption changes what NewClient builds.
type ClientOption func(*Client)

// WithHTTPClient sets the HTTP client, for proxies, tracing or tests. It is
// copied; whatever its CheckRedirect says, redirects are not followed.
func WithHTTPClient(c *http.Client) ClientOption {
	return func(client *Client) { client.http = c }
}

// WithCredential sets where the access token comes from, instead of
// Config.AccessToken: OAuth access tokens expire after 30 minutes. credential is
// called for every call to HubSpot, concurrently, under that call's context.
// Its error must not contain the credential.
func WithCredential(credential func(ctx context.Context) (string, error)) ClientOption {
	return func(client *Client) { client.credential = credential }
}

// NewClient makes the Client that cfg describes. Every problem with cfg comes in
// one joined error; a missing credential is one.
func NewClient(cfg Config, options ...ClientOption) (*Client, error) {
	full := cfg.withDefaults()
	path := "/visitor-identification/" + full.APIVersion + "/tokens/create"
	if full.APIVersion == "conversations-v3" {
		path = "/conversations/v3/visitor-identification/tokens/create"
	}
	c := &Client{url: full.APIURL + path, timeout: full.Timeout}
	switch {
	case cfg.AccessToken != "":
		c.credential = func(context.Context) (string, error) { return string(cfg.AccessToken), nil }
	case cfg.AccessTokenFile != "":
		c.credential = func(context.Context) (string, error) { return readCredential(cfg.AccessTokenFile) }
	}
	for _, option := range options {
		option(c)
	}
	problems := cfg.problems()
	if c.credential == nil {
		problems = append(problems, errors.New("hubspot: no access token: set HUBSPOT_ACCESS_TOKEN, HUBSPOT_ACCESS_TOKEN_FILE or WithCredential"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if c.http == nil {
		c.http = &http.Client{} // with http.DefaultTransport, where the application replaced it by a kind of its own
		if transport, ok := http.DefaultTransport.(*http.Transport); ok {
			transport = transport.Clone()
			transport.MaxIdleConnsPerHost = 16 // calls come in bursts to this one host
			c.http.Transport = transport
		}
	}
	own := *c.http
	// The credential must not travel to wherever an answer points.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &own
	return c, nil
}

// tokenRequest is the body of the token call. Optional fields are left out when
// empty: some of HubSpot's versions do not know hsCustomerAgentContext.
type tokenRequest struct {
	Email        string            `json:"email"`
	FirstName    string            `json:"firstName,omitempty"`
	LastName     string            `json:"lastName,omitempty"`
	AgentContext map[string]string `json:"hsCustomerAgentContext,omitempty"`
}

// CreateToken asks HubSpot for a token for v: one call, and at most one quick
// retry, only where that may help (no connection, 502, 503, 504, or a 429 whose
// wait fits into the timeout); a second token does not harm the first. It ends
// with ctx or after Config.Timeout, whichever comes first.
//
// The error is a [*VisitorError], an [*APIError], or wraps ErrUnavailable; when
// ctx ended it is ctx's error. It never contains the credential or anything of
// the visitor. EmailVerified is the caller's to look at: [Tokens] does.
func (c *Client) CreateToken(ctx context.Context, v Visitor) (Token, error) {
	if err := v.Validate(); err != nil {
		return Token{}, err
	}
	body, err := json.Marshal(tokenRequest{v.Email, v.FirstName, v.LastName, v.AgentContext})
	if err != nil {
		return Token{}, fmt.Errorf("hubspot: encoding the token call: %w", err)
	}
	call, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	token, err := c.post(call, v, body)
	if pause, ok := retryWait(err); ok && attemptFrom(ctx).retries(err) && wait.Sleep(call, pause) {
		token, err = c.post(call, v, body)
	}
	if err != nil && ctx.Err() != nil {
		return Token{}, ctx.Err()
	}
	return token, err
}

// errNoConnection marks a failure in which HubSpot gave no answer at all.
var errNoConnection = fmt.Errorf("%w: no answer", ErrUnavailable)

func (c *Client) post(ctx context.Context, v Visitor, body []byte) (Token, error) {
	credential, err := c.credential(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("hubspot: getting the access token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return Token{}, fmt.Errorf("hubspot: building the token call: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	issuedAt := time.Now() // before the call: never later than HubSpot's own time of issue
	res, err := c.http.Do(req)
	switch {
	case ctx.Err() != nil && err != nil:
		return Token{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case err != nil:
		return Token{}, noConnection(err)
	}
	defer res.Body.Close()
	attemptFrom(ctx).noteLimits(res.Header)
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if res.StatusCode != http.StatusOK {
		return Token{}, newAPIError(res, answer, credential, v.Email)
	}
	if err != nil {
		return Token{}, fmt.Errorf("%w: the answer broke off: %w", ErrUnavailable, err)
	}
	value, err := parseToken(answer)
	if err != nil {
		return Token{}, err
	}
	return NewToken(value, v.Email, issuedAt), nil
}

// noConnection keeps the errors of the network. Others, such as that an answer
// is not HTTP, may quote what came from the other side.
func noConnection(err error) error {
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &network), errors.As(err, &name), errors.As(err, &certificate),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", errNoConnection, err)
	}
	return fmt.Errorf("%w that can be read as HTTP", errNoConnection)
}

func parseToken(answer []byte) (string, error) {
	if len(answer) > maxAnswer {
		return "", fmt.Errorf("%w: the answer is longer than 64 KiB", ErrUnavailable)
	}
	var ok struct {
		Token string `json:"token"`
	}
	// The decoder's error is left out: it can quote the answer.
	if json.Unmarshal(answer, &ok) != nil {
		return "", fmt.Errorf("%w: the answer is not JSON with a token", ErrUnavailable)
	}
	// The widget puts the token un-encoded into a query string.
	if ok.Token == "" || !headerSafe(ok.Token) || strings.ContainsAny(ok.Token, "&#") {
		return "", fmt.Errorf("%w: the answer has no usable token", ErrUnavailable)
	}
	return ok.Token, nil
}

// retryWait is how long to wait before the one quick retry, if err deserves it.
func retryWait(err error) (time.Duration, bool) {
	quick := wait.Between(50*time.Millisecond, 150*time.Millisecond)
	var api *APIError
	switch {
	case errors.Is(err, errNoConnection):
		return quick, true
	case !errors.As(err, &api):
		return 0, false
	case api.StatusCode == http.StatusBadGateway,
		api.StatusCode == http.StatusServiceUnavailable,
		api.StatusCode == http.StatusGatewayTimeout:
		return max(quick, api.RetryAfter), true
	case errors.Is(api, ErrRateLimited) && !errors.Is(api, ErrDailyLimit):
		return api.RetryAfter, api.RetryAfter > 0
	}
	return 0, false
}

// attempt is what Tokens and Client tell each other beyond the Creator
// interface. It travels in the context, so that it also passes through a
// Creator that somebody wrapped around a Client.
type attempt struct {
	paced  bool // made by Tokens, behind its gate
	single bool // no quick retry: this call only probes whether HubSpot is back
	limits limits
}

// limits is the account's burst limit as an answer's headers tell it.
type limits struct {
	max, remaining int
	interval       time.Duration
}

type attemptKey struct{}

// retries reports whether the client may try again by itself. Where Tokens asks, a
// 429 goes back at once: the gate has to hear of it before more calls pass.
func (a *attempt) retries(err error) bool {
	return !a.single && (!a.paced || !errors.Is(err, ErrRateLimited))
}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

func attemptFrom(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{}
}

func (a *attempt) noteLimits(h http.Header) {
	number := func(name string) int {
		n, err := strconv.Atoi(h.Get("X-HubSpot-RateLimit-" + name))
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	limit, remaining, interval := number("Max"), number("Remaining"), burstInterval(h)
	if limit > 0 && remaining >= 0 && interval > 0 {
		a.limits = limits{limit, remaining, interval}
	}
}
