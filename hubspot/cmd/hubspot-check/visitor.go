package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// asVisitor are the checks of a page that was opened with a visitor's cookies.
var asVisitor = []string{"page part as visitor", "token endpoint as visitor", "identity as visitor", "marker as visitor", "caching as visitor", "copies as visitor", "chat as visitor"}

const freshCookies = "sign in with a browser, and take the Cookie header of a page that knows you: in the developer tools, Network > the page > Request Headers"

// look opens the page as nobody and, with -cookie-file, as the visitor. It returns
// the address where the page is, nil without one, and what the visitor was given,
// nil for nothing.
func (c *checker) look(ctx context.Context, address string) (where *url.URL, v *visit) {
	nobody := open(ctx, browser{}, address)
	if c.header == "" {
		return c.page(ctx, nobody, address), nil
	}
	own := secure(address, nobody)
	who := browser{newCookies(c.header, own)}
	c.hide(append(who.secrets(), c.header)...)
	v = &visit{cookies: who.cookies, nobody: nobody, first: open(ctx, who, own)}
	c.hide(append(who.secrets(), v.first.last().email, v.first.last().token)...)
	if v.barred() {
		c.pass("page", "%s, as it may be: only the visitor is shown it", nobody.refusal())
		c.leave("nobody is shown something else", inPage...)
	} else {
		where = c.page(ctx, nobody, address)
	}
	if p := v.notSignedIn(own); p != (problem{}) {
		c.fail("page as visitor", p)
		c.leave("page as visitor", asVisitor...)
		return where, nil
	}
	c.pass("page as visitor", "%s", v.first.opened("with the visitor's cookies", own))
	c.visitorsPage(ctx, who, v)
	return cmp.Or(where, v.first.url), v
}

// secure is address, with https where nobody was led there: the cookies shall not
// go over the network in the clear.
func secure(address string, nobody view) string {
	u, err := url.Parse(address)
	if err == nil && nobody.err == nil && u.Scheme == "http" && nobody.url.Scheme == "https" && u.Hostname() == nobody.url.Hostname() {
		u.Scheme, u.Host = "https", nobody.url.Host
		return u.String()
	}
	return address
}

// visit is what a visitor with cookies was given: the page, what the token
// endpoint said, and the page again. Before and after, nobody was there, too.
type visit struct {
	cookies       *cookies
	nobody        view
	first, second view
	again         []view // all after the first, of which second is the last
	after         view   // nobody's again
	word          word   // zero where there is no endpoint, or no answer
	marker        string
	email, token  string // whom the chat would have; never to be printed
}

// hide keeps values from ever being printed, as they are and as in an address.
func (c *checker) hide(values ...string) {
	for _, value := range values {
		c.secrets = append(c.secrets, value, url.QueryEscape(value))
	}
}

// besides is group for a page that was looked at as nobody before: what was said
// then is not repeated.
func (c *checker) besides(check string, problems []problem, detail string, args ...any) {
	fresh := slices.DeleteFunc(slices.Clone(problems), func(p problem) bool {
		return slices.ContainsFunc(c.results, func(one result) bool { return one.Status == failed && one.Detail == c.clean(p.what) })
	})
	if len(problems) > 0 && len(fresh) == 0 {
		c.leave("it is as for nobody, see above", check)
		return
	}
	c.group(check, fresh, detail, args...)
}

// barred reports whether nobody is refused the page that the visitor is given, or
// led elsewhere, to sign in.
func (v *visit) barred() bool {
	if v.nobody.err != nil || v.first.missing("") != (problem{}) {
		return false
	}
	refused := v.nobody.status == http.StatusUnauthorized || v.nobody.status == http.StatusForbidden || v.nobody.status == http.StatusNotFound
	return refused || plain(v.nobody.url) != plain(v.first.url) && plain(v.first.url) == plain(v.cookies.home)
}

// refusal says what became of nobody at a page that is not for them.
func (v view) refusal() string {
	if v.status == http.StatusOK {
		return "nobody is redirected to " + plain(v.url)
	}
	return fmt.Sprintf("nobody is answered %d", v.status)
}

