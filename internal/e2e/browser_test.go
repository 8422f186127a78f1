package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds everything a test waits for in the browser.
const patience = 20 * time.Second

// What the browser finds under HubSpot's host names, and under shop.test, over
// https: the handler that the running test puts there.
var hubspotHosts, shopHost mappedHost

type mappedHost struct {
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
	taken   sync.Mutex
}

func (m *mappedHost) start() {
	m.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := m.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
		}
	}))
}

// serve waits until no other test has the host.
func (m *mappedHost) serve(t *testing.T, h http.Handler) {
	m.taken.Lock()
	m.handler.Store(&h)
	t.Cleanup(func() {
		m.handler.Store(nil)
		m.taken.Unlock()
	})
}

func (m *mappedHost) addr() string { return m.server.Listener.Addr().String() }

// The browsers of all tests; each test has its own profile in one. Most take the
// headless shell where it is there: Chromium without its own window, at a quarter
// of the work. It keeps no pages for Back, and moves its mouse unasked.
var (
	browser  context.Context
	chromium func() context.Context
)

// scratch is a folder for what several tests share, and is removed behind them.
var scratch string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	full, err := find(os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
	if err != nil {
		if os.Getenv("CI") == "true" {
			fmt.Println("e2e: Chromium is missing, and required with CI=true")
			return 1
		}
		fmt.Println("SKIPPED: the browser tests, since there is no Chromium (Debian: apt-get install chromium; or set CHROMIUM)")
		return 0
	}
	light, err := find(os.Getenv("CHROMIUM"), "chromium-headless-shell")
	if err != nil {
		light = full
	}
	// Most of the time tests wait: for HubSpot's throttles, and to see that nothing
	// more happens.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		parallel := "16"
		if light == full {
			parallel = "6"
		}
		if err := f.Value.Set(parallel); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if scratch, err = os.MkdirTemp("", "e2e-"); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(scratch)
	hubspotHosts.start()
	defer hubspotHosts.server.Close()
	shopHost.start()
	defer shopHost.server.Close()
	var quit []func()
	defer func() {
		for _, f := range quit {
			f()
		}
	}()
	chromium = sync.OnceValue(func() context.Context {
		if light == full {
			return browser
		}
		ctx, stop := start(full)
		quit = append(quit, stop)
		return ctx
	})
	ctx, stop := start(light)
	quit = append(quit, stop)
	if browser = ctx; browser == nil {
		return 1
	}
	return m.Run()
}

// start runs a browser until stop is called. It is nil if it does not start.
func start(path string) (ctx context.Context, stop func()) {
	profile, err := os.MkdirTemp("", "e2e-chromium-")
	if err != nil {
		fmt.Println(err)
		return nil, func() {}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		// Frames of other hosts stay where the tests can reach them.
		chromedp.Flag("disable-site-isolation-trials", true),
		chromedp.Flag("disable-features", "IsolateOrigins,site-per-process,Translate,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"+
			// Pages of Chromium's own behind the address bar of each window: twice the work of ours.
			"WebUIOmniboxPopup,WebUIOmniboxAimPopup,PreloadTopChromeWebUI"),
		// HubSpot's host names, for the tests that need them, and no others.
		chromedp.Flag("host-resolver-rules", fmt.Sprintf(
			"MAP *.hs-scripts.com %[1]s,MAP *.usemessages.com %[1]s,MAP *.hubspot.com %[1]s,MAP static.hsappstatic.net %[1]s,MAP shop.test %[2]s,MAP *.shop.test %[2]s",
			hubspotHosts.addr(), shopHost.addr())),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.WindowSize(1200, 900),
	)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, quit := chromedp.NewContext(allocator)
	stop = func() {
		quit()
		end()
		_ = os.RemoveAll(profile)
	}
	if err := chromedp.Do(ctx); err != nil {
		fmt.Println("e2e: Chromium does not start:", err)
		ctx = nil
	}
	return ctx, stop
}

// asProof reports whether what takes long is wanted.
func asProof() bool { return os.Getenv("PROOF") != "" }

// onlyAsProof skips what takes longer than `make test` shall.
func onlyAsProof(t *testing.T, why string) {
	t.Helper()
	if !asProof() {
		t.Skipf("%s: make proof, or PROOF=1, runs this test", why)
	}
}

// find is the path of the one that is asked for, or else of the first that is there.
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

// tab is a private window with one page.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	console []string // what pages printed, with its kind
	thrown  []string // uncaught exceptions
}

func newTab(t *testing.T) *tab {
	t.Helper()
	return listen(t, browser, chromedp.WithNewBrowserContext())
}

// newWindow is newTab in the whole Chromium.
func newWindow(t *testing.T) *tab {
	t.Helper()
	return listen(t, chromium(), chromedp.WithNewBrowserContext())
}

// beside is another tab of the same window.
func (tb *tab) beside() *tab {
	tb.t.Helper()
	return listen(tb.t, tb.ctx)
}

func listen(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	tb := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			line := string(e.Type)
			for _, arg := range e.Args {
				line += " " + strings.Trim(string(arg.Value), `"`) + arg.Description
			}
			tb.console = append(tb.console, line)
		case *runtime.EventExceptionThrown:
			tb.thrown = append(tb.thrown, describe(e.ExceptionDetails))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// No test asks the browser what a page fetches, or for its styles.
	if _, err := chromedp.Call(ctx, network.Disable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, css.Disable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			tb.mu.Lock()
			defer tb.mu.Unlock()
			t.Logf("console: %q; exceptions: %q", tb.console, tb.thrown)
		}
	})
	return tb
}

func describe(e *runtime.ExceptionDetails) string {
	if e.Exception != nil {
		return e.Text + " " + e.Exception.Description
	}
	return e.Text
}

