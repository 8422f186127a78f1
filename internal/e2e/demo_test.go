package e2e_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// demo is `go run ./examples/demo`, built and started as a process.
type demo struct{ shop, hubspot string }

func startDemo(t *testing.T) demo {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./examples/demo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
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