// notSignedIn is what it means that the visitor was given no page, or was led
// elsewhere to sign in, as nobody is.
func (v *visit) notSignedIn(address string) problem {
	asked, _ := url.Parse(address) // it was checked
	switch {
	case v.first.missing("") == (problem{}) && plain(v.first.url) != plain(asked) && v.nobody.err == nil && plain(v.first.url) == plain(v.nobody.url) &&
		!personal(v.first.last()) && !shared(v.first.last()) && bytes.Equal(v.first.markup.text, v.nobody.markup.text):
		return problem{"it is redirected to " + plain(v.first.url) + " and reads as for nobody: the cookies are of no session, or no more", freshCookies}
	case v.first.err == nil && v.first.url.Host != asked.Host:
		return problem{"it is redirected to another host, " + v.first.url.Host + ", where the cookies do not go", "name the page there by -page, with its own cookies; if one signs in there, " + freshCookies}
	}
	return v.first.missing("the cookies may be of no session, or no more: " + freshCookies)
}

// visitorsPage makes the checks of v, whose first page is there.
func (c *checker) visitorsPage(ctx context.Context, who browser, v *visit) {
	m, p, d := v.first.markup, v.first.last(), v.first.document
	if len(v.first.parts) == 0 {
		c.besides(asVisitor[0], append(c.leaks(d), noPart(m)), "")
		c.leave("page part as visitor", asVisitor[1:]...)
		return
	}
	marker := "hubspot_visitor_" + p.portal
	v.marker = who.value(marker)
	var unanswered error
	if p.endpoint != "" && p.claim != claimNever {
		v.word, unanswered = askEndpoint(ctx, who, p, d.url)
	}
	v.again = append(v.again, open(ctx, who, d.url.String()))
	if !slices.Equal(who.pairs, pairsOf(c.header)) {
		// The marker came meanwhile: to a cache that keeps a copy for each Cookie header
		// that was somebody new.
		v.again = append(v.again, open(ctx, who, d.url.String()))
	}
	v.second = v.again[len(v.again)-1]
	v.after = open(ctx, browser{}, d.url.String())
	c.hide(append(who.secrets(), v.word.email, v.word.token, v.second.last().email, v.second.last().token)...)

	parts := append(c.leaks(d), c.partProblems(ctx, m, p, d)...)
	parts = append(parts, c.loaderProblems(ctx, m, p, d.url, c.loaders(m, p, d.url))...)
	parts = append(parts, settingsProblems(m, p)...)
	c.besides("page part as visitor", append(parts, c.policyProblems(ctx, who, m, p, d)...), "settings, script, loader and policy as they have to be")
	c.endpointAsVisitor(v, unanswered)
	known := c.identity(v)
	c.markerAsVisitor(v, marker)
	c.cachingAsVisitor(v)
	c.copies(v)
	if !known {
		v.email, v.token = "", ""
		c.leave("identity as visitor", "chat as visitor")
	}
}

// shared reports whether the page is the same for everybody, so that its script
// asks the endpoint.
func shared(p part) bool { return p.claim == claimAnybody || p.claim == claimAsk }

// personal reports whether a page holds what is one visitor's.
func personal(p part) bool { return p.token != "" || p.email != "" || len(p.claim) > 1 }

// best is the page with the visitor's token: the second, if the first was too
// early for it.
func (v *visit) best() view {
	if p := v.first.last(); p.token == "" && personal(v.second.last()) {
		return v.second
	}
	return v.first
}

func (c *checker) endpointAsVisitor(v *visit, unanswered error) {
	const name = "token endpoint as visitor"
	p, w := v.first.last(), v.word
	var problems []problem
	switch failure := w.problem(); {
	case p.claim == claimNever:
		c.leave("the page never asks", name)
		return
	case p.endpoint == "":
		c.leave("the page names none", name)
		return
	case unanswered != nil:
		problems = append(problems, w.unanswered(unanswered))
	case failure != (problem{}):
		problems = append(problems, failure)
	case w.nobody() && personal(v.best().last()):
		problems = append(problems, problem{fmt.Sprintf("%s knows nobody (%d)%s, although the page knows the visitor", w.at, w.status, since(w.reason())),
			"let the proxy pass cookies on with POST requests, and let the authentication run on that path, outside of chat.Handler"})
	case w.nobody() && shared(p):
		problems = append(problems, v.anonymous(fmt.Sprintf("%s knows nobody (%d)", w.at, w.status)))
	case w.nobody():
		c.leave("it knows nobody, as the page", name)
		return
	case v.best().last().email != "" && v.best().last().email != w.email:
		problems = append(problems, problem{w.at + " names somebody else than the page", "see that no cache keeps either of them, and that identify asks the session and nothing else"})
	default:
		problems = w.kept()
	}
	c.besides(name, problems, "%s answers the visitor with %d and a token, uncached", w.at, w.status)
}

