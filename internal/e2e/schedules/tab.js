// A tab of a browser, made of a frame of this page: a real window and document,
// with the parts of the browser replaced that take time or reach beyond the frame.
//
//   clock     setTimeout and the like, Date, performance.now
//   network   fetch, resource entries of PerformanceObserver, script elements with
//             a src, iframes (elements of that name which load nothing)
//   browser   cookies, cookieStore, storage, location, visibility
//
// All of them are replaced on the frame's own window and document, where scripts
// find them however they look, but for location, which no page can replace: the
// scripts get it as a parameter of a function around them.
//
// There is one frame for all tabs and documents, since a browser takes tens of
// milliseconds to make one: what a document left in it is taken out before the next.

const EPOCH = Date.UTC(2030, 0, 1);
const COMMIT = 0.6; // of an iframe's loading time passes before it has its document

let frame = null; // {window, document, tab, clean}: the tab that has it at present

export class Tab {
  #owner = {};       // owns the document's tasks
  #started = new WeakSet(); // script elements with a src that were met
  #rendering = new Map(); // iframes in the document, and the task that each waits for

  // world answers for what is outside of the browser, see class World.
  constructor(clock, world, { cookieEvents }) {
    this.clock = clock;
    this.world = world;
    this.cookieEvents = cookieEvents;
    this.cookies = new Map();
    this.storage = { localStorage: {}, sessionStorage: {} };
    this.url = null;
    frame = frame || makeFrame();
    frame.tab = this;
    this.window = frame.window;
    this.document = frame.document;
  }

