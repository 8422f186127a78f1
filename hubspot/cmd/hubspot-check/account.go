package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// maxCalls is how many token calls a run makes at most: they are the account's,
// which shares them with its other integrations.
const maxCalls = 10

// maxMeasuring is when the latency has been measured well enough.
const maxMeasuring = 5 * time.Second

// answerChecks are what an answer of HubSpot's tells, in the order in which it
// would refuse.
var answerChecks = []string{"answer", "data centre", "credential", "scope", "plan", "visitor", "burst limit", "daily limit", "latency", "token", "clock"}

// account asks HubSpot for tokens. It returns the first one; the zero Token for
// none.
func (c *checker) account(ctx context.Context) hubspot.Token {
	open := append([]string{"dns", "connection", "tls"}, answerChecks...)
	if c.cfg.Chat == hubspot.ChatOff || c.cfg.Chat == hubspot.ChatAnonymous {
		c.leave("HUBSPOT_CHAT is "+c.cfg.Chat, open...)
		return hubspot.Token{}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
		if res.StatusCode != http.StatusOK {
			return errors.New("the proxy says " + res.Status) // in place of the status alone
		}
		return nil
	}
	defer transport.CloseIdleConnections()
	seen := &watch{next: transport}
	client, err := hubspot.NewClient(c.cfg, hubspot.WithHTTPClient(&http.Client{Transport: seen}))
	if err != nil {
		c.fail("configuration", problem{strings.TrimPrefix(err.Error(), "hubspot: "), "set the access token: " + placeCredential})
		c.leave("configuration", open...)
		return hubspot.Token{}
	}

	begun := time.Now()
	token, err := client.CreateToken(ctx, c.visitor)
	first := time.Since(begun)
	if ctx.Err() != nil {
		c.fail("answer", problem{"the check was ended before HubSpot answered", "let it run on"})
		return hubspot.Token{}
	}
	how, header := seen.look()
	api, _ := url.Parse(cmp.Or(c.cfg.APIURL, "https://api.hubapi.com")) // the configuration was checked
	if !c.network(how, api.Host) {
		c.leave("no connection", answerChecks...)
		return hubspot.Token{}
	}
	if err != nil {
		c.refusal(err, how.begun)
		return hubspot.Token{}
	}
	c.secrets = append(c.secrets, token.Reveal())
	c.pass("answer", "HubSpot's, with a token")
	c.pass("data centre", "the account's")
	c.pass("credential", "the access token is accepted")
	c.pass("scope", "%s", scope)
	c.pass("plan", "the account may identify visitors")
	c.pass("visitor", "the address of -email is accepted")
	c.limits(header)
	c.latency(ctx, client, first, remaining(header))
	c.token(token)
	c.clock(token, header)
	return token
}

// refusal says what HubSpot's first answer was, if not a token.
func (c *checker) refusal(err error, begun bool) {
	var api *hubspot.APIError
	if !errors.As(err, &api) {
		check, p := c.noAnswer(err, begun)
		c.fail(check, p)
		c.leave(check, slices.DeleteFunc(slices.Clone(answerChecks), func(name string) bool { return name == check })...)
		return
	}
	failing, p := c.answered(api)
	// What HubSpot looks at after what it refused is open. A 403 means that the
	// access token is good.
	var good []string
	switch {
	case failing == "scope":
		good = []string{"answer", "credential"}
	case failing == "plan":
		good = []string{"answer", "credential"}
	case failing == "visitor":
		good = []string{"answer", "credential", "scope", "plan"}
	case failing != "answer":
		good = []string{"answer"}
	}
	var open []string
	for _, check := range answerChecks {
		switch {
		case check == failing:
			c.fail(check, p)
		case slices.Contains(good, check):
			c.pass(check, "HubSpot's answer speaks for it")
		default:
			open = append(open, check)
		}
	}
	c.leave(failing, open...)
}

