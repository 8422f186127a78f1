package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// start serves the application; scrape is what Prometheus gets of it.
func start(t *testing.T) (hubspot *hubspottest.Server, site string, scrape func() string) {
	t.Helper()
	hubspot = story.HubSpot(t)
	app, metrics, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	server, prometheus := httptest.NewServer(app), httptest.NewServer(metrics)
	t.Cleanup(server.Close)
	t.Cleanup(prometheus.Close)
	return hubspot, server.URL, func() string {
		t.Helper()
		page := story.Open(t, prometheus.URL).Get("/metrics")
		if page.Status != 200 {
			t.Fatalf("the metrics: %d %s", page.Status, page.Body)
		}
		return page.Body
	}
}

func wantLines(t *testing.T, metrics string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, " ")
			t.Errorf("want %s, got %s", line, regexp.MustCompile(regexp.QuoteMeta(name)+" .*").FindString(metrics))
		}
	}
}

func TestVisitors(t *testing.T) {
	hubspot, site, scrape := start(t)
	story.Tell(t, hubspot, site)
	calls := len(hubspot.Calls())
	wantLines(t, scrape(),
		fmt.Sprintf(`hubspot_visitor_call_duration_seconds_count{outcome="created"} %d`, calls),
		fmt.Sprintf(`hubspot_visitor_call_duration_seconds_bucket{outcome="created",le="+Inf"} %d`, calls),
		`hubspot_visitor_cached_tokens 0`, // everybody signed out
	)
}

// Whatever HubSpot says, it is counted where operators look for it.
func TestTrouble(t *testing.T) {
	for _, test := range []struct {
		reason string
		fault  hubspottest.Fault
		closed int // HubSpot is left alone afterwards
	}{
		{"account", hubspottest.FaultScope(), 1},
		{"limit", hubspottest.FaultDailyLimit(), 1},
		{"visitor", hubspottest.Fault{Status: 400, Body: `{"status":"error"}`}, 0},
		{"outage", hubspottest.Fault{Status: 501}, 0},
	} {
		t.Run(test.reason, func(t *testing.T) {
			hubspot, site, scrape := start(t)
			hubspot.Queue(test.fault)
			ada := story.Open(t, site)
			story.Expect(t, hubspot, "the page", ada.SignIn("ada@example.com"), "")
			lines := []string{
				`hubspot_visitor_call_duration_seconds_count{outcome="created"} 0`,
				`hubspot_visitor_call_duration_seconds_count{outcome="renewed"} 0`,
				`hubspot_visitor_call_duration_seconds_count{outcome="failed"} 1`,
				fmt.Sprintf("hubspot_visitor_gate_closed %d", test.closed),
				fmt.Sprintf("hubspot_visitor_gate_closings_total %d", test.closed),
				`hubspot_visitor_store_errors_total 0`,
			}
			for _, reason := range []string{"visitor", "account", "limit", "outage"} {
				n := 0
				if reason == test.reason {
					n = 1
				}
				lines = append(lines, fmt.Sprintf("hubspot_visitor_call_failures_total{reason=%q} %d", reason, n))
			}
			wantLines(t, scrape(), lines...)
		})
	}
}

// Names, units and help are as Prometheus recommends, and nobody is in there.
func TestConventions(t *testing.T) {
	_, site, scrape := start(t)
	ada := story.Open(t, site)
	token := ada.SignIn("ada@example.com").Token
	metrics := scrape()
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	wantLines(t, metrics, "hubspot_visitor_cached_tokens 1")
	for _, secret := range []string{"ada", "example.com", token, hubspottest.AccessToken.Reveal()} {
		if secret == "" || strings.Contains(strings.ToLower(metrics), secret) {
			t.Errorf("%q is in the metrics", secret)
		}
	}
}

var metricName = regexp.MustCompile(`\bhubspot_visitor_\w+`)

// The dashboard asks for metrics that there are, with labels that they have, and
// for every one.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	type place struct{ X, Y, W, H int }
	var dashboard struct {
		Title      string
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
		Panels []struct {
			ID         int
			Title      string
			Type       string
			GridPos    place
			Datasource struct{ UID string }
			Targets    []struct{ RefID, Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.Title == "" || len(dashboard.Panels) == 0 {
		t.Fatal("there are no panels")
	}

	_, _, scrape := start(t)
	labels := map[string]map[string]bool{} // by series
	for line := range strings.Lines(scrape()) {
		name := metricName.FindString(line)
		if strings.HasPrefix(line, "#") || name == "" {
			continue
		}
		if labels[name] == nil {
			labels[name] = map[string]bool{"job": true, "instance": true} // Prometheus's own
		}
		for _, found := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(line, -1) {
			labels[name][found[1]] = true
		}
	}

	asked := map[string]bool{}
	ask := func(where, expr string) {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s: %q asks for nothing", where, expr)
		}
		known := map[string]bool{}
		for _, name := range names {
			asked[name] = true
			if labels[name] == nil {
				t.Errorf("%s: there is no %s", where, name)
			}
			maps.Copy(known, labels[name])
		}
		for _, pattern := range []string{`by \((\w+)\)`, `[{,]\s*(\w+)=`, `label_values\(\w+, (\w+)\)`} {
			for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(expr, -1) {
				if !known[found[1]] {
					t.Errorf("%s: there is no label %s", where, found[1])
				}
			}
		}
	}
	for _, variable := range dashboard.Templating.List {
		if query, ok := variable.Query.(map[string]any); ok {
			ask("variable "+variable.Name, query["query"].(string))
		}
	}
	var ids []int
	var places []place
	for _, panel := range dashboard.Panels {
		if panel.Datasource.UID != "${datasource}" || len(panel.Targets) == 0 {
			t.Errorf("%s: it asks %q %d times", panel.Title, panel.Datasource.UID, len(panel.Targets))
		}
		for _, target := range panel.Targets {
			ask(panel.Title, target.Expr)
			if label, ok := strings.CutPrefix(target.LegendFormat, "{{"); ok && !strings.Contains(target.Expr, "by ("+strings.TrimSuffix(label, "}}")+")") {
				t.Errorf("%s: the legend's %s is not in the answer", panel.Title, target.LegendFormat)
			}
		}
		if slices.Contains(ids, panel.ID) {
			t.Errorf("%s: another panel is number %d, too", panel.Title, panel.ID)
		}
		p := panel.GridPos
		for _, q := range places {
			if p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H {
				t.Errorf("%s: it covers another panel", panel.Title)
			}
		}
		if p.W <= 0 || p.H <= 0 || p.X+p.W > 24 {
			t.Errorf("%s: it is not on the page: %+v", panel.Title, p)
		}
		ids, places = append(ids, panel.ID), append(places, p)
	}
	for name := range labels {
		if !asked[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}
