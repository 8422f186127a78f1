// Package hubspottest emulates HubSpot on your machine, in the spirit of
// net/http/httptest: the token call of the Visitor Identification API, the chat
// widget with its loader and backend, and the inbox where the chats arrive. It
// needs no account, and nothing leaves the machine.
//
// # Start
//
// In a test of your integration:
//
//	emulator := hubspottest.NewServer(t) // listens on a loopback port
//	for _, line := range hubspottest.Env(emulator.URL) {
//		name, value, _ := strings.Cut(line, "=")
//		t.Setenv(name, value)
//	}
//	t.Setenv("HUBSPOT_RENDER_BUDGET", "1m") // pages wait: no race against the clock
//	// Run your code, then look at what HubSpot saw:
//	calls := emulator.Calls()
//
// To test timing inside testing/synctest, use [New] and the in-memory
// [Server.Client], which reaches the emulator under every host name:
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
// The chats are then at /inbox, and the token calls at /calls.json.
//
// For a running application in any language there is the command
// hubspot/cmd/hubspot-emulator, which prints what [Env] returns.
//
// # Trouble
//
// [Server.SetAccessToken], [Server.SetScopes], [Server.SetPlan] and the limits
// make HubSpot refuse calls. [Server.Queue] and [Server.SetOutage] make calls
// fail in other ways: errors, garbage, delays, cut connections. [Server.Advance]
// lets tokens expire.
//
// [Server.SetWidget] does the same to the widget's backend, depending on the
// page, the visitor or the number of the question. [Server.SetWidgetStatus] and
// [Server.SetWidgetDelay] are shortcuts that apply to every question, and
// [Server.SetWidgetRelease] chooses which release of HubSpot's widget is
// imitated. To look at a page in trouble without a test, for example in the
// demo, add one of these to the page's query:
//
//	?hubspot-status=204          the backend's answer
//	?hubspot-hide                an answer without a chat
//	?hubspot-delay=3s            a delay before the answer
//	?hubspot-display-after=5s    the chatflow shows its chat that much later
//	?hubspot-frame-delay=2s      a delay before the chat's iframe gets its document
//	?hubspot-release=2024-12     or 2025-06, or 2026-05
//
// [Server.WidgetLoads] returns which visitors the backend was asked about, and
// [Server.WidgetMessages] which visitors the page told the chat in each iframe
// about.
//
// # Fidelity
//
// Of the API the emulator imitates the token call on every documented path,
// dated or not, with HubSpot's checks of method, credential, scope, plan and
// body, its error bodies (a malformed credential is reported as expired in
// 1970), and its burst and daily limits with their headers. Its tokens are JWTs
// and valid for 12 hours; each call returns a new one, and older ones stay valid.
//
// Of the widget it imitates what HubSpot's own code does in three releases. A
// table of facts, which HubSpot's code passes too, is tested against it:
//
//   - The loader inserts its scripts before the document's first script, wherever
//     that is. If the page's tag lacks the id hs-script-loader, it adds a second
//     copy of itself. Loaded from js[-region].hs-scripts.com, it goes on with
//     HubSpot's real host names, so that a browser that maps those to the
//     emulator sees the real addresses; the ones under hubspot.com use https, as
//     browsers insist, and need a TLS listener. Loaded from any other host, it
//     gets everything from the emulator itself.
//   - The start: with loadImmediately false there is a stub API first; load
//     replaces it by the real one, which is another object. Of the stub only on,
//     off, load and status work. Its load ignores its options, runs the ready
//     callbacks before it returns, and loads after that; in the two older
//     releases its status has no pending. Settings are read at each use; a wrong
//     type stops the code that reads it. Frozen settings work.
//   - hsConversationsOnReady runs for the stub, for the real API and again after
//     each reset, and is never emptied. It is ignored unless it is an array. In
//     all three releases, a callback that throws does not keep others from
//     running.
//   - The visitor is captured by the first load and kept by refresh, remove and
//     load, until clear({resetWidget: true}) or resetAndReloadWidget. In the
//     newest release refresh({setIdentification: true}) captures it anew.
//   - Throttling: load and refresh each run at most once a second; the last of
//     further calls within that second runs at its end.
//   - The event hubspot:messages:initialized on window, with its property
//     messageWillRender, fires before a chat with a display delay appears and
//     after any other does.
//   - What gets stuck: pending stays set after 204, 404, a failure, a container
//     removed while its iframe loads, an inlineEmbedSelector that matches
//     nothing, and a container that exists already. Only remove or a reset helps.
//     An answer without a chat (hide) does not get stuck.
//   - Old shells: after a reset the previous shell keeps its throttled refresh,
//     which loads; its requests under way, whose answers go into whatever iframe
//     is there; the timer of a display delay, which inserts its container; and
//     its queue of messages, which goes with the next resize into the present
//     iframe, including e-mail and token. Resets do not queue. Every call of an
//     API method, even status, sends a message and with it the queue, even if the
//     document in the iframe does not listen yet.
//   - The container is found by its id, removed by any shell that is asked to,
//     and lost when the body is swapped, while the widget believes that it is
//     loaded; beside the body it survives everything. Inline embeds have a
//     container of their own.
//   - A refresh that is answered 204, 404 or by a failure leaves the chat in
//     place. A reset throws if the loader's tag is not in the document. If the
//     script runs twice, it puts a stub over the real API.
//   - Cookies and their domains; messagesUtk is set only when the chat in the
//     iframe asks for it, which it does for anonymous visitors.
//   - The requests: addresses, headers and encoding (the e-mail is encoded, the
//     token is not); the backend's answers have HubSpot's form and are readable
//     across origins, so that a page's performance timeline shows their status.
//   - avoidInlineStyles for a strict Content-Security-Policy.
//   - The inbox: a contact with the badge for a visitor whose e-mail and token
//     were accepted, with one thread on all of the contact's devices; otherwise
//     an Unknown Visitor, with one thread for each messagesUtk. The chat shows
//     the thread of the visitor that the page told it about last.
//
// Where HubSpot's behaviour is not known, the emulator makes these choices:
//
//   - The body of the 403 for a plan without visitor identification is made up.
//   - The widget's backend answers 400 to a pair of e-mail and token that does
//     not match or has expired. It compares e-mails byte for byte.
//   - Bodies are checked perhaps more strictly than by HubSpot: no unknown
//     fields, no null, no e-mail without a dot in its domain.
//   - hsCustomerAgentContext is accepted on every path, although only HubSpot's
//     specifications of v3 and 2026-03 have it.
//   - Every host name counts as one of the account's data centre, so that 477 and
//     488 occur only as faults.
//   - Calls refused because of a limit or their credential do not count against
//     the limits. A day is a UTC day.
//   - On an IP address or a name without a dot, where browsers refuse the Domain
//     of HubSpot's cookies, the widget sets them for the host alone, so that a
//     demo on this machine recognizes its visitors.
//   - The document in the iframe is the emulator's own, except for the messages
//     that it exchanges with the page.
//
// Everything else of HubSpot is missing. There is no tracking code and no
// hubspotutk; there are no agents who answer, no bots, attachments, unread
// messages, cookie banner, #hs-chat-open or request for an e-mail; time is a
// chatflow's only trigger. The settings for these are checked for their types and
// otherwise ignored. The token call has no CORS headers, since a page must not
// make it.
package hubspottest
