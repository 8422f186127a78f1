package main

import (
	"errors"
	"fmt"
	"net/http"
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

func TestInBrowser(t *testing.T) {
	hubspot, site := start(t)
	tab := browser.Tell(t, hubspot, site)

	// The button follows the chat's status, and opens the chat.
	button := func(text string) {
		t.Helper()
		tab.Until(fmt.Sprintf(`document.querySelector("#ask").textContent == %q`, text))
	}
	button("Ask us: we know you")
	tab.SignOut()
	button("Ask us")
	tab.Chat("")
	tab.Click("#ask")
	tab.Until(`document.querySelector(".hs-messages-widget-open")`)
	hubspot.SetWidgetStatus(http.StatusNoContent) // there is no chat for this page
	browser.Eval[any](tab, `setTimeout(() => location.reload())`)
	tab.Until(`document.querySelector("a[href^=mailto]")`)
}
