package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// inPage are the checks of a page that is there.
var inPage = []string{"page part", "visitor on the page", "page's loader", "page's own settings", "caching", "policy", "token endpoint", "secrets in the page"}

// navigation is how a browser opens a page. There is no cookie: nobody is signed
// in.
var navigation = http.Header{"Accept": {"text/html,application/xhtml+xml"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"none"}}

// view is a page as somebody was given it.
type view struct {
	document
	err    error // why there is none
	markup markup
	parts  []part
}

func open(ctx context.Context, who browser, address string) (v view) {
	if v.document, v.err = who.fetch(ctx, http.MethodGet, address, navigation); v.err == nil && v.isHTML() {
		v.markup = parseMarkup(v.body)
		v.parts = v.markup.parts()
	}
	return v
}

// last is the page part that decides in the browser, too.
func (v view) last() part {
	if len(v.parts) == 0 {
		return part{}
	}
	return v.parts[len(v.parts)-1]
}

// missing is what it means that there is no page; mend is what to do about its
// status.
func (v view) missing(mend string) problem {
	switch {
	case v.err != nil:
		return problem{"it cannot be opened: " + v.err.Error(), "correct -page, or start the application"}
	case v.status/100 == 3 && v.header.Get("Location") != "": // ten of them were followed
		return problem{"it redirects again and again", mend}
	case v.status != http.StatusOK:
		return problem{fmt.Sprintf("it answers %d", v.status), mend}
	case !v.isHTML():
		return problem{"it is no HTML but " + cmp.Or(v.kind(), "of no type"), "name a page, and let it have Content-Type: text/html"}
	}
	return problem{}
}

// opened says how and where a page was found.
func (v view) opened(how, address string) string {
	if asked, err := url.Parse(address); err == nil && plain(asked) != plain(v.url) {
		return "opened " + how + ", and redirected to " + plain(v.url)
	}
	return fmt.Sprintf("opened %s, %d bytes", how, len(v.body))
}

// page looks at a page of the application as nobody is given it. It returns the
// address where the page is; nil without a page.
func (c *checker) page(ctx context.Context, v view, address string) *url.URL {
	mend := "name a page that is there for somebody who is not signed in"
	if c.header == "" {
		mend += ", or give the cookies of somebody who is by -cookie-file"
	}
	if p := v.missing(mend); p != (problem{}) {
		c.fail("page", p)
		c.leave("page", inPage...)
		return nil
	}
	c.pass("page", "%s", v.opened("as nobody", address))
	c.group("secrets in the page", c.leaks(v.document), "no access token is in it")
	if len(v.parts) == 0 {
		c.fail("page part", noPart(v.markup))
		c.leave("page part", slices.DeleteFunc(slices.Clone(inPage), func(name string) bool {
			return name == "page part" || name == "secrets in the page"
		})...)
		return v.url
	}
	m, p, d := v.markup, v.last(), v.document
	c.group("page part", c.partProblems(ctx, m, p, d), "portal %s, settings and script in their order", p.portal)
	c.group("visitor on the page", visitorProblems(m, p), "%s", claimWords(p))
	loaders := c.loaders(m, p, d.url)
	c.group("page's loader", c.loaderProblems(ctx, m, p, d.url, loaders), "%s", loaderWords(p, loaders))
	c.group("page's own settings", settingsProblems(m, p), "nothing of it is in the chat's way")
	c.group("caching", cacheProblems(p, d), "%s", cacheWords(d))
	c.group("policy", c.policyProblems(ctx, browser{}, m, p, d), "%s", policyWords(m, d))
	c.endpoint(ctx, p, d.url)
	return d.url
}

