package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

type telemetry struct {
	t       *testing.T
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
}

func start(t *testing.T) (*hubspottest.Server, string, telemetry) {
	t.Helper()
	hubspot := story.HubSpot(t)
	seen := telemetry{t, tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()}
	app, err := newApp(
		sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen.spans)),
		sdkmetric.NewMeterProvider(sdkmetric.WithReader(seen.metrics)))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return hubspot, server.URL, seen
}

// calls are the spans of the calls to HubSpot.
func (seen telemetry) calls() (calls tracetest.SpanStubs) {
	for _, span := range seen.spans.GetSpans() {
		if span.SpanKind == trace.SpanKindClient {
			calls = append(calls, span)
		}
	}
	return calls
}

func value(span tracetest.SpanStub, key attribute.Key) string {
	for _, a := range span.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// collect is what the library's metrics say, by name and error.type.
func (seen telemetry) collect() (values map[string]int64, all metricdata.ResourceMetrics) {
	seen.t.Helper()
	if err := seen.metrics.Collect(context.Background(), &all); err != nil {
		seen.t.Fatal(err)
	}
	values = map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && strings.HasPrefix(m.Name, "hubspot.visitor.") {
				if m.Unit == "" || m.Description == "" {
					seen.t.Errorf("%s has no unit or description", m.Name)
				}
				for _, point := range sum.DataPoints {
					name := m.Name
					if reason, ok := point.Attributes.Value("error.type"); ok {
						name += " " + reason.AsString()
					}
					values[name] = point.Value
				}
			}
		}
	}
	return values, all
}

func wantValues(t *testing.T, got map[string]int64, want map[string]int64) {
	t.Helper()
	for name, n := range want {
		if value, ok := got[name]; !ok || value != n {
			t.Errorf("%s is %d (%t), want %d", name, value, ok, n)
		}
	}
}

// Each call to HubSpot is one span and each page another, and the metrics know
// how many.
func TestVisitors(t *testing.T) {
	hubspot, site, seen := start(t)
	story.Tell(t, hubspot, site)

	spans := seen.calls()
	if len(spans) == 0 || len(spans) != len(hubspot.Calls()) {
		t.Errorf("%d spans for %d calls", len(spans), len(hubspot.Calls()))
	}
	for _, span := range spans {
		if value(span, "http.request.method") != "POST" || value(span, "http.response.status_code") != "200" || span.Status.Code != codes.Unset ||
			value(span, "url.full") != hubspot.URL+"/visitor-identification/2026-03/tokens/create" {
			t.Errorf("a call is traced as %s %v", span.Name, span.Attributes)
		}
		if span.Parent.IsValid() {
			t.Errorf("a call is in the trace of one of those who wait for it")
		}
	}
	if pages := len(seen.spans.GetSpans()) - len(spans); pages < 10 {
		t.Errorf("there are spans of %d pages", pages)
	}
	got, _ := seen.collect()
	wantValues(t, got, map[string]int64{
		"hubspot.visitor.tokens.created":       int64(len(spans)),
		"hubspot.visitor.tokens.renewed":       0,
		"hubspot.visitor.cache.tokens":         0, // everybody signed out
		"hubspot.visitor.cache.evictions":      0,
		"hubspot.visitor.calls.failed outage":  0,
		"hubspot.visitor.calls.failed account": 0,
		"hubspot.visitor.calls.limited":        0,
		"hubspot.visitor.gate.closed":          0,
		"hubspot.visitor.gate.closings":        0,
		"hubspot.visitor.store.hits":           0,
		"hubspot.visitor.store.errors":         0,
	})
}

// Trouble at HubSpot is seen, and nobody's address or token, nor the credential.
func TestTrouble(t *testing.T) {
	for _, test := range []struct {
		reason string
		fault  hubspottest.Fault
		status string
		closed int64
	}{
		{"account", hubspottest.FaultUnauthorized(), "401", 1},
		{"limit", hubspottest.FaultDailyLimit(), "429", 1},
		{"visitor", hubspottest.Fault{Status: 400, Body: `{"message":"ada@example.com is not valid"}`}, "400", 0},
		{"outage", hubspottest.Fault{Status: 501}, "501", 0},
		{"outage", hubspottest.Fault{Reset: true}, "", 0},
	} {
		t.Run(test.reason+" "+test.status, func(t *testing.T) {
			hubspot, site, seen := start(t)
			hubspot.Queue(test.fault)
			page := story.Open(t, site).SignIn("ada@example.com")
			grace := story.Open(t, site).SignIn("grace@example.com")
			if test.closed == 0 {
				story.Expect(t, hubspot, "somebody else's page", grace, "grace@example.com")
			}

			call := seen.calls()[0]
			if got := value(call, "http.response.status_code"); got != test.status || call.Status.Code != codes.Error {
				t.Errorf("the call is traced with status %q and %+v", got, call.Status)
			}
			got, all := seen.collect()
			want := map[string]int64{"hubspot.visitor.gate.closed": test.closed, "hubspot.visitor.gate.closings": test.closed}
			for _, reason := range []string{"visitor", "account", "limit", "outage"} {
				want["hubspot.visitor.calls.failed "+reason] = 0
			}
			want["hubspot.visitor.calls.failed "+test.reason] = 1
			wantValues(t, got, want)

			text, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			said := string(text) + fmt.Sprintf("%+v", seen.spans.GetSpans())
			for _, secret := range []string{"ada@", "grace@", "example.com", page.Token, grace.Token, hubspottest.AccessToken.Reveal()} {
				if secret != "" && strings.Contains(strings.ToLower(said), strings.ToLower(secret)) {
					t.Errorf("spans or metrics hold %q", secret)
				}
			}
		})
	}
}