func since(reason string) string {
	if reason == "" {
		return ""
	}
	return ", since " + reason
}

// identity checks whom the page, or where that asks, the token endpoint, names. It
// reports whether the chat would have the visitor.
func (c *checker) identity(v *visit) bool {
	const name = "identity as visitor"
	p := v.first.last()
	here := v.best()
	v.email, v.token = here.last().email, here.last().token
	where := "in the page"
	switch {
	case shared(p) && (p.email != "" || p.token != ""):
		c.fail(name, problem{"the page says that it is the same for everybody, and holds an identity", "leave the page part as the snippet makes it"})
		return false
	case p.claim == claimNever:
		c.besides(name, []problem{never(v.first.markup)}, "")
		return false
	case v.token == "" && c.cfg.Chat == hubspot.ChatAnonymous:
		c.leave("HUBSPOT_CHAT is anonymous", name)
		return false
	case shared(p) && !v.word.ours:
		c.leave("token endpoint as visitor", name)
		return false
	case shared(p):
		v.email, v.token, where = v.word.email, v.word.token, "by the token endpoint, which the page's script asks"
	case v.token == "" && len(here.last().claim) > 1:
		mend := "read the application's log: it says what HubSpot refused"
		if v.word.ours {
			mend = "the script asks the endpoint, so the chat knows them a moment later; if it stays so, let all replicas share their tokens (HUBSPOT_STORE_SECRET and a store), or raise HUBSPOT_RENDER_BUDGET"
		}
		c.fail(name, problem{"the page knows the visitor and has no token, on the second view either" + since(here.markup.said), mend})
		return false
	case v.token == "":
		c.fail(name, v.anonymous("the page is anonymous"))
		return false
	case p.token == "":
		where = "in the page, on its second view: on the first HubSpot was slower than HUBSPOT_RENDER_BUDGET"
	}
	var problems []problem
	if !strings.EqualFold(v.email, c.visitor.Email) {
		problems = append(problems, problem{"it is somebody else's than -email's", "give -email the address of whom the cookies belong to; if it is that, everybody may be taken for somebody else: let identify ask the session and nothing else, and no cache keep pages with a token"})
	}
	if p := stale(v.token, time.Now()); p != (problem{}) {
		problems = append(problems, p)
	}
	for _, one := range v.again {
		if q := one.last(); !shared(p) && len(one.parts) > 0 && (personal(p) != personal(q) || p.token != "" && q.token == "") {
			problems = append(problems, problem{"of two pages only one identifies the visitor" + since(cmp.Or(one.markup.said, v.first.markup.said)), "let all replicas have the same configuration, and see that no cache answers between them"})
			break
		}
	}
	c.group(name, problems, "-email's, with a token %s%s", where, life(v.token))
	return len(problems) == 0
}

// minLife is how long a token is good for that an application hands out, where it
// was made for longer than four times that.
const minLife = 30 * time.Minute

// stale is what it means that a token has no time left. Of one that is no JWT
// nobody can tell.
func stale(token string, now time.Time) problem {
	issued, expires := times(token)
	const mend = "see that no cache keeps the page, and that application and HubSpot agree on the time (NTP)"
	switch left := expires.Sub(now).Round(precision); {
	case expires.IsZero():
	case left <= 0:
		return problem{fmt.Sprintf("the token expired %v ago", -left), mend}
	case left < min(minLife, expires.Sub(issued)/4)-precision:
		return problem{fmt.Sprintf("the token is good for %v only", left), mend}
	}
	return problem{}
}

func life(token string) string {
	if _, expires := times(token); !expires.IsZero() {
		return fmt.Sprintf(", good for %v", time.Until(expires).Round(time.Minute))
	}
	return ""
}

// known reports whether the application itself shows the visitor something else
// than nobody; ok is false where that cannot be told.
func (v *visit) known() (known, ok bool) {
	if v.barred() {
		return true, true
	}
	if v.nobody.err != nil || plain(v.nobody.url) != plain(v.first.url) {
		return false, false
	}
	differs := !bytes.Equal(v.first.markup.text, v.nobody.markup.text)
	return differs, !differs || bytes.Equal(v.nobody.markup.text, v.after.markup.text) // or else each page is another one
}