var accessToken = regexp.MustCompile(`pat-[a-z]+[0-9]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (c *checker) leaks(d document) []problem {
	token := c.cfg.AccessToken.Reveal()
	if accessToken.Match(d.body) || len(token) > 8 && bytes.Contains(d.body, []byte(token)) {
		return []problem{{"everybody can read an access token in it", "take it out, and rotate it: " + placeCredential}}
	}
	return nil
}

// noPart says why the page carries no page part.
func noPart(m markup) problem {
	switch {
	case m.broken != nil:
		return problem{"the page cannot be read as HTML: " + m.broken.Error(), "mend the page's elements: one that is not closed, again and again, is the usual reason"}
	case m.asText:
		return problem{"the page part stands in the page as text, with &lt; instead of <", "hand it to the template as template.HTML, which snippet.HTML returns, and not as a string"}
	case m.inRemark:
		return problem{"the page part is within a comment or noscript, where no browser runs it", "move it into the body, as it is"}
	case m.said != "":
		return problem{"the page has none, since " + m.said, "see \"Why is my page anonymous?\" in the README"}
	}
	return problem{"the page has none: no element with " + marker,
		"put snippet.HTML(r.Context()) at the end of the layout's body, and chat.Handler around the routes; HUBSPOT_CHAT=off, WithConsent without consent, and a cache with a page of before leave it away, too. The application's log says whether the context given to snippet.HTML is the wrong one; the rest the page says with HUBSPOT_DEBUG=true"}
}

func (c *checker) partProblems(ctx context.Context, m markup, p part, d document) (problems []problem) {
	add := func(what, mend string) { problems = append(problems, problem{what, mend}) }
	if p.inert != "" {
		add("the page part is within a "+p.inert+" element, where no browser runs it", "move it into the body, as it is")
	}
	if !p.runs() || p.settings != nil && !p.settings.runs() && p.settings.attributes["type"] != "application/json" {
		add("something has changed the type of the page part's scripts, so that browsers do not run them", "exempt them from script optimisers (Cloudflare's Rocket Loader: switch it off) and consent tools")
	}
	if p.settings == nil {
		add("the settings are not right before the page part's script", "exempt the page from whatever sorts, bundles or removes scripts, and put the page part into the page in one piece")
	}
	if p.portal != c.cfg.PortalID {
		add("the page part is of portal "+cmp.Or(p.portal, "none")+", but HUBSPOT_PORTAL_ID is "+c.cfg.PortalID, "run application and check with the same environment; "+placeHubID)
	}
	if src := p.attributes["src"]; src != "" {
		u, err := d.url.Parse(src)
		if err == nil {
			var file document
			file, err = fetch(ctx, http.MethodGet, u.String(), http.Header{"Sec-Fetch-Dest": {"script"}})
			if err == nil && (file.status != http.StatusOK || !file.isScript()) {
				err = fmt.Errorf("it answers %d, %s", file.status, cmp.Or(file.kind(), "of no type"))
			}
		}
		if err != nil {
			add("the page part's script file cannot be had: "+err.Error(), "mount snippet.ScriptHandler() at the path that WithScriptPath names")
		}
	}
	return problems
}

// The claims of a page part, see package snippet.
const (
	claimNobody  = ""
	claimAnybody = "*"
	claimAsk     = "?"
	claimNever   = "-"
)

func claimWords(p part) string {
	switch p.claim {
	case claimAnybody:
		return "the same page for everybody; its script asks who is signed in"
	case claimAsk:
		return "the same page for everybody; its script asks who is signed in when the chat is wanted"
	}
	return "anonymous, as it has to be for somebody without a session"
}

func visitorProblems(m markup, p part) (problems []problem) {
	switch {
	case p.claim == claimNever:
		problems = append(problems, never(m))
	case len(p.claim) > 1 || p.token != "" || p.email != "":
		problems = append(problems, problem{"it identifies a visitor, although it was asked for without any cookie: everybody who opens it is that visitor",
			"let the function identify ask the session and nothing else, and see that no cache outside of chat.Handler keeps pages"})
	}
	return problems
}

// never is what it means that a page's claim is never.
func never(m markup) problem {
	why := ""
	if m.said != "" {
		why = " (" + m.said + ")"
	}
	return problem{"this page never identifies anybody" + why, "if WithSkip is meant to exclude it, nothing; otherwise put chat.Handler around it, and give snippet.HTML the request's own context"}
}

// isLoader reports whether u is HubSpot's loader, on HubSpot's own hosts or where
// the configuration says, or what that would add.
func (c *checker) isLoader(u *url.URL) bool {
	file := portalFile.MatchString(u.Path)
	return strings.HasSuffix(u.Host, "hs-scripts.com") && file || u.Host == c.loaderURL().Host && file ||
		strings.HasSuffix(u.Path, "/conversations-embed.js")
}

var portalFile = regexp.MustCompile(`/([0-9]+)\.js$`)

// loaderTag is HubSpot's loader as the page includes it.
type loaderTag struct {
	script
	url *url.URL
}

// loaders are those that the page includes, and the one that the page part's
// script adds.
func (c *checker) loaders(m markup, p part, page *url.URL) (all []loaderTag) {
	for _, s := range m.others(p) {
		if u, err := page.Parse(s.attributes["src"]); err == nil && s.has("src") && c.isLoader(u) {
			all = append(all, loaderTag{s, u})
		}
	}
	if p.load != "" && p.loader != "" {
		if u, err := page.Parse(p.loader); err == nil {
			all = append(all, loaderTag{script{attributes: map[string]string{"id": "hs-script-loader"}}, u})
		}
	}
	return all
}

func loaderWords(p part, loaders []loaderTag) string {
	switch {
	case len(loaders) == 0:
		return "left to the page or its tag manager, as snippet.WithoutLoader has it"
	case !loaders[0].runs(): // as snippet.WithLoaderAttribute says, or a consent tool on the way
		return "one, of this portal, held back as " + loaders[0].attributes["type"] + " until something, such as a consent tool, releases it"
	case p.load != "":
		return "one, of this portal, which the page part's script adds (" + p.load + ")"
	}
	return "one, of this portal"
}

// maxScripts is how many scripts of a page are looked into.
const maxScripts = 20

var (
	bringsLoader = regexp.MustCompile(`hs-scripts\.com|hs-script-loader`)
	tagManager   = regexp.MustCompile(`\bGTM-[A-Z0-9]+\b`)
)

// scripts are where the files of the page's other scripts are, and what Google's
// tag manager adds.
func scripts(m markup, p part, page *url.URL) (all []string) {
	for _, s := range m.others(p) {
		if s.has(marker) {
			continue // another page part
		}
		if u, err := page.Parse(s.attributes["src"]); err == nil && s.has("src") {
			all = append(all, u.String())
		} else if id := tagManager.FindString(s.text); id != "" && strings.Contains(s.text, "googletagmanager.com/gtm.js") {
			all = append(all, "https://www.googletagmanager.com/gtm.js?id="+id)
		}
	}
	return all[:min(len(all), maxScripts)]
}

// brought reports whether another script of the page brings HubSpot's loader, as
// it has to with snippet.WithoutLoader: the page part of that looks the same as one
// whose loader was taken away.
func (c *checker) brought(ctx context.Context, m markup, p part, page *url.URL) bool {
	return slices.ContainsFunc(scripts(m, p, page), func(address string) bool {
		d, err := fetch(ctx, http.MethodGet, address, http.Header{"Sec-Fetch-Dest": {"script"}})
		return err == nil && d.isScript() && bringsLoader.Match(d.body)
	})
}

// loaderProblems is what is wrong with how HubSpot's loader comes.
func (c *checker) loaderProblems(ctx context.Context, m markup, p part, page *url.URL, loaders []loaderTag) (problems []problem) {
	add := func(what, mend string) { problems = append(problems, problem{what, mend}) }
	second := "leave only the page part's: take the tracking code (in HubSpot, Settings > Tracking & Analytics > Tracking code) out of the layout, and HubSpot out of plugins and tag managers on these pages"
	inline := slices.ContainsFunc(m.others(p), func(s script) bool {
		return !s.has("src") && (strings.Contains(s.text, "hs-scripts.com/") || strings.Contains(s.text, "usemessages.com/"))
	})
	if inline && len(loaders) > 0 {
		add("an inline script adds HubSpot's loader a second time", second)
	}
	if len(loaders) == 0 {
		if p.load == "" && !inline && !c.brought(ctx, m, p, page) { // or else the script was told that somebody else adds it
			add("HubSpot's loader is not in the page, though the page part is, and no script of the page is seen to bring it",
				"without snippet.WithoutLoader, look for what takes foreign scripts out of pages: an optimiser, a consent tool, a content filter; with it, let the tag manager include "+plain(c.loaderURL())+
					" on this page: in the browser's console hubspotVisitor.status.state then becomes ready, and if it does, all is well")
		}
		return problems
	}
	if len(loaders) > len(m.parts()) { // several page parts do no harm, each with its loader
		add(fmt.Sprintf("HubSpot's scripts are included %d times, and the first copy may load the chat before the page part can say who it is", len(loaders)), second)
	}
	if !slices.ContainsFunc(loaders, func(f loaderTag) bool { return f.attributes["id"] == "hs-script-loader" }) {
		add("the loader's element lost its id hs-script-loader, so HubSpot's loader adds itself again", "leave the page part as it is")
	}
	for _, f := range loaders {
		if f.url.Scheme == "http" && page.Scheme == "https" {
			add("the page is https and the loader http: browsers refuse it", "leave HUBSPOT_LOADER_URL away, or begin it with https:// or //")
		}
		if file := portalFile.FindStringSubmatch(f.url.Path); file != nil && file[1] != c.cfg.PortalID {
			add("a loader is of portal "+file[1]+", but HUBSPOT_PORTAL_ID is "+c.cfg.PortalID, "take that one out, or correct HUBSPOT_PORTAL_ID: "+placeHubID)
		} else if want := c.loaderURL().Host; file != nil && f.url.Host != want {
			add("a loader comes from "+f.url.Host+", and the account's is "+want, "correct HUBSPOT_REGION where the application runs: "+placeRegion)
		}
	}
	return problems
}

var (
	assigned       = regexp.MustCompile(`hsConversationsSettings\s*(\.\s*\w+|\[[^\]]*\])?\s*=([^=]|$)`)
	merged         = regexp.MustCompile(`\.\.\.\s*(window\.)?hsConversationsSettings`)
	identification = regexp.MustCompile(`identification(Email|Token)`)
)

func settingsProblems(m markup, p part) (problems []problem) {
	add := func(what, mend string) { problems = append(problems, problem{what, mend}) }
	for _, s := range m.others(p) {
		switch {
		case s.has(marker) || settingsLiteral.MatchString(s.text) && identification.MatchString(s.text) && strings.Contains(s.text, "...window.hsConversationsSettings,"):
			// another page part, which does no harm
		case identification.MatchString(s.text):
			add("a script of the page's own sets identificationEmail or identificationToken: it and the page part overwrite each other", "take the hand-written integration out")
		case assigned.MatchString(s.text) && !merged.MatchString(s.text) && s.place > p.place:
			add("a script behind the page part assigns window.hsConversationsSettings and replaces what the page part set", "move it before the page part, or use snippet.WithSettings")
		}
	}
	return problems
}

// ownHeaders is what to do where a page's caching headers are not the library's.
const ownHeaders = "set Cache-Control before snippet.HTML is called, put chat.Handler outside of whatever else sets caching headers, let a framework's adapter pass on the ResponseWriter that chat.Handler gives it, and let no proxy change them"

func cacheProblems(p part, d document) (problems []problem) {
	add := func(what, mend string) { problems = append(problems, problem{what, mend}) }
	kept, name := mayKeep(d.header)
	private := isPrivate(d.header)
	switch {
	case personal(p) && !private:
		words := "there is no Cache-Control: private, no-store"
		if kept {
			words = name
		}
		add("it holds what is one visitor's, and caches may keep it: "+words, ownHeaders)
	case p.claim == claimNobody && kept:
		add("caches may give it to everybody ("+name+"), but it was made for somebody who is not signed in", ownHeaders+": the page is then made for anybody")
	case p.claim == claimNobody && !private && !varies(d.header):
		add("Vary: Cookie is missing, so a cache gives this anonymous page to signed-in visitors", ownHeaders)
	}
	return problems
}

// varies reports whether caches have to keep a copy for each Cookie header.
func varies(h http.Header) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(h["Vary"], ","), ","), func(one string) bool {
		one = strings.TrimSpace(one)
		return one == "*" || strings.EqualFold(one, "Cookie")
	})
}

func cacheWords(d document) string {
	if value := strings.Join(d.header["Cache-Control"], ", "); value != "" {
		return "Cache-Control: " + value
	}
	if value := strings.Join(d.header["Vary"], ", "); value != "" {
		return "Vary: " + value
	}
	return "no caching headers, of which there is no need for the chat's sake"
}

// isPrivate reports whether no cache between may keep a response.
func isPrivate(h http.Header) bool {
	kept, _ := mayKeep(h)
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(h["Cache-Control"], ",")), ",") {
		if directive = strings.TrimSpace(directive); directive == "private" || directive == "no-store" {
			return !kept
		}
	}
	return false
}

// mayKeep reports whether a response declares that caches may keep it for
// everybody, and in which header. Content delivery networks and proxies read
// their own headers first.
func mayKeep(h http.Header) (kept bool, line string) {
	for name, values := range h {
		value := strings.ToLower(strings.Join(values, ", "))
		switch lower := strings.ToLower(name); {
		case lower == "x-accel-expires":
			if value != "0" && value != "off" {
				return true, name + ": " + value
			}
		case strings.HasSuffix(lower, "cache-control"), lower == "surrogate-control", lower == "edge-control":
			if grants(value) {
				return true, name + ": " + value
			}
		}
	}
	return false, ""
}

func grants(value string) (granted bool) {
	for directive := range strings.SplitSeq(value, ",") {
		name, life, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "private", "no-store", "no-cache":
			if life == "" {
				return false
			}
		case "public":
			granted = true
		case "max-age", "s-maxage":
			granted = granted || strings.Trim(life, `"0`) != ""
		}
	}
	return granted
}

