package hubspot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/credential"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
)

// maxAnswer bounds what is read of an answer, and of its headers; a token is a
// few hundred bytes.
const maxAnswer = 64 << 10

// Client makes HubSpot's token call. It caches nothing: put [Tokens] in front of
// it. It is safe for concurrent use.
type Client struct {
	http       opaque[*http.Client] // its connections hold what was sent
	url        string
	timeout    time.Duration
	credential func(context.Context) (string, error)
}

// ClientOption configures a [Client].
type ClientOption func(*Client)

// WithHTTPClient sets the HTTP client, for proxies, tracing or tests. It is
// copied, and the copy never follows redirects, whatever CheckRedirect says. Its
// Timeout and its transport's limit on response headers still apply, and it is up
// to its transport to notice that a connection has died.
func WithHTTPClient(c *http.Client) ClientOption {
	return func(client *Client) { client.http = hide(c) }
}

// WithCredential sets a function that returns the access token, in place of
// Config.AccessToken: OAuth access tokens expire after 30 minutes. credential is
// called concurrently, for every call to HubSpot and with that call's context,
// and once more after a 401: if it then returns another token, the call is
// repeated. White space around the token is ignored. Its error must not contain
// the credential.
func WithCredential(credential func(ctx context.Context) (string, error)) ClientOption {
	return func(client *Client) { client.credential = credential }
}

// NewClient returns a Client for cfg. Its error joins all problems with cfg; a
// missing credential is one.
func NewClient(cfg Config, options ...ClientOption) (*Client, error) {
	full := cfg.withDefaults()
	path := "/visitor-identification/" + full.APIVersion + "/tokens/create"
	if full.APIVersion == "conversations-v3" {
		path = "/conversations/v3/visitor-identification/tokens/create"
	}
	c := &Client{url: full.APIURL + path, timeout: full.Timeout}
	switch {
	case !cfg.AccessToken.IsZero():
		c.credential = func(context.Context) (string, error) { return cfg.AccessToken.Reveal(), nil }
	case cfg.AccessTokenFile != "":
		c.credential = func(context.Context) (string, error) { return credential.Read(cfg.AccessTokenFile) }
	}
	for _, option := range options {
		option(c)
	}
	errs := cfg.problems()
	errs.check(c.credential != nil, "no access token: set HUBSPOT_ACCESS_TOKEN, HUBSPOT_ACCESS_TOKEN_FILE or WithCredential")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	own := http.Client{} // with http.DefaultTransport, where the application replaced it by a kind of its own
	if given := c.http.get(); given != nil {
		own = *given
	} else if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = transport.Clone()
		transport.MaxIdleConnsPerHost = 16 // calls come in bursts to this one host
		transport.MaxResponseHeaderBytes = maxAnswer
		// A connection that died without a word would fail calls for a quarter of an hour.
		transport.HTTP2 = cmp.Or(transport.HTTP2, &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second})
		transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%w (%d)", errProxy, res.StatusCode)
			}
			return nil
		}
		own.Transport = transport
	}
	// The credential must not travel to wherever an answer points.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = hide(&own)
	return c, nil
}

// CloseIdleConnections closes the connections that the Client keeps for later
// calls. The Client can still be used afterwards.
func (c *Client) CloseIdleConnections() { c.http.get().CloseIdleConnections() }

// tokenRequest is the body of the token call. Optional fields are left out when
// empty: some of HubSpot's versions do not know hsCustomerAgentContext.
type tokenRequest struct {
	Email        string            `json:"email"`
	FirstName    string            `json:"firstName,omitempty"`
	LastName     string            `json:"lastName,omitempty"`
	AgentContext map[string]string `json:"hsCustomerAgentContext,omitempty"`
}