  // close ends the document: nothing of it happens any more.
  close() {
    this.clock.cancelAll(this.#owner);
    this.#owner = {};
    frame.clean();
  }

  // open replaces the document by an empty one at url, which fill completes as the
  // parser would.
  open(url, fill) {
    this.close();
    this.url = new URL(url, "https://shop.test");
    this.opened = this.clock.now;
    this.#started = new WeakSet();
    this.#rendering = new Map();
    this.observers = new Set(); // of performance
    this.hidden = false;
    this.readyState = "loading";
    fill(this.document);
    this.after(30, () => {
      this.readyState = "interactive";
      this.document.dispatchEvent(this.event("DOMContentLoaded", { bubbles: true }));
    });
    this.after(60, () => {
      this.readyState = "complete";
      this.window.dispatchEvent(this.event("load"));
      this.window.dispatchEvent(new this.window.PageTransitionEvent("pageshow"));
    });
  }

  // after is a task of the document: it does not outlive it.
  after(ms, run) {
    return this.clock.after(ms, () => {
      try {
        run();
      } catch (error) {
        this.world.thrown(error);
      }
    }, this.#owner);
  }

  event(type, init) { return new this.window.Event(type, init); }

  pendingTimers() { return this.clock.pending(this.#owner); }

  // ---- what a page part is made of -------------------------------------------

  // script makes an element as the parser or Turbo does: it runs when it comes into
  // the document. Copies of what ran in another document run as well.
  script(attributes, text) {
    const element = this.document.createElement("script");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.text = text;
    return element;
  }

  // setCookie understands what a script or a server writes. Its tabs hear of it a
  // little later, where the browser has cookieStore.
  setCookie(line) {
    const [pair, ...attributes] = line.split(";").map((s) => s.trim());
    const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
    const attribute = (wanted) => (attributes.find((a) => a.toLowerCase().startsWith(wanted + "=")) || "").slice(wanted.length + 1);
    const gone = attribute("max-age") ? Number(attribute("max-age")) <= 0 : attribute("expires") && Date.parse(attribute("expires")) <= EPOCH + this.clock.now;
    const before = this.cookies.get(name);
    if (gone) this.cookies.delete(name);
    else this.cookies.set(name, value);
    if (before === this.cookies.get(name)) return;
    this.world.cookieChanged(name);
    const { cookieStore } = this.window;
    if (cookieStore && this.url) {
      this.after(this.cookieEvents, () => {
        cookieStore.dispatchEvent(this.event("change"));
        this.world.cookieHeard(name);
      });
    }
  }

  // ---- what came into the document, and what left it -----------------------------

  // look starts what a browser starts when it sees an element: scripts with a src,
  // iframes. It reports whether the document has changed since the last look.
  look() {
    const records = frame.records.splice(0);
    if (records.length === 0) return false;
    for (const script of this.document.querySelectorAll("script[data-src]")) {
      if (this.#started.has(script)) continue;
      this.#started.add(script);
      this.#fetchScript(script);
    }
    const moved = new Set();
    for (const { removedNodes } of records) {
      for (const node of removedNodes) {
        for (const iframe of this.#rendering.keys()) if (node.contains(iframe)) moved.add(iframe);
      }
    }
    for (const iframe of moved) {
      this.clock.cancel(this.#rendering.get(iframe).task);
      this.#rendering.delete(iframe);
    }
    for (const iframe of this.document.querySelectorAll("iframe[src]")) {
      if (!this.#rendering.has(iframe)) this.#fetchIframe(iframe);
    }
    return true;
  }

  #fetchScript(element) {
    const { after, source } = this.world.script(element.src);
    this.after(after, () => {
      if (source === null) return element.dispatchEvent(this.event("error"));
      Object.defineProperty(this.document, "currentScript", { value: element, configurable: true });
      try {
        this.window.Function("location", source.replace(/\b(window|document)\.location\b/g, "location"))(this.window.pageLocation);
      } finally {
        delete this.document.currentScript;
      }
      element.dispatchEvent(this.event("load"));
    });
  }

  #fetchIframe(iframe) {
    iframe.contentDocument = { URL: "about:blank" };
    iframe.contentWindow = { postMessage: (message) => this.world.iframeTold(iframe, JSON.parse(message)) };
    const { after } = this.world.iframeAsked(iframe);
    const state = { task: null };
    this.#rendering.set(iframe, state);
    state.task = this.after(after * COMMIT, () => {
      iframe.contentDocument = null; // another origin's
      state.task = this.after(after * (1 - COMMIT), () => {
        iframe.dispatchEvent(this.event("load"));
        this.world.iframeLoaded(iframe);
      });
    });
  }

  // say is a message from the chat in an iframe to the page.
  say(iframe, message, answer = () => {}) {
    const event = new this.window.MessageEvent("message", { data: JSON.stringify(message), origin: new URL(iframe.getAttribute("src")).origin });
    Object.defineProperty(event, "source", { value: { postMessage: (text) => answer(JSON.parse(text)) } });
    this.window.dispatchEvent(event);
  }
}

// makeFrame makes the frame and replaces in it what is a tab's to decide.
function makeFrame() {
  const host = document.createElement("iframe");
  document.body.append(host);
  const win = host.contentWindow, doc = host.contentDocument;
  const made = { window: win, document: doc, tab: null, records: [] };
  const define = (object, name, get, set) => Object.defineProperty(object, name, { get, set, configurable: true });
  new MutationObserver((records) => made.records.push(...records)).observe(doc, { childList: true, subtree: true, attributes: true });
  win.addEventListener("error", (event) => { made.tab.world.thrown(event.error || event.message); event.preventDefault(); });
  win.addEventListener("unhandledrejection", (event) => { made.tab.world.thrown(event.reason); event.preventDefault(); });
  for (const level of ["log", "warn", "error"]) win.console[level] = (...what) => made.tab.world.printed(level, what);
  replaceTime(made, define);
  replaceNetwork(made, define);
  replaceBrowser(made, define);
  made.clean = cleaner(made);
  return made;
}

// cleaner takes out what a document leaves behind: its elements, the properties of
// its window, its listeners and observers.
function cleaner(made) {
  const { window: win, document: doc } = made, listeners = [], observers = [], kept = new Set(Object.keys(win));
  for (const target of [win, doc, win.cookieStore]) {
    const { addEventListener } = target;
    target.addEventListener = (...args) => {
      listeners.push([target, ...args]);
      addEventListener.apply(target, args);
    };
  }
  kept.add("addEventListener");
  win.MutationObserver = class extends win.MutationObserver {
    constructor(callback) {
      super(callback);
      observers.push(this);
    }
  };
  return () => {
    for (const [target, ...args] of listeners.splice(0)) target.removeEventListener(...args);
    for (const observer of observers.splice(0)) observer.disconnect();
    for (const name of Object.keys(win)) if (!kept.has(name)) delete win[name];
    const root = doc.createElement("html");
    root.append(doc.createElement("head"), doc.createElement("body"));
    doc.replaceChild(root, doc.documentElement);
    made.records = [];
  };
}

function replaceTime(made, define) {
  const { window: win } = made;
  const timers = new Map();
  let timer = 0;
  const later = (id, ms, f) => timers.set(id, made.tab.after(Math.max(1, ms || 0), f));
  win.setTimeout = (f, ms, ...args) => {
    const id = ++timer;
    later(id, ms, () => {
      timers.delete(id);
      f(...args);
    });
    return id;
  };
  win.setInterval = (f, ms, ...args) => {
    const id = ++timer;
    later(id, ms, function again() {
      later(id, ms, again);
      f(...args);
    });
    return id;
  };
  win.clearTimeout = win.clearInterval = win.cancelIdleCallback = win.cancelAnimationFrame = (id) => {
    made.tab.clock.cancel(timers.get(id));
    timers.delete(id);
  };
  win.requestIdleCallback = win.requestAnimationFrame = (f) => win.setTimeout(f, 16);
  const now = () => EPOCH + made.tab.clock.now;
  win.Date = class extends win.Date {
    constructor(...args) { args.length ? super(...args) : super(now()); }
    static now() { return now(); }
  };
  win.performance.now = () => made.tab.clock.now - made.tab.opened;
  win.Math.random = () => made.tab.world.random();
}

function replaceNetwork(made, define) {
  const { window: win, document: doc } = made;
  // An observer is the document's that made it; those of earlier ones hear nothing.
  win.PerformanceObserver = class {
    static supportedEntryTypes = ["resource"];
    constructor(callback) { this.callback = callback; }
    observe({ type, entryTypes = [type] }) { if (entryTypes.includes("resource")) made.tab.observers.add(this); }
    disconnect() { made.tab.observers.delete(this); }
    takeRecords() { return []; }
  };
  // send asks the world; its answer, of which a status of 0 is none, comes to answered.
  const send = (method, address, headers, answered) => {
    const { tab } = made, url = new URL(address, tab.url), startTime = win.performance.now();
    const { after, status, body = "", arrived = () => {} } = tab.world.request({ url, method, headers });
    tab.after(after, () => {
      arrived();
      answered(status, body);
      tab.after(1, () => {
        const entry = { entryType: "resource", name: url.href, startTime, responseEnd: win.performance.now(), responseStatus: status };
        tab.observers.forEach((observer) => observer.callback({ getEntries: () => [entry] }, observer));
      });
    });
  };
  win.fetch = (address, { method = "GET", headers = {} } = {}) => new win.Promise((resolve, reject) => {
    new win.Headers(headers); // throws where a browser refuses
    send(method, address, headers, (status, body) => {
      if (status) resolve({ status, ok: status < 300, headers: new win.Headers(), text: async () => body, json: async () => JSON.parse(body) });
      else reject(new win.TypeError("Failed to fetch"));
    });
  });
  // HubSpot's own widget asks in this way.
  win.XMLHttpRequest = class extends win.EventTarget {
    #headers = {};
    open(method, address) { Object.assign(this, { method, address, readyState: 1, status: 0, responseText: "" }); }
    setRequestHeader(name, value) { this.#headers[name] = value; }
    send() {
      send(this.method, this.address, this.#headers, (status, responseText) => {
        Object.assign(this, { status, responseText, readyState: 4 });
        this.dispatchEvent(new win.Event("readystatechange"));
      });
    }
  };
  // The src of a script element is kept where the browser does not look.
  const scripts = win.HTMLScriptElement.prototype, { setAttribute, getAttribute } = win.Element.prototype;
  const stored = (name) => (name === "src" ? "data-src" : name);
  scripts.setAttribute = function (name, value) { setAttribute.call(this, stored(name), value); };
  scripts.getAttribute = function (name) { return getAttribute.call(this, stored(name)); };
  define(scripts, "src", function () {
    return this.dataset.src ? new URL(this.dataset.src, made.tab.url).href : "";
  }, function (value) {
    this.dataset.src = value;
  });
  const { createElement } = doc;
  doc.createElement = (name) => {
    if (name !== "iframe") return createElement.call(doc, name);
    const iframe = doc.createElementNS(null, "iframe");
    define(iframe, "src", () => iframe.getAttribute("src"), (value) => iframe.setAttribute("src", value));
    iframe.contentDocument = { URL: "about:blank" };
    return iframe;
  };
}

function replaceBrowser(made, define) {
  const { window: win, document: doc } = made;
  define(doc, "cookie", () => [...made.tab.cookies].map(([name, value]) => name + "=" + value).join("; "), (line) => made.tab.setCookie(line));
  define(doc, "hidden", () => made.tab.hidden);
  define(doc, "visibilityState", () => (made.tab.hidden ? "hidden" : "visible"));
  define(doc, "readyState", () => made.tab.readyState);
  const store = new win.EventTarget();
  define(win, "cookieStore", () => (made.tab && !made.tab.cookieEvents ? undefined : store));
  for (const name of ["localStorage", "sessionStorage"]) {
    const storage = asStorage(() => made.tab.storage[name]);
    define(win, name, () => storage);
  }
  const location = win.pageLocation = {};
  const leave = () => made.tab.world.reload();
  for (const name of ["href", "origin", "protocol", "host", "hostname", "pathname", "search", "hash"]) {
    define(location, name, () => made.tab.url[name], leave);
  }
  location.replace = location.assign = location.reload = leave;
  location.toString = () => location.href;
}

// asStorage is a Storage: values are strings, and properties are items.
function asStorage(items) {
  const methods = {
    getItem: (name) => (name in items() ? items()[name] : null),
    setItem: (name, value) => { items()[name] = String(value); },
    removeItem: (name) => { delete items()[name]; },
    clear: () => Object.keys(items()).forEach((name) => delete items()[name]),
  };
  return new Proxy({}, {
    get: (_, name) => (name in methods ? methods[name] : items()[name]),
    set: (_, name, value) => { items()[name] = String(value); return true; },
    deleteProperty: (_, name) => delete items()[name],
    has: (_, name) => name in items(),
  });
}