func policyWords(m markup, d document) string {
	if len(policies(d.header))+len(m.policies) == 0 {
		return "the page has no Content-Security-Policy, which forbids nothing"
	}
	return "the Content-Security-Policy allows all that the chat needs"
}

// wanted are the sources that the chat needs: HubSpot's, or where an emulated
// loader comes from.
func (c *checker) wanted() map[string][]string {
	u := c.loaderURL()
	if hubspotHost.MatchString(u.Host) {
		return snippet.CSP(c.cfg.Region)
	}
	origin := []string{u.Scheme + "://" + u.Host}
	return map[string][]string{"script-src": origin, "connect-src": origin, "frame-src": origin, "style-src": origin}
}

// policyProblems is what the policy of a page that who was given forbids.
func (c *checker) policyProblems(ctx context.Context, who browser, m markup, p part, d document) (problems []problem) {
	add := func(what, mend string) {
		if one := (problem{what, mend}); !slices.Contains(problems, one) {
			problems = append(problems, one)
		}
	}
	nonce := false
	for _, one := range append(policies(d.header), m.policies...) {
		if sources, ok := one.deciding("script-src"); ok {
			nonce = nonce || len(nonces(sources)) > 0
			c.scriptPolicy(sources, p, d.url, add)
		}
		for _, directive := range []string{"connect-src", "frame-src", "img-src"} {
			sources, ok := one.deciding(directive)
			wanted := c.wanted()[directive]
			if directive == "connect-src" && p.endpoint != "" {
				wanted = append([]string{"'self'"}, wanted...)
			}
			if missing := lacking(sources, wanted, d.url); ok && len(missing) > 0 {
				add(directive+" lacks "+strings.Join(missing, " "), "add it; snippet.CSP has all that HubSpot needs, and the token endpoint needs 'self' in connect-src")
			}
		}
		sources, ok := one.deciding("style-src")
		switch missing := lacking(sources, c.wanted()["style-src"], d.url); {
		case !ok, p.settings == nil:
		case p.avoidsInlines && len(missing) > 0:
			add("style-src lacks "+strings.Join(missing, " "), "add it; snippet.CSP has all that HubSpot needs")
		case !p.avoidsInlines && (!has(sources, "'unsafe-inline'") || len(nonces(sources)) > 0 || hasHash(sources)):
			add("style-src forbids the inline styles of HubSpot's widget", "set snippet.Settings.AvoidInlineStyles, which WithNonce and WithScriptPath do by themselves")
		}
	}
	if nonce && p.attributes["nonce"] != "" {
		if again := open(ctx, who, d.url.String()); again.last().attributes["nonce"] == p.attributes["nonce"] {
			add("two responses have the same nonce, which protects nobody", "make one for each response, and let no cache keep the page")
		}
	}
	return problems
}

