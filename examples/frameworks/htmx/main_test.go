package main

import (
	"errors"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/browser"
	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/npm"
	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func start(t *testing.T) (*hubspottest.Server, string) {
	t.Helper()
	hubspot := story.HubSpot(t)
	app, err := newApp()
	if errors.Is(err, npm.ErrMissing) {
		story.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return hubspot, server.URL
}

func TestVisitors(t *testing.T) {
	hubspot, site := start(t)
	story.Tell(t, hubspot, site)
}

func TestInBrowser(t *testing.T) {
	hubspot, site := start(t)
	browser.Tell(t, hubspot, site)
}
