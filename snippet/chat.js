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
//                                  nobody, "*" for anybody, "-" for nobody whatever
//     data-portal                  the marker cookie is hubspot_visitor_<portal>
//     data-endpoint                the path to ask who is signed in, if there is one
//     data-loader, data-load       src of HubSpot's loader, if this script has to add it:
//                                  when "idle", or at the first "interaction"
//     data-debug                   say in the console what is done
//
// It is a reconciler of who the widget shall have, who(), and who it has, captured:
// step() compares the two and does one thing at a time.
(() => {
  const w = window, d = document, now = Date.now, NAME = "hubspotVisitor";

  // A second run. (An element with that id would be a window property, too.)
  const resident = w[NAME];
  if (resident && resident.refresh) return resident.arrive && resident.arrive();

  const SETTINGS = "hsConversationsSettings", READY = "hsConversationsOnReady";
  const EMAIL = "identificationEmail", TOKEN = "identificationToken";
  const PART = "[data-hubspot-visitor]", LOADER = "hs-script-loader", MESSAGES = "hubspot-messages-loader";
  const BOXES = "#hubspot-messages-iframe-container,#hubspot-conversations-inline-parent";
  const NOBODY = "", ANYBODY = "*", NEVER = "-"; // claims; NOBODY is a visitor, too
  const UNKNOWN = undefined; // of who(): a question is under way
  const NONE = null; // of captured: nothing is loaded
  const STRANGER = "?"; // of captured: loaded for an identity that is not ours

  let part = {}; // the newest page part's data attributes
  const nonce = (d.currentScript || part).nonce;

  const log = (...what) => "debug" in part && console.log(NAME, ...what);

  // Nothing here may ever break a page.
  const safely = (f) => (...args) => {
    try {
      return f(...args);
    } catch (e) {
      log(e);
    }
  };

  // ---- Who the widget shall have

  let settings = {}; // of the newest page part, without the identity
  let known; // the one identity that this document knows: {visitor, email, token}
  let answer; // the endpoint's last word, {visitor, marker}, while the marker stays as it was
  let asking; // the question under way
  let asked; // the marker for which the present page part has put its question
  let heard = now(); // when the server last said who it is

  const marker = () => {
    // In a sandboxed frame reading cookies throws.
    const cookie = safely(() => d.cookie.match("(?:^|; )hubspot_visitor_" + part.portal + "=([^;]*)"))();
    return cookie ? cookie[1] : NOBODY;
  };

  // who believes the marker cookie, which the server sets, and a page only while its
  // claim equals the marker: pages outlive the truth, in caches, other tabs, behind
  // the back button. The first rule that matches counts.
  const who = () => {
    const present = marker(), claim = part.hubspotVisitor;
    if (answer && answer.marker != present) answer = 0;
    if (known && known.visitor != present && known.visitor != (answer || {}).visitor) known = 0;
    if (claim == NEVER) return NOBODY;
    if (answer) return answer.visitor;
    // The claim holds, or is stale and the document knows the marker's visitor.
    if (known) return present;
    if (!present && (claim == NOBODY || claim == ANYBODY)) return NOBODY;
    // The claim is void, or its token was late.
    return part.endpoint && (asking || asked != present) ? UNKNOWN : NOBODY;
  };

  // ask asks the server who is signed in. Only the latest question counts, for five
  // seconds, and only 200, 204 and 401 are an answer: anything else comes from
  // somebody between (a CSRF check's 403, a proxy's 404) and leaves what is known.
  const ask = safely(async () => {
    const question = {}, { endpoint } = part;
    if (!endpoint) return visit();
    const settle = (identity) => {
      if (asking != question) return;
      asking = 0;
      asked = marker();
      heard = now();
      log(identity ? "answer" : "no answer");
      if (identity) {
        answer = { visitor: identity.visitor, marker: asked };
        if (identity.visitor) known = identity;
      }
      visit();
    };
    asking = question;
    asked = marker();
    heard = now();
    setTimeout(settle, 5e3);
    try {
      // A <base> does not apply: the question is this origin's.
      const r = await fetch(location.origin + endpoint, { method: "POST", redirect: "manual" });
      const identity = r.status == 200 ? await r.json() : { visitor: NOBODY };
      settle(r.status == 204 || r.status == 401 || identity.visitor && identity.token ? identity : 0);
    } catch (e) {
      settle();
    }
  });

  // write says who it is by HubSpot's settings. A new object, since the page's own
  // may be frozen; both fields always, since a former visitor's would stay.
  const write = () => {
    const visitor = who(), { email, token } = visitor && known || {};
    w[SETTINGS] = { ...w[SETTINGS], ...settings, loadImmediately: false, [EMAIL]: email || "", [TOKEN]: token || "" };
  };

  // holder is the visitor whom the settings identify.
  const holder = () => {
    const s = w[SETTINGS] || {};
    return !s[EMAIL] || !s[TOKEN] ? NOBODY : known && known.token == s[TOKEN] ? known.visitor : STRANGER;
  };

  // ---- Page parts

  const seen = new WeakMap(); // claim elements, and the claim that was read of each
  let url; // of the newest page
  let absent; // the page has no page part

  // read takes a page part in. Address and token leave the document with that: what
  // keeps copies of pages (Turbo, htmx, localStorage) shall have a claim only.
  const read = (element) => {
    const claim = element.dataset.hubspotVisitor, before = element.previousElementSibling;
    const text = before && before.textContent || "", start = text.indexOf('"loadImmediately"');
    // In JSON a quotation mark after a comma is never inside of a string.
    const end = text.indexOf(',"' + EMAIL);
    let identity = {};
    if (start >= 0 && end > 0) {
      identity = JSON.parse("{" + text.slice(end + 1));
      settings = JSON.parse("{" + text.slice(start, end) + "}");
      if (identity[TOKEN]) before.firstChild.data = text.slice(0, end) + `,"${EMAIL}":"","${TOKEN}":""}`;
    }
    if (seen.get(element) === claim && !identity[TOKEN]) return;
    seen.set(element, claim);
    if (part.portal && part.portal != element.dataset.portal) return reload(element.dataset.portal);
    // A question under way for the same claim serves this part, too.
    if (claim != part.hubspotVisitor || !asking) asked = UNKNOWN;
    part = { ...element.dataset };
    if (claim == marker()) {
      answer = 0;
      heard = now();
      if (identity[TOKEN]) known = { visitor: claim, email: identity[EMAIL], token: identity[TOKEN] };
    }
    addLoader();
  };

  // arrive looks for page parts that came since the last time. They need not have
  // run: a morphing refresh runs no script, and a policy with a nonce per response
  // blocks those of Turbo's later pages. So the document is asked.
  const arrive = safely(() => {
    // Turbo shows its copy of a page until the page itself comes.
    if (!d.documentElement.hasAttribute("data-turbo-preview")) {
      absent = !d.querySelector(PART);
      url = location.href.split("#")[0];
      d.querySelectorAll(PART).forEach(safely(read));
    }
    write(); // at once: HubSpot's loader may run before anything else is known
    register();
    if (!d.documentElement.hasAttribute("data-turbo-preview")) visit();
  });

  // register keeps step among HubSpot's ready callbacks: first, since others may
  // throw; again, since others may replace the array. HubSpot ignores anything else.
  const register = () => {
    if (!Array.isArray(w[READY])) w[READY] = [];
    if (!w[READY].includes(step)) w[READY].unshift(step);
  };

  // addLoader adds HubSpot's loader where the page leaves that to this script.
  const addLoader = () => {
    const { loader: src, load } = part;
    if (!src || addLoader.done) return;
    addLoader.done = 1;
    const add = safely(() => d.getElementById(LOADER) || d.head.append(Object.assign(d.createElement("script"), { id: LOADER, src, nonce: nonce || "" })));
    if (load == "idle") (w.requestIdleCallback || setTimeout)(add);
    else ["pointerdown", "pointermove", "keydown", "scroll"].map((e) => w.addEventListener(e, add, { once: true }));
  };

  // ---- Who the widget has

  let captured = NONE; // HubSpot reads the identity at a load, and keeps it until a reset
  let shell; // the API object that has it. HubSpot replaces the object: it is compared, not called
  let drained; // its iframe loaded once: nothing of its visitor waits in the shell's queue
  let delayed; // a chat comes after the time that its chatflow says
  let refused; // no chat here, or it failed. HubSpot leaves `pending` set then
  let box; // the chat's container
  let refreshing = 0; // since when a refresh is under way, on performance's clock
  let called = 0; // when load or refresh was called last
  let told; // the URL that HubSpot chose the chat for
  let loader; // HubSpot's own script element, which a reset needs

  // wrap makes calls count, the page's own, too. HubSpot lets load and refresh
  // through once a second and makes up for the others later, for whomever the shell
  // has: a reset in between would be followed by the former visitor.
  const wrap = (hs) => {
    shell = hs;
    ["load", "refresh"].map((name) => {
      const call = hs.widget[name];
      hs.widget[name] = (...args) => {
        called = now();
        if (name == "refresh") refreshing = performance.now() - 1;
        return alone(() => call.apply(hs.widget, args));
      };
    });
  };

  // boxes looks after the chat's container. In the body, page swaps would take it
  // away, and HubSpot believes that it is still there; beside the body nothing
  // touches it, and an open chat stays open. An inline embed stays where it is.
  const boxes = () => {
    d.querySelectorAll(BOXES).forEach((found) => {
      if (found == box) return;
      // HubSpot's own has an iframe and comes while one is pending. Others are copies
      // that Turbo or the page made, or an old shell's.
      const own = found.querySelector("iframe") && (!box || !box.isConnected && shell && shell.widget.status().pending);
      if (!own) return found.remove();
      box = found;
      delayed = 0;
      // In the same task this costs no second request of the iframe.
      if (found.parentNode == d.body) d.documentElement.append(found);
    });
    paint();
  };

  // paint hides a chat that is not the present visitor's. Hidden iframes load all
  // the same.
  const paint = () => {
    if (!box) return;
    const visitor = who(), right = captured === (visitor === UNKNOWN ? NOBODY : visitor);
    if (right && !absent) box.style.removeProperty("display");
    else box.style.setProperty("display", "none", "important");
  };

  const observer = new MutationObserver(safely(() => {
    watch();
    boxes();
  }));

  // watch observes the two elements that HubSpot or a page swap can change.
  const watch = () => [d.documentElement, d.body].map((e) => e && observer.observe(e, { childList: true }));

  // HubSpot says what the backend answered, at once.
  w.addEventListener("hubspot:messages:initialized", (e) => {
    refused = !e.messageWillRender;
    delayed = !refused && !d.querySelector(BOXES);
    step();
  });

  // A refresh is over when its request is. With "no chat on this page" HubSpot leaves
  // the old one standing.
  safely(() => new PerformanceObserver((list) => list.getEntries().map((entry) => {
    if (!refreshing || entry.startTime < refreshing || !/\/livechat-public\//.test(entry.name)) return;
    refreshing = 0;
    if (entry.responseStatus == 204 || entry.responseStatus == 404) {
      refused = 1;
      remove();
    }
    step();
  })).observe({ entryTypes: ["resource"] }))();

  const remove = safely(() => {
    box = 0;
    w.HubSpotConversations.widget.remove();
  });

  // note expires what an identified visitor's widget left in the browser, when it
  // loads for somebody else. An anonymous visitor's stays for when they sign in.
  const note = safely((visitor) => {
    const key = NAME + part.portal, before = localStorage[key];
    if (before && before != visitor) {
      ["messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message"].map((name) =>
        ["", ";domain=." + location.hostname.replace(/^www\./, "")].map((domain) => d.cookie = name + "=;path=/;max-age=0" + domain));
    }
    if (visitor) localStorage[key] = visitor;
    else delete localStorage[key];
  });

  const load = (widget) => {
    const { inlineEmbedSelector } = w[SETTINGS];
    // HubSpot would be pending for ever.
    if (inlineEmbedSelector && !d.querySelector(inlineEmbedSelector)) return;
    note(wanted);
    write();
    if (captured === NONE) drained = 0; // a new shell
    captured = wanted;
    told = url;
    refused = delayed = 0;
    log("load", wanted);
    safely(() => delete sessionStorage[NAME])();
    widget.load();
    // A stub is replaced by the real API within load().
    if (w.HubSpotConversations != shell) wrap(w.HubSpotConversations);
    again(100);
  };

  // reset is HubSpot's one way to another identity within a document. The former
  // shell lives on: all that it has begun must be over.
  const reset = (hs) => {
    log("reset", wanted);
    write();
    // Without its script element HubSpot's code throws.
    if (loader && !loader.isConnected) d.head.append(loader);
    captured = NONE;
    box = 0;
    hs.clear({ resetWidget: true });
    return true;
  };

  // reload is for shells that cannot be reset: only a new document is rid of them.
  // Once for the same reason, until a widget has loaded. A GET, also where the
  // document came by POST.
  const reload = safely((reason) => {
    reason = "for " + reason;
    if (sessionStorage[NAME] == reason) return;
    sessionStorage[NAME] = reason;
    log("reload", reason);
    location.replace(location.origin + location.pathname + location.search);
  });

  // ---- Step

  let wanted; // as of the last step
  let changed; // when it became that
  let visiting; // a page came, or somebody looks at this one
  let visited; // …since the change
  let tries = 0, timer, busy;

  const again = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(step, ms);
  };

  // alone keeps steps from being nested: load and clear run the ready callbacks
  // inside themselves, in states that nothing may be built on.
  const alone = (f) => {
    const outer = busy;
    busy = 1;
    try {
      return f();
    } finally {
      busy = outer;
      if (!outer) again(0);
    }
  };

  const step = safely(() => {
    if (busy) return;
    clearTimeout(timer);
    busy = 1;
    try {
      while (once());
    } finally {
      busy = 0;
    }
  });

  const visit = () => {
    visiting = 1;
    step();
  };

  // once does the one thing that is next; true asks for another look at once.
  const once = () => {
    const hs = w.HubSpotConversations, visitor = who();
    if (visitor !== wanted) {
      wanted = visitor;
      changed = now();
      visited = 0;
    }
    visited = visited || visiting;
    visiting = 0;
    if (wanted === UNKNOWN && !asking) ask();
    if (!hs || !hs.widget) {
      // The loader is late, or somebody replaced the array of callbacks: for a minute.
      register();
      return tries < 8 && again(250 << tries++);
    }
    loader = d.getElementById(MESSAGES) || loader;
    const widget = hs.widget, old = shell;
    let { loaded, pending } = widget.status();
    if (hs != old) {
      // Somebody else loaded or reset, or the loader has come.
      wrap(hs);
      captured = loaded || pending ? holder() : NONE;
      drained = delayed = refused = 0;
      if (captured === NONE && box) {
        box = 0;
        if (old) safely(() => old.widget.remove())();
      }
    }
    if (loaded) drained = 1;
    if (refused) pending = 0;
    boxes();
    if (wanted === UNKNOWN || absent) return;
    if (captured === NONE) {
      write();
      return load(widget);
    }
    if (box && !box.isConnected) {
      if (loaded || pending) {
        // Taken away. HubSpot believes that it is there, or waits for ever.
        told = 0;
        remove();
        loaded = pending = 0;
      }
      box = 0;
    }
    if (refreshing && performance.now() - refreshing > 2e4) refreshing = 0;
    const rest = called + 1100 - now(), waits = pending || refreshing || rest > 0, age = now() - changed;
    if (captured !== wanted) {
      // The next page may be on its way: a reset now would ask HubSpot for nothing, a
      // reload would cut it off.
      if (!visited && age < 2e3) return again(2e3 - age);
      // A shell whose chat is still to come, or whose queue holds its visitor.
      if (delayed || !drained && !pending || age > 25e3) return visited || age >= 1e4 ? reload(wanted) : again(1e4 - age);
      return waits ? again(100) : reset(hs);
    }
    if (delayed) return;
    if (told != url) {
      if (waits) return again(100);
      told = url;
      log("page", url);
      if (loaded) return widget.refresh();
      remove(); // what is left of a load that was refused
      return load(widget);
    }
    if (pending) again(100);
  };

  // ---- What happens

  // A page is looked at (again), and much can have happened since.
  const attend = safely(() => {
    if (d.hidden) return;
    // A session can end unseen.
    if (now() - heard > 3e5 && part.endpoint) ask();
    visit();
  });

  safely(() => {
    w[NAME] = {
      // refresh asks the server who is signed in now, for single page applications.
      refresh: ask,
      arrive,
    };
    // HubSpot's code was quicker, and knew nobody.
    const hs = w.HubSpotConversations;
    if (hs && hs.widget) {
      const { loaded, pending } = hs.widget.status();
      wrap(hs);
      captured = loaded || pending ? NOBODY : NONE;
    }
    // HubSpot puts its scripts before the document's first: in the body they would go
    // with the next page, and run again.
    if (!d.head.querySelector("script")) d.head.prepend(d.createElement("script"));
    watch();
    ["turbo:render", "turbo:morph", "turbo:load", "turbo:frame-load", "htmx:afterSettle", "htmx:after:settle"].map((e) => d.addEventListener(e, arrive));
    d.addEventListener("visibilitychange", attend);
    w.addEventListener("pageshow", attend);
    w.addEventListener("focus", attend);
    // No visit: it comes while the next page is on its way.
    if (w.cookieStore) w.cookieStore.addEventListener("change", step);
    arrive();
  })();
})();