// scriptPolicy is whether the page part's scripts, HubSpot's loader and what that
// adds may run.
func (c *checker) scriptPolicy(sources []string, p part, page *url.URL, add func(what, mend string)) {
	all, own := nonces(sources), p.attributes["nonce"]
	const withNonce = "give the snippet the nonce: snippet.WithNonce(func(ctx context.Context) string {…})"
	external := p.attributes["src"] != ""
	switch {
	case external && (own != "" && slices.Contains(all, own) || !has(sources, "'strict-dynamic'") && c.hostAllowed(sources, p.attributes["src"], page)):
	case external:
		add("script-src forbids the page part's script file", "add 'self', or where WithScriptPath has the file")
	case runsInline(sources, own, p.text) && (p.settings == nil || p.settings.attributes["type"] == "application/json" || runsInline(sources, p.settings.attributes["nonce"], p.settings.text)):
	case len(all) > 0 && own == "":
		add("script-src wants a nonce, and the page part has none", withNonce)
	case len(all) > 0:
		add("the page part's nonce is not the policy's", "let WithNonce return the nonce that this response's policy has, and let no cache keep the page")
	default:
		add("script-src allows no inline script, which the page part is", withNonce+", or use snippet.WithScriptPath")
	}
	if has(sources, "'strict-dynamic'") {
		return // scripts with the nonce may add others
	}
	if missing := lacking(sources, c.wanted()["script-src"], page); len(missing) > 0 {
		add("script-src lacks "+strings.Join(missing, " ")+", from where HubSpot's loader adds scripts without a nonce", "add it (snippet.CSP has all), or 'strict-dynamic' beside the nonce")
	}
}