// answered is what an answer other than success means.
func (c *checker) answered(api *hubspot.APIError) (check string, p problem) {
	said := strings.Join(strings.Fields(fmt.Sprintf("%d %s %s", api.StatusCode, api.Category, api.Policy)), " ")
	if api.CorrelationID != "" {
		said += ", correlation id " + api.CorrelationID
	}
	wait := ""
	if api.RetryAfter > 0 {
		wait = "; HubSpot asks to wait " + api.RetryAfter.String()
	}
	is := func(target error) bool { return errors.Is(api, target) }
	switch {
	case is(hubspot.ErrUnauthorized) && api.Category == "EXPIRED_AUTHENTICATION":
		return "credential", problem{"HubSpot says that the access token has expired (" + said + ")",
			"HubSpot says so of one that is not whole, too: copy it again (" + placeCredential + "); one of OAuth lives for 30 minutes and comes through hubspot.WithCredential"}
	case is(hubspot.ErrUnauthorized):
		return "credential", problem{"HubSpot does not know the access token (" + said + ")",
			"it was rotated, deleted, or is of another HubSpot; copy the present one: " + placeCredential}
	case is(hubspot.ErrMissingScope):
		return "scope", problem{"the access token lacks " + cmp.Or(strings.Join(api.Details, ", "), scope) + " (" + said + ")",
			"add the scope: " + placeScopes}
	case is(hubspot.ErrForbidden):
		return "plan", problem{"HubSpot refuses, and not for a scope: most likely the account's plan (" + said + ")", placePlan}
	case api.StatusCode == 488:
		return "data centre", problem{"the account lives in another of HubSpot's data centres: " + cmp.Or(strings.Join(api.Details, ", "), "HubSpot does not say which") + " (" + said + ")",
			"set HUBSPOT_REGION to it, leave HUBSPOT_API_URL away, and use an access token of that account; " + placeRegion}
	case api.StatusCode == 477:
		return "data centre", problem{"the account is being moved to another of HubSpot's data centres (" + said + wait + ")",
			"wait until HubSpot has finished; then the region, and with it the access token, can be another"}
	case is(hubspot.ErrDailyLimit):
		return "daily limit", problem{"the account's calls of the day are used up (" + said + ")",
			"find the integration that makes them: " + placeUsage + "; they come back at midnight, and pages carry the anonymous chat until then"}
	case is(hubspot.ErrRateLimited):
		return "burst limit", problem{"the account makes too many calls within ten seconds (" + said + wait + ")",
			"find the integration that makes them, and slow it down: " + placeUsage}
	case is(hubspot.ErrInvalidVisitor):
		return "visitor", problem{"HubSpot does not accept the address of -email (" + said + ")",
			"try another one of yours; if it accepts none, leave HUBSPOT_API_URL and HUBSPOT_API_VERSION away"}
	case api.StatusCode == http.StatusNotFound || api.StatusCode == http.StatusMethodNotAllowed:
		return "answer", problem{"what answers knows no token call (" + said + ")", "leave HUBSPOT_API_URL and HUBSPOT_API_VERSION away"}
	case api.StatusCode == http.StatusProxyAuthRequired:
		return "answer", problem{"the proxy on the way wants credentials (" + said + ")", "put them into HTTPS_PROXY"}
	case api.StatusCode < 400:
		return "answer", problem{"what answers points elsewhere, which is never followed with a credential (" + said + ")", "correct HUBSPOT_API_URL: HubSpot's own does not redirect"}
	case api.StatusCode >= 502 && api.StatusCode <= 504 || api.StatusCode > 520:
		return "answer", problem{"HubSpot's edge does not reach HubSpot (" + said + ")", placeStatus}
	case api.StatusCode >= 500:
		return "answer", problem{"HubSpot is in trouble (" + said + ")", placeStatus}
	}
	return "answer", problem{"HubSpot refuses for a reason that it does not document (" + said + ")", "ask HubSpot's support, with the correlation id if there is one"}
}

