package main

import (
	"fmt"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/browser"
	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

func TestInBrowser(t *testing.T) {
	hubspot, site := story.Start(t, newApp)
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
