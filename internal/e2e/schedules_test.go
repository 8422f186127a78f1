package e2e_test

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// Schedules are what can happen to a page, in an order and at times drawn by
// lot: sign-ins and sign-outs in this tab and another, page swaps, slow and
// refused answers, a page that calls HubSpot itself. In the browser, under a
// clock of its own, the page part and the script run against the emulated
// widget; rules.js says what must be true all the while and in the end.
//
// A schedule that breaks a rule is made as small as possible and printed, with
// what happened when. Its line of JSON makes another entry of schedules below; to
// see what happens in any, or after a change:
//
//	SCHEDULE='{"events":[{"after":100,"do":"sign","who":"A","then":"swap","takes":300}]}' go test -v -run 'Schedules$' .
//
// With WIDGET_EMBED=<file> HubSpot's own widget takes the emulated one's place.

//go:embed schedules/*.js
var scheduleFiles embed.FS

// How many schedules are played by every test, and how many with PROOF=1.
const (
	schedulesInTest  = 500
	schedulesInProof = 20_000
	schedulesAtOnce  = 50 // between two looks at the clock

	// So many find every damage.
	schedulesForDamage = 5000
)

// playground is a browser tab that plays schedules.
type playground struct{ *tab }

func newPlayground(t *testing.T, config []byte) playground {
	t.Helper()
	files, err := fs.Sub(scheduleFiles, "schedules")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>Schedules</title><body><script type="module">window.play = await import("/schedules.js")</script>`)
	})
	mux.HandleFunc("/config.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(config) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p := playground{newTab(t)}
	p.open(server.URL)
	p.until("the schedules are there", "window.play")
	eval[any](p.tab, `fetch("/config.json").then((r) => r.json()).then(play.prepare)`)
	return p
}

// scheduleConfig is what the schedules play with: page parts as the library
// writes them, and HubSpot's scripts as the emulator serves them.
func scheduleConfig(t *testing.T) []byte {
	t.Helper()
	emulator := hubspottest.NewServer(t)
	account := hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID, APIURL: emulator.URL}
	quiet := slog.New(slog.DiscardHandler)

	// part is the page part of a path and a visitor.
	part := func(path, email string) (html string, token hubspot.Token) {
		client, err := hubspot.NewClient(account)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: account.PortalID, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		visitor := hubspot.Visitor{Email: email, EmailVerified: true}
		chat, err := middleware.New(tokens, func(*http.Request) (hubspot.Visitor, bool) { return visitor, email != "" },
			middleware.WithConfig(account), middleware.WithLogger(quiet),
			middleware.WithSkip(func(r *http.Request) bool { return r.URL.Path == "/never" }))
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		chat.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/anybody" {
				w.Header().Set("Cache-Control", "public, max-age=60")
			}
			load := snippet.LoadImmediate
			if r.URL.Path == "/asks" {
				load = snippet.LoadManual
			}
			_ = snippet.Render(r.Context(), w, snippet.WithLoad(load))
		})).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		if email != "" && path == "/" {
			if token, err = tokens.Token(t.Context(), visitor); err != nil {
				t.Fatal(err)
			}
		}
		return recorder.Body.String(), token
	}

	parts, secrets := map[string]string{}, map[string]string{}
	for name, email := range map[string]string{"A": first, "B": second} {
		html, token := part("/", email)
		parts[name], secrets[name] = html, token.Reveal()
		emulator.SetOutage(&hubspottest.Fault{Status: http.StatusServiceUnavailable})
		parts["late "+name], _ = part("/late", email)
		emulator.SetOutage(nil)
	}
	parts["nobody"], _ = part("/", "")
	parts["anybody"], _ = part("/anybody", first)
	parts["asks"], _ = part("/asks", first)
	parts["never"], _ = part("/never", first)

	fetch := func(path string) string {
		response, err := http.Get(emulator.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, response.StatusCode, err)
		}
		return string(text)
	}
	widget := fetch("/conversations-embed.js")
	if file := os.Getenv("WIDGET_EMBED"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		widget = string(text)
	}
	config, err := json.Marshal(map[string]any{
		"parts":        parts,
		"emails":       map[string]string{"A": first, "B": second},
		"tokens":       secrets,
		"markerCookie": "hubspot_visitor_" + hubspottest.PortalID,
		"loader":       fetch("/" + hubspottest.PortalID + ".js"),
		"widget":       widget,
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// failure is a schedule that breaks a rule, and what happened in it.
type failure struct {
	Seed     int             `json:"seed"`
	Schedule json.RawMessage `json:"schedule"`
	Broken   *struct {
		Rule   string `json:"rule"`
		Detail string `json:"detail"`
	} `json:"broken"` // nil: no rule
	Log []string `json:"log"`
}

func (f *failure) String() string {
	broken := "no rule is broken"
	if f.Broken != nil {
		broken = f.Broken.Rule + ": " + f.Broken.Detail
	}
	return fmt.Sprintf("%s\n\n%s\n\n%s", broken, f.Schedule, strings.Join(f.Log, "\n"))
}

// play is what happens in a schedule.
func (p playground) play(t *testing.T, schedule string) *failure {
	t.Helper()
	return eval[*failure](p.tab, "play.play("+schedule+")")
}

// playAll is the first failure among the schedules that failed once, or nil.
func (p playground) playAll() *failure {
	p.t.Helper()
	for _, s := range schedules {
		if f := p.play(p.t, s.schedule); f.Broken != nil {
			return f
		}
	}
	return nil
}

// hunt is the first failure among count schedules, made small or not, or nil.
func (p playground) hunt(from, count int, small bool) *failure {
	p.t.Helper()
	return eval[*failure](p.tab, fmt.Sprintf("play.hunt(%d, %d, %t)", from, count, small))
}

// Schedules that failed once.
var schedules = []struct{ name, schedule string }{
	{"nothing happens", `{"events":[]}`},
	{"an answer that is older than the marker: another tab", `{"start":{"session":"B","page":"anybody"},"events":[{"after":0,"do":"sign","who":"A","tab":"other"}]}`},
	{"an answer that is older than the marker: signed out", `{"start":{"session":"B"},"events":[{"after":200,"do":"sign","who":"nobody","tab":"other"},{"after":100,"do":"sign","who":"B","then":"swap","takes":100},{"after":70,"do":"sign","who":"nobody","then":"swap","takes":0}]}`},
	{"an answer that is older than the marker: nobody", `{"start":{"session":"B"},"events":[{"after":0,"do":"sign","who":"nobody","then":"swap","takes":100},{"after":70,"do":"sign","who":"B","then":"nothing","takes":0}]}`},
	{"a step during a preview", `{"start":{},"events":[{"after":0,"do":"visit","how":"swap","page":"fresh","url":"/2","takes":500},{"after":500,"do":"visit","how":"swap","page":"fresh","url":"/0","preview":true,"takes":970}]}`},
	{"another visitor during a preview", `{"start":{},"events":[{"after":0,"do":"sign","who":"A","then":"swap","takes":0},{"after":200,"do":"visit","how":"swap","page":"fresh","url":"/0","preview":true,"takes":100},{"after":0,"do":"sign","who":"B","then":"swap","takes":100}]}`},
	{"a sign-in asks HubSpot once", `{"start":{},"events":[{"after":1000,"do":"sign","who":"A","then":"swap","takes":300}]}`},
	{"the page resets while a chat is delayed", `{"start":{"displayAfter":5},"events":[{"after":200,"do":"own","call":"clear"}]}`},
	{"the page resets while a load is pending", `{"start":{"backend":"slow"},"events":[{"after":200,"do":"own","call":"clear"}]}`},
	{"the page resets while another visitor's load is pending", `{"start":{"session":"A","backend":"slow"},"events":[{"after":200,"do":"sign","who":"B","tab":"other"},{"after":0,"do":"own","call":"clear"}]}`},
	{"the page resets while another visitor's chat is delayed", `{"start":{"session":"A","displayAfter":12},"events":[{"after":200,"do":"sign","who":"nobody","tab":"other"},{"after":0,"do":"own","call":"clear"}]}`},
	{"the page resets right after two loads", `{"start":{"session":"B","sample":"after"},"events":[{"after":210,"do":"sign","who":"nobody","then":"nothing","takes":0},{"after":0,"do":"own","call":"clear"}]}`},
	{"signed out by a script, and another in", `{"start":{"session":"A"},"events":[{"after":3000,"do":"sign","who":"nobody","then":"signOut","takes":0},{"after":3000,"do":"sign","who":"B","then":"refresh","takes":0}]}`},
	{"opened where HubSpot has no chat", `{"start":{"backend":"204"},"events":[{"after":0,"do":"open"}]}`},
	{"a page without a chat after one with it", `{"start":{},"events":[{"after":3000,"do":"backend","as":"204"},{"after":0,"do":"visit","how":"swap","page":"fresh","url":"/1","takes":0}]}`},
	{"there and back in another tab", `{"start":{},"events":[{"after":0,"do":"sign","who":"A","then":"refresh","takes":0},{"after":100,"do":"sign","who":"nobody","tab":"other"},{"after":100,"do":"sign","who":"A","tab":"other"}]}`},
	{"the page loads while the visitor is unknown", `{"start":{"loader":6000},"events":[{"after":0,"do":"sign","who":"A","tab":"other"},{"after":0,"do":"visit","how":"swap","page":"fresh","url":"/0","takes":0},{"after":1310,"do":"endpoint","as":"late"},{"after":1800,"do":"sign","who":"B","then":"refresh","takes":0},{"after":2950,"do":"own","call":"load"}]}`},
	{"a load that does nothing", `{"start":{"sample":"after"},"events":[{"after":0,"do":"sign","who":"A","then":"swap","takes":0},{"after":200,"do":"back"}]}`},
	{"HubSpot's sample loads for another within the page's reset", `{"start":{"sample":"before"},"events":[{"after":100,"do":"sign","who":"B","then":"swap","takes":100},{"after":90,"do":"own","call":"clear"},{"after":0,"do":"sign","who":"A","then":"swap","takes":100}]}`},
	{"HubSpot answers after forty seconds", `{"start":{"session":"B","backend":"endless"},"events":[{"after":200,"do":"sign","who":"A","then":"swap","takes":100}]}`},
	{"HubSpot answers a refresh after forty seconds", `{"start":{},"events":[{"after":200,"do":"backend","as":"endless"},{"after":300,"do":"own","call":"refresh"},{"after":0,"do":"sign","who":"A","tab":"other"},{"after":0,"do":"backend","as":"ok"}]}`},
	{"HubSpot never answers, and the visitor changes", `{"start":{"session":"A","backend":"dead"},"events":[{"after":200,"do":"backend","as":"ok"},{"after":0,"do":"sign","who":"B","then":"swap","takes":100}]}`},
	{"HubSpot never answers, and the next page comes", `{"start":{"backend":"dead"},"events":[{"after":200,"do":"backend","as":"ok"},{"after":0,"do":"visit","how":"swap","page":"fresh","url":"/1","takes":100}]}`},
	{"the page loads twice within a second", `{"start":{"session":"A"},"events":[{"after":5000,"do":"own","call":"load"},{"after":200,"do":"own","call":"load"},{"after":0,"do":"sign","who":"B","then":"swap","takes":0}]}`},
	{"a failed load between two good ones", `{"start":{"session":"A"},"events":[{"after":3000,"do":"backend","as":"500"},{"after":0,"do":"sign","who":"B","then":"swap","takes":0},{"after":3000,"do":"backend","as":"ok"},{"after":0,"do":"sign","who":"A","then":"swap","takes":0},{"after":3000,"do":"resize"}]}`},
	{"signed out by the application's authentication, and in again", `{"start":{"session":"A"},"events":[{"after":1000,"do":"expire","then":"401"},{"after":0,"do":"refresh"},{"after":2000,"do":"endpoint","as":"ok"},{"after":0,"do":"sign","who":"A","then":"swap","takes":100}]}`},
	{"the page calls refresh while the chat is delayed", `{"start":{"displayAfter":5},"events":[{"after":0,"do":"visit","how":"swap","page":"fresh","url":"/1","takes":500},{"after":520,"do":"own","call":"refresh"}]}`},
	{"a chat that is to come, after one that was taken away", `{"start":{"displayAfter":40},"events":[{"after":0,"do":"sign","who":"B","then":"nothing","takes":0},{"after":78200,"do":"takeOut"},{"after":100,"do":"sign","who":"A","then":"swap","takes":0}]}`},
	{"the page resets while its chat's iframe starts", `{"start":{},"events":[{"after":260,"do":"own","call":"clear"},{"after":0,"do":"sign","who":"B","tab":"other"},{"after":2790,"do":"resize"}]}`},
	{"HubSpot's sample loads within a reset", `{"start":{"session":"A","sample":"before"},"events":[{"after":0,"do":"visit","how":"swap","page":"never","url":"/0","takes":0},{"after":1000,"do":"visit","how":"swap","page":"fresh","url":"/0","takes":0},{"after":300,"do":"sign","who":"nobody","then":"refresh","takes":0}]}`},
}

func TestSchedules(t *testing.T) {
	p := newPlayground(t, scheduleConfig(t))
	if schedule := os.Getenv("SCHEDULE"); schedule != "" {
		t.Log(p.play(t, schedule))
		return
	}
	for _, s := range schedules {
		t.Run(s.name, func(t *testing.T) {
			if f := p.play(t, s.schedule); f.Broken != nil {
				t.Error(f)
			}
		})
	}
}

func TestRandomSchedules(t *testing.T) {
	count := schedulesInTest
	if asProof() {
		count = schedulesInProof
	}
	var next atomic.Int64
	var broken atomic.Bool
	inBothBrowsers(t, func(t *testing.T, p playground) {
		for !broken.Load() {
			from := int(next.Add(schedulesAtOnce)) - schedulesAtOnce
			if from >= count {
				return
			}
			if f := p.hunt(from, min(schedulesAtOnce, count-from), true); f != nil {
				broken.Store(true)
				t.Errorf("schedule %d, made smaller: %s", f.Seed, f)
			}
		}
	})
}

// inBothBrowsers runs f in two tabs at once, which are two processes.
func inBothBrowsers(t *testing.T, f func(*testing.T, playground)) {
	config := scheduleConfig(t)
	for i := range 2 {
		t.Run(fmt.Sprint("browser ", i), func(t *testing.T) {
			t.Parallel()
			f(t, newPlayground(t, config))
		})
	}
}

// Rules of the script, each taken out in turn. The schedules find every one of
// them: a rule that they do not miss is none.
var damages = []struct{ name, rule, instead string }{
	// Who the widget shall have.
	{"an answer outlives the marker", `if (seen != present) asked = answer = UNKNOWN;`, ``},
	{"an identity outlives the marker", `if (known.visitor != present && known.visitor != answer) known = {};`, ``},
	{"a page for nobody identifies", `if (claim == "-") return NOBODY;`, ``},
	{"a void claim is nobody's", `if (!present && !headers && (!claim || claim == "*")) return NOBODY;`, `return NOBODY;`},
	{"an earlier question's answer counts", `if (asking != question) return;`, ``},
	{"an answer older than the marker counts", `if (visitor == seen) asked = 1;`, `asked = 1;`},
	{"anything is an answer", `/204|401/.test(r.status) && { visitor: NOBODY }`, `{ visitor: NOBODY }`},
	{"an endpoint that never answers is waited for", `setTimeout(settle, 5e3)`, `setTimeout(() => {}, 5e3)`},
	{"after a sign-out nothing is asked any more", `asking = headers = undefined;`, `asking = headers = 0;`},
	{"any answer is a visit", `ask(step);`, `ask(visit);`},
	{"a page part keeps the answer before it", `    answer = UNKNOWN;
    if (token)`, `    if (token)`},
	{"the settings keep the former visitor", `write(); // the page may load`, ``},
	{"a preview is a page", `const preview = () => "turboPreview" in d.documentElement.dataset;`, `const preview = () => false;`},
	{"nobody looks", `on("focus pageshow visibilitychange", attend);`, ``},
	{"cookies change unseen", `cookieStore.addEventListener("change", step);`, ``},

	{"who it is is asked before the chat is wanted", `&& !asking && demanded && !d.hidden &&`, `&& !asking && !d.hidden &&`},

	// What the page sees.
	{"nothing is hidden", `right() ? "" : "none"`, `""`},
	{"the chat stays in the body", `if (found.parentNode == d.body) d.documentElement.append(found);`, ``},
	{"copies stay", `if (!iframe || box) return found.remove();`, `if (!iframe || box) return;`},
	{"a chat that was taken away stays away", `if (box && !box.isConnected) {`, `if (false) {`},

	// What happens when.
	{"a chat that is to come does not matter", `unsettled = state == DELAYED || !drained`, `unsettled = !drained`},
	{"what waits in a queue does not matter", `|| !drained && state != PENDING ||`, `||`},
	{"stuck for ever", `|| age > 25e3,`, `,`},
	{"a reset of the page's own is done at once", `  hs.clear = (options) =>`, `  const clear = (options) =>`},
	{"a reset while a load is pending", `state == PENDING || refreshing || waits(time) ?`, `refreshing || waits(time) ?`},
	{"a load that never ends holds up all pages", `time - (state == PENDING ? called : refreshing) < 25e3 ||`, `state == PENDING || time - refreshing < 25e3 ||`},
	{"a load that does nothing counts", `if (state) return; // HubSpot does nothing`, ``},
	{"a reset during a refresh", `state == PENDING || refreshing ||`, `state == PENDING ||`},
	{"a reset right after a call", `|| time - called < 1100;`, `;`},
	{"a load does not count", `  load: (time) => {
    called = time;`, `  load: (time) => {`},
	{"a refresh does not count", `    called = time;
    if (state % LOADED) return; // pending or delayed: HubSpot does nothing
    told = url;`, `    told = url;`},
	{"loads of other callbacks do not count", `  called = performance.now();
  const`, `  const`},
	{"another shell has what the former had", `drained = loaded;`, ``},
	{"another API object is the same", `if (hs && hs != shell) safely(adopt)(hs);`, `if (hs && !shell) adopt(hs);`},
	{"what is left of a load stays", `widget.remove(); // of a load that never ends`, ``},
	{"a refusal to refresh leaves the chat", `if (/204|404/.test(backend)) refuse();`, ``},
	{"a delay is not noticed", `else if (!find(BOXES)) state = DELAYED;`, ``},
	{"every page is told", `if (told != url && state != DELAYED) {`, `if (state != DELAYED) {`},
	{"no page is told", `if (told != url && state != DELAYED) {`, `if (false) {`},
	{"the next page is not waited for", `if (!visited && age < patience) return again(patience - age);`, ``},
	{"steps are nested", `if (busy) return;`, ``},
	{"not among the ready callbacks", `if (!ready.includes(step)) ready.unshift(step);`, ``},
	{"HubSpot's script comes into the body", `if (!find("head script")) d.head.append(d.createElement("script"));`, ``},
}