// anonymous is why the visitor is not known, as far as that can be told.
func (v *visit) anonymous(what string) problem {
	reason := v.word.reason()
	if !shared(v.first.last()) { // or else the page says why it is the same for everybody
		reason = cmp.Or(v.first.markup.said, reason)
	}
	what += since(reason)
	if v.word.ours && !shared(v.first.last()) {
		what += ", although the token endpoint knows the visitor"
		if line := cmp.Or(fromCache(v.first.header), fromCache(v.second.header)); line != "" {
			return problem{what + ": a cache gave them nobody's (" + line + ")", "let the cache before the application respect Vary: Cookie and private, no-store, or pass these pages by"}
		}
		return problem{what, "let no cache before the application give them nobody's page (it has to respect Vary: Cookie), and let the authentication run on the page's route as on the endpoint's, outside of chat.Handler"}
	}
	const debug = "; HUBSPOT_DEBUG=true, where the application runs, lets page and endpoint say why"
	known, ok := v.known()
	switch {
	case strings.Contains(reason, "EmailVerified"):
		return problem{what, "set EmailVerified in what identify returns, where you have proof that the address is the visitor's"}
	case reason != "" && !strings.Contains(reason, "nobody is signed in"):
		return problem{what, "see \"Why is my page anonymous?\" in the README, and the application's log"}
	case ok && !known:
		what += "; the page reads as for nobody"
		if reason == "" {
			return problem{what, "most likely the cookies are of no session, or no more: " + freshCookies + debug}
		}
		return problem{what, "most likely the cookies are of no session, or no more: " + freshCookies}
	case ok && reason != "":
		return problem{what + "; but the page reads otherwise than for nobody, so the application knows them", "put chat.Handler inside of the authentication, and let identify read what that left in the request's context"}
	case ok:
		return problem{what + "; but the page reads otherwise than for nobody, so the application knows them", "put chat.Handler inside of the authentication, let identify read what that left in the request's context, and set EmailVerified where you have proof" + debug}
	}
	if reason != "" {
		return problem{what, "if the cookies are of no session, " + freshCookies + "; if they are, put chat.Handler inside of the authentication"}
	}
	return problem{what, "if the cookies are of no session, " + freshCookies + "; if they are, put chat.Handler inside of the authentication, and set EmailVerified where you have proof" + debug}
}

// markerAsVisitor checks the cookie without which the page's script believes no
// page.
func (c *checker) markerAsVisitor(v *visit, marker string) {
	const name = "marker as visitor"
	p := v.best().last()
	want, got := p.claim, v.marker
	switch {
	case shared(p) && v.word.ours:
		want, got = v.word.visitor, v.cookies.value(marker) // the endpoint sets it
	case !personal(v.first.last()):
		got = v.cookies.value(marker)
	}
	if len(want) <= 1 {
		c.leave("the page is nobody's", name)
		return
	}
	claims := []string{want}
	if v.word.ours && strings.EqualFold(v.word.email, v.email) {
		claims = append(claims, v.word.visitor)
	}
	if q := v.second.last(); len(q.claim) > 1 && strings.EqualFold(q.email, v.email) {
		claims = append(claims, q.claim)
	}
	var problems []problem
	add := func(what, mend string) { problems = append(problems, problem{what, mend}) }
	switch set := v.cookies.set[marker]; {
	case len(slices.Compact(claims)) > 1:
		add("two answers have different fingerprints of the same visitor, so that their chat starts over from page to page", "give all replicas the same HUBSPOT_STORE_SECRET (or access token): it keys the fingerprint")
	case set != nil && set.HttpOnly:
		add("something has made the cookie "+marker+" HttpOnly: the page's script cannot read it, and believes no page", "exempt it from whatever changes cookies on the way")
	case got == "":
		add("the cookie "+marker+" is neither set nor there: the page's script believes no page without it", "let proxies and outer handlers pass Set-Cookie on")
	case got != want:
		add("the cookie "+marker+" is another visitor's: the page's script does not believe the page", "let proxies and outer handlers pass Set-Cookie on, and see that no cache keeps the page")
	}
	c.group(name, problems, "the cookie %s is the visitor's", marker)
}

