package middleware_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// faults is all the trouble that HubSpot can make, but for refusing a visitor.
func faults() map[string]hubspottest.Fault {
	return map[string]hubspottest.Fault{
		"401":          hubspottest.FaultUnauthorized(),
		"403 scope":    hubspottest.FaultScope(),
		"403 plan":     hubspottest.FaultPlan(),
		"423":          {Status: 423, Body: `{"message":"The account is locked, hubspot's words"}`},
		"429 burst":    hubspottest.FaultBurstLimit(),
		"429 daily":    hubspottest.FaultDailyLimit(),
		"477":          hubspottest.FaultMigrating(24 * time.Hour),
		"500":          hubspottest.FaultServerError(),
		"502":          hubspottest.FaultUnavailable(),
		"525":          {Status: 525, Body: "error code: 525"},
		"hang":         {Hang: true},
		"reset":        {Reset: true},
		"cut short":    {Status: 200, Body: `{"token":"abcdefghijklmnop"}`, Reset: true},
		"garbage":      {Status: 200, Body: "<html><h1>Welcome to the captive portal</h1>"},
		"empty answer": {Status: 200, Header: http.Header{}},
		"empty token":  {Status: 200, Body: `{"token":""}`},
		"10 MiB":       {Oversize: 10 << 20},
		"redirect":     {Status: 302, Header: http.Header{"Location": {"https://login.hubspot.example/"}}, Body: "Found"},
		"dripping":     {Drip: time.Second},
	}
}

// Whatever HubSpot does, pages go on within the budget, visitors see nothing of
// it, and the operator reads one line that says what to do.
func TestFaults(t *testing.T) {
	tells := map[string][]string{ // what the operator's line contains, after its level
		"401":          {"ERROR", "401", "INVALID_AUTHENTICATION", "HUBSPOT_ACCESS_TOKEN", "correlation id"},
		"403 scope":    {"ERROR", "403", "MISSING_SCOPES", "conversations.visitor_identification.tokens.create", "correlation id"},
		"403 plan":     {"ERROR", "403", "Professional", "Enterprise", "correlation id"},
		"423":          {"WARN", "423"},
		"429 burst":    {"WARN", "429", "TEN_SECONDLY_ROLLING"},
		"429 daily":    {"ERROR", "429", "DAILY"},
		"477":          {"WARN", "477", "migrated"},
		"500":          {"WARN", "500"},
		"502":          {"WARN", "502"},
		"525":          {"WARN", "525"},
		"hang":         {"WARN", "deadline"},
		"reset":        {"WARN", "no answer"},
		"cut short":    {"WARN", "broke off"},
		"garbage":      {"WARN", "not JSON"},
		"empty answer": {"WARN", "not JSON"},
		"empty token":  {"WARN", "no usable token"},
		"10 MiB":       {"WARN", "longer than"},
		"redirect":     {"ERROR", "302", "HUBSPOT_API_URL"},
		"dripping":     {"WARN", "deadline"},
	}
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				a.hubspot.SetOutage(&fault)
				for i := range 20 {
					v := hubspot.Visitor{Email: fmt.Sprintf("visitor%d@example.com", i), EmailVerified: true}
					began := time.Now()
					w := serve(a.pages, navigation(v))
					if took := time.Since(began); took > 300*time.Millisecond {
						t.Errorf("the page took %v", took)
					}
					wantAnonymous(t, w)
					for _, words := range []string{"HubSpot", "cloudflare", "captive", "token used", "migrated", "limit", "scope", "is locked", "login.", v.Email} {
						// The script names HubSpot's objects and cookies, so it is left out.
						if page := strings.ReplaceAll(w.Body.String(), "HubSpotConversations", ""); strings.Contains(page, words) {
							t.Errorf("%q is in the page", words)
						}
					}
				}
				time.Sleep(11 * time.Second) // for the calls under way
				lines := a.log.at("WARN", "ERROR")
				if len(lines) == 2 && strings.Contains(lines[0], "WARN") && strings.Contains(lines[1], "ERROR") {
					lines = lines[1:] // first it may have been the one visitor
				}
				if len(lines) != 1 {
					t.Fatalf("%d lines for the operator: %q", len(lines), lines)
				}
				for _, part := range tells[name] {
					if !strings.Contains(lines[0], part) {
						t.Errorf("%q is not in %s", part, lines[0])
					}
				}
				if strings.Contains(a.log.String(), "@example.com") || strings.Contains(a.log.String(), hubspottest.AccessToken.Reveal()) {
					t.Errorf("an address or the credential is in the log: %s", a.log)
				}
			})
		})
	}
}

