package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func TestVisitors(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
	story.Tell(t, hubspot, site)

	ada := story.Open(t, site)
	ada.SignIn("ada@example.com")
	missing := ada.Get("/missing")
	story.Expect(t, hubspot, "the page that says 404", missing, "ada@example.com")
	if missing.Status != 404 {
		t.Errorf("status %d, want 404", missing.Status)
	}
}