func (c *checker) hostAllowed(sources []string, src string, page *url.URL) bool {
	u, err := page.Parse(src)
	return err == nil && len(lacking(sources, []string{u.Scheme + "://" + u.Host}, page)) == 0
}

// word is what the token endpoint said.
type word struct {
	document
	at      string // how it was asked
	ours    bool   // it names somebody as chat.Handler does
	email   string // never to be printed, nor the token
	token   string
	visitor string // the fingerprint
}

// nobody reports whether it knows who asks, and that it is nobody.
func (w word) nobody() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusUnauthorized
}

// reason is why, where the application has HUBSPOT_DEBUG.
func (w word) reason() string { return w.header.Get("Hubspot-Visitor-Reason") }

// askEndpoint asks the token endpoint as the page's script would.
func askEndpoint(ctx context.Context, who browser, p part, page *url.URL) (w word, err error) {
	u := &url.URL{Scheme: page.Scheme, User: page.User, Host: page.Host, Path: p.endpoint}
	origin := page.Scheme + "://" + page.Host
	w.at = "POST " + p.endpoint
	w.document, err = who.fetch(ctx, http.MethodPost, u.String(), http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}})
	var answer struct {
		Email   string  `json:"email"`
		Token   string  `json:"token"`
		Visitor *string `json:"visitor"`
	}
	if w.status == http.StatusOK && json.Unmarshal(w.body, &answer) == nil && answer.Visitor != nil {
		w.ours, w.email, w.token, w.visitor = true, answer.Email, answer.Token, *answer.Visitor
	}
	return w, err
}

