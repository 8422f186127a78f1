package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// demo is `go run ./examples/demo`, built and started as a process.
type demo struct{ shop, hubspot string }

func startDemo(t *testing.T) demo {
	t.Helper()
	binary, err := buildDemo()
	if err != nil {
		t.Fatal(err)
	}
	shop, hs := freeAddr(t), freeAddr(t)
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "ADDR="+shop, "HUBSPOT_EMULATOR_ADDR="+hs, "HUBSPOT_ACCESS_TOKEN=", "HUBSPOT_PORTAL_ID=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// It says what to try once it listens, naming both addresses.
	said := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.Contains(said, shop) && strings.Contains(said, hs) {
			return demo{"http://" + shop, "http://" + hs}
		}
	}
	t.Fatalf("the demo ended, having said %q", said)
	return demo{}
}

// buildDemo is the program, built once for all tests.
var buildDemo = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(scratch, "demo")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./examples/demo").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

type inboxChat struct {
	Contact    *string
	Identified bool
	Messages   []string
}

func fetch[T any](t *testing.T, url string) (v T) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (d demo) wantInbox(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, c := range fetch[[]inboxChat](t, d.hubspot+"/inbox.json") {
		line := "Unknown Visitor"
		if c.Contact != nil {
			line = *c.Contact
		}
		if c.Identified {
			line += " with badge"
		}
		got = append(got, line+": "+strings.Join(c.Messages, ", "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the inbox has %q, want %q", got, want)
	}
}

func (d demo) signIn(tb *tab, email string) {
	tb.t.Helper()
	tb.open(d.shop + "/login")
	act(tb, chromedp.Click(`button[value="`+email+`"]`))
	tb.until("signed in", `location.pathname == "/account"`)
}

// TestDemoAsHubSpotVerifies replays, on the demo, how HubSpot's documentation
// says to verify an integration.
func TestDemoAsHubSpotVerifies(t *testing.T) {
	t.Parallel()
	d := startDemo(t)

	// 1. A page where the widget should not identify: Unknown Visitor.
	public := newWindow(t)
	public.open(d.shop + "/")
	public.settled()
	public.say("Do you ship to Norway?")
	d.wantInbox(t, "Unknown Visitor: Do you ship to Norway?")
	public.screenshot("demo-public")

	// In a private window, a page where it should: the contact, with a badge.
	private := newWindow(t)
	d.signIn(private, first)
	private.settled()
	private.say("Where is my order?")
	d.wantInbox(t, "Unknown Visitor: Do you ship to Norway?", first+" with badge: Where is my order?")
	private.screenshot("demo-account")

	// A second page view makes no second token call.
	private.open(d.shop + "/account")
	private.settled()
	type call struct {
		Path, Email string
		Status      int
	}
	if calls := fetch[[]call](t, d.hubspot+"/calls.json"); len(calls) != 1 || calls[0].Email != first || calls[0].Status != 200 {
		t.Errorf("token calls: %+v, want one for %s", calls, first)
	}

	// 2. Sign out, sign in as the second: both contacts, each with the badge.
	act(private, chromedp.Click("#sign-out"))
	private.until("signed out", `location.pathname == "/"`)
	d.signIn(private, second)
	private.settled()
	private.say("Can I change my address?")
	d.wantInbox(t, "Unknown Visitor: Do you ship to Norway?", first+" with badge: Where is my order?", second+" with badge: Can I change my address?")

	// A page that never identifies, signed in or not.
	private.open(d.shop + "/help")
	private.settled()
	if got := private.identity(); got != "" {
		t.Errorf("the help page names %s", got)
	}

	inbox := newWindow(t)
	inbox.open(d.hubspot + "/inbox")
	inbox.until("the inbox shows the badge", `[...document.querySelectorAll("#chats .badge")].filter((b) => b.offsetParent).length == 2`)
	inbox.screenshot("inbox")
	for _, tb := range []*tab{public, private, inbox} {
		tb.noExceptions()
	}
}

// TestDemoWorkshop is the demo's page that is the same for everybody, and loads
// the chat when somebody wants it.
func TestDemoWorkshop(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	tb := newTab(t)
	tb.atStart(`window.violations = []; document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));`)
	tb.open(d.shop + "/workshop")
	// Other pages of the shop load the chat at once, and who had it has it here, too.
	if at := eval[string](tb, `fetch("/login", {method: "POST", body: new URLSearchParams({email: "`+first+`"})}).then((r) => new URL(r.url).pathname)`); at != "/account" {
		t.Fatalf("signing in ended at %s", at)
	}
	tb.open(d.shop + "/workshop")
	tb.until("the launcher", launchable)
	mine := eval[string](tb, `fetch("/workshop", {cache: "reload"}).then((r) => r.text())`)
	if nobodys := eval[string](tb, `fetch("/workshop", {cache: "reload", credentials: "omit"}).then((r) => r.text())`); mine != nobodys {
		t.Error("the page of a person is another one")
	}
	if got := eval[[]string](tb, fmt.Sprintf(`performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith(%q))`, d.shop)); len(got) > 0 {
		t.Errorf("before the click the page asked other hosts: %q", got)
	}
	tb.screenshot("demo-workshop")

	act(tb, chromedp.Click(`main [data-hubspot-chat="open"]`))
	tb.until("the open chat", chatIsOpen)
	tb.until("no launcher", "!"+launchable)
	tb.say("My brakes squeal")
	d.wantInbox(t, first+" with badge: My brakes squeal")
	if got := eval[[]string](tb, "violations"); len(got) > 0 {
		t.Errorf("violations of the policy: %q", got)
	}
	tb.screenshot("demo-workshop-open")
	tb.noExceptions()
}

// demoPages are a page of each kind, for signed in and signed out. The launcher's
// comes first, since the others bring the chat at once.
var demoPages = []struct {
	name, path string
	person     bool
}{
	{"workshop", "/workshop", false},
	{"home", "/", false},
	{"home-person", "/", true},
	{"help", "/help", false},
	{"help-person", "/help", true},
	{"login", "/login", false},
	{"login-person", "/login", true},
	{"account", "/account", true},
	{"notfound", "/nowhere", false},
}

// looks are how people look at pages, on screens and phones.
var looks = []struct {
	scheme string
	width  int64
}{{"light", 1200}, {"light", 360}, {"dark", 390}}

// TestDemoForEverybody looks at demo and inbox by day and by night, on screens
// and phones: axe finds nothing, nothing is cut or needs to be scrolled sideways,
// and the keyboard's focus is seen.
func TestDemoForEverybody(t *testing.T) {
	onlyAsProof(t, "axe goes through each page three times")
	t.Parallel()
	axe := vendored(t, "axe-core/axe.min.js")
	d := startDemo(t)
	somebody, other := newTab(t), newTab(t)
	d.signIn(somebody, first)
	somebody.say("Where is my order?" + strings.Repeat(" I have been waiting for three weeks, and Wednesday is my birthday.", 20))
	other.open(d.shop + "/")
	other.say("https://example.com/" + strings.Repeat("a-very-long-address-", 8))

	visit := func(tb *tab, name, address, there string) {
		for _, l := range looks {
			what := fmt.Sprintf("%s-%s-%d", name, l.scheme, l.width)
			tb.look(l.scheme, l.width)
			tb.open(address)
			tb.until("the page", there)
			tb.inspect(axe, what)
			tb.screenshot("demo-" + what)
			tb.walk(what)
		}
	}
	person := newTab(t)
	d.signIn(person, second)
	nobody := newTab(t)
	for _, p := range demoPages {
		tb := nobody
		if p.person {
			tb = person
		}
		there := "true"
		if p.name == "workshop" {
			there = launchable
		}
		visit(tb, p.name, d.shop+p.path, there)
	}
	visit(newTab(t), "inbox", d.hubspot+"/inbox", `document.querySelectorAll("#chats .chat").length == 2 && (document.querySelector("#chats .identified").click(), true)`)

	// The keyboard's focus stays on its chat when another one has news.
	inbox := newTab(t)
	inbox.open(d.hubspot + "/inbox")
	inbox.until("the chats", `document.querySelectorAll("#chats .chat").length == 2`)
	act(inbox, chromedp.KeyEvent("\t\t\r"))
	inbox.until("the chosen chat", `document.querySelector("#conversation h2").textContent == "Fiona First"`)
	other.say("one more")
	inbox.until("the news", `document.querySelector("#chats").textContent.includes("one more")`)
	if got := eval[string](inbox, `document.activeElement.querySelector(".contact").textContent`); got != first {
		t.Errorf("the focus is on %s", got)
	}
}

// look is the colour scheme that the tab's owner prefers, and the width of their
// window.
func (tb *tab) look(scheme string, width int64) {
	tb.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"}, // a page that moves cannot be inspected
	}}
	if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, media); err != nil {
		tb.t.Fatal(err)
	}
	size := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(tb.ctx, emulation.SetDeviceMetricsOverride, size); err != nil {
		tb.t.Fatal(err)
	}
}

