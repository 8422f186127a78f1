package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/credential"
)

// loaderURL is where the browser finds HubSpot's loader.
func (c *checker) loaderURL() *url.URL {
	src := c.cfg.LoaderSrc()
	if strings.HasPrefix(src, "//") {
		src = "https:" + src
	}
	u, err := url.Parse(src)
	if err != nil {
		return &url.URL{} // the configuration was checked
	}
	return u
}

// hubspotHost are HubSpot's own hosts of the loader.
var hubspotHost = regexp.MustCompile(`^js(-[a-z]+[0-9]+)?\.hs-scripts\.com$`)

// The loader's text names the portal that it was made for.
var portalInLoader = regexp.MustCompile(`data-hsjs-portal["']?\s*[:=]\s*["']?([0-9]+)`)

// loader fetches HubSpot's loader script, and reports whether it is one.
func (c *checker) loader(ctx context.Context) bool {
	u := c.loaderURL()
	d, err := fetch(ctx, http.MethodGet, u.String(), http.Header{"Sec-Fetch-Dest": {"script"}})
	wrongAccount := "correct HUBSPOT_PORTAL_ID (" + placeHubID + ") and HUBSPOT_REGION (" + placeRegion + ")"
	var p problem
	switch {
	case err != nil:
		p = problem{"HubSpot's loader cannot be had from " + plain(u) + ": " + err.Error(), "let browsers reach it; where they do and this machine does not, it is this machine's firewall or proxy"}
	case d.status == http.StatusNotFound:
		p = problem{"there is no loader script for portal " + c.cfg.PortalID + " at " + u.Host, wrongAccount}
	case d.status != http.StatusOK:
		p = problem{fmt.Sprintf("%s answers %d", plain(u), d.status), wrongAccount}
	case !d.isScript():
		p = problem{plain(u) + " is no script but " + cmp.Or(d.kind(), "of no type"), "leave HUBSPOT_LOADER_URL away; if it is, somebody else answers in HubSpot's place"}
	default:
		if found := portalInLoader.FindSubmatch(d.body); found != nil && string(found[1]) != c.cfg.PortalID {
			p = problem{"the loader script is another portal's: " + string(found[1]), wrongAccount}
		} else if !strings.Contains(string(d.body), "conversations-embed") {
			p = problem{"the loader script brings no chat", "switch a chat on: " + placeChatflow}
		}
	}
	if p != (problem{}) {
		c.fail("loader", p)
		return false
	}
	c.pass("loader", "%s, of this portal, with the chat", plain(u))
	return true
}

// chat asks the widget's backend as the widget on the page would, for whom email
// and token are, or else for nobody: whether there is a chat on that page at all is
// decided there.
func (c *checker) chat(ctx context.Context, name, who, email, token string, loader bool, where *url.URL) {
	switch {
	case !loader:
		c.leave("loader", name)
		return
	case where == nil:
		c.leave("page", name)
		return
	}
	ask := url.Values{"portalId": {c.cfg.PortalID}, "messagesUtk": {strings.Repeat("0", 31) + "1"}}
	if token == "" {
		who = "an anonymous visitor"
	} else {
		ask.Set("email", email)
		ask.Set("identificationToken", token)
	}
	d, err := fetch(ctx, http.MethodGet, c.backend()+"?"+ask.Encode(), http.Header{"X-Hubspot-Messages-Uri": {where.String()}})
	var p problem
	switch {
	case err != nil:
		p = problem{"HubSpot's chat cannot be asked: " + err.Error(), "let browsers reach " + c.backend()}
	case d.status == http.StatusNoContent || d.status == http.StatusNotFound:
		p = problem{fmt.Sprintf("HubSpot has no chat on this page (%d)", d.status), "have one: " + placeChatflow}
	case d.status == http.StatusBadRequest || d.status == http.StatusUnauthorized || d.status == http.StatusForbidden:
		p = problem{fmt.Sprintf("HubSpot's chat refuses e-mail and token (%d)", d.status), "set this machine's clock, and let access token and HUBSPOT_PORTAL_ID be of one account"}
	case d.status != http.StatusOK:
		p = problem{fmt.Sprintf("HubSpot's chat is in trouble (%d)", d.status), placeStatus}
	}
	var answer struct {
		Type    string `json:"@type"`
		Message struct {
			ClientTriggers struct {
				Delay struct {
					Enabled bool `json:"enabled"`
					Seconds int  `json:"timeDelaySeconds"`
				} `json:"displayOnTimeDelay"`
			} `json:"clientTriggers"`
		} `json:"message"`
	}
	if p == (problem{}) {
		switch {
		case json.Unmarshal(d.body, &answer) != nil:
			p = problem{"the answer is none of HubSpot's chat", "look who answers in HubSpot's place at " + c.backend()}
		case answer.Type == "HIDE_WIDGET":
			p = problem{"HubSpot hides the chat from " + who + " on this page", "include them: " + placeChatflow}
		}
	}
	if p != (problem{}) {
		c.fail(name, p)
		return
	}
	when := "at once"
	if delay := answer.Message.ClientTriggers.Delay; delay.Enabled {
		when = fmt.Sprintf("after %d s, as its chatflow says", delay.Seconds)
	}
	c.pass(name, "HubSpot has one for %s on this page, shown %s", who, when)
}

// backend is where the widget asks: on HubSpot's own host of the region, or where
// an emulated loader comes from.
func (c *checker) backend() string {
	const path = "/livechat-public/v1/message/public"
	u := c.loaderURL()
	if !hubspotHost.MatchString(u.Host) {
		return u.Scheme + "://" + u.Host + path
	}
	region := cmp.Or(c.cfg.Region, credential.Region(c.cfg.AccessToken.Reveal()), "na1")
	if region == "na1" {
		return "https://api.hubspot.com" + path
	}
	return "https://api-" + region + ".hubspot.com" + path
}