// problem is what is wrong with an answer that neither names somebody nor says
// nobody.
func (w word) problem() problem {
	at := w.at
	switch d := w.document; {
	case w.ours, w.nobody():
		return problem{}
	case d.status == http.StatusOK:
		return problem{at + " is answered by somebody else, " + cmp.Or(d.kind(), "of no type"), "let the proxy or router pass it on to chat.Handler; where the path is another one outside, name that by middleware.WithTokenPath"}
	case d.status >= 300 && d.status < 400:
		return problem{fmt.Sprintf("%s is redirected (%d), as to a sign-in page", at, d.status), "exempt it from whatever wants a session: chat.Handler answers nobody with 204 itself"}
	case d.status == http.StatusNotFound, d.status == http.StatusMethodNotAllowed:
		return problem{fmt.Sprintf("%s does not reach chat.Handler (%d)", at, d.status), "put chat.Handler around the whole router, mount TokenHandler there, or name the path that the browser sees by middleware.WithTokenPath"}
	case d.status == http.StatusForbidden, d.status == http.StatusBadRequest, d.status == 419, d.status == 422:
		return problem{fmt.Sprintf("%s is refused (%d)", at, d.status), "exempt it from the CSRF middleware; where the proxy changes Host, name the public origin by middleware.WithTrustedOrigins"}
	case d.status == http.StatusServiceUnavailable:
		why := ""
		if w.reason() != "" {
			why = ": " + w.reason()
		}
		return problem{at + " has no token for now (503)" + why, "read the application's log: it says what HubSpot refused"}
	}
	return problem{fmt.Sprintf("%s answers %d", at, w.status), "look who answers it: chat.Handler would say 204 to nobody"}
}

