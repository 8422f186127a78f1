// Package faults names the trouble that the emulator can play, as a user types
// it: hubspot-emulator plays it, and hubspot-check has a word for each.
package faults

import (
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// Fault is one kind of trouble with HubSpot's token call.
type Fault struct {
	Name string // as typed after -fault
	Text string // what a user sees of it
	hubspottest.Fault
}

// All are the faults, in the order in which they are shown.
func All() []Fault {
	return []Fault{
		{"401", "401: the access token is not accepted", hubspottest.FaultUnauthorized()},
		{"403-scope", "403: the access token lacks the scope", hubspottest.FaultScope()},
		{"403-plan", "403: the account's plan has no visitor identification", hubspottest.FaultPlan()},
		{"400", "400: the visitor is not accepted", hubspottest.Fault{
			Status: 400, Body: `{"status":"error","message":"Invalid input","category":"VALIDATION_ERROR"}`,
		}},
		{"429", "429: too many calls in ten seconds", hubspottest.FaultBurstLimit()},
		{"429-daily", "429: the calls of the day are used up", hubspottest.FaultDailyLimit()},
		{"477", "477: the account is being moved to another data centre", hubspottest.FaultMigrating(time.Hour)},
		{"488", "488: the account lives in another data centre", hubspottest.FaultOtherDataCenter("eu1")},
		{"500", "500: HubSpot is in trouble", hubspottest.FaultServerError()},
		{"502", "502: HubSpot's edge cannot reach HubSpot", hubspottest.FaultUnavailable()},
		{"hang", "no answer at all", hubspottest.Fault{Hang: true}},
		{"drip", "an answer that comes byte by byte", hubspottest.Fault{Drip: 100 * time.Millisecond}},
		{"reset", "the connection is cut", hubspottest.Fault{Reset: true}},
		{"cut", "the answer is cut in half", hubspottest.Fault{Body: `{"token":"` + strings.Repeat("x", 200) + `"}`, Reset: true}},
		{"garbage", "a web page instead of an answer", hubspottest.Fault{Body: "<html><body>Welcome to the Wi-Fi of Hotel Bellevue</body></html>"}},
		{"no-token", "an answer without a token that can be used", hubspottest.Fault{Body: `{"token":"not for an address"}`}},
		{"oversize", "an answer of a megabyte", hubspottest.Fault{Oversize: 1 << 20}},
	}
}

// Find is the fault of that name.
func Find(name string) (Fault, bool) {
	for _, f := range All() {
		if f.Name == name {
			return f, true
		}
	}
	return Fault{}, false
}

// Names are the names of all faults.
func Names() (names []string) {
	for _, f := range All() {
		names = append(names, f.Name)
	}
	return names
}