// When HubSpot is back, so are the identities, without anybody's doing.
func TestRecovery(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				a.hubspot.SetOutage(&fault)
				for i := range 10 {
					serve(a.pages, navigation(hubspot.Visitor{Email: fmt.Sprintf("v%d@example.com", i), EmailVerified: true}))
				}
				time.Sleep(10 * time.Second)
				a.hubspot.SetOutage(nil)
				time.Sleep(6 * time.Minute)     // the longest that anything is remembered of an account
				serve(a.pages, navigation(ada)) // perhaps the trial
				wantIdentified(t, a, serve(a.pages, navigation(ada)), ada)
			})
		})
	}
}

// Nothing about a visitor reaches anybody else: not the log, not the errors, not
// another visitor's page.
func TestNobodyElseLearnsOfAVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		var visitors []hubspot.Visitor
		for _, name := range []string{"adalind", "berenike", "cleopatra", "dorothea"} {
			visitors = append(visitors, hubspot.Visitor{Email: name + "@example.com", FirstName: "F" + name, LastName: "L" + name, EmailVerified: true})
		}
		// HubSpot refuses this one and says so in its words.
		visitors = append(visitors, hubspot.Visitor{Email: "euphemia@nodot", FirstName: "Feuphemia", EmailVerified: true})
		var errs []string
		pages := map[string][]*httptest.ResponseRecorder{}
		visit := func() {
			for _, v := range visitors {
				pages[v.Email] = append(pages[v.Email], serve(a.pages, navigation(v)), serve(a.TokenHandler(), ask(v)))
				_, err := a.tokens.Token(t.Context(), v)
				errs = append(errs, fmt.Sprintf("%v %+v %#v", err, err, err))
			}
			pages[""] = append(pages[""], serve(a.pages, navigation()), serve(a.TokenHandler(), ask()))
		}
		visit()
		all := faults()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			fault := all[name]
			for _, v := range visitors {
				a.tokens.Invalidate(t.Context(), v)
			}
			a.hubspot.SetOutage(&fault)
			visit()
			a.hubspot.SetOutage(nil)
			time.Sleep(time.Hour)
			visit() // perhaps the trial
			visit()
		}
		private := map[string]string{hubspottest.AccessToken.Reveal(): "the operator"}
		for _, v := range visitors {
			for _, s := range []string{v.Email, v.FirstName, v.LastName, strings.Split(v.Email, "@")[0]} {
				if s != "" {
					private[s] = v.Email
				}
			}
		}
		tokens := 0
		for _, call := range a.hubspot.Calls() {
			if call.Token != "" {
				private[call.Token] = call.Email
				tokens++
			}
		}
		if tokens < 50 || len(a.log.at("WARN")) == 0 || len(a.log.at("ERROR")) == 0 {
			t.Fatalf("%d tokens: the test has nothing to look for, or nowhere", tokens)
		}
		for secret, owner := range private {
			if strings.Contains(a.log.String(), secret) {
				t.Errorf("%q is in the log", secret)
			}
			if strings.Contains(strings.Join(errs, "\n"), secret) {
				t.Errorf("%q is in an error", secret)
			}
			for email, ws := range pages {
				for _, w := range ws {
					if email != owner && strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), secret) {
						t.Errorf("%q of %s reached %q", secret, owner, email)
					}
				}
			}
		}
	})
}
