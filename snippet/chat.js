// chat.js gives HubSpot's chat widget the visitor whom the page is for, and keeps
// it from showing one person another's chat. It is the same on every page, and
// may run any number of times in a document: the first run stays (the resident),
// later ones only tell it that a page part has come.
//
// A page part is two elements, which the server writes:
//
//   <script>                       the settings, ending in the visitor's address and
//                                  token; or the same JSON as an application/json block
//   <script data-hubspot-visitor   the claim: whose page this is. A fingerprint, "" for
//                                  nobody, "*" for anybody, "-" for nobody whatever,
//                                  "?" for whom the endpoint names
//     data-portal                  the marker cookie is hubspot_visitor_<portal>
//     data-endpoint                the path to ask who is signed in, if there is one
//     data-load                    when the chat is wanted: "idle", at the first
//                                  "interaction", a "click", or "manual"; or at once
//     data-loader                  src of HubSpot's loader, if this script has to add it
//     data-attributes              and further attributes of it, as JSON
//     data-tracking                with another visitor HubSpot's tracking cookie goes
//     data-debug                   say in the console what is done
//
// It is a reconciler of who the widget shall have, who(), and who it has, captured:
// step() compares the two and does one thing at a time.
import { NOBODY, UNKNOWN, NONE, STRANGER, IDLE, PENDING, DELAYED, LOADED } from "./states.js";

const w = window, d = document, NAME = "hubspotVisitor";

const find = (selector) => d.querySelector(selector);

// Where HubSpot's widget puts its iframe: in the corner, or embedded in the page.
const BOXES = "#hubspot-messages-iframe-container,#hubspot-conversations-inline-parent";

let part = {}; // the newest page part's data attributes
const { nonce } = d.currentScript || part;

const log = (...what) => "debug" in part && console.log(NAME, ...what);

// HubSpot chooses chats by URL, without what is within the page.
const here = () => location.href.split("#")[0];

// Nothing here may ever break a page.
const safely = (f) => (...args) => {
  try {
    return f(...args);
  } catch (e) {
    log(e);
  }
};

// Capturing, window hears of everything in the document.
const on = (events, f) => events.split(" ").map((event) => w.addEventListener(event, safely(f), true));

// ---- Who the widget shall have

let settings; // of the last page part in the document, loadImmediately among them
let known = {}; // the one identity that this document knows: {visitor, email, token}
let seen; // the marker, as of the last look at it
let answer; // the visitor by the endpoint's last word, while the marker stays as it was
let asking; // the question under way
let headers; // that the application wants with it
let asked; // a question was put for the present page part and marker
let heard = Date.now(); // when the server last said who it is; this clock runs while the machine sleeps

const cookie = () => "hubspot_visitor_" + part.portal + "=";

// marker is the visitor of the marker cookie. In a sandboxed frame reading cookies
// throws.
const marker = safely(() => d.cookie.match(cookie() + "(\\w+)|$")[1] || NOBODY);

// who believes the marker cookie, which the server sets, and a page only while its
// claim equals the marker: pages outlive the truth, in caches, other tabs, behind
// the back button. The first rule that matches counts.
const who = () => {
  const present = marker(), claim = part[NAME];
  if (seen != present) asked = answer = UNKNOWN;
  seen = present;
  if (known.visitor != present && known.visitor != answer) known = {};
  if (claim == "-") return NOBODY;
  if (answer != UNKNOWN) return answer;
  // The claim holds, or is stale and the document knows the marker's visitor.
  if (known.visitor) return present;
  // Pages know nothing of who signs in by a header: they take the marker away.
  if (!present && !headers && (!claim || claim == "*")) return NOBODY;
  // The claim is void, or its token was late.
  return !part.endpoint || asked && !asking ? NOBODY : UNKNOWN;
};

