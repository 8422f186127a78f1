package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

const factsFile = "../../hubspot/hubspottest/testdata/widget_facts.js"

// The emulated widget behaves as HubSpot's own code does, fact by fact. The
// table is a script that runs in the page.
//
// To prove the table itself, let it run with HubSpot's own script instead of the
// emulated one: WIDGET_EMBED names the file, WIDGET_RELEASE its release
// (2024-12, 2025-06 or 2026-05).
func TestWidgetFacts(t *testing.T) {
	onlyAsProof(t, "the table of facts waits more than a minute for the widget's clocks")
	script, err := os.ReadFile(factsFile)
	if err != nil {
		t.Fatal(err)
	}
	var embed []byte
	releases := []string{"2026-05", "2024-12", "2025-06"}
	if file := os.Getenv("WIDGET_EMBED"); file != "" {
		if embed, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		releases = []string{os.Getenv("WIDGET_RELEASE")}
	}

	emulator := hubspottest.NewServer(t)
	hubspotHosts.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if embed != nil && r.URL.Path == "/conversations-embed.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(embed)
			return
		}
		if r.URL.Path == "/conversations-visitor/visitor.js" {
			time.Sleep(100 * time.Millisecond) // the chat's document is there and does not listen yet
		}
		emulator.Handler().ServeHTTP(w, r)
	}))
	shopHost.serve(t, factPages(t, emulator, script))

	list := newTab(t)
	list.open("https://shop.test/facts/0")
	names := eval[[]string](list, "factNames")
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			for i, name := range names {
				if release != releases[0] && !strings.HasPrefix(name, "5 refresh with") && !strings.HasPrefix(name, "22 the stub") {
					continue // what differs between the releases
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					tb := newTab(t)
					kind := "facts"
					if strings.HasPrefix(name, "11 ") {
						kind = "strict"
					}
					tb.open(fmt.Sprintf("https://shop.test/%s/%s-%d?hubspot-release=%s", kind, release, i, release))
					if failure := eval[string](tb, "runFact("+strconv.Quote(name)+")"); failure != "" {
						t.Error(failure)
					}
				})
			}
		})
	}
}

// factPages are pages without a chat, /facts/… and /strict/…, and what
// HubSpot saw of one of them, /log.
func factPages(t *testing.T, emulator *hubspottest.Server, script []byte) http.Handler {
	t.Helper()
	client, err := hubspot.NewClient(hubspot.Config{
		AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID, APIURL: emulator.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	visitors := map[string]map[string]string{}
	for _, who := range []string{"A", "B", "C"} {
		email := strings.ToLower(who) + "@example.com"
		token, err := client.CreateToken(context.Background(), hubspot.Visitor{Email: email, EmailVerified: true})
		if err != nil {
			t.Fatal(err)
		}
		visitors[who] = map[string]string{"email": email, "token": token.Reveal()}
	}
	table, err := json.Marshal(visitors)
	if err != nil {
		t.Fatal(err)
	}

	page := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/strict/") {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-facts' 'strict-dynamic'; "+
				"style-src 'self' static.hsappstatic.net; img-src 'self'; connect-src 'self' *.hubspot.com; frame-src *.hubspot.com")
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html><head><title>facts</title><link rel="icon" href="data:,"><script nonce="facts">window.NONCE = "facts"; window.VISITORS = %s</script></head>
<body><h1>facts</h1><script nonce="facts" src="/facts.js"></script></body></html>`, table)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/facts/", page)
	mux.HandleFunc("/strict/", page)
	mux.HandleFunc("/facts.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(script)
	})
	mux.HandleFunc("/log", func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(factLog(emulator, r.FormValue("page"))); err != nil {
			t.Error(err)
		}
	})
	return mux
}

// seen is what HubSpot saw of one page: for whom the backend was asked with
// which messagesUtk, and what the chats in which iframes were told.
type seen struct {
	Asked  []string    `json:"asked"`
	Utks   []string    `json:"utks"`
	Told   [][2]string `json:"told"`
	Frames []string    `json:"frames"`
}

func factLog(emulator *hubspottest.Server, path string) seen {
	who := func(email string) string {
		if email == "" {
			return "anon"
		}
		return strings.ToUpper(email[:1])
	}
	log := seen{[]string{}, []string{}, [][2]string{}, []string{}}
	mine := map[string]bool{}
	for _, load := range emulator.WidgetLoads() {
		if uri, err := url.Parse(load.PageURI); err != nil || uri.Path != path {
			continue
		}
		visitor := who(load.Email)
		if load.Token == "" {
			visitor = "anon"
		}
		log.Asked = append(log.Asked, visitor)
		log.Utks = append(log.Utks, load.MessagesUtk)
		mine[load.MessagesUtk] = true
	}
	for _, m := range emulator.WidgetMessages() {
		if mine[m.MessagesUtk] {
			log.Told = append(log.Told, [2]string{m.Type, who(m.Contact)})
			log.Frames = append(log.Frames, m.MessagesUtk)
		}
	}
	return log
}
