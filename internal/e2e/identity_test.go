package e2e_test

import (
	"testing"
)

// TestUnknownThenIdentified is HubSpot's own way to verify an integration.
func TestUnknownThenIdentified(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	public := newWindow(t)
	public.open(s.url + "/")
	public.converged(s, "")
	public.say("hello from a stranger")
	s.wantContacts("?: hello from a stranger")

	private := newWindow(t)
	private.open(s.url + "/login?as=" + first)
	private.converged(s, first)
	private.say("hello from the first")
	s.wantContacts("?: hello from a stranger", "first@example.com*: hello from the first")

	private.open(s.url + "/logout")
	private.converged(s, "")
	private.open(s.url + "/login?as=" + second)
	private.converged(s, second)
	private.say("hello from the second")
	s.wantContacts("?: hello from a stranger", "first@example.com*: hello from the first", "second@example.com*: hello from the second")
	public.noExceptions()
	private.noExceptions()
}
