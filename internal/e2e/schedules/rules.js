// What must be true whatever happens. The first rule that is broken ends a schedule.
//
//   exception   nothing is thrown to the window
//   asked       HubSpot is never asked for another visitor than the marker's
//   shown       nobody else's chat is seen, from the moment the page could know
//   told        a chat is never told about another visitor
//   needless    one question for the same visitor and page
//   end         in the end there is the right chat, once, and quiet
//
// The marker cookie is the truth, with two exceptions: on a page that identifies
// nobody (the claim "-"), and when the application's authentication has answered
// that nobody is signed in, the truth is nobody.
//
// A change of the truth that no event tells, such as a sign-in in another tab,
// cannot be known before something happens in this one. Until then, what the page
// showed and asked before may go on.

const NOBODY = "nobody";
const CONTAINER = "#hubspot-messages-iframe-container";

// THROTTLE is within what time HubSpot makes up for a load or refresh that came too
// early. Such a question cannot be called back; its answer must not be seen.
const THROTTLE = 1100;

// PATIENCE is how long the script waits for the page that follows a change.
const PATIENCE = 2000;

export class Rules {
  broken = null;
  #aware = true;         // the page could know the truth
  #changedAt = 0;
  #before = new Set();   // visitors whom HubSpot was asked for before the truth changed
  #page = { claim: "", holds: false }; // holds: with the identity of the marker's visitor, since it came
  #refused = null;       // the marker with which the application answered "nobody"
  #requests = [];        // of this document
  #iframes = new Map();  // of this document: {visitor, loaded, asked}
  #excuse = -Infinity;   // when the application last called HubSpot or took the chat out
  #ownCall = -Infinity;
  #expected = null;      // the page that a sign-in or sign-out leads to: {visitor, at}
  #refreshed = false;    // the application wants to know who is signed in
  #demanded = false;     // the document wants the chat: until then nothing is asked
  #uncertain;            // the endpoint is not to be relied on in this schedule

  constructor(world) {
    this.world = world;
    const endpoints = [world.schedule.start?.endpoint, ...world.schedule.events.filter((e) => e.do === "endpoint").map((e) => e.as)];
    this.#uncertain = endpoints.some((as) => as !== undefined && as !== "ok" && as !== "slow");
  }

  breaks(rule, detail) {
    if (this.broken) return;
    this.broken = { rule, detail, at: this.world.clock.now };
    this.world.note("X", rule + ":", detail);
  }

