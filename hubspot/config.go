package hubspot

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/credential"
)

// Values of [Config.Chat].
const (
	ChatOn        = "on"        // signed-in visitors are identified; the default
	ChatOff       = "off"       // pages carry no chat at all
	ChatAnonymous = "anonymous" // pages carry the chat, HubSpot is never asked for tokens
)

// Config is what an operator configures. A field's zero value means its default;
// [ConfigFromEnv] fills the fields from the environment variables in their tags.
type Config struct {
	// AccessToken is the credential for the API call: that of a private app, a
	// service key, or OAuth. It needs the scope
	// conversations.visitor_identification.tokens.create. For credentials that
	// change, use AccessTokenFile or [WithCredential]. Surrounding white space
	// is ignored.
	AccessToken Secret `env:"HUBSPOT_ACCESS_TOKEN"`
	// AccessTokenFile names a file that holds the access token, such as a
	// secret mounted by an orchestrator. It is read again for every call to
	// HubSpot, so that a replaced secret takes effect without a restart.
	AccessTokenFile string `env:"HUBSPOT_ACCESS_TOKEN_FILE"`
	// PortalID is the ID of the HubSpot account ("Hub ID"), in digits.
	PortalID string `env:"HUBSPOT_PORTAL_ID"`
	// Region is where HubSpot hosts the account: na1, na2, na3, eu1 or ap1. The
	// default is the region in the access token of a private app (pat-eu1-…;
	// ConfigFromEnv reads it from a token file too), otherwise na1.
	Region string `env:"HUBSPOT_REGION"`
	// APIURL is the base URL of HubSpot's API: https, or http to a loopback
	// address. Default https://api.hubapi.com.
	APIURL string `env:"HUBSPOT_API_URL"`
	// APIVersion chooses the path of the API call: a date version such as
	// 2026-03 (default), v3, or conversations-v3 for the oldest spelling,
	// /conversations/v3/visitor-identification/tokens/create. HubSpot ends its
	// support of the v3 paths in September 2027.
	APIVersion string `env:"HUBSPOT_API_VERSION"`
	// Timeout limits one CreateToken call. Default 3s, at most 10s.
	Timeout time.Duration `env:"HUBSPOT_TIMEOUT"`
	// RenderBudget is the longest that a page waits for its visitor's token.
	// Default 300ms. For pages that do not wait, set HUBSPOT_RENDER_BUDGET=0,
	// or in Go time.Nanosecond.
	RenderBudget time.Duration `env:"HUBSPOT_RENDER_BUDGET"`
	// LoaderURL is the base URL of HubSpot's loader script; the portal's file
	// name is appended. Default //js.hs-scripts.com, or the region's
	// //js-<region>.hs-scripts.com.
	LoaderURL string `env:"HUBSPOT_LOADER_URL"`
	// Chat is ChatOn (default), ChatOff or ChatAnonymous.
	Chat string `env:"HUBSPOT_CHAT"`
	// StoreSecret is the key for what leaves the process: the records and key
	// names in a shared [Store], and the fingerprint by which a browser notices
	// a change of visitor. It has at least 32 characters and is the same on
	// every replica. Without a shared store it may be empty: the access token
	// is then the key for the fingerprint.
	StoreSecret Secret `env:"HUBSPOT_STORE_SECRET"`
	// Debug makes pages say in an HTML comment why their visitor is anonymous,
	// but never who it is. Use it for development: everybody can read the
	// comment.
	Debug bool `env:"HUBSPOT_DEBUG"`
}

