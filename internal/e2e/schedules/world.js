// The world around a tab in one schedule: the application with its sessions and
// pages, HubSpot's servers, the people who use both, and what goes wrong. It does
// what the schedule says and writes down what is to be judged, for rules.js.
//
// A visitor is "A", "B" or "nobody".

import { Clock } from "./clock.js";
import { Rules } from "./rules.js";
import { Tab } from "./tab.js";

const NOBODY = "nobody";
const CONTAINER = "#hubspot-messages-iframe-container";

// QUIET is how long the page is left alone after the last event, before and after
// somebody looks at it once more.
const QUIET = [60000, 60000];

// ANSWER_WITHIN is how long the script waits for the endpoint.
const ANSWER_WITHIN = 5000;

export const ENDPOINT = {
  ok: { after: 80 }, slow: { after: 3000 }, late: { after: 7000 }, dead: { after: Infinity },
  400: { after: 40, status: 400 }, 403: { after: 40, status: 403 }, 404: { after: 40, status: 404 }, 503: { after: 40, status: 503 },
  // The application's own authentication answers, before the endpoint can.
  401: { after: 40, nobody: 401 },
  cut: { after: 500, status: 0 },
};

// SAMPLE is what HubSpot's documentation tells pages to do, beside our page part.
const SAMPLE = `{
  const ready = () => window.HubSpotConversations.widget.load();
  if (window.HubSpotConversations) ready();
  else window.hsConversationsOnReady = [ready];
}`;

export const BACKEND = {
  ok: { after: 60, status: 200 }, slow: { after: 2500, status: 200 }, hide: { after: 60, status: 200, hide: true },
  204: { after: 60, status: 204 }, 404: { after: 60, status: 404 }, endless: { after: 40000, status: 200 }, dead: { after: Infinity, status: 0 }, 500: { after: 60, status: 500 }, slow500: { after: 2500, status: 500 },
  cut: { after: 500, status: 0 },
};

export class World {
  log = [];
  reloads = 0;
  #visits = 0;      // an earlier visit is given up for a later one
  #questions = 0;   // to the endpoint, the last of which is under way…
  #askedUntil = 0;  // …until then
  #history = [];    // pages that Turbo keeps: {url, body}
  #navigation = null;

  constructor(config, schedule) {
    this.config = config;
    this.schedule = schedule;
    this.start = { session: NOBODY, page: "fresh", loader: 80, iframe: 300, head: true, cookieEvents: 5, ...schedule.start };
    this.clock = new Clock();
    this.rules = new Rules(this);
    this.session = this.start.session;
    this.endpoint = "ok";
    this.backend = "ok";
    this.displayAfter = 0; // seconds
    let seed = 1;
    this.random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
    this.tab = new Tab(this.clock, this, this.start);
  }

  // run is the first broken rule, or null.
  async run() {
    Object.assign(this, this.start.backend && { backend: this.start.backend }, this.start.displayAfter && { displayAfter: this.start.displayAfter });
    if (this.start.endpoint) this.endpoint = this.start.endpoint;
    if (this.session !== NOBODY) this.#setMarker(this.session);
    this.#visit({ how: "document", page: this.start.page, url: "/0", takes: 0 });
    for (const { after, ...event } of this.schedule.events) {
      await this.#pass(after);
      if (this.rules.broken) break;
      this.note("*", JSON.stringify(event));
      this.#do(event);
      await this.#pass(0);
    }
    await this.#pass(QUIET[0]);
    this.note("*", "quiet, then somebody looks");
    if (!this.rules.broken) this.#look({ as: "visibility" });
    await this.#pass(QUIET[1] - 10000);
    const ran = this.clock.ran;
    await this.#pass(10000);
    await Clock.breathe();
    this.rules.judgeEnd(this.clock.ran - ran);
    this.tab.close();
    return this.rules.broken;
  }