// noAnswer is what it means that there is none, or none that can be used.
func (c *checker) noAnswer(err error, begun bool) (check string, p problem) {
	text := strings.TrimPrefix(err.Error(), hubspot.ErrUnavailable.Error()+": ")
	limit := cmp.Or(c.cfg.Timeout, 3*time.Second).String()
	between := "look who answers in HubSpot's place: a wrong HUBSPOT_API_URL, a proxy, the sign-in page of a network"
	switch {
	case errors.Is(err, context.DeadlineExceeded) && begun:
		return "answer", problem{"the answer began, and was not whole within " + limit, "look for what slows it down: a proxy or firewall that holds answers back; raise HUBSPOT_TIMEOUT (to 10s at most) only where the way is that slow"}
	case errors.Is(err, context.DeadlineExceeded):
		return "answer", problem{"there was a connection and no answer within " + limit, "try again; if it stays so, look at https://status.hubspot.com and for a firewall that holds connections open"}
	case strings.Contains(text, "the proxy on the way"):
		return "answer", problem{strings.TrimPrefix(text, "hubspot: "), "look into HTTPS_PROXY: its credentials, percent-encoded, and whether it lets this machine through to HubSpot"}
	case strings.Contains(text, "token cannot be had"):
		return "credential", problem{"the access token cannot be read now", "let HUBSPOT_ACCESS_TOKEN_FILE name a file that the application may read"}
	case strings.Contains(text, "broke off"):
		return "answer", problem{"the answer broke off in the middle", "try again; if it stays so, look for a proxy or firewall that cuts answers"}
	case strings.Contains(text, "longer than"), strings.Contains(text, "not JSON"), strings.Contains(text, "no usable token"), strings.Contains(text, "read as HTTP"):
		return "answer", problem{text, between}
	}
	return "answer", problem{"the connection was cut before an answer came", "try again; if it stays so, look for a firewall that cuts connections to HubSpot"}
}

// limits tells how much of the account's calls is left.
func (c *checker) limits(h http.Header) {
	burst, left := number(h, "X-HubSpot-RateLimit-Max"), number(h, "X-HubSpot-RateLimit-Remaining")
	window := time.Duration(number(h, "X-HubSpot-RateLimit-Interval-Milliseconds")) * time.Millisecond
	switch {
	case burst <= 0 || left < 0 || window <= 0:
		c.leave("HubSpot's answer does not tell", "burst limit")
	case left*5 < burst:
		c.fail("burst limit", problem{fmt.Sprintf("%d of %d calls in %v are left, and the last fifth is left to your other integrations: pages get no token", left, burst, window),
			"find the integration that makes the calls, and slow it down: " + placeUsage})
	default:
		c.pass("burst limit", "%d of %d calls in %v are left", left, burst, window)
	}
	daily, today := number(h, "X-HubSpot-RateLimit-Daily"), number(h, "X-HubSpot-RateLimit-Daily-Remaining")
	switch {
	case daily <= 0 || today < 0: // of apps with OAuth it does not
		c.leave("HubSpot's answer does not tell", "daily limit")
	case today*10 < daily:
		c.fail("daily limit", problem{fmt.Sprintf("%d of the day's %d calls are left", today, daily),
			"find the integration that makes them, before it leaves none: " + placeUsage})
	default:
		c.pass("daily limit", "%d of the day's %d calls are left", today, daily)
	}
}

// number is a header's; -1 where it has none.
func number(h http.Header, name string) int {
	n, err := strconv.Atoi(h.Get(name))
	if err != nil {
		return -1
	}
	return n
}

// remaining is how many calls may be made without taking from others' share.
func remaining(h http.Header) int {
	if daily, today := number(h, "X-HubSpot-RateLimit-Daily"), number(h, "X-HubSpot-RateLimit-Daily-Remaining"); today >= 0 && today*10 < daily {
		return 0
	}
	burst, left := number(h, "X-HubSpot-RateLimit-Max"), number(h, "X-HubSpot-RateLimit-Remaining")
	if burst <= 0 || left < 0 {
		return maxCalls
	}
	return max(0, left-burst/5)
}

