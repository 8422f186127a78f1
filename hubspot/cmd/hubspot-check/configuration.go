package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/credential"
)

// configuration reads the environment. Without it there is nothing else to check.
func (c *checker) configuration(env func() (hubspot.Config, error)) bool {
	cfg, err := env()
	if err != nil {
		for _, one := range parts(err) {
			text := strings.TrimPrefix(one.Error(), "hubspot: ")
			check := "configuration"
			if strings.HasPrefix(text, "HUBSPOT_REGION") {
				check = "region"
			}
			c.fail(check, problem{text, mendVariable(text)})
		}
		return false
	}
	c.cfg = cfg
	token := cfg.AccessToken.Reveal()
	if cfg.AccessTokenFile != "" {
		token, _ = credential.Read(cfg.AccessTokenFile) // ConfigFromEnv reported the error
	}
	c.secrets = append(c.secrets, strings.TrimSpace(token), cfg.StoreSecret.Reveal(), c.visitor.Email)
	switch cfg.Chat {
	case hubspot.ChatOff:
		c.pass("configuration", "HUBSPOT_CHAT is off: pages carry no chat at all")
	case hubspot.ChatAnonymous:
		c.pass("configuration", "portal %s, and HUBSPOT_CHAT is anonymous: HubSpot is never asked for a token", cfg.PortalID)
	default:
		c.pass("configuration", "portal %s, an access token, API %s", cfg.PortalID, cmp.Or(cfg.APIURL, "https://api.hubapi.com"))
	}
	c.region(credential.Region(token))
	return true
}

// parts are the errors that err joins.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// mendVariable tells what to do about a variable. The problem names it.
func mendVariable(text string) string {
	name, _, _ := strings.Cut(text, " ")
	switch name {
	case "HUBSPOT_ACCESS_TOKEN":
		return "set it to the access token: " + placeCredential + "; its scope has to be " + scope
	case "HUBSPOT_ACCESS_TOKEN_FILE":
		return "let it name a file that the application may read and that holds nothing but the access token"
	case "HUBSPOT_PORTAL_ID":
		return "set it: " + placeHubID
	case "HUBSPOT_REGION":
		return "leave it away, where the access token names the region, or correct the one that is wrong: " + placeRegion
	case "HUBSPOT_API_URL", "HUBSPOT_API_VERSION", "HUBSPOT_LOADER_URL":
		return "leave it away: its default is HubSpot's own"
	case "HUBSPOT_STORE_SECRET":
		return "make one, by openssl rand -hex 32 for example, the same on every replica"
	}
	return "correct the variable, or leave it away for its default"
}

// regional are the host names that name a region.
var regional = regexp.MustCompile(`^(?:https?:)?//(?:api|js)(?:-([a-z]+[0-9]+))?\.(?:hubapi|hs-scripts)\.com$`)

// region compares what is said of it in several places. That HUBSPOT_REGION is not
// the access token's, ConfigFromEnv says.
func (c *checker) region(named string) {
	region := cmp.Or(c.cfg.Region, named, "na1")
	var problems []problem
	if found := regional.FindStringSubmatch(strings.TrimSuffix(c.cfg.LoaderURL, "/")); found != nil && cmp.Or(found[1], "na1") != region {
		problems = append(problems, problem{
			fmt.Sprintf("HUBSPOT_LOADER_URL is of %s, but the account of %s", cmp.Or(found[1], "na1"), region),
			"leave HUBSPOT_LOADER_URL away: it follows the region",
		})
	}
	// HubSpot's https://api.hubapi.com serves all regions.
	if found := regional.FindStringSubmatch(strings.TrimSuffix(c.cfg.APIURL, "/")); found != nil && found[1] != "" && found[1] != region {
		problems = append(problems, problem{
			fmt.Sprintf("HUBSPOT_API_URL is of %s, but the account of %s", found[1], region),
			"leave HUBSPOT_API_URL away: its default serves all regions",
		})
	}
	why := "as HUBSPOT_REGION says; the access token names none"
	switch {
	case named != "":
		why = "as the access token says"
	case c.cfg.Region == "":
		why = "since neither the access token nor HUBSPOT_REGION names another"
	}
	c.group("region", problems, "%s, %s", region, why)
}
