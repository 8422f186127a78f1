// chat.js tells HubSpot's chat widget whom a page is for. The server calls it
// with one object, on every page load and again after every page swap (Turbo,
// htmx); it may run any number of times in a document.
//
// How the widget behaves, and why this is a reconciler: the widget reads the
// identity at its first load and keeps it until a reset; resets do not queue; a
// reset or load during a load ends with the wrong visitor. So there is one place,
// step(), that compares the wanted identity with the captured one and does one
// thing at a time.
//
// PAGE: {
//   settings  for hsConversationsSettings
//   identity  {identificationEmail, identificationToken}, if there is a token
//   visitor   fingerprint of the page's visitor, "" for the anonymous
//   at        when the server rendered it, in milliseconds
//   renew     seconds until the token should be asked for again
//   endpoint  where to ask for the identity, if anywhere
//   late      the token was not there in time: ask before loading
//   loader    src of HubSpot's loader, where this script has to add it…
//   when      …"idle" or at the first "interaction"
//   debug     say in the console what is done
// }
(function (page) {
  const w = window, d = document, now = Date.now, NAME = "hubspotVisitor";
  const SETTINGS = "hsConversationsSettings", READY = "hsConversationsOnReady";
  const EMAIL = "identificationEmail", TOKEN = "identificationToken";

  const log = (...what) => page.debug && console.log(NAME, ...what);

  // Nothing here may ever break a page.
  const safely = (f) => (...args) => {
    try {
      return f(...args);
    } catch (e) {
      log(e);
    }
  };

  const stored = safely(() => localStorage[NAME]);

  const expireCookies = safely(() =>
    ["messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message"].map((name) =>
      ["", ";domain=." + location.hostname.replace(/^www\./, "")].map((at) => d.cookie = name + "=;path=/;max-age=0" + at)));

  // begin makes the one state of the document.
  const begin = () => {
    let owner;           // fingerprint of the visitor whom the page is for
    let wanted;          // the identity that the widget shall have, if any…
    let wantedBy;        // …and whose it is: a fingerprint, "" for nobody's
    let captured;        // fingerprint that the widget loaded with, undefined before a load
    let waiting;         // for a late identity: nothing loads before it is known
    let swapped;         // the document shows another page than when the widget loaded
    let turn = 0;        // of questions to the endpoint: an answer to an earlier one is ignored
    let latest = 0;      // at of the youngest page so far
    let calledAt = 0;    // when load or clear was called last
    let tries = 0, renewAt, pendingSince, timer;

    const write = () => {
      const s = w[SETTINGS] = w[SETTINGS] || {};
      delete s[EMAIL];
      delete s[TOKEN];
      Object.assign(s, page.settings, wanted);
    };

    const again = (ms) => {
      timer = setTimeout(step, ms);
    };

    const load = (widget) => {
      write();
      calledAt = now();
      log(captured = wantedBy); // whom it loads for
      widget.load();
      again(100);
    };

    // step compares and does one thing. It is the ready callback, too.
    const step = safely(() => {
      clearTimeout(timer);
      const hs = w.HubSpotConversations;
      // Somebody may replace the array of callbacks: look a few times, for a minute.
      if (waiting || !hs) return hs || tries < 8 && again(250 << tries++);
      const widget = hs.widget, status = widget.status(), wait = calledAt + 1100 - now();
      const box = d.getElementById("hubspot-messages-iframe-container");
      // The page swap took the container; what Turbo brings back is a lifeless copy.
      const gone = swapped && !(box && box[NAME]);
      if (status.pending) {
        pendingSince = pendingSince || now();
        if (now() - pendingSince > 1e4) { // stuck, after an error of the backend
          widget.remove();
          pendingSince = 0;
        }
        return again(100);
      }
      pendingSince = 0;
      if (captured === undefined && status.loaded) captured = ""; // HubSpot's code was quicker
      if (captured == null) load(widget);
      // A container that is gone needs a load, and that a token that is still good.
      else if (captured != wantedBy || gone && wantedBy && wait < -18e5) {
        // A load or reset so soon after another would be throttled, and come back later.
        if (wait > 0) return again(wait);
        calledAt = now();
        write();
        swapped = captured = null;
        hs.clear({ resetWidget: true });
        again(100);
      } else if (swapped) {
        swapped = 0;
        if (status.loaded && !gone) return widget.refresh();
        if (status.loaded) widget.remove(); // as it believes; or there was no chat on the page before
        box && box.remove();
        load(widget);
      } else if (box) box[NAME] = 1;
    });

    const want = (identity, visitor) => {
      wanted = identity;
      wantedBy = identity ? visitor : "";
      write();
      step();
    };

    // belongs notes whom the browser is used by now. What another visitor left in
    // it goes; what an anonymous visitor left stays for when they sign in.
    const belongs = safely((visitor) => {
      const before = owner || stored();
      if (before && before != visitor) expireCookies();
      owner = visitor;
      visitor ? localStorage[NAME] = visitor : delete localStorage[NAME];
    });

    const renewIn = (seconds) => {
      renewAt = seconds && now() + seconds * 1e3;
    };

    // ask asks the server, if it can be asked, who is signed in; for 5 seconds.
    const ask = async () => {
      if (!page.endpoint) return;
      const mine = ++turn;
      const settle = (answer) => {
        if (mine != turn) return;
        turn++;
        waiting = 0;
        latest++; // the pages so far are older than this answer
        if (!answer) return renewIn(300), step(); // what is known stays; ask again later
        const [visitor, expires, identity] = answer;
        belongs(visitor);
        renewIn(expires && (new Date(expires) - now()) / 1333); // after three quarters of what is left
        want(identity, visitor);
      };
      setTimeout(settle, 5e3);
      return fetch(page.endpoint, { method: "POST", redirect: "manual" }).then((r) => {
        const visitor = r.headers.get("Hubspot-Visitor") || "";
        return r.status == 200 ? r.json().then((id) => [
          visitor || "?", id.expiresAt, { [EMAIL]: id.email, [TOKEN]: id.token },
        ])
        // Nobody is signed in (204, or what the application's authentication answers),
        // or somebody else, who has no token yet.
        : (r.status < 429 || visitor && visitor != owner) && [visitor];
      }).then(settle, () => settle());
    };

    d.addEventListener("visibilitychange", () => d.hidden || now() > renewAt && ask());
    w.addEventListener("pageshow", (e) => {
      // A page from the back/forward cache, of a visitor who is gone since.
      if (e.persisted && stored() != owner) {
        owner = "";
        want();
        ask();
      }
    });

    return {
      // show is for a page of the server's.
      show: (next) => {
        swapped = captured != null;
        // Turbo and htmx bring back pages that they kept: whose chat those had does
        // not matter any more.
        if (next.at < latest) return step();
        page = next;
        latest = page.at;
        turn++;
        const visitor = page.visitor;
        belongs(visitor);
        renewIn(page.renew);
        waiting = page.late && !swapped;
        if (page.late) ask();
        const ready = w[READY] = w[READY] || [];
        // First in the array: one of the others may throw.
        ready.includes(step) || ready.unshift(step);
        // The same visitor, whose token did not come this time, keeps the last one.
        want(page.identity || visitor == wantedBy && wanted, visitor);
      },
      // refresh asks the server who is signed in now, for single page applications.
      refresh: ask,
    };
  };

  // addLoader adds HubSpot's loader where the page leaves that to this script.
  const addLoader = (nonce) => {
    const id = "hs-script-loader";
    const add = safely(() => d.getElementById(id) || d.head.append(Object.assign(d.createElement("script"), { id, src: page.loader, nonce })));
    if (page.when == "idle") (w.requestIdleCallback || setTimeout)(add);
    else "pointerdown pointermove keydown scroll".split(" ").map((e) => w.addEventListener(e, add, { once: true }));
  };

  safely(() => {
    (w[NAME] = w[NAME] || begin()).show(page);
    page.loader && addLoader((d.currentScript || d.body).nonce);
  })();
})(PAGE);