// inspect fails the test for what axe finds, and for what is not within the window
// or within its own box.
func (tb *tab) inspect(axe, what string) {
	tb.t.Helper()
	tb.do(fmt.Sprintf("window.eval(%q)", axe)) // a policy does not bind what comes from the test
	found := eval[[]string](tb, `axe.run(document, { iframes: false }).then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join(" | ")))`)
	if len(found) > 0 {
		tb.t.Errorf("%s: axe finds %q", what, found)
	}
	out := eval[[]string](tb, `[...document.querySelectorAll("body *")].filter((e) => {
		const box = e.getBoundingClientRect(), style = getComputedStyle(e);
		if (box.width <= 1) return false; // not shown, or for screen readers only
		return box.right > innerWidth + .5 || style.overflowX != "visible" && style.textOverflow != "ellipsis" && e.scrollWidth > e.clientWidth;
	}).map((e) => e.outerHTML.slice(0, 100)).concat(document.documentElement.scrollWidth > innerWidth ? "the page" : [])`)
	if len(out) > 0 {
		tb.t.Errorf("%s: cut or beyond the edge: %q", what, out)
	}
}

// walk goes through the page by the tabulator key: where it is, is always seen.
func (tb *tab) walk(what string) {
	tb.t.Helper()
	tb.do(`document.activeElement.blur()`)
	stops := 0
	for ; stops < 40; stops++ {
		act(tb, chromedp.KeyEvent("\t"))
		unseen := eval[string](tb, `(function focus(e) {
			if (!e || e == document.body || e.tagName == "IFRAME") return "end";
			if (e.shadowRoot) return focus(e.shadowRoot.activeElement);
			const style = getComputedStyle(e), box = e.getBoundingClientRect();
			const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
			const seen = style.outlineStyle != "none" && parseFloat(style.outlineWidth) >= 2 && at && (e.contains(at) || at.contains(e) || at.shadowRoot);
			return seen ? "" : e.outerHTML.slice(0, 100);
		})(document.activeElement)`)
		if unseen == "end" {
			break
		}
		if unseen != "" {
			tb.t.Errorf("%s: the focus is not seen at stop %d, %s", what, stops+1, unseen)
		}
	}
	if stops < 2 || stops == 40 {
		tb.t.Errorf("%s: the tabulator key has %d stops", what, stops)
	}
}
