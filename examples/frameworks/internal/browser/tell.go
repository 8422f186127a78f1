package browser

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// Tell is the story for pages that a script changes within one document: two people
// one after the other, the page before by Back, and chats that stay open. The site
// has a link to /help, a form with the field email, and a button that says Sign out.
// In the end the second one is signed in, and has an open chat in the tab.
func Tell(t *testing.T, hubspot *hubspottest.Server, site string) *Tab {
	t.Helper()
	tab := Open(t, hubspot, site)
	Eval[any](tab, "window.first = true")
	tab.Chat("")

	tab.SignIn("ada@example.com")
	tab.Chat("ada@example.com")
	tab.Type("Hello, I am Ada")
	tab.Leave(`document.querySelector("a[href='/help']").click()`)
	tab.Chat("ada@example.com")
	tab.Send("Hello, I am Ada")

	tab.SignOut()
	tab.Chat("")
	tab.SignIn("grace@example.com")
	tab.Chat("grace@example.com")
	tab.Type("And I am Grace")
	tab.Leave(`history.back()`)
	tab.Chat("grace@example.com")
	tab.Send("And I am Grace")
	tab.Chat("grace@example.com") // still

	if !Eval[bool](tab, "window.first === true") {
		t.Error("a page came in a new document: nothing was swapped")
	}
	var asked, inbox []string
	for _, load := range hubspot.WidgetLoads() {
		asked = append(asked, load.Email)
	}
	if diff := cmp.Diff([]string{"", "ada@example.com", "", "grace@example.com"}, slices.Compact(asked)); diff != "" {
		t.Errorf("whom the widget asked for, one after the other (-want +got):\n%s", diff)
	}
	for _, chat := range hubspot.Inbox() {
		inbox = append(inbox, fmt.Sprintf("%s %t %q", chat.Contact, chat.Identified, chat.Messages))
	}
	slices.Sort(inbox)
	if diff := cmp.Diff([]string{`ada@example.com true ["Hello, I am Ada"]`, `grace@example.com true ["And I am Grace"]`}, inbox); diff != "" {
		t.Errorf("the inbox (-want +got):\n%s", diff)
	}
	if n := len(hubspot.Calls()); n != 2 {
		t.Errorf("%d calls to HubSpot's API for two people", n)
	}
	return tab
}
