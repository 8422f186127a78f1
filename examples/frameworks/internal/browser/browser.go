// Package browser tells the story of package story in Chromium, where the pages'
// scripts run and HubSpot's chat is to be seen.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// patience bounds everything that is waited for.
const patience = 20 * time.Second

// Tab is a page in a browser of its own.
type Tab struct {
	t       *testing.T
	ctx     context.Context
	hubspot *hubspottest.Server
}

// Open starts Chromium and opens a page. The test is skipped where there is none;
// CHROMIUM names another one.
func Open(t *testing.T, hubspot *hubspottest.Server, url string) *Tab {
	t.Helper()
	program, err := find(os.Getenv("CHROMIUM"), "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
	if err != nil {
		story.Missing(t, "Chromium is missing (Debian: apt-get install chromium; or set CHROMIUM)")
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU)...)
	t.Cleanup(end)
	ctx, quit := chromedp.NewContext(allocator)
	t.Cleanup(quit)
	tab := &Tab{t, ctx, hubspot}
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return tab
}

// find is the path of the program that is asked for, or else of the first that is there.
func find(asked string, names ...string) (path string, err error) {
	if asked != "" {
		return exec.LookPath(asked)
	}
	for _, name := range names {
		if path, err = exec.LookPath(name); err == nil {
			break
		}
	}
	return path, err
}

// Eval is the value of a JavaScript expression in the page; a promise is awaited.
func Eval[T any](tab *Tab, js string) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		tab.t.Fatalf("%s: %v", js, err)
	}
	return value
}

// Until waits for a JavaScript condition in the page.
func (tab *Tab) Until(condition string) {
	tab.t.Helper()
	tab.wait(condition, func(ctx context.Context) (bool, error) {
		// A page that is being replaced answers with an error: it is asked again.
		return chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+condition+")"))
	})
}

// Click clicks on the element of a CSS selector, once it is there.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.Until(fmt.Sprintf("document.querySelector(%q)", selector))
	Eval[any](tab, fmt.Sprintf("document.querySelector(%q).click()", selector))
}

// SignIn fills in the form, sends it, and waits for the page to know email's owner.
func (tab *Tab) SignIn(email string) {
	tab.t.Helper()
	tab.Until(`document.querySelector("input[name=email]")`)
	Eval[any](tab, fmt.Sprintf(`(() => {
		const field = document.querySelector("input[name=email]");
		field.value = %q;
		field.form.querySelector("button").click();
	})()`, email))
	tab.Until(fmt.Sprintf(`document.body.innerText.includes(%q)`, email))
}

// SignOut clicks on the button, and waits for the form of signing in.
func (tab *Tab) SignOut() {
	tab.t.Helper()
	Eval[any](tab, `[...document.querySelectorAll("button")].find((b) => b.textContent == "Sign out").click()`)
	tab.Until(`document.querySelector("input[name=email]")`)
}

// Leave does something by which another page comes, and waits for its heading.
func (tab *Tab) Leave(js string) {
	tab.t.Helper()
	heading := Eval[string](tab, `document.querySelector("h1").textContent`)
	Eval[any](tab, js)
	tab.Until(fmt.Sprintf(`document.querySelector("h1") && document.querySelector("h1").textContent != %q`, heading))
}

// Chat waits until the page shows the chat of email's owner, "" for that of an
// anonymous visitor: the page's settings say so, and so do the widget's last
// question to HubSpot and what the chat was told last.
func (tab *Tab) Chat(email string) {
	tab.t.Helper()
	var shown, asked, told string
	tab.wait(fmt.Sprintf("the chat of %q", email), func(ctx context.Context) (bool, error) {
		var err error
		shown, err = chromedp.Run(ctx, chromedp.Evaluate[string](`(() => {
			const boxes = [...document.querySelectorAll("#hubspot-messages-iframe-container")];
			if (boxes.length != 1 || getComputedStyle(boxes[0]).display == "none") return boxes.length + " chats, or a hidden one";
			return hsConversationsSettings.identificationEmail;
		})()`))
		asked, told = "nothing", "nothing"
		if loads := tab.hubspot.WidgetLoads(); len(loads) > 0 {
			load := loads[len(loads)-1]
			asked = load.Email
			if load.Status != http.StatusOK || load.Identified != (email != "") {
				asked = fmt.Sprintf("%q with the answer %d", load.Email, load.Status)
			}
		}
		for _, message := range tab.hubspot.WidgetMessages() {
			if message.Type != "visitor-identification-attributes" { // which anonymous ones lack
				told = message.Contact
			}
		}
		if err == nil && (shown != email || asked != email || told != email) {
			err = fmt.Errorf("the page has %q, the widget asked for %q, the chat was told %q", shown, asked, told)
		}
		return err == nil, err
	})
}

// Type opens the chat, where it is closed, and begins a message in it.
func (tab *Tab) Type(text string) {
	tab.t.Helper()
	tab.inChat("typing "+text, fmt.Sprintf(`(() => {
		const by = (id) => document.getElementById(id);
		if (!document.body.dataset.identified) return false; // its thread is still to come
		if (by("panel").hidden) by("launcher").click();
		by("message").value = %q;
		return true;
	})()`, text))
}

// Send sends what was typed: it has to be there still, in a chat that is open.
func (tab *Tab) Send(text string) {
	tab.t.Helper()
	tab.inChat("the open chat with "+text, fmt.Sprintf(`!document.getElementById("panel").hidden && document.getElementById("message").value == %q`, text))
	tab.inChat("sending "+text, `(document.getElementById("send").click(), true)`)
	tab.inChat("the message "+text, fmt.Sprintf(`[...document.querySelectorAll("#messages .visitor")].some((e) => e.textContent == %q)`, text))
}

// inChat waits for a condition in the chat's iframe.
func (tab *Tab) inChat(what, condition string) {
	tab.t.Helper()
	tab.wait(what, func(ctx context.Context) (ok bool, err error) {
		tree, err := chromedp.Call(ctx, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(tree.FrameTree.ChildFrames, func(child *page.FrameTree) bool {
			return strings.Contains(child.Frame.URL, "/conversations-visitor/")
		})
		if i < 0 {
			return false, errors.New("the page has no chat")
		}
		world, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.ChildFrames[i].Frame.ID})
		if err != nil {
			return false, err
		}
		result, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{
			Expression: condition, ContextID: world.ExecutionContextID, ReturnByValue: new(true),
		})
		if err != nil {
			return false, err
		}
		if result.ExceptionDetails != nil {
			return false, errors.New(result.ExceptionDetails.Text)
		}
		err = json.Unmarshal(result.Result.Value, &ok)
		return ok, err
	})
}

// wait waits until ok reports true; another process's work has no other sign.
func (tab *Tab) wait(what string, ok func(context.Context) (bool, error)) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	var last error
	for {
		done, err := ok(ctx)
		if err == nil && done {
			return
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			tab.t.Fatalf("%s: not within %v (%v)", what, patience, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