  get truth() {
    if (this.#page.claim === "-" || this.#refused === this.world.marked) return NOBODY;
    return this.world.marked;
  }

  get aware() { return this.#aware; }

  // ---- what the world tells ---------------------------------------------------------

  truthChanged() {
    this.#aware = false;
    this.#changedAt = this.world.clock.now;
    this.#refused = null;
    this.#page.holds = false;
    this.#before = new Set(this.#requests.map((r) => r.visitor));
  }

  noticed(by) {
    if (!this.#aware) this.world.note("=", "the page could know that it is", this.truth, "by", by);
    this.#aware = true;
  }

  pageArrived(claim, part) {
    this.disturbed();
    const before = this.truth;
    this.#page = { claim, holds: part === this.world.marked };
    if (claim !== "?") this.#demanded = true;
    if (this.world.config.markers[this.world.marked] === claim) this.#refused = null;
    const { holds } = this.#page;
    if (this.truth !== before) this.truthChanged();
    this.#page.holds = holds;
  }

  endpointAnswered(visitor, brought) {
    // Without a marker of its own: the application's authentication.
    if (visitor === NOBODY && this.world.marked === brought && brought !== NOBODY) {
      this.truthChanged();
      this.#refused = brought;
    }
    // Signed in again, as the marker said all along.
    if (visitor !== NOBODY && this.#refused === this.world.marked) this.truthChanged();
    this.noticed("endpoint");
  }

  demanded() { this.#demanded = true; }

  // askedEndpoint: a page whose chat nobody wants costs the application nothing.
  askedEndpoint() {
    if (!this.#demanded && !this.#refreshed) this.breaks("needless", "the endpoint was asked before the chat was wanted");
  }

  refreshed() { this.#refreshed = true; }

  documentOpened() {
    this.#demanded = this.#page.claim !== "?";
    this.#refreshed = false;
    this.#requests = [];
    this.#before = new Set();
    this.#iframes = new Map();
  }

  ownCall() { this.#excuse = this.#ownCall = this.world.clock.now; }

  takenOut() { this.#excuse = this.world.clock.now; }

  asked(request) {
    const { now } = this.world.clock, { visitor } = request;
    const goesOn = this.#before.has(visitor) && (!this.#aware || now - this.#changedAt <= THROTTLE || now - this.#ownCall <= THROTTLE);
    if (visitor !== NOBODY && visitor !== this.truth && !goesOn) this.breaks("asked", `for ${visitor}, and it is ${this.truth}`);
    const last = this.#requests.at(-1);
    // Where a load fails, HubSpot's sample beside the script loads once more.
    const alone = this.#excuse < last?.at - THROTTLE && !(this.world.start.sample && this.#requests.some((r) => r.status !== 200));
    const needless = alone && last.visitor === visitor && last.url === request.url && (last.status === 200 || !last.answered);
    if (needless) this.breaks("needless", `asked again for ${visitor} on ${request.url}`);
    // Without the endpoint's word the page may have held the visitor for nobody before.
    const hasty = this.#expected && !(this.#uncertain && visitor === NOBODY) && this.#expected.visitor === visitor && now - this.#expected.at < PATIENCE &&
      last && last.url === request.url && last.visitor !== visitor;
    if (hasty) this.breaks("needless", `asked for ${visitor} on the page that is left`);
    this.#requests.push(request);
  }

  iframeAsked(iframe, visitor) {
    if (this.#iframes.has(iframe)) this.breaks("needless", "the iframe was moved and loads again");
    this.#iframes.set(iframe, { visitor, loaded: false });
  }

  iframeLoaded(iframe) {
    this.#iframes.get(iframe).loaded = true;
  }

  visitorOf(iframe) { return this.#iframes.get(iframe)?.visitor; }

  iframeTold(iframe, visitor, type) {
    const owner = this.visitorOf(iframe);
    if (owner !== undefined && visitor !== owner) this.breaks("told", `the chat of ${owner} about ${visitor} (${type})`);
  }

  // pageExpected: the answer to a sign-in or sign-out is here, and its page on its way.
  // Whoever asks HubSpot now asks again when that page is there.
  pageExpected(visitor) { this.#expected = { visitor, at: this.world.clock.now }; }

  // disturbed: something else happened since.
  disturbed() { this.#expected = null; }

  // ---- judging ------------------------------------------------------------------------

  #chats() {
    return [...this.world.tab.document.querySelectorAll(CONTAINER)].map((container) => {
      const iframe = container.querySelector("iframe");
      return {
        visible: this.world.tab.window.getComputedStyle(container).display !== "none",
        ...this.#iframes.get(iframe),
      };
    });
  }

  // judge is called after each task.
  judge() {
    if (!this.#aware) return;
    for (const { visible, visitor } of this.#chats()) {
      if (visible && visitor !== this.truth && visitor !== NOBODY) this.breaks("shown", `the chat of ${visitor}, and it is ${this.truth}`);
    }
  }

  // judgeEnd is called when all is quiet, with how much happened in the last ten seconds.
  judgeEnd(busy) {
    if (this.broken) return;
    const { tab, start, reloads } = this.world, { truth } = this;
    const allowed = [truth];
    const certain = !this.#uncertain || this.#page.holds;
    if (!certain) allowed.push(NOBODY);
    const chats = this.#chats(), visible = chats.filter((chat) => chat.visible), last = this.#requests.at(-1);
    const seen = chats.map((c) => `${c.visible ? "" : "hidden "}${c.loaded ? "" : "unloaded "}${c.visitor}`).join(" and ") || "none";

    if (busy > 10) this.breaks("end", `${busy} tasks in ten quiet seconds`);
    else if (tab.pendingTimers() > 5) this.breaks("end", `${tab.pendingTimers()} timers`);
    else if (reloads > 10) this.breaks("end", `${reloads} reloads`);
    else if (!this.#aware) return; // it has changed once more, and nothing told the page
    else if (start.loader === "blocked") {
      if (chats.length > 0) this.breaks("end", `chats without HubSpot: ${seen}`);
    } else if (!this.#demanded) {
      // HubSpot's sample and the application may load by themselves, anonymously.
      if (chats.some((chat) => chat.visitor !== NOBODY)) this.breaks("end", `a chat that nobody wanted: ${seen}`);
    } else if (!last) this.breaks("end", "HubSpot was never asked");
    // A shell that has no chat is got rid of by one reload, no more.
    else if (!allowed.includes(last.visitor) && !(last.status !== 200 && reloads > 0)) this.breaks("end", `HubSpot was last asked for ${last.visitor}, and it is ${truth}`);
    else if (last.url !== tab.url.pathname) this.breaks("end", `HubSpot was last told of ${last.url}, and it is ${tab.url.pathname}`);
    else if (chats.length > 1) this.breaks("end", `chats: ${seen}`);
    else if (last.status === 200 && !last.answered) return; // HubSpot takes its time
    else if (last.status === 200) {
      const [chat] = visible;
      if (!chat || !chat.loaded || !allowed.includes(chat.visitor)) this.breaks("end", `chat: ${seen}, and it is ${truth}`);
      else this.#judgeStatus("ready", chat.visitor !== NOBODY);
    } else if (last.status === "hide" || last.status === 204 || last.status === 404) {
      // Unless an earlier question was answered later.
      const overtaken = this.#requests.some((r) => r !== last && r.answered > last.at);
      if (visible.length > 0 && !overtaken) this.breaks("end", `chat: ${seen}, and there shall be none on ${last.url}`);
      if (visible.length === 0 && !overtaken) this.#judgeStatus("none", false);
    }
  }

  // #judgeStatus: what the page's scripts are told.
  #judgeStatus(state, identified) {
    const { status } = this.world.tab.window.hubspotVisitor;
    if (status.state !== state || status.identified !== identified) this.breaks("status", `${JSON.stringify(status)}, and it is ${state}`);
  }
}
