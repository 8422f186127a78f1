package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/browser"
	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func TestVisitors(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	story.Tell(t, hubspot, site)
}

func TestInBrowser(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	browser.Tell(t, hubspot, site)
}