// ask asks the server who is signed in. Only the latest question counts, for five
// seconds, and only 200, 204 and 401 are an answer: anything else comes from
// somebody between (a CSRF check's 403, a proxy's 404) and leaves what is known.
// done is what follows: a step, or a visit where somebody wanted to know.
const ask = async (done) => {
  if (!part.endpoint) return done();
  const settle = (word) => {
    if (asking != question) return;
    asking = 0;
    who();
    const { visitor } = word || 0;
    // The answer is older than a marker that has changed meanwhile, unless by the
    // answer itself: then a step asks again.
    if (visitor == seen) asked = 1;
    if (asked && visitor != UNKNOWN) {
      answer = visitor;
      if (visitor) known = word;
    }
    done();
  };
  who();
  asked = 1;
  const question = asking = setTimeout(settle, 5e3);
  let word;
  heard = Date.now();
  try {
    // A <base> does not apply: the question is this origin's.
    const r = await fetch(location.origin + part.endpoint, { method: "POST", headers });
    log("asked", r.status, r.headers.get("Hubspot-Visitor-Reason"));
    word = r.status == 200 ? await r.json() : /204|401/.test(r.status) && { visitor: NOBODY };
  } catch (e) {} // no word
  settle(word);
};

// write says by HubSpot's settings who is wanted: not who() anew, since another tab
// can change the cookie between two looks. A new object, since the page's own
// may be frozen; both fields always, since a former visitor's would stay.
const write = () => {
  const { email = "", token = "" } = wanted ? known : 0;
  w.hsConversationsSettings = { ...w.hsConversationsSettings, ...settings, identificationEmail: email, identificationToken: token };
};

// ---- Page parts

let url; // of the newest page
let absent; // the page has no page part

