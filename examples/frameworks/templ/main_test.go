package main

import (
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func TestVisitors(t *testing.T) {
	hubspot := story.HubSpot(t)
	app, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)

	story.Tell(t, hubspot, server.URL)

	ada := story.Open(t, server.URL)
	ada.SignIn("ada@example.com")
	story.Expect(t, hubspot, "the streamed page", ada.Get("/stream"), "ada@example.com")
}
