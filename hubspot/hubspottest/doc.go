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
//	for _, line := range hubspottest.Env(emulator.URL) {
//		name, value, _ := strings.Cut(line, "=")
//		t.Setenv(name, value)
//	}
//	t.Setenv("HUBSPOT_RENDER_BUDGET", "1m") // pages wait: a test is no race
//	// Run your code, then look at what HubSpot saw:
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
// For an application that runs, in any language, there is the command
// hubspot/cmd/hubspot-emulator; [Env] is what it prints.
//
// # Trouble
//
// [Server.SetAccessToken], [Server.SetScopes], [Server.SetPlan] and the limits
// make HubSpot refuse calls for its own reasons; [Server.Queue] and
// [Server.SetOutage] break calls on the way: errors, garbage, delays, cut
// connections. [Server.Advance] lets tokens expire.
//
// [Server.SetWidget] does the same to the widget's backend, by page, visitor or
// number of the question; [Server.SetWidgetStatus] and [Server.SetWidgetDelay]
// are its short forms for every question, and [Server.SetWidgetRelease] chooses
// which of HubSpot's releases the widget imitates. To look at a page in trouble
// without a test, as with the demo, write it into the page's query:
//
//	?hubspot-status=204          the backend's answer
//	?hubspot-hide                its answer without a chat
//	?hubspot-delay=3s            before it
//	?hubspot-display-after=5s    the chatflow shows its chat that much later
//	?hubspot-frame-delay=2s      before the chat's iframe gets its document
//	?hubspot-release=2024-12     or 2025-06, or 2026-05
//
// [Server.WidgetLoads] tells whom the backend was asked for,
// [Server.WidgetMessages] which visitors the page told the chat in which iframe
// about.
//
// # Fidelity
//
// What is imitated of the API: the token call on every documented path, dated or
// not, with HubSpot's checks of method, credential, scope, plan and body, its
// error bodies (with a malformed credential reported as expired in 1970), its
// burst and daily limits and their headers. Its tokens are JWTs, good for 12
// hours; each call gives a new one and the older ones stay valid.
//
// What is imitated of the widget, as seen by running HubSpot's own code of three
// releases; one table of facts, which HubSpot's code passes too, is run against
// the emulated one:
//
//   - The loader: inserts its scripts before the document's first one, wherever
//     that is. Without the id hs-script-loader on the page's tag it adds a second
//     copy of itself. From a js[-region].hs-scripts.com it goes on with HubSpot's
//     real host names, so that a browser which maps those to the emulator sees
//     the real addresses; the ones under hubspot.com use https, as browsers
//     insist, and need a TLS listener. From any other host everything comes from
//     the emulator itself.
//   - The start: a stub API first with loadImmediately false, the real one from
//     load on, another object. Of the stub only on, off, load and status work;
//     its load ignores its options, runs the ready callbacks inside itself and
//     loads after that; in the two older releases its status has no pending.
//     Settings are read at each use, a wrong type stops whatever reads it, and
//     frozen ones do.
//   - hsConversationsOnReady: run for the stub, for the real API and again after
//     each reset, never emptied; ignored unless it is an array; a callback that
//     throws keeps no other from running, in all three releases.
//   - The visitor: captured when load is called first, kept by refresh, remove
//     and load, until clear({resetWidget: true}) or resetAndReloadWidget. In the
//     newest release refresh({setIdentification: true}) captures anew.
//   - Throttling: load and refresh run at most once a second, each on its own
//     account, with the last call of a second at its end.
//   - The event hubspot:messages:initialized on window, its property
//     messageWillRender, before a chat with a display delay and after any other.
//   - What gets stuck: pending stays set after 204, 404, a failure, a container
//     taken out while its iframe loads, an inlineEmbedSelector that matches
//     nothing, and a container that exists already. Only remove or a reset frees.
//     An answer without a chat (hide) is not stuck.
//   - Old shells: after a reset the former one keeps its throttled refresh, which
//     loads; its requests under way, answered into whatever iframe is there; the
//     timer of a display delay, which puts its container in; and its queue of
//     messages, which goes with the next resize into the present iframe, e-mail
//     and token included. Resets do not queue. Every call of an API method,
//     status included, sends a message and with it the queue, also when the
//     document in the iframe does not listen yet.
//   - The container: found by its id, removed by whoever is asked to, lost with a
//     swapped body while the widget believes it is loaded; beside the body it
//     survives everything. Inline embeds have a container of their own.
//   - A refresh that is answered 204, 404 or by a failure leaves the chat
//     standing. A reset throws where the loader's tag is not in the document. The
//     script run twice puts a stub over the real API.
//   - Cookies and their domains; messagesUtk only when the chat in the iframe
//     asks for it, which it does for anonymous visitors.
//   - The requests: addresses, headers and encoding, the e-mail encoded and the
//     token not; the backend's answers in HubSpot's form, readable across origins,
//     so that a page's performance timeline shows their status.
//   - avoidInlineStyles for a strict Content-Security-Policy.
//   - The inbox: a contact with the badge for a visitor whose e-mail and token
//     were accepted, one thread on all of the contact's devices; otherwise an
//     Unknown Visitor, one thread for each messagesUtk. The chat shows the
//     thread of whomever the page told it about last.
//
// What is not known of HubSpot and chosen here:
//
//   - The body of the 403 for a plan without visitor identification.
//   - The widget's backend answers 400 to a pair of e-mail and token that does
//     not fit or has expired. It compares e-mails byte for byte.
//   - Bodies are checked more strictly than HubSpot may do: no unknown fields,
//     no null, no e-mail without a dot in its domain.
//   - hsCustomerAgentContext is taken on every path; of HubSpot's specifications
//     only those of v3 and 2026-03 have it.
//   - Every host name is taken for one of the account's data centre, so that 477
//     and 488 come as faults only.
//   - Calls refused for a limit, or for their credential, do not count against
//     the limits. A day is a UTC day.
//   - On an IP address or a name without a dot, where browsers refuse HubSpot's
//     cookies for their Domain, the widget sets them for the host alone, so that
//     a demo on this machine knows its visitors.
//   - The document in the iframe, all but the messages it exchanges with the
//     page: what it shows and where it reads that.
//
// What is missing: everything else of HubSpot. No tracking code and no
// hubspotutk, no agents who answer, no bots, attachments, unread messages,
// cookie banner, #hs-chat-open or asking for an e-mail, no other triggers of a
// chatflow than the time; the settings for those are checked for their types and
// otherwise ignored. No CORS for the token call, as a page must not make it.
package hubspottest