// latency makes some more calls. The first one, with the connection, took that
// long; allowed is how many the account can spare.
func (c *checker) latency(ctx context.Context, client *hubspot.Client, first time.Duration, allowed int) {
	var took []time.Duration
	var failure error
	calls := min(maxCalls-1, allowed)
	for begun := time.Now(); len(took) < calls && failure == nil && time.Since(begun) < maxMeasuring; {
		fmt.Fprintf(c.progress, "\r  latency: call %d of %d ", len(took)+1, calls)
		call := time.Now()
		_, failure = client.CreateToken(ctx, c.visitor)
		took = append(took, time.Since(call))
	}
	fmt.Fprint(c.progress, "\r\x1b[K")
	if len(took) == 0 {
		c.leave("the account's calls are needed elsewhere", "latency")
		return
	}
	if failure != nil {
		reason, p := "no answer", problem{}
		var api *hubspot.APIError
		if errors.As(failure, &api) {
			_, p = c.answered(api)
			reason = p.what
		} else if ctx.Err() == nil {
			_, p = c.noAnswer(failure, false)
			reason = p.what
		}
		c.fail("latency", problem{fmt.Sprintf("of %d calls the last one failed: %s", len(took)+1, reason), cmp.Or(p.mend, "try again")})
		return
	}
	slices.Sort(took)
	median, slowest := short(took[len(took)/2]), short(took[len(took)-1])
	timeout, budget := cmp.Or(c.cfg.Timeout, 3*time.Second), cmp.Or(c.cfg.RenderBudget, 300*time.Millisecond)
	text := fmt.Sprintf("median %v, slowest %v of %d calls; the first one, with the connection, %v", median, slowest, len(took), short(first))
	switch {
	case median*2 > timeout:
		c.fail("latency", problem{text + fmt.Sprintf(": HUBSPOT_TIMEOUT is %v, and many calls will not end in time", timeout),
			"look for what slows the way to HubSpot down; if nothing does, raise HUBSPOT_TIMEOUT, to 10s at most"})
	case median > budget:
		c.pass("latency", "%s; longer than HUBSPOT_RENDER_BUDGET (%v), so the page's script fetches the token on a visitor's very first page", text, budget)
	default:
		c.pass("latency", "%s", text)
	}
}

// short is d as people read it.
func short(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// precision is that of times here: a JWT names whole seconds.
const precision = 10 * time.Second

// shortLife is what is less than a visit to a site can last.
const shortLife = time.Hour

func (c *checker) token(token hubspot.Token) {
	life := token.ExpiresAt().Sub(token.IssuedAt()).Round(precision)
	shape := "opaque"
	if strings.Count(token.Reveal(), ".") == 2 {
		shape = "a JWT"
	}
	if life < shortLife {
		c.fail("token", problem{fmt.Sprintf("it expires after %v, while HubSpot documents 12 hours", life),
			"set this machine's clock; if it is right, look who answers in HubSpot's place (HUBSPOT_API_URL)"})
		return
	}
	c.pass("token", "%s of %d characters, good for %v", shape, len(token.Reveal()), life)
}

// maxSkew is how far a clock may be wrong before tokens are used for too long.
const maxSkew = 2 * time.Minute

// clock compares this machine's with HubSpot's, as the token or else the answer
// tells it.
func (c *checker) clock(token hubspot.Token, h http.Header) {
	theirs, ok := issuedAt(token.Reveal())
	if !ok {
		var err error
		if theirs, err = http.ParseTime(h.Get("Date")); err != nil {
			c.leave("HubSpot's answer does not tell", "clock")
			return
		}
	}
	switch ahead := theirs.Sub(token.IssuedAt()).Round(precision); {
	case ahead > maxSkew:
		c.fail("clock", problem{fmt.Sprintf("this machine's is %v behind HubSpot's", ahead), "set it by NTP, or else tokens are used for longer than HubSpot accepts them"})
	case ahead < -maxSkew:
		c.fail("clock", problem{fmt.Sprintf("this machine's is %v ahead of HubSpot's", -ahead), "set it by NTP, or else tokens count as expired too early"})
	default:
		c.pass("clock", "as HubSpot's")
	}
}

// issuedAt is when a token was issued, where it is a JWT that says so.
func issuedAt(token string) (issued time.Time, ok bool) {
	issued, _ = times(token)
	return issued, !issued.IsZero()
}

// times are when a token was issued and when it expires; zero where it is no JWT
// that says so.
func times(token string) (issued, expires time.Time) {
	split := strings.Split(token, ".")
	if len(split) != 3 {
		return issued, expires
	}
	payload, err := base64.RawURLEncoding.DecodeString(split[1])
	var said struct {
		IssuedAt float64 `json:"iat"`
		Expires  float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &said) != nil {
		return issued, expires
	}
	if said.IssuedAt > 0 {
		issued = time.Unix(int64(said.IssuedAt), 0)
	}
	if said.Expires > 0 {
		expires = time.Unix(int64(said.Expires), 0)
	}
	return issued, expires
}