// cachingAsVisitor is stricter than for nobody where the page is the visitor's
// own: the middleware made it so, and whatever differs was changed after it.
func (c *checker) cachingAsVisitor(v *visit) {
	best := v.best()
	p, d := best.last(), best.document
	problems := cacheProblems(p, d)
	if personal(p) && len(problems) == 0 {
		if value := strings.ToLower(strings.Join(d.header["Cache-Control"], ", ")); !strings.Contains(value, "private") || !strings.Contains(value, "no-store") {
			problems = append(problems, problem{"it holds what is one visitor's, and its Cache-Control is " + value + " instead of private, no-store: browsers may show it to the next person", ownHeaders})
		}
		if !varies(d.header) {
			problems = append(problems, problem{"Vary: Cookie is missing from a page that is one visitor's: a cache that keeps everything gives it to others", ownHeaders})
		}
	}
	words := cacheWords(d)
	if vary := strings.Join(d.header["Vary"], ", "); vary != "" && !strings.HasPrefix(words, "Vary") {
		words += "; Vary: " + vary
	}
	c.besides("caching as visitor", problems, "%s", words)
}

var cached = regexp.MustCompile(`(?i)(^|[^a-z])(refresh)?hit([^a-z=]|$)`)

// fromCache is the header that says that a response is a cache's copy; "" for
// none. Each cache has its own: X-Cache, CF-Cache-Status, X-Vercel-Cache,
// Cache-Status…
func fromCache(h http.Header) string {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value, lower := strings.Join(h[name], ", "), strings.ToLower(name)
		switch {
		case lower == "age" && strings.Trim(value, "0, ") != "",
			strings.Contains(lower, "cache") && !strings.HasSuffix(lower, "cache-control") && cached.MatchString(value),
			lower == "cf-cache-status" && slices.Contains([]string{"STALE", "UPDATING", "REVALIDATED"}, strings.ToUpper(value)):
			return name + ": " + value
		}
	}
	return ""
}

var nonceAttribute = regexp.MustCompile(`\snonce="[^"]*"`)

func withoutNonces(body []byte) string { return string(nonceAttribute.ReplaceAll(body, nil)) }

// same reports whether two page parts say the same, apart from nonces.
func same(p, q part) bool {
	said := func(p part) map[string]string {
		all := maps.Clone(p.attributes)
		delete(all, "nonce")
		if p.settings != nil {
			all["settings"] = p.settings.text
		}
		return all
	}
	return maps.Equal(said(p), said(q))
}

// copies looks for caches between: whether one gave the visitor's page, and whether
// what one may keep is the same for everybody.
func (c *checker) copies(v *visit) {
	const name = "copies as visitor"
	p := v.first.last()
	var problems []problem
	add := func(what, mend string) { problems = append(problems, problem{what, mend}) }
	const pass = "let the cache before the application keep nothing that is private, no-store, or pass these pages by"
	switch here := v.nobody.err == nil && v.nobody.status == http.StatusOK && plain(v.nobody.url) == plain(v.first.url) && len(v.nobody.parts) > 0; {
	case personal(v.best().last()):
		if q := v.after.last(); personal(q) && q.claim == v.best().last().claim && !personal(v.nobody.last()) {
			add("after the visitor, nobody is given the visitor's page: a cache gives it to everybody", pass)
		} else if line := cmp.Or(fromCache(v.second.header), fromCache(v.first.header)); line != "" {
			add("a page that is one visitor's came out of a cache ("+line+")", pass)
		}
		c.group(name, problems, "each page came from the application itself, and nobody is given it afterwards")
	case !shared(p) || !here:
		c.leave("there is no page part that nobody and the visitor could have in common", name)
	default:
		kept, line := mayKeep(v.first.header)
		alike := withoutNonces(v.nobody.body) == withoutNonces(v.after.body) // or else each page is another one
		switch {
		case !same(v.nobody.last(), p):
			add("the visitor's page part differs from nobody's, though it says that it is the same for everybody", "give snippet.HTML the same options on all pages of that address")
		case kept && alike && withoutNonces(v.nobody.body) != withoutNonces(v.first.body):
			add("caches may give it to everybody ("+line+"), and the visitor's page differs from nobody's", "leave out of a public page what depends on who is signed in, or let it be private")
		}
		what := "the page part is the same as nobody's"
		if kept {
			what = "the page is the same as nobody's, so that caches may keep it"
		}
		c.group(name, problems, "%s", what)
	}
}