// read takes a page part in. Address and token leave the document with that: what
// keeps copies of pages (Turbo, htmx, localStorage) shall have a claim only.
const read = (element) => {
  absent = 0;
  const { [NAME]: claim, portal } = element.dataset, text = (element.previousElementSibling || element).firstChild;
  const literal = text && text.data.match(/"loadImmediately.*\}/);
  if (literal) settings = JSON.parse("{" + literal);
  const { identificationEmail: email, identificationToken: token } = literal ? settings : part;
  // The server writes quotation marks within strings as \u0022.
  if (token) text.data = text.data.replace(/(Email|Token)":"[^"]*/g, '$1":"');
  if (element[NAME] == claim && !token) return;
  element[NAME] = claim;
  // HubSpot's code is one portal's.
  if (part.portal && part.portal != portal) return reload(portal);
  asked = asked && asking; // a question under way serves this part, too
  part = element.dataset;
  if (claim == marker()) {
    answer = UNKNOWN;
    if (token) known = { visitor: claim, email, token };
  }
  wait(part);
  // A page for everybody does not tell that somebody else has signed in meanwhile: the
  // server is asked, while the chat stays.
  if (demanded && /^[*?]$/.test(claim) && (known.visitor || claim == "?" && answer != UNKNOWN)) ask(visit);
};

// preview is whether Turbo shows its copy of a page, until the page itself comes.
const preview = () => "turboPreview" in d.documentElement.dataset;

// arrive looks for page parts that came since the last time. They need not have
// run: a morphing refresh runs no script, and a policy with a nonce per response
// blocks those of Turbo's later pages. So the document is asked.
const arrive = safely(() => {
  if (!preview()) {
    absent = 1;
    lost = link = 0;
    url = here();
    // A script is what no sanitizer lets a visitor's own text contain; attributes many do.
    d.querySelectorAll("script[data-hubspot-visitor]").forEach(safely(read));
  }
  look();
  write(); // at once: HubSpot's loader may run before anything else is known
  visit();
});

// ---- When it is wanted

let demanded; // once it is, it stays so: before that nothing is asked, and nothing loaded
let opening; // somebody wants to see the chat; counts the attempts
let link = 0; // the element that was clicked for it
let giving; // the timer that ends it
let failed; // what became of the demand, if not a chat: "blocked", "failed", or "none"
let nowhere; // why the page has no chat: the same

// demand is for a page, a visitor or an application that wants the chat. It adds
// HubSpot's loader where the page leaves that to this script.
const demand = () => {
  const { loader: src, attributes = "{}" } = part, all = { ...JSON.parse(attributes), id: "hs-script-loader", src, nonce };
  // The page's token has half an hour at least; it may have waited for longer.
  if (!demanded && part.endpoint && Date.now() - heard > 18e5) known = {};
  demanded = 1;
  // What came to nothing before is tried again: HubSpot, and the endpoint.
  if (failed) failed = told = 0;
  asked = asked && asking;
  if (!src || loader || find("script#hs-script-loader")) return;
  const script = d.createElement("script");
  for (const name in all) if (all[name]) script.setAttribute(name, all[name]);
  d.head.append(script);
};

const demandNow = safely(() => {
  demand();
  step();
});

// wait waits for what the page part says.
const wait = ({ load }) => {
  if (demanded) return;
  if (!load || load == "click" && talks()) demand();
  if (load == "idle") (w.requestIdleCallback || setTimeout)(demandNow);
  if (load == "interaction") on("scroll keydown mousemove", () => demanded || demandNow()); // a tap moves the mouse, too
};

// talks is whether there may be answers to be seen: HubSpot's cookie tells it of
// the anonymous; for others there is a note of who opened the chat, for a week.
const talks = safely(() => {
  const present = marker();
  if (!present) return /messagesUtk/.test(d.cookie);
  const [visitor, time] = (localStorage[NAME] || "").split(" ");
  return visitor == present && Date.now() - time < 6e8;
});

const open = () => {
  link = 0;
  opening = 1;
  clearTimeout(giving);
  giving = setTimeout(() => {
    link = 0; // too late to lead anybody elsewhere
    if (opening) failed = "failed";
    step();
  }, 25e3);
  demandNow();
};

// show opens the chat that is there. What HubSpot is told while the chat starts is
// lost, so it is told again.
const show = (widget) => {
  if (opening++ < 2 || opening < 20 && !find(".hs-messages-widget-open")) {
    widget.open();
    return again(300);
  }
  opening = 0;
  box.querySelector("iframe").focus();
  localStorage[NAME] = seen + " " + Date.now(); // storage may throw: nothing comes after it
};

// report tells the page what has become of the chat, when that has changed.
const report = () => {
  const there = state == LOADED && right();
  nowhere = absent ? "none" : !there && failed;
  const now = { state: nowhere || (there ? "ready" : demanded ? "loading" : "idle"), identified: there && !!captured };
  if (JSON.stringify(now) == JSON.stringify(page.status)) return;
  page.status = now;
  d.dispatchEvent(new CustomEvent("hubspotvisitor:change", { detail: now, bubbles: true }));
  if (!nowhere) return;
  // Nobody waits any more. A link that was clicked for the chat leads elsewhere.
  if (link.href) link.click();
  opening = link = 0;
};

// ---- Who the widget has

let captured = NONE; // HubSpot reads the identity at a load, and keeps it until a reset
let shell; // the API object that has it. HubSpot replaces the object
let state = IDLE;
let drained; // an iframe loaded once: nothing of its visitor waits in the shell's queue
let box; // the chat's container
let refreshing; // since when a refresh is under way
let called; // when load or refresh was called last
let clear; // its reset
let taken; // the token that it read then
let told; // the URL that HubSpot chose the chat for; STRANGER is none: a reset is wanted
let lost; // how often the container was taken away from the present page
let loader; // HubSpot's script element
let backend = 0; // the status of its last answer, once that is known

// calls note what is called, by the page, too. HubSpot lets load and refresh through
// once a second and makes up for the others later, for whomever the shell has: a
// reset in between would be followed by the former visitor.
const calls = {
  load: (time) => {
    called = time;
    if (state) return; // HubSpot does nothing
    told = url;
    state = PENDING;
  },
  refresh: (time) => {
    called = time;
    if (state % LOADED) return; // pending or delayed: HubSpot does nothing
    told = url;
    refreshing = time;
  },
  remove: () => {
    box = state = IDLE;
  },
};

// adopt takes over an API object: somebody loaded or reset, or the loader has come.
const adopt = (hs) => {
  const { widget } = hs;
  shell = hs;
  told = url;
  // Ready callbacks of others load, too, before their calls can be noted.
  called = performance.now();
  const { loaded, pending } = widget.status();
  // Whom the settings identify is whom it has.
  const { identificationToken: token, loadImmediately } = { ...w.hsConversationsSettings };
  refreshing = NaN;
  drained = loaded;
  // A shell that loads by itself does so after its ready callbacks.
  state = loaded ? LOADED : pending || loadImmediately !== false ? PENDING : IDLE;
  captured = !state ? NONE : !token ? NOBODY : known.token == token ? known.visitor : STRANGER;
  if (!state && box) box = box.remove(); // the former object's
  // A reset in the middle of what the shell has begun leaves one that lives on, and
  // puts a second chat into the page. The page's own resets are done by step, when
  // that is over.
  clear = hs.clear;
  hs.clear = (options) => options && options.resetWidget ? hs.resetAndReloadWidget() : clear(options);
  hs.resetAndReloadWidget = () => {
    told = STRANGER;
    visit();
  };
  for (const name in calls) {
    const call = widget[name];
    widget[name] = (...args) => {
      // load runs the ready callbacks inside itself, in states that nothing may be
      // built on: no step is taken there.
      const outer = busy;
      busy = 1;
      log(name);
      calls[name](performance.now());
      try {
        return call.apply(widget, args);
      } finally {
        busy = outer;
        // A stub is replaced by the real API within load().
        api();
        if (!outer) again(0);
      }
    };
  }
};

// api is HubSpot's present API object, if there is one.
const api = (hs = w.HubSpotConversations) => {
  if (hs && hs != shell) safely(adopt)(hs);
  return hs;
};

// waits is whether what the shell has begun may not be over.
const waits = (time) => time - (state == PENDING ? called : refreshing) < 25e3 || time - called < 1100;

// settled is for the container's iframe when it has loaded.
const settled = () => {
  if (!box) return;
  drained = 1;
  state = LOADED;
  step();
};

// right is whether the widget has the visitor whom it shall have; while that is
// unknown, nobody.
const right = () => !absent && captured === (wanted || NOBODY);

// boxes looks after the chat's container. In the body, page swaps would take it
// away, and HubSpot believes that it is still there; beside the body (a child of
// <html>) nothing touches it, and an open chat stays open. An inline embed stays
// where it is.
const boxes = () => {
  // HubSpot and page swaps change the children of these. Observed again, since they
  // may be other ones.
  [d, d.documentElement, d.body].map((e) => observer.observe(e, { childList: true }));
  d.querySelectorAll(BOXES).forEach((found) => {
    if (found == box) return;
    // HubSpot's own has an iframe. Others are copies that Turbo or the page made, or
    // an old shell's.
    const iframe = found.querySelector("iframe");
    if (!iframe || box) return found.remove();
    box = found;
    if (state != LOADED) state = PENDING; // or else somebody loaded before this script came
    iframe.addEventListener("load", settled);
    // In the same task this costs no second request of the iframe.
    if (found.parentNode == d.body) d.documentElement.append(found);
  });
  // A chat that is not the present visitor's is hidden. Iframes load all the same.
  if (box) box.style.setProperty("display", right() ? "" : "none", "important");
};

// answered ends a refresh. With "no chat on this page" HubSpot leaves the old one
// standing.
const answered = ({ name, startTime, responseStatus }) => {
  if (!/livechat-public/.test(name)) return;
  backend = responseStatus;
  if (startTime >= refreshing) {
    refreshing = NaN;
    if (/204|404/.test(backend)) refuse();
  }
  step();
};

// refuse is for an answer without a chat. HubSpot stays pending then, until it is
// removed. The status is known a moment later, of a call that failed it may never
// be: 200, 204 and 404 mean that the page has none; not every browser tells them.
const refuse = () => {
  shell.widget.remove();
  setTimeout(() => {
    if (!state) failed = /200|204|404|undefined/.test(backend) ? "none" : "failed";
    step();
  }, 1e3);
};

const load = (widget) => {
  write();
  const { inlineEmbedSelector } = w.hsConversationsSettings;
  // HubSpot would be pending for ever.
  if (inlineEmbedSelector && !find(inlineEmbedSelector)) return;
  failed = backend = 0;
  widget.load({ widgetOpen: !!opening });
  captured = wanted;
  taken = known.token;
  delete sessionStorage[NAME];
};

// reset is HubSpot's one way to another identity within a document. The former
// shell lives on: all that it has begun must be over.
const reset = () => {
  write();
  box = captured = NONE;
  clear({ resetWidget: true });
  again(0);
};

// expire takes a cookie from the browser, the host's and the domain's.
const expire = (name) => ["", location.hostname.replace(/^www\./, "")].map((domain) => (d.cookie = name + ";path=/;max-age=0;domain=" + domain));

// forget takes HubSpot's tracking cookie from another visitor's browser.
const forget = () => "tracking" in part && expire("hubspotutk=");

// reload is for shells that cannot be reset: only a new document is rid of them.
// Once for the same reason, until a widget has loaded. A GET, also where the
// document came by POST.
const reload = safely((reason) => {
  if (sessionStorage[NAME] == reason) return;
  sessionStorage[NAME] = reason;
  location.replace(here());
});

// ---- Step

let wanted; // as of the last step
let changed; // when it became that
let visited; // since then a page came, or somebody looked at this one
let turns = 0; // the questions since then that changes of the marker brought
let tries = 0, timer, busy;

const again = (ms) => {
  clearTimeout(timer);
  timer = setTimeout(step, ms);
};

const step = () => {
  if (busy) return;
  busy = 1;
  safely(once)();
  busy = 0;
  report();
};

const observer = new MutationObserver(step);

// look notes when the wanted visitor changes.
const look = () => {
  const visitor = who();
  if (visitor === wanted) return;
  // To learn who it is takes a visit's word away from nobody.
  if (wanted != UNKNOWN) visited = 0;
  wanted = visitor;
  changed = performance.now();
  api(); // has read what is written until now
  write(); // the page may load
};

// visit is for a page that came, and for somebody who looks at this one.
const visit = () => {
  look();
  turns = 0;
  visited = 1;
  step();
};

// once does the one thing that is next. Whatever comes later calls it again: HubSpot's
// ready callback and event, the observers, page parts, an answer, a timer.
const once = () => {
  look();
  const hs = api();
  // Not in the background: two tabs of different visitors would ask in turn for ever.
  // Nor in two windows, where each signs in by a header of its own.
  if (wanted == UNKNOWN && !asking && demanded && !d.hidden && turns++ < 9) ask(step);
  // First among HubSpot's ready callbacks, since others may throw; again and again,
  // since others may replace the array. HubSpot ignores what is none.
  let ready = w.hsConversationsOnReady;
  if (!Array.isArray(ready)) ready = w.hsConversationsOnReady = [];
  if (!ready.includes(step)) ready.unshift(step);
  // Where the array was replaced nobody calls: for two minutes.
  if (!hs) return demanded && tries++ < 99 && again(1100);
  // HubSpot's own script element: without it a reset throws, and HubSpot's loader
  // adds another. In the body it would go with the page.
  loader = find("script#hubspot-messages-loader") || loader;
  if (loader && loader.parentNode != d.head) d.head.append(loader);
  const { widget } = hs;
  if (box && !box.isConnected) {
    // Taken away. HubSpot believes that it is there, or waits for ever.
    // Something may do that again and again: without a new page a few times only.
    if (lost++ < 3) told = 0;
    widget.remove();
    return again(100);
  }
  boxes();
  // During a preview the location is another page's already.
  if (wanted == UNKNOWN || absent || preview()) return;
  if (captured === NONE) return demanded && load(widget);
  const time = performance.now(), age = time - changed;
  if (captured !== wanted) {
    // A shell cannot be reset whose queue holds its visitor, or whose chat is still to
    // come.
    const unsettled = state == DELAYED || !drained && state != PENDING || age > 25e3, patience = unsettled ? 1e4 : 2e3;
    // The next page may be on its way: a reset now would ask HubSpot for nothing, a
    // reload would cut it off.
    if (!visited && age < patience) return again(patience - age);
    if (captured) forget();
    return unsettled ? reload(wanted) : state == PENDING || refreshing || waits(time) ? again(100) : reset();
  }
  // HubSpot chooses the chat by page. A delayed one's container will tell.
  if (told != url && state != DELAYED) {
    if (waits(time)) return again(100);
    if (state == LOADED) return told == STRANGER ? reset() : widget.refresh();
    // HubSpot would take the token of the first load, which may have expired.
    if (taken != known.token) return reset();
    widget.remove(); // of a load that never ends
    return load(widget);
  }
  if (opening && state == LOADED) show(widget);
};

// ---- What happens

// The focus can have been elsewhere: outside of the page, that is. In the chat it is
// not; hidden with the focus in it, that hands it back to the page.
let away = !d.hasFocus();

// A page is looked at (again), and much can have happened since.
const attend = ({ type }) => {
  if (d.hidden || type == "focus" && !away) return;
  away = 0;
  visit();
  // A session can end unseen.
  if (demanded && Date.now() - heard > 3e5) ask(visit);
};

// Single page applications change the URL without a page; elsewhere the page comes
// within the second.
const move = () => setTimeout(() => {
  url = here();
  step();
}, 1e3);

// out is a sign-out, which ends what is known, here or in another tab.
const out = (word) => {
  asking = headers = undefined; // fetch takes no 0 for headers
  known = {};
  who();
  asked = answer = word;
  visit();
};

// page is what an application's scripts have: README.md documents it.
const page = {
  status: { state: "idle", identified: false },
  open,
  load: demandNow,
  refresh: (options) => {
    headers = options && options.headers || headers;
    ask(visit);
  },
  signOut: safely(() => {
    // A reset takes these along, but there need not be one: what was said before the
    // sign-in is that visitor's. Who was nobody keeps it.
    if (seen) {
      forget();
      expire("messagesUtk=");
    }
    expire(cookie());
    out(NOBODY);
    localStorage[NAME] = -Date.now(); // the other tabs hear of it
  }),
  arrive,
};

const begin = safely(() => {
  w[NAME] = page;
  // HubSpot's code may have been quicker.
  url = here();
  api();
  // HubSpot puts its scripts before the document's first: in the body they would go
  // with the next page, and run again.
  if (!find("head script")) d.head.append(d.createElement("script"));
  on("htmx:afterSettle htmx:after:settle turbo:render", arrive);
  // HubSpot says what the backend answered, at once.
  on("hubspot:messages:initialized", ({ messageWillRender }) => {
    if (!messageWillRender) refuse();
    else if (!find(BOXES)) state = DELAYED;
    step();
  });
  on("error", ({ target }) => {
    const tag = find("script#hs-script-loader");
    if (target != tag && target != find("script#hubspot-messages-loader")) return;
    target.remove();
    loader = 0;
    failed = "blocked";
    if (tag) {
      // The next demand adds it again, also where the page brought it.
      part.loader = tag.src;
      tag.remove();
    }
    step();
  });
  on("click", (event) => {
    // In a shadow root, too.
    const found = event.composedPath().find(({ dataset }) => dataset && dataset.hubspotChat == "open");
    // A link leads elsewhere where there is no chat.
    if (!found || found.href && nowhere) return;
    event.preventDefault();
    open();
    link = found;
  });
  on("blur", () => (away = !d.hasFocus()));
  on("focus pageshow visibilitychange", attend);
  on("popstate", move);
  on("storage", (event) => event.key == NAME && event.newValue < 0 && out(UNKNOWN));
  arrive();
  new PerformanceObserver((list) => list.getEntries().map(safely(answered))).observe({ type: "resource" });
  // Not every browser has these. The cookie is no visit: it comes while the next page
  // is on its way.
  (w.navigation || w).addEventListener("currententrychange", move);
  cookieStore.addEventListener("change", step);
});

// A second run leaves the page to the first. (An element with that id is a property
// of window, too.)
const { arrive: resident } = w[NAME] || part;
(resident instanceof Function ? resident : begin)();
