// launcher.js is the button that stands in for HubSpot's chat until it is wanted.
// It follows chat.js, and works by what that has for applications: hubspotVisitor
// and its event. It lives beside the body, as the chat does: page swaps do not
// touch it, and nothing moves for it. A shadow root with a constructed style sheet
// needs no permission of a Content-Security-Policy, and no style of the page
// reaches it.
//
// The page part's attributes:
//
//   data-label      its name; "Chat"
//   data-color      its background
//   data-left       in the left corner
//   data-fallback   a link for where HubSpot's scripts are blocked or fail
const d = document, ID = "hubspot-visitor-launcher", visitor = window.hubspotVisitor;
const part = () => (d.querySelector("script[data-hubspot-visitor]") || d.body).dataset;

const CSS = `:host{position:fixed;z-index:2147483000;bottom:16px;right:16px;display:flex;flex-direction:row-reverse;align-items:center;gap:12px;font:16px system-ui,sans-serif}
:host([hidden]),[hidden]{display:none!important}
:host(.left){right:auto;left:16px;flex-direction:row}
button{width:60px;height:60px;padding:0;border:2px solid #fff;border-radius:50%;background:#1d4ed8;color:#fff;cursor:pointer;box-shadow:0 2px 10px #0006;display:grid;place-content:center}
button::before{content:"";width:26px;height:20px;border-radius:6px 6px 6px 0;background:currentColor}
a{padding:8px 14px;border-radius:18px;background:#fff;color:#1a1a1a;box-shadow:0 2px 10px #0006}
:focus-visible{outline:3px solid #1d4ed8;outline-offset:3px}
[aria-busy]::before{animation:b 1s infinite alternate}
@keyframes b{to{opacity:.3}}
@media(prefers-reduced-motion:reduce){[aria-busy]::before{animation:none;opacity:.5}}
@media(prefers-color-scheme:dark){button{border-color:#222}a{background:#222;color:#fff}:focus-visible{outline-color:#8ab4ff}}
@media(forced-colors:active){button::before{background:ButtonText;forced-color-adjust:none}}`;

const create = (name, attributes) => {
  const element = d.createElement(name);
  for (const a in attributes) element.setAttribute(a, attributes[a]);
  return element;
};

const start = () => {
  const host = create("div", { id: ID, role: "region" });
  const button = create("button", { type: "button" }), link = create("a");
  const root = host.attachShadow({ mode: "open" }), sheet = new CSSStyleSheet();
  sheet.replaceSync(CSS.replace(/\n/g, ""));
  root.adoptedStyleSheets = [sheet];
  root.append(button, link);

  // The page part is read each time: pages come and go.
  const draw = () => {
    const { load, label = "Chat", color = "", left, fallback } = part();
    const { state } = visitor.status, trouble = /blocked|failed/.test(state);
    host.hidden = load != "click" || /ready|none/.test(state);
    host.className = left == null ? "" : "left";
    host.ariaLabel = button.ariaLabel = button.title = label;
    button.style.background = color;
    button.ariaBusy = state == "loading" || null;
    link.hidden = !trouble || !/^(https?:|mailto:|tel:|\/)/.test(fallback);
    link.href = fallback;
    link.textContent = link.hidden ? "" : fallback.replace(/^\w+:(\/\/)?/, "");
  };

  // Who comes near may want the chat: HubSpot's host is looked up, and its loader
  // fetched.
  let warmed;
  const warm = () => {
    const { loader } = part();
    if (!loader || warmed) return;
    warmed = 1;
    d.head.append(create("link", { rel: "preload", as: "script", href: loader }));
  };
  button.onpointerenter = button.onfocus = warm;
  button.onclick = visitor.open;
  // Another page's part may say something else, and nothing change for the chat.
  ["hubspotvisitor:change", "turbo:render", "htmx:afterSettle"].map((event) => d.addEventListener(event, draw));
  draw();
  d.documentElement.append(host);
};

// Once in a document. Anybody's element may have that id.
if (visitor && !visitor.launched) {
  visitor.launched = true;
  start();
}