// readScript is chat.js with the names that it imports, as one script.
func readScript(t *testing.T) string {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile("../../snippet/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	names := strings.ReplaceAll(read("states.js"), "export ", "")
	before, after, ok := strings.Cut(read("chat.js"), "import {")
	_, after, found := strings.Cut(after, ` from "./states.js";`)
	if !ok || !found {
		t.Fatal("chat.js imports nothing from states.js")
	}
	return before + names + after
}

func TestDamagesAreUpToDate(t *testing.T) {
	script := readScript(t)
	for _, damage := range damages {
		if n := strings.Count(script, damage.rule); n != 1 {
			t.Errorf("%s: chat.js has %d times\n%s", damage.name, n, damage.rule)
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	onlyAsProof(t, "it takes minutes")
	script := readScript(t)
	var next atomic.Int64
	inBothBrowsers(t, func(t *testing.T, p playground) {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(damages) {
				return
			}
			damage := damages[i]
			damaged, err := json.Marshal(strings.Replace(script, damage.rule, damage.instead, 1))
			if err != nil {
				t.Fatal(err)
			}
			eval[any](p.tab, "play.script("+string(damaged)+")")
			f := p.playAll()
			for from := 0; f == nil && from < schedulesForDamage; from += schedulesAtOnce {
				f = p.hunt(from, schedulesAtOnce, false)
			}
			if f == nil {
				t.Errorf("%s: not found by %d schedules", damage.name, schedulesForDamage)
				continue
			}
			t.Logf("%s: %s: %s", damage.name, f.Broken.Rule, f.Broken.Detail)
		}
	})
}