// kept is what it means that an answer is not private.
func (w word) kept() (problems []problem) {
	if !isPrivate(w.header) {
		problems = append(problems, problem{w.at + " may be kept by caches: its Cache-Control: private, no-store is gone", "let no proxy change the headers of that path, and let it pass uncached"})
	}
	return problems
}

// unanswered is what it means that there was no answer.
func (w word) unanswered(err error) problem {
	return problem{w.at + " is not answered: " + err.Error(), "let the proxy pass it on"}
}

// endpoint looks at what the token endpoint says to nobody.
func (c *checker) endpoint(ctx context.Context, p part, page *url.URL) {
	const name = "token endpoint"
	if p.endpoint == "" {
		switch {
		case p.claim == claimNever:
			c.leave("the page never asks", name)
		case c.cfg.Chat == hubspot.ChatAnonymous:
			c.leave("HUBSPOT_CHAT is anonymous", name)
		case shared(p):
			c.fail(name, problem{"there is none, and the page is the same for everybody: nobody is ever identified on it", "take WithTokenPath(\"\") out, or let the page be private"})
		default:
			c.pass(name, "switched off: a page whose token is late stays anonymous")
		}
		return
	}
	w, err := askEndpoint(ctx, browser{}, p, page)
	if err != nil {
		c.fail(name, w.unanswered(err))
		return
	}
	var problems []problem
	switch p := w.problem(); {
	case p != (problem{}):
		problems = append(problems, p)
	case w.ours:
		problems = append(problems, problem{w.at + " names a visitor, although it was asked without any cookie", "let the function identify ask the session and nothing else"})
	default:
		problems = w.kept()
	}
	c.group(name, problems, "%s answers nobody with %d, uncached", w.at, w.status)
}