// ConfigFromEnv reads the HUBSPOT_* environment variables named in [Config].
// HUBSPOT_PORTAL_ID is required unless HUBSPOT_CHAT is off, and an access token
// (or its file) unless HUBSPOT_CHAT is off or anonymous. The error joins all
// problems, each with the name of its variable, and never contains a secret.
func ConfigFromEnv() (Config, error) {
	var cfg Config
	errs := envProblems(env.Parse(&cfg))
	if cfg.RenderBudget == 0 && os.Getenv("HUBSPOT_RENDER_BUDGET") != "" {
		cfg.RenderBudget = time.Nanosecond
	}
	timeout, err := time.ParseDuration(os.Getenv("HUBSPOT_TIMEOUT"))
	errs.check(timeout != 0 || err != nil, "HUBSPOT_TIMEOUT has to be more than 0: no call can be made in no time")
	token := cfg.AccessToken.Reveal()
	if cfg.AccessTokenFile != "" && cfg.identifies() {
		if token, err = credential.Read(cfg.AccessTokenFile); err != nil {
			errs = append(errs, fmt.Errorf("hubspot: HUBSPOT_ACCESS_TOKEN_FILE %w", err))
		}
		errs.checkRegion(cfg.Region, token)
	}
	cfg.Region = cmp.Or(cfg.Region, credential.Region(token))
	errs = append(errs, cfg.problems()...)
	errs.check(cfg.PortalID != "" || cfg.Chat == ChatOff, "HUBSPOT_PORTAL_ID is missing")
	errs.check(!cfg.AccessToken.IsZero() || cfg.AccessTokenFile != "" || !cfg.identifies(), "HUBSPOT_ACCESS_TOKEN (or HUBSPOT_ACCESS_TOKEN_FILE) is missing")
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// Validate reports everything that is wrong with the fields that are set, in one
// joined error. Each part names the field's environment variable, and none
// contains a secret. Missing fields are left to [ConfigFromEnv] and [NewClient].
func (c Config) Validate() error { return errors.Join(c.problems()...) }

// LoaderSrc returns the src of HubSpot's loader tag for this account, or ""
// without a PortalID.
func (c Config) LoaderSrc() string {
	if c.PortalID == "" {
		return ""
	}
	base := "//js.hs-scripts.com"
	if region := c.withDefaults().Region; region != "na1" {
		base = "//js-" + region + ".hs-scripts.com"
	}
	return cmp.Or(strings.TrimSuffix(c.LoaderURL, "/"), base) + "/" + c.PortalID + ".js"
}

func (c Config) identifies() bool { return c.Chat != ChatOff && c.Chat != ChatAnonymous }

// withDefaults gives the fields that stand at zero their documented meaning, as
// far as this package is concerned: RenderBudget is package middleware's.
func (c Config) withDefaults() Config {
	c.Region = cmp.Or(c.Region, credential.Region(c.AccessToken.Reveal()), "na1")
	c.APIURL = cmp.Or(strings.TrimSuffix(c.APIURL, "/"), "https://api.hubapi.com")
	c.APIVersion = cmp.Or(c.APIVersion, "2026-03")
	c.Timeout = cmp.Or(c.Timeout, 3*time.Second)
	c.Chat = cmp.Or(c.Chat, ChatOn)
	return c
}

var (
	chats       = []string{ChatOn, ChatOff, ChatAnonymous}
	digits      = regexp.MustCompile(`^[0-9]{1,20}$`)
	apiVersions = regexp.MustCompile(`^(v3|conversations-v3|20[0-9]{2}-(0[1-9]|1[0-2]))$`)
)

// isStoreSecret reports whether s is as long as the seal of records needs it.
func isStoreSecret(s Secret) bool { return len(strings.TrimSpace(s.Reveal())) >= 32 }

// problems are what is wrong with a configuration, each naming what to change.
type problems []error

func (p *problems) check(ok bool, problem string) {
	if !ok {
		*p = append(*p, errors.New("hubspot: "+problem))
	}
}

// checkRegion: HubSpot refuses an access token at another region's API.
func (p *problems) checkRegion(region, token string) {
	of := cmp.Or(credential.Region(token), region)
	p.check(of == region || !slices.Contains(credential.Regions, region), "HUBSPOT_REGION is "+region+", but the access token is of "+of)
}

func (c Config) problems() (errs problems) {
	d := c.withDefaults()
	if !c.AccessToken.IsZero() {
		token, err := credential.Clean(c.AccessToken.Reveal())
		errs.check(err == nil, fmt.Sprint("HUBSPOT_ACCESS_TOKEN ", err))
		errs.checkRegion(d.Region, token)
	}
	errs.check(c.AccessToken.IsZero() || c.AccessTokenFile == "", "HUBSPOT_ACCESS_TOKEN_FILE is set together with HUBSPOT_ACCESS_TOKEN: choose one")
	errs.check(c.PortalID == "" || digits.MatchString(c.PortalID), "HUBSPOT_PORTAL_ID has to be digits only (the Hub ID)")
	errs.check(slices.Contains(credential.Regions, d.Region), "HUBSPOT_REGION has to be one of "+strings.Join(credential.Regions, ", "))
	errs.check(isAPIURL(d.APIURL), "HUBSPOT_API_URL has to be an https URL without user, query or fragment (http only to loopback)")
	errs.check(apiVersions.MatchString(d.APIVersion), "HUBSPOT_API_VERSION has to be a version like 2026-03, v3 or conversations-v3")
	// A call that goes on after its flight serves nobody.
	errs.check(c.Timeout >= 0 && c.Timeout <= flightLimit, "HUBSPOT_TIMEOUT has to be from 0 to 10s")
	errs.check(c.RenderBudget >= 0, "HUBSPOT_RENDER_BUDGET must not be negative")
	errs.check(c.LoaderURL == "" || isLoaderURL(c.LoaderURL), "HUBSPOT_LOADER_URL has to be an http or https URL without user, query or fragment")
	errs.check(slices.Contains(chats, d.Chat), "HUBSPOT_CHAT has to be one of "+strings.Join(chats, ", "))
	errs.check(c.StoreSecret.IsZero() || isStoreSecret(c.StoreSecret), "HUBSPOT_STORE_SECRET has to have at least 32 characters")
	return errs
}

// The credential travels in a header: in the clear only within this machine.
func isAPIURL(s string) bool {
	u := plainURL(s)
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func isLoaderURL(s string) bool {
	u := plainURL(s)
	return u.Host != "" && slices.Contains([]string{"https", "http", ""}, u.Scheme)
}

// plainURL is s, if it names a host and has no user, query or fragment, not even
// an empty one; or else the empty URL.
func plainURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return &url.URL{}
	}
	return u
}

// envProblems translates env's error, which names Go's fields and may quote
// values, into ones that name variables and quote nothing.
func envProblems(err error) (errs problems) {
	all, _ := errors.AsType[env.AggregateError](err)
	forms := map[reflect.Kind]string{reflect.Bool: "true or false", reflect.Int64: "a duration such as 300ms or 3s", reflect.Struct: "the secret itself, not [redacted]"}
	for _, err := range all.Errors {
		if parse, ok := errors.AsType[env.ParseError](err); ok {
			field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
			errs.check(false, field.Tag.Get("env")+" has to be "+forms[field.Type.Kind()])
		}
	}
	errs.check(err == nil || len(errs) > 0, "the HUBSPOT_ variables cannot be read")
	return errs
}