// act is the result of an action within the test's patience.
func act[T any](tb *tab, action chromedp.Action[T]) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		tb.t.Fatal(err)
	}
	return v
}

func (tb *tab) open(url string) {
	tb.t.Helper()
	act(tb, chromedp.Navigate(url))
}

// atStart runs js in every new document, before anything of the page.
func (tb *tab) atStart(js string) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: js}); err != nil {
		tb.t.Fatal(err)
	}
}

// eval is the value of a JavaScript expression; a promise is awaited.
func eval[T any](tb *tab, js string) T {
	tb.t.Helper()
	return act(tb, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// look is eval for what only looks: where the page is replaced meanwhile, it looks
// at the next one.
func look[T any](tb *tab, js string) (v T) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	for {
		v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
		if err == nil {
			return v
		}
		if !replaced(err) {
			tb.t.Fatal(err)
		}
	}
}

// replaced reports whether a page did not answer because it was left.
func replaced(err error) bool {
	return strings.Contains(err.Error(), "navigated") || strings.Contains(err.Error(), "context was destroyed")
}

// do evaluates js for its effect.
func (tb *tab) do(js string) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("("+js+", true)"))
	// It may have left the page, which then does not answer.
	if err != nil && !replaced(err) {
		tb.t.Fatal(err)
	}
}

// until waits for a JavaScript condition.
func (tb *tab) until(what, condition string) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	// A page that is being replaced answers with an error: look again.
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+condition+")"))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			tb.t.Fatalf("%s: not within %v (last error: %v)", what, patience, err)
		case <-time.After(40 * time.Millisecond):
		}
	}
}

// settled waits until the chat is there and has read its thread. It leaves
// HubSpot's API alone: each call of it sends the shell's messages, also to a chat
// that does not listen yet.
func (tb *tab) settled() {
	tb.t.Helper()
	tb.thread()
}

// identity is what the page's settings say.
func (tb *tab) identity() string {
	tb.t.Helper()
	return look[string](tb, `(window.hsConversationsSettings || {}).identificationEmail || ""`)
}

// inFrame evaluates js in the chat's iframe.
func (tb *tab) inFrame(js string, v any) error {
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	tree, err := chromedp.Call(ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return err
	}
	var frame cdp.FrameID
	for _, child := range tree.FrameTree.ChildFrames {
		if strings.Contains(child.Frame.URL, "/conversations-visitor/") {
			frame = child.Frame.ID
		}
	}
	if frame == "" {
		return errors.New("the page has no chat")
	}
	world, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame})
	if err != nil {
		return err
	}
	result, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{
		Expression: js, ContextID: world.ExecutionContextID, ReturnByValue: new(true), AwaitPromise: new(true),
	})
	if err != nil {
		return err
	}
	if result.ExceptionDetails != nil {
		return errors.New(describe(result.ExceptionDetails))
	}
	return json.Unmarshal(result.Result.Value, v)
}

// say writes a message in the chat, as a visitor does, and waits until it is sent.
func (tb *tab) say(text string) {
	tb.t.Helper()
	tb.thread()
	quoted, _ := json.Marshal(text)
	tb.untilInFrame("writing "+text, fmt.Sprintf(`(() => {
		const by = (id) => document.getElementById(id);
		if (by("panel").hidden) by("launcher").click();
		by("message").value = %s;
		by("send").click();
		return true;
	})()`, quoted))
	tb.untilInFrame("sending "+text, fmt.Sprintf(`[...document.querySelectorAll("#messages .visitor")].some((e) => e.textContent == %s)`, quoted))
}

// untilInFrame waits for a condition in the chat's iframe.
func (tb *tab) untilInFrame(what, condition string) {
	tb.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var ok bool
		err := tb.inFrame(condition, &ok)
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			var state string
			_ = tb.inFrame(`document.body.outerHTML + " at " + location.href`, &state)
			tb.t.Fatalf("%s: not within %v (last error: %v); the chat is %s", what, patience, err, state)
		}
		time.Sleep(50 * time.Millisecond) // a look takes three calls
	}
}

// thread is what the visitor sees of the chat.
func (tb *tab) thread() []string {
	tb.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var messages *[]string // null until the chat has read its thread
		err := tb.inFrame(`document.body.dataset.identified ? [...document.querySelectorAll("#messages .visitor")].map((e) => e.textContent) : null`, &messages)
		if err == nil && messages != nil {
			return *messages
		}
		if time.Now().After(deadline) {
			tb.t.Fatalf("the chat shows no thread: %v", err)
		}
		time.Sleep(50 * time.Millisecond) // a look takes three calls
	}
}

// noExceptions fails the test if a page's script threw.
func (tb *tab) noExceptions() {
	tb.t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if len(tb.thrown) > 0 {
		tb.t.Errorf("uncaught exceptions: %q", tb.thrown)
	}
}

// printed counts the console's lines that contain text.
func (tb *tab) printed(text string) (n int) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, line := range tb.console {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// untilPrinted waits for a line in the console.
func (tb *tab) untilPrinted(text string) {
	tb.t.Helper()
	for deadline := time.Now().Add(patience); tb.printed(text) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.t.Fatalf("nobody printed %q within %v", text, patience)
		}
	}
}

// screenshot keeps a picture to look at; the folder is not committed.
func (tb *tab) screenshot(name string) {
	tb.t.Helper()
	png := act(tb, chromedp.CaptureScreenshot())
	if err := os.MkdirAll("screenshots", 0o755); err != nil {
		tb.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("screenshots", name+".png"), png, 0o644); err != nil {
		tb.t.Fatal(err)
	}
}
