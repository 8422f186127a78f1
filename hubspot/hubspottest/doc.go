// Package hubspottest is HubSpot on your machine, in the spirit of
// net/http/httptest: the token call of the Visitor Identification API, the chat
// widget with its loader and backend, and the inbox where the chats arrive.
// There is no account to set up and nothing leaves the machine.
//
// # Start
//
// In a test of your integration:
//
//	emulator := hubspottest.NewServer(t) // listens on a loopback port
//	// Use emulator.URL as the API's base URL and hubspottest.AccessToken as the
//	// access token, run your code, then look at what HubSpot saw:
//	calls := emulator.Calls()
//
// For a test of timing, inside testing/synctest, take [New] and the in-memory
// [Server.Client]; it reaches the emulator under every host name:
//
//	synctest.Test(t, func(t *testing.T) {
//		emulator := hubspottest.New()
//		t.Cleanup(emulator.Close)
//		client := emulator.Client() // https://api.hubapi.com is the emulator now
//	})
//
// For a page in a browser, serve [Server.Handler] and include the loader with
// [PortalID]:
//
//	<script id="hs-script-loader" async defer src="http://127.0.0.1:8081/12345678.js"></script>
//
// The chats are then at /inbox, the token calls at /calls.json.
//
// # Trouble
//
// [Server.SetAccessToken], [Server.SetScopes], [Server.SetPlan] and the limits
// make HubSpot refuse calls for its own reasons; [Server.Queue] and
// [Server.SetOutage] break calls on the way: errors, garbage, delays, cut
// connections. [Server.Advance] lets tokens expire. [Server.SetWidgetStatus] and
// [Server.SetWidgetDelay] do the same to the widget's backend.
//
// # Fidelity
//
// What is imitated:
//
//   - The token call on every documented path, dated or not, with HubSpot's
//     checks of method, credential, scope, plan and body, its error bodies (with
//     a malformed credential reported as expired in 1970), its burst and daily
//     limits and their headers. Its tokens are JWTs, good for 12 hours; each
//     call gives a new one and the older ones stay valid.
//   - The loader. Without the id hs-script-loader on the page's tag it adds a
//     second copy of itself. From a js[-region].hs-scripts.com it goes on with
//     HubSpot's real host names, so that a browser which maps those to the
//     emulator sees the real addresses; the ones under hubspot.com use https, as
//     browsers insist, and need a TLS listener. From any other host everything
//     comes from the emulator itself.
//   - The widget as the page sees it: a stub API that is replaced by the real
//     one; hsConversationsOnReady run again at each stage and never emptied, a
//     callback that throws keeping the later ones from running; an identity
//     captured by the first load and kept by refresh and remove until
//     clear({resetWidget: true}); settings of a wrong type that stop it from
//     starting; load and refresh throttled to one a second; resets that do not
//     queue, so that an old visitor's load comes back after a new one's; a body
//     swap that leaves it believing it is loaded; cookies and their domains;
//     and avoidInlineStyles for a strict Content-Security-Policy.
//   - The inbox: a contact with the badge for a visitor whose e-mail and token
//     were accepted, one thread on all of the contact's devices; otherwise an
//     Unknown Visitor, one thread for each messagesUtk cookie.
//
// What is not known of HubSpot and chosen here:
//
//   - The body of the 403 for a plan without visitor identification.
//   - The widget's backend answers 400 to a pair of e-mail and token that does
//     not fit or has expired. It compares e-mails byte for byte.
//   - Bodies are checked more strictly than HubSpot may do: no unknown fields,
//     no null, no e-mail without a dot in its domain.
//   - Calls refused for a limit, or for their credential, do not count against
//     the limits. A day is a UTC day.
//   - With loadImmediately there is no API object before the first answer of
//     the backend. Once load has been called, the stub's remove and clear work
//     too, so a load that failed can be given up.
//   - A reset during a load: the answer that comes first shows its chat, and the
//     one after it complains that the container exists.
//
// What is missing: everything else of HubSpot. No tracking code and no
// hubspotutk, no agents who answer, no bots, attachments, unread messages,
// cookie banner or asking for an e-mail; the settings for those are checked for
// their types and otherwise ignored. No CORS for the token call, as a page must
// not make it.
package hubspottest
