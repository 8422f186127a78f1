package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestPageIdentifiesTheVisitor(t *testing.T) {
	emulator := hubspottest.NewServer(t)
	t.Setenv("HUBSPOT_ACCESS_TOKEN", hubspottest.AccessToken.Reveal())
	t.Setenv("HUBSPOT_PORTAL_ID", hubspottest.PortalID)
	t.Setenv("HUBSPOT_API_URL", emulator.URL)
	t.Setenv("HUBSPOT_LOADER_URL", "") // HubSpot's own, whatever the shell has
	// Tests are no race against the clock.
	t.Setenv("HUBSPOT_RENDER_BUDGET", "1m")

	app, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))

	calls := emulator.Calls()
	if len(calls) != 1 || calls[0].Email != "ada@example.com" {
		t.Fatalf("token calls: %+v, want one for ada@example.com", calls)
	}
	for _, want := range []string{
		"Hello, Ada",
		`"identificationEmail":"ada@example.com"`,
		`"identificationToken":"` + calls[0].Token + `"`,
		`src="//js.hs-scripts.com/12345678.js"`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %s:\n%s", want, w.Body)
		}
	}
}

func TestMissingConfiguration(t *testing.T) {
	t.Setenv("HUBSPOT_ACCESS_TOKEN", "")
	t.Setenv("HUBSPOT_PORTAL_ID", "")
	_, err := newApp()
	if err == nil {
		t.Fatal("no error without configuration")
	}
	for _, want := range []string{"HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PORTAL_ID"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

// The README's program is this one, so that it compiles.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("the program in README.md is not main.go")
	}
	if lines := bytes.Count(readme, []byte("\n")); lines > 280 {
		t.Errorf("README.md has %d lines; whoever decides within five minutes reads 280 at most", lines)
	}
}