// CreateToken asks HubSpot for a token for v, by one call that ends with ctx or
// after Config.Timeout, whichever comes first. A new token does not invalidate
// older ones, so the call may be repeated: [Tokens] does that where it may help.
//
// The error joins [*VisitorError]s, is an [*APIError], wraps ErrUnavailable, is
// ctx's error if ctx ended, or says why there is no credential. It never contains
// the credential or anything about the visitor. CreateToken does not check
// EmailVerified: that is up to the caller, and [Tokens] does it.
func (c *Client) CreateToken(ctx context.Context, v Visitor) (Token, error) {
	if err := v.Validate(); err != nil {
		return Token{}, err
	}
	body, _ := json.Marshal(tokenRequest{v.Email, v.FirstName, v.LastName, v.AgentContext}) // strings do not fail
	call, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	accessToken, err := c.accessToken(call)
	if err != nil {
		return Token{}, err
	}
	issuedAt := time.Now() // before the call: never later than HubSpot's own time of issue
	res, answer, err := c.post(call, accessToken, body)
	switch {
	case err != nil && ctx.Err() != nil:
		return Token{}, ctx.Err()
	case err != nil && call.Err() != nil:
		return Token{}, fmt.Errorf("%w: %w", ErrUnavailable, call.Err())
	case res == nil:
		return Token{}, noConnection(err)
	case res.StatusCode != http.StatusOK:
		private := []string{accessToken, v.Email, v.FirstName, v.LastName}
		if local, _, _ := strings.Cut(v.Email, "@"); len(local) > 2 { // shorter ones are in every other word
			private = append(private, local)
		}
		err := newAPIError(res, answer, slices.AppendSeq(private, maps.Values(v.AgentContext)))
		if res.StatusCode == http.StatusUnauthorized {
			if now, _ := c.accessToken(call); now != "" && now != accessToken {
				return Token{}, fmt.Errorf("%w: %w", errReplaced, err)
			}
		}
		return Token{}, err
	case err != nil:
		return Token{}, fmt.Errorf("%w: the answer broke off", ErrUnavailable) // err can quote it
	}
	value, err := parseToken(answer)
	if err != nil {
		return Token{}, err
	}
	token := NewToken(value, v.Email, issuedAt)
	token.limit = rateLimit(res.Header)
	return token, nil
}

// What went wrong on this side of the network.
var (
	errCredential = errors.New("hubspot: the access token cannot be had")
	errReplaced   = errors.New("hubspot: the access token has been replaced meanwhile")
	errNoAnswer   = fmt.Errorf("%w: no answer", ErrUnavailable) // at all: the call may be repeated
)

func (c *Client) accessToken(ctx context.Context) (string, error) {
	raw, err := c.credential(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errCredential, err)
	}
	token, err := credential.Clean(raw)
	if err != nil {
		return "", fmt.Errorf("%w: it %w", errCredential, err)
	}
	return token, nil
}

// post makes the call. Without an answer the response is nil; with one that broke
// off there is an error, too.
func (c *Client) post(ctx context.Context, accessToken string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.http.get().Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	// What follows a 101 is no body: net/http reads it without looking at ctx.
	answer, err := flight.Guard(ctx, func(context.Context) ([]byte, error) {
		return io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	})
	return res, answer, err
}

// noConnection keeps the errors of the network alone. What a transport puts around
// them, and others, such as that an answer is not HTTP, may quote what went either way.
func noConnection(err error) error {
	for network := err; network != nil; network = errors.Unwrap(network) {
		switch network.(type) {
		case *net.OpError, *net.DNSError, *tls.CertificateVerificationError:
			return fmt.Errorf("%w: %w", errNoAnswer, network)
		}
	}
	client, _ := errors.AsType[*url.Error](err) // as net/http's all are
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", errNoAnswer, io.EOF)
	case client.Timeout():
		return fmt.Errorf("%w: no answer within the HTTP client's own Timeout", ErrUnavailable)
	case errors.Is(err, errProxy):
		return client.Err
	case strings.Contains(client.Err.Error(), "roxy"): // all that another transport tells of a 407, in the proxy's words
		return errProxy
	}
	return fmt.Errorf("%w that can be read as HTTP", errNoAnswer)
}

func parseToken(answer []byte) (string, error) {
	var ok struct{ Token string }
	switch {
	case len(answer) > maxAnswer:
		return "", fmt.Errorf("%w: the answer is longer than 64 KiB", ErrUnavailable)
	case json.Unmarshal(answer, &ok) != nil: // its error is left out: it can quote the answer
		return "", fmt.Errorf("%w: the answer is not JSON with a token", ErrUnavailable)
	case !usable.MatchString(ok.Token):
		return "", fmt.Errorf("%w: the answer has no usable token", ErrUnavailable)
	}
	return ok.Token, nil
}

// The widget puts the token un-encoded into a query string.
var usable = regexp.MustCompile(`^[!"$%'-~]+$`)