  async #pass(ms) {
    // A task of no consequence, so that microtasks run and rules are looked at.
    this.clock.after(0, () => {});
    const end = this.clock.now + ms;
    await this.clock.run(end, () => this.#lookAround());
  }

  #lookAround() {
    if (this.rules.broken) return this.clock.cancelAll();
    this.tab.look();
    this.rules.judge();
    if (this.clock.ran > 10000) this.rules.breaks("endless", "10,000 tasks");
  }

  note(sign, ...what) { this.log.push(`${(this.clock.now / 1000).toFixed(3).padStart(8)} ${sign} ${what.join(" ")}`); }

  // ---- who it is ------------------------------------------------------------------

  // marked is the visitor whom the marker cookie names.
  get marked() {
    const marker = this.tab.cookies.get(this.config.markerCookie) || "";
    return marker === "" ? NOBODY : Object.keys(this.config.markers).find((v) => this.config.markers[v] === marker);
  }

  #setMarker(visitor) {
    if (visitor === this.marked) return;
    this.note("=", "the marker is", visitor);
    const marker = visitor === NOBODY ? "" : this.config.markers[visitor];
    this.tab.setCookie(this.config.markerCookie + "=" + marker + (marker ? "" : ";max-age=0"));
  }

  cookieChanged(name) { if (name === this.config.markerCookie) this.rules.truthChanged(); }

  cookieHeard(name) { if (name === this.config.markerCookie) this.rules.noticed("cookieStore"); }

  byEmail(email) { return email ? Object.keys(this.config.emails).find((v) => this.config.emails[v] === email) : NOBODY; }

  // ---- what happens ---------------------------------------------------------------

  #do(event) {
    this.rules.disturbed();
    const does = {
      visit: () => this.#visit(event),
      back: () => this.#back(),
      sign: () => this.#sign(event),
      expire: () => {
        this.session = NOBODY;
        if (event.then) this.endpoint = event.then;
      },
      look: () => this.#look(event),
      endpoint: () => { this.endpoint = event.as; },
      backend: () => { this.backend = event.as; },
      display: () => { this.displayAfter = event.after_s; },
      refresh: () => this.#call("refresh()", (win) => {
        if (!win.hubspotVisitor) return;
        this.rules.refreshed();
        win.hubspotVisitor.refresh();
      }),
      signOut: () => this.#call("signOut()", (win) => {
        if (!win.hubspotVisitor) return;
        win.hubspotVisitor.signOut();
        this.rules.noticed("signOut");
      }),
      open: () => this.#call("open()", (win) => {
        if (!win.hubspotVisitor) return;
        this.rules.demanded();
        win.hubspotVisitor.open();
      }),
      resize: () => this.#call("resize", (win) => win.dispatchEvent(this.tab.event("resize"))),
      own: () => this.#own(event.call),
      takeOut: () => this.#takeOut(),
      copy: () => this.#copy(),
      loader: () => this.#call("loader again", () => this.#fill(this.tab.document.body, this.config.parts.nobody.filter((s) => s.attributes.id))),
    };
    does[event.do]();
  }

  #call(what, f) {
    try {
      f(this.tab.window);
    } catch (error) {
      this.thrown(error);
    }
  }

  // #own is the application's own use of HubSpot's documented API.
  #own(call) {
    this.rules.ownCall(call);
    this.#call("own " + call, (win) => {
      const api = win.HubSpotConversations;
      if (!api) return;
      if (call === "clear") api.clear({ resetWidget: true });
      else api.widget[call]();
    });
  }

  #takeOut() {
    const container = this.tab.document.querySelector(CONTAINER);
    if (!container) return;
    this.rules.takenOut();
    container.remove();
  }

  // #copy is what comes of a page that was kept with the chat in it.
  #copy() {
    const container = this.tab.document.querySelector(CONTAINER);
    if (container) this.tab.document.body.append(container.cloneNode(true));
  }

  #look({ as }) {
    const { tab } = this, { document: doc, window: win } = tab;
    if (as === "focus") for (const type of ["blur", "focus"]) win.dispatchEvent(tab.event(type));
    if (as === "pageshow") win.dispatchEvent(new win.PageTransitionEvent("pageshow", { persisted: true }));
    if (as === "visibility") {
      for (tab.hidden of [true, false]) doc.dispatchEvent(tab.event("visibilitychange", { bubbles: true }));
    }
    this.rules.noticed(as);
  }

  // #sign is a sign-in or a sign-out: the response to it sets the marker and, at the
  // end of a session, expires the widget's cookies.
  #sign({ who, tab, then, takes }) {
    // Whom the page cannot have heard of is no change for it; and the answer to a
    // question that is under way counts as if somebody had looked.
    const changes = this.rules.truth !== who && this.rules.aware && this.clock.now >= this.#askedUntil;
    this.session = who;
    if (this.marked !== NOBODY && this.marked !== who) {
      for (const name of ["messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message"]) this.tab.setCookie(name + "=;max-age=0");
    }
    this.#setMarker(who);
    if (tab === "other") return;
    if (then === "refresh") this.#do({ do: "refresh" });
    if (then === "signOut") this.#do({ do: who === NOBODY ? "signOut" : "refresh" });
    if (then === "swap" || then === "document") {
      this.#visit({ how: then, page: "fresh", url: "/" + who, takes });
      if (changes) this.rules.pageExpected(who);
    }
  }

  // ---- the application's pages ----------------------------------------------------

  // #visit asks the server for a page, which comes half of the time later than it was
  // made. A preview is Turbo's copy of an earlier page.
  #visit({ how, page, url = this.tab.url.pathname, preview, takes = 100 }) {
    const number = ++this.#visits, brought = this.marked;
    if (how === "document") this.#navigation = number;
    if (preview && how === "swap" && this.#history.length > 0) this.#swap(this.#history.at(-1).body, url, true);
    this.clock.after(takes / 2, () => {
      const answer = this.#render(page, brought);
      this.clock.after(takes / 2, () => {
        if (answer.marker) this.#setMarker(answer.marker);
        if (number === this.#visits || number === this.#navigation) this.#arrive(how, answer, url);
      });
    });
  }

  // #render is what the server answers: a page part, and a marker if the request
  // brought another one. Pages that caches may share touch no marker, pages from a
  // cache (stale) neither.
  #render(page, brought) {
    const stale = page.startsWith("stale ");
    if (stale || page === "anybody" || page === "asks" || page === "never") return { part: page.replace("stale ", "") };
    const part = page === "late" && this.session !== NOBODY ? "late " + this.session : this.session;
    return { part, marker: brought !== this.session && this.session };
  }

  #arrive(how, { part }, url) {
    this.note("<", how, "page of", part, url);
    this.rules.pageArrived(this.config.claims[part], part);
    if (this.start.sample && how !== "fragment") this.rules.ownCall(); // it runs with its page
    this.tab.document.documentElement.removeAttribute("data-turbo-preview");
    if (how === "document") {
      this.#navigation = null;
      this.#history = [];
      this.rules.documentOpened();
      this.tab.open(url, (doc) => {
        if (this.start.head) doc.head.append(this.tab.script({}, ""));
        if (this.start.sample === "before") doc.body.append(this.tab.script({}, SAMPLE));
        this.#fill(doc.body, this.config.parts[part]);
        if (this.start.sample === "after") doc.body.append(this.tab.script({}, SAMPLE));
      });
    } else if (how === "swap" || how === "morph" && this.#otherLoad(part)) {
      const body = this.tab.document.createElement("body");
      this.#fill(body, this.config.parts[part]);
      this.#swap(body, url);
    } else if (how === "fragment") {
      // htmx, with hx-push-url.
      const { document: doc } = this.tab;
      doc.querySelector("#fragment")?.remove();
      this.tab.url.pathname = url;
      const fragment = doc.createElement("div");
      fragment.id = "fragment";
      this.#fill(fragment, this.config.parts[part]);
      doc.body.append(fragment);
      this.#emit("htmx:afterSettle");
    } else if (how === "morph") {
      this.#morph(part);
    }
    this.rules.noticed("page");
  }

  #fill(parent, scripts) {
    for (const { attributes, text } of scripts) parent.append(this.tab.script(attributes, text));
  }

  #emit(type) { this.tab.document.documentElement.dispatchEvent(this.tab.event(type, { bubbles: true })); }

  // #swap is Turbo's: it keeps a copy of the old body and runs the new one's scripts.
  #swap(body, url, preview) {
    const { document: doc } = this.tab, root = doc.documentElement;
    if (!root.hasAttribute("data-turbo-preview")) this.#history.push({ url: this.tab.url.pathname, body: doc.body.cloneNode(true) });
    this.tab.url.pathname = url;
    root.toggleAttribute("data-turbo-preview", Boolean(preview));
    const copy = body.cloneNode(true);
    for (const script of copy.querySelectorAll("script")) {
      const attributes = Object.fromEntries([...script.attributes].map(({ name, value }) => [name, value]));
      script.replaceWith(this.tab.script(attributes, script.text));
    }
    doc.body.replaceWith(copy);
    this.#emit("turbo:render");
    if (!preview) this.#emit("turbo:load");
  }

  // #back shows a page that Turbo kept, as its scripts had left it.
  #back() {
    const page = this.#history.pop();
    if (!page) return;
    this.#visits++;
    const claim = [...page.body.querySelectorAll("[data-hubspot-visitor]")].at(-1);
    this.rules.pageArrived(claim.dataset.hubspotVisitor, "back");
    if (this.start.sample) this.rules.ownCall();
    this.#swap(page.body, page.url);
    this.#history.pop();
    this.rules.noticed("page");
  }

  // #morph is Turbo's refresh of a page: attributes and texts change, no script runs,
  // and what the server did not send goes.
  #morph(part) {
    const { document: doc } = this.tab, parts = doc.querySelectorAll("[data-hubspot-visitor]");
    const [settings, script] = this.config.parts[part];
    const element = parts[parts.length - 1];
    if (element) {
      for (const [name, value] of Object.entries(script.attributes)) element.setAttribute(name, value);
      const before = element.previousElementSibling;
      if (before && before.localName === "script") before.textContent = settings.text;
    }
    doc.body.querySelectorAll(CONTAINER).forEach((container) => container.remove());
    this.#emit("turbo:morph");
    this.#emit("turbo:render");
  }

  // #otherLoad: a page is refreshed as it is, on demand or not.
  #otherLoad(part) {
    const element = this.tab.document.querySelector("[data-hubspot-visitor]");
    return element && element.dataset.load !== this.config.parts[part][1].attributes["data-load"];
  }

  // reload is the script's: the old document lives on until the new one is there.
  reload() {
    this.note("!", "the document is loaded again");
    this.reloads++;
    this.#visit({ how: "document", page: "fresh", url: this.tab.url.pathname, takes: 300 });
  }

  // ---- what the tab asks ------------------------------------------------------------

  thrown(error) { this.rules.breaks("exception", String(error && error.stack || error)); }

  printed(level, what) { this.note(level === "log" ? ">" : "?", what.map(String).join(" ")); }

  script(src) {
    const { pathname } = new URL(src);
    const { loader, widget } = this.config;
    if (this.start.loader === "blocked") return { after: 50, source: null };
    return pathname.endsWith("/conversations-embed.js") ? { after: 40, source: widget } : { after: this.start.loader, source: loader };
  }

  request(request) {
    const { hostname, pathname } = request.url;
    if (hostname === "shop.test") return this.#askEndpoint(request);
    if (pathname.startsWith("/livechat-public/v1/message/public")) return this.#askBackend(request);
    return { after: 50, status: 204 }; // what HubSpot's widget reports about itself
  }

  #askEndpoint({ url, method }) {
    const number = ++this.#questions, brought = this.marked, { after, status, nobody } = ENDPOINT[this.endpoint];
    this.note("<", method, url.href, this.endpoint);
    this.rules.askedEndpoint();
    this.#askedUntil = this.clock.now + Math.min(after, ANSWER_WITHIN);
    if (status !== undefined) return { after, status };
    const visitor = this.session;
    const answer = (status, value) => ({
      after, status, body: JSON.stringify(value),
      arrived: () => {
        this.note("<", "the endpoint says", status, visitor);
        if (status !== nobody && brought !== visitor) this.#setMarker(visitor);
        // An earlier question's answer is ignored, and one that took too long.
        if (number === this.#questions && after < ANSWER_WITHIN) this.rules.endpointAnswered(visitor, brought);
      },
    });
    if (visitor === NOBODY) return answer(nobody || 204, {});
    return answer(200, {
      email: this.config.emails[visitor], token: this.config.tokens[visitor], visitor: this.config.markers[visitor],
      expiresAt: new Date(Date.UTC(2030, 0, 2)).toISOString(),
    });
  }

  #askBackend({ url, headers }) {
    const email = url.searchParams.get("email"), token = url.searchParams.get("identificationToken");
    const visitor = token ? this.byEmail(email) : NOBODY;
    if (visitor !== NOBODY && token !== this.config.tokens[visitor]) this.rules.breaks("mixed up", `${email} with the token of another`);
    const { after, status, hide } = BACKEND[this.backend];
    const request = { visitor, at: this.clock.now, url: new URL(headers["X-HubSpot-Messages-Uri"]).pathname, status: hide ? "hide" : status, answered: 0 };
    this.note("<", "HubSpot is asked for", visitor, "on", request.url, this.backend, this.displayAfter ? `display after ${this.displayAfter} s` : "");
    this.rules.asked(request);
    return {
      after, status, arrived: () => { request.answered = this.clock.now; },
      body: JSON.stringify({
        "@type": hide ? "HIDE_WIDGET" : "WIDGET", sessionId: hide ? "" : visitor,
        message: { clientTriggers: {
          displayOnTimeDelay: { enabled: this.displayAfter > 0, timeDelaySeconds: this.displayAfter },
          displayOnScrollPercentage: { enabled: false }, displayOnExitIntent: { enabled: false },
        } },
        gdprConsentOptions: { cookieConsentPrompt: "NEVER" }, widgetLocation: "RIGHT_ALIGNED", launcherColor: "#ff7a59", gates: {},
      }),
    };
  }

  // iframeAsked: the shell that made it tells whose chat it is.
  iframeAsked(iframe) {
    let visitor;
    this.tab.say(iframe, { type: "request-widget", uuid: this.#uuid(iframe) }, ({ data }) => { visitor = data.sessionId; });
    this.note("<", "an iframe for", visitor);
    this.rules.iframeAsked(iframe, visitor);
    return { after: this.start.iframe };
  }

  iframeLoaded(iframe) {
    this.rules.iframeLoaded(iframe);
    this.tab.say(iframe, { type: "request-widget", uuid: this.#uuid(iframe) }, (message) => this.iframeTold(iframe, message));
    if (this.rules.visitorOf(iframe) === NOBODY) {
      const [utk] = new URL(iframe.getAttribute("src")).pathname.split("/").slice(-1);
      this.tab.say(iframe, { type: "store-messages-cookie", uuid: this.#uuid(iframe), data: utk });
    }
  }

  iframeTold(iframe, { type, data }) {
    if (type === "visitor-identification-attributes") this.rules.iframeTold(iframe, this.byEmail(data.identificationEmail), type);
    if (type === "widget-data" || type === "refresh-widget-data") this.rules.iframeTold(iframe, data.sessionId, type);
  }

  #uuid(iframe) { return new URL(iframe.getAttribute("src")).searchParams.get("uuid"); }
}
