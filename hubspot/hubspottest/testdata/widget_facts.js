// How HubSpot's widget behaves, fact by fact: what was measured by running
// HubSpot's own code, and what the emulated widget has to do in the same way.
//
// A page of the test includes this script and calls runFact(name). What the
// backend and the iframe saw comes from the test's server, at /log; how the
// backend treats the next question is said in the page's query, see use().
// Expected values that differ between HubSpot's releases say so.
(function () {
  'use strict';

  const query = new URLSearchParams(location.search);
  const RELEASE = query.get('hubspot-release') || '2026-05';
  const NEWEST = RELEASE === '2026-05';
  const BOX = '#hubspot-messages-iframe-container';
  const page = location.pathname;

  const events = [];   // hubspot:messages:initialized: [messageWillRender, is a container there]
  const warnings = []; // of the console
  const errors = [];   // uncaught
  const violations = [];
  window.addEventListener('hubspot:messages:initialized', (event) => events.push([event.messageWillRender, box() !== null]));
  window.addEventListener('error', (event) => errors.push(event.message));
  document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
  const warn = console.warn;
  console.warn = (...what) => { warnings.push(what.join(' ')); warn(...what); };

  // ---- what the facts are told with ---------------------------------------

  const box = () => document.querySelector(BOX);
  const api = () => window.HubSpotConversations;
  const widget = () => api().widget;
  const reset = () => api().clear({ resetWidget: true });
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const warned = (text) => warnings.filter((line) => line.includes(text)).length;
  const cookie = (name) => (document.cookie.split('; ').find((c) => c.startsWith(name + '=')) || '').slice(name.length + 1);

  async function until(what, condition) {
    const end = performance.now() + 10000;
    for (;;) {
      const value = await condition();
      if (value) {
        return value;
      }
      if (performance.now() > end) {
        throw new Error('not within 10 s: ' + what);
      }
      await sleep(25);
    }
  }

  function same(what, got, want) {
    if (JSON.stringify(got) !== JSON.stringify(want)) {
      throw new Error(what + ': ' + JSON.stringify(got) + ', want ' + JSON.stringify(want));
    }
  }

  // settings replaces the page's settings: for visitor A, B or nobody.
  function settings(who, more) {
    const visitor = window.VISITORS[who] || { email: '', token: '' };
    window.hsConversationsSettings = Object.assign({
      loadImmediately: false, identificationEmail: visitor.email, identificationToken: visitor.token,
    }, more);
  }

  // use says how the backend treats what it is asked from now on.
  function use(behaviour) {
    const next = new URLSearchParams({ 'hubspot-release': RELEASE });
    Object.entries(behaviour || {}).forEach(([name, value]) => next.set('hubspot-' + name, value));
    history.replaceState(null, '', page + '?' + next);
  }

  // include adds HubSpot's loader, as a page does.
  function include() {
    const tag = document.createElement('script');
    tag.id = 'hs-script-loader';
    tag.nonce = window.NONCE || '';
    tag.src = '//js.hs-scripts.com/12345678.js';
    document.body.append(tag);
  }

  async function stub() {
    include();
    await until('the stub', api);
  }

  const log = async () => (await fetch('/log?page=' + encodeURIComponent(page))).json();
  const asked = async () => (await log()).asked;
  const told = async () => (await log()).told;
  const shown = async (n) => until('the chat was told of its visitor ' + n + ' times',
    async () => (await told()).filter(([type]) => type === 'widget-data').length >= n);

  async function loaded(n = 1) {
    await shown(n);
    await until('the widget is loaded', () => widget().status().loaded);
  }

  // boot is a page on which the chat is loaded.
  async function boot(who, more) {
    settings(who, more);
    await stub();
    widget().load();
    await loaded();
  }

  const next = () => sleep(1150); // the second of the throttle is over

  // ---- the facts ----------------------------------------------------------

  const facts = {
    async '1 the stub: on and off work, the rest prints a warning and does nothing'() {
      document.cookie = 'messagesUtk=0123456789abcdef0123456789abcdef; Domain=.shop.test; Path=/; Secure';
      settings();
      await stub();
      warnings.length = 0;
      const listener = () => {};
      api().on('widgetLoaded', listener);
      api().off('widgetLoaded', listener);
      same('warnings of on and off', warnings.length, 0);
      reset();
      widget().remove();
      widget().refresh();
      widget().open();
      widget().close();
      same('warnings', warnings.length, 5);
      same('cookie', cookie('messagesUtk'), '0123456789abcdef0123456789abcdef');
      same('asked', await asked(), []);
    },
    async '1 the widget starts when the document is read to its end'() {
      settings('A', { loadImmediately: true });
      Object.defineProperty(document, 'readyState', { configurable: true, get: () => 'loading' });
      include();
      await until('the script', () => document.getElementById('hubspot-messages-loader'));
      await sleep(600);
      same('API before', api(), undefined);
      delete document.readyState;
      document.dispatchEvent(new Event('DOMContentLoaded'));
      same('status', widget().status(), { loaded: false, pending: true });
      await loaded();
    },
    async '2 load reads the visitor at that moment, and replaces the API object at once'() {
      settings('A');
      await stub();
      const before = api();
      settings('B');
      widget().load();
      same('the API object was replaced', api() !== before, true);
      settings('A');
      await loaded();
      same('asked', await asked(), ['B']);
      same('iframes', document.querySelectorAll(BOX + ' > iframe').length, 1);
    },
    async '3 ready callbacks run for the stub and for the real API, again after each reset, and stay'() {
      let early = 0;
      let late = 0;
      window.hsConversationsOnReady = [() => early++];
      settings('A');
      await stub();
      same('runs at the stub', early, 1);
      window.hsConversationsOnReady.push(() => late++);
      widget().load();
      same('runs at the real API', [early, late], [2, 1]);
      await loaded();
      reset();
      same('runs after the reset', [early, late], [3, 2]);
      widget().load();
      same('runs at the second real API', [early, late], [4, 3]);
      same('callbacks', window.hsConversationsOnReady.length, 2);
    },
    async '3 with loadImmediately the callbacks run once, and the API is there before the answer'() {
      let runs = 0;
      window.hsConversationsOnReady = [() => runs++];
      settings('A', { loadImmediately: true });
      use({ delay: '500ms' });
      include();
      await until('the API', api);
      same('status', widget().status(), { loaded: false, pending: true });
      await loaded();
      same('runs', runs, 1);
      same('asked', await asked(), ['A']);
    },
    async '4 load does nothing while it is pending or loaded'() {
      settings('A');
      await stub();
      use({ delay: '1500ms' });
      widget().load();
      widget().load();
      await next();
      widget().load();
      same('status', widget().status(), { loaded: false, pending: true });
      await loaded();
      await next();
      widget().load();
      await sleep(300);
      same('asked', await asked(), ['A']);
    },
    async '5 refresh sends the captured visitor'() {
      await boot('A');
      settings('B');
      widget().refresh();
      await until('the answer', async () => (await told()).some(([type]) => type === 'refresh-widget-data'));
      same('asked', await asked(), ['A', 'A']);
    },
    async '5 remove and load send the captured visitor'() {
      await boot('A');
      settings('B');
      widget().remove();
      same('removed', [box(), widget().status()], [null, { loaded: false, pending: false }]);
      await next();
      widget().load();
      await loaded(2);
      same('asked', await asked(), ['A', 'A']);
    },
    async '5 a reset starts over with a stub, which captures the new visitor'() {
      await boot('A');
      settings('B');
      reset();
      same('after the reset', [box(), widget().status().loaded], [null, false]);
      widget().load();
      await loaded(2);
      same('asked', await asked(), ['A', 'B']);
    },
    async '5 listeners of the stub stay for the real API, and are lost with a reset'() {
      let heard = 0;
      settings('A');
      await stub();
      api().on('widgetLoaded', () => heard++);
      widget().load();
      await loaded();
      await until('the event', () => heard === 1);
      reset();
      widget().load();
      await loaded(2);
      await sleep(200);
      same('heard', heard, 1);
    },
    async '5 refresh with setIdentification captures anew, in the newest release'() {
      await boot('A');
      settings('B');
      widget().refresh({ setIdentification: true });
      await until('the answer', async () => (await told()).some(([type]) => type === 'refresh-widget-data'));
      const now = NEWEST ? 'B' : 'A';
      same('asked', await asked(), ['A', now]);
      same('refreshed', (await told()).filter(([type]) => type === 'refresh-widget-data'), [['refresh-widget-data', now]]);
    },
    async '6 log-out: without a visitor in the settings a reset comes back anonymous, with another utk'() {
      await boot('A');
      settings();
      reset();
      widget().load();
      await loaded(2);
      const { asked, utks } = await log();
      same('asked', asked, ['A', 'anon']);
      same('utks differ', utks[0] !== utks[1], true);
    },
    async '7 a body swap takes the container, and only remove and load bring it back'() {
      await boot('A');
      const body = document.createElement('body');
      document.body.replaceWith(body);
      same('status', widget().status(), { loaded: true, pending: false });
      await next();
      widget().load();
      widget().refresh();
      await sleep(500);
      same('container', box(), null);
      widget().remove();
      await next();
      widget().load();
      await loaded(2);
      same('container', box() !== null, true);
    },
    async '8 a null in the settings stops the widget: no API, no callback'() {
      let runs = 0;
      window.hsConversationsOnReady = [() => runs++];
      settings('A', { identificationEmail: null });
      include();
      await until('an exception', () => errors.length > 0);
      same('API', api(), undefined);
      same('runs', runs, 0);
    },
    async '8 a number instead of a text stops it, too'() {
      settings('A', { inlineEmbedSelector: 1 });
      include();
      await until('an exception', () => errors.length > 0);
      same('API', api(), undefined);
    },
    async '8 undefined is fine, and so is null instead of settings'() {
      window.hsConversationsSettings = null;
      include();
      await until('the API', api);
      await loaded();
      settings(undefined, { identificationEmail: undefined, disableAttachment: undefined });
      reset();
      widget().load();
      await loaded(2);
      same('asked', await asked(), ['anon', 'anon']);
    },
    async '8 an e-mail without a token is anonymous'() {
      await boot('A', { identificationToken: '' });
      same('asked', await asked(), ['anon']);
      same('told of', (await told()).filter(([type]) => type === 'widget-data'), [['widget-data', 'anon']]);
    },
    async '9 the e-mail is encoded, the token is not'() {
      settings(undefined, { identificationEmail: 'a+b@example.com', identificationToken: 'ab/c:d' });
      await stub();
      widget().load();
      await until('the request', () => requests().length > 0);
      const [entry] = requests();
      same('e-mail', entry.name.includes('email=a%2Bb%40example.com'), true);
      same('token', entry.name.includes('identificationToken=ab/c:d'), true);
    },
    async '11 strict policy: the style is the one violation'() {
      await boot('A');
      same('violations', violations, ['style-src-elem']);
    },
    async '11 strict policy with avoidInlineStyles: no violation'() {
      await boot('A', { avoidInlineStyles: true });
      same('violations', violations, []);
    },
    async '12 answer 200: the event tells of a chat, which is there already'() {
      await boot('A');
      same('events', events, [[true, true]]);
    },
    async '12 answer 204: the event tells of none, pending stays, remove frees'() {
      await stuck({ status: 204 }, [[false, false]], 0);
    },
    async '12 answer 404: the event tells of none, pending stays, remove frees'() {
      await stuck({ status: 404 }, [[false, false]], 0);
    },
    async '12 answer 500: the event tells of none, a warning, pending stays, remove frees'() {
      await stuck({ status: 500 }, [[false, false]], 1);
    },
    async '12 an answer that hides the widget: the event tells of none, nothing is stuck'() {
      settings('A');
      await stub();
      use({ hide: '' });
      widget().load();
      await until('the event', () => events.length > 0);
      same('events', events, [[false, false]]);
      same('status', widget().status(), { loaded: false, pending: false });
    },
    async '12 a chatflow with a display delay: the event comes first, pending until the chat is there'() {
      settings('A');
      await stub();
      use({ 'display-after': '1s' });
      widget().load();
      await until('the event', () => events.length > 0);
      await sleep(500);
      same('events', events, [[true, false]]);
      same('status', widget().status(), { loaded: false, pending: true });
      await loaded();
      same('events', events, [[true, false]]);
    },
    async '13 cookies: of the whole domain, lax, secure on https; an open chat is remembered'() {
      await boot();
      await until('messagesUtk', () => cookie('messagesUtk'));
      const { domain, path, sameSite, secure } = await cookieStore.get('messagesUtk');
      same('messagesUtk', [domain, path, sameSite, secure], ['shop.test', '/', 'lax', true]);
      widget().open();
      await until('hs-messages-is-open', () => cookie('hs-messages-is-open') === 'true');
      await until('the class', () => document.documentElement.classList.contains('hs-messages-widget-open'));
    },
    async '13 an identified visitor has no messagesUtk'() {
      await boot('A');
      await sleep(300);
      same('messagesUtk', cookie('messagesUtk'), '');
    },
    async '14 the request and the iframe'() {
      await boot('A');
      const [entry] = requests();
      const url = new URL(entry.name);
      const utk = url.searchParams.get('messagesUtk');
      same('request', [url.origin, url.pathname, url.searchParams.get('portalId'), url.searchParams.get('email')],
        ['https://api.hubspot.com', '/livechat-public/v1/message/public', '12345678', 'a@example.com']);
      same('status in the timeline', entry.responseStatus, 200);
      const frame = new URL(document.querySelector(BOX + ' > iframe').src);
      same('iframe', frame.origin + frame.pathname, 'https://app.hubspot.com/conversations-visitor/12345678/threads/utk/' + utk);
      same('utk', /^[a-zA-Z\d]{32}$/.test(utk), true);
    },
    async '15 resets do not queue: the former visitor\'s load comes back'() {
      settings('A');
      await stub();
      use({ delay: '500ms' });
      widget().load();
      settings('B');
      reset();
      use();
      widget().load();
      await until('both are asked for', async () => (await asked()).length === 2);
      await until('the second container was refused', () => warned('already exists') === 1);
      same('asked', (await asked()).sort(), ['A', 'B']);
    },
    async '15 resets a moment apart, with a callback that loads: the backend is asked for the one between again'() {
      window.hsConversationsOnReady = [() => widget().load()];
      settings('A');
      await stub();
      await loaded();
      await next();
      use({ delay: '1500ms' });
      settings('B');
      reset();
      await sleep(100);
      settings('C');
      reset();
      await sleep(3500);
      same('asked', await asked(), ['A', 'B', 'C', 'B']);
      same('already exists', warned('already exists') > 0, true);
    },
    async '17 moved beside the body the container survives, and everything works'() {
      new MutationObserver(() => {
        if (box() && box().parentNode !== document.documentElement) {
          document.documentElement.append(box());
        }
      }).observe(document.documentElement, { childList: true, subtree: true });
      await boot('A');
      same('place', box().parentNode === document.documentElement, true);
      same('iframe documents', (await told()).filter(([type]) => type === 'widget-data').length, 1);
      document.body.replaceWith(document.createElement('body'));
      same('status', widget().status(), { loaded: true, pending: false });
      same('container', box() !== null, true);
      widget().refresh();
      await until('the refresh', async () => (await told()).some(([type]) => type === 'refresh-widget-data'));
      widget().open();
      await until('it opens', () => document.documentElement.classList.contains('hs-messages-widget-open'));
      settings('B');
      reset();
      same('container', box(), null);
      widget().load();
      await loaded(2);
      same('place', box().parentNode === document.documentElement, true);
      same('asked', await asked(), ['A', 'A', 'B']);
    },
    async '18 a reset without the loader\'s tag throws'() {
      await boot('A');
      document.getElementById('hubspot-messages-loader').remove();
      let thrown = null;
      try {
        reset();
      } catch (error) {
        thrown = error;
      }
      same('thrown', thrown instanceof TypeError, true);
      same('container', box(), null);
    },
    async '18 the loader inserts before the document\'s first script'() {
      document.head.querySelectorAll('script').forEach((script) => script.remove());
      const first = document.getElementsByTagName('script')[0];
      settings('A');
      await stub();
      const tag = document.getElementById('hubspot-messages-loader');
      same('place', [tag.parentNode === document.body, tag.nextSibling === first], [true, true]);
    },
    async '18 run twice it puts a stub over the real API, and loads beside what is loaded'() {
      await boot('A');
      const again = document.createElement('script');
      again.src = document.getElementById('hubspot-messages-loader').src;
      const before = api();
      document.head.append(again);
      await until('the stub', () => api() !== before);
      same('status', widget().status().loaded, false);
      settings('B');
      widget().load();
      await until('the second container was refused', () => warned('already exists') === 1);
      same('warnings', warned('duplicate instance') === 1, true);
      same('still the stub', widget().status().loaded, false);
      same('asked', await asked(), ['A', 'B']);
    },
    async '19 after a reset the throttled refresh of the former visitor still comes, and loads'() {
      await boot('A');
      widget().refresh();
      widget().refresh();
      settings('B');
      reset();
      await sleep(1600);
      same('asked', await asked(), ['A', 'A', 'A']);
      await shown(2);
      same('container of the former visitor', box() !== null, true);
    },
    async '19 a refresh under way at a reset is answered into the new visitor\'s iframe'() {
      await boot('A');
      use({ delay: '1500ms' });
      widget().refresh();
      use();
      settings('B');
      reset();
      widget().load();
      await loaded(2);
      await until('the answer', async () => (await told()).some(([type]) => type === 'refresh-widget-data'));
      same('told', (await told()).filter(([type]) => type !== 'visitor-identification-attributes'),
        [['widget-data', 'A'], ['widget-data', 'B'], ['refresh-widget-data', 'A']]);
      const frames = (await log()).frames;
      same('the same iframe was told', frames.at(-1), (await log()).utks.at(-1));
    },
    async '19 a display delay outlives the reset and puts the former visitor\'s chat in'() {
      settings('A');
      await stub();
      use({ 'display-after': '1s' });
      widget().load();
      await until('the event', () => events.length > 0);
      settings('B');
      reset();
      same('container', box(), null);
      await shown(1);
      same('told of', (await told()).filter(([type]) => type === 'widget-data'), [['widget-data', 'A']]);
    },
    async '19 a display delay outlives remove'() {
      settings('A');
      await stub();
      use({ 'display-after': '1s' });
      widget().load();
      await until('the event', () => events.length > 0);
      widget().remove();
      await shown(1);
    },
    async '19 after a failed load the next resize posts the former visitor into the new one\'s iframe'() {
      settings('A');
      await stub();
      use({ status: 500 });
      widget().load();
      await until('the event', () => events.length > 0);
      use();
      settings('B');
      reset();
      widget().load();
      await loaded();
      const visitors = async () => (await told()).filter(([type]) => type === 'visitor-identification-attributes').map(([, who]) => who);
      await until('B is told', async () => (await visitors()).includes('B'));
      same('told before the resize', (await visitors()).includes('A'), false);
      window.dispatchEvent(new Event('resize'));
      await until('A is told', async () => (await visitors()).includes('A'));
    },
    async '20 refresh: at once, and the last of a second at its end'() {
      await boot('A');
      widget().refresh();
      widget().refresh();
      widget().refresh();
      await sleep(600);
      same('asked at once', (await asked()).length, 2);
      await next();
      same('asked in the end', (await asked()).length, 3);
    },
    async '20 refresh while pending does nothing, without a chat it loads'() {
      settings('A');
      await stub();
      use({ delay: '1500ms' });
      widget().load();
      widget().refresh();
      await next();
      same('asked', await asked(), ['A']);
      await loaded();
      use();
      widget().remove();
      widget().refresh();
      await loaded(2);
      same('asked', await asked(), ['A', 'A']);
    },
    async '21 a container taken out while its iframe loads: pending for ever, remove frees'() {
      settings('A');
      await stub();
      use({ 'frame-delay': '600ms' });
      widget().load();
      (await until('the container', box)).remove();
      await next();
      same('status', widget().status(), { loaded: false, pending: true });
      widget().load();
      await sleep(300);
      same('asked', await asked(), ['A']);
      widget().remove();
      widget().load();
      await loaded();
    },
    async '21 no element for inlineEmbedSelector: pending stays, though the event tells of a chat'() {
      await stuck({}, [[true, false]], 0, { inlineEmbedSelector: '#nowhere' });
    },
    async '21 a container that exists: a warning, pending stays, remove frees'() {
      const other = document.createElement('div');
      other.id = BOX.slice(1);
      document.body.append(other);
      await stuck({}, [[true, true]], 1);
      same('container', box(), null);
    },
    async '22 the stub\'s status has no pending in the older releases'() {
      settings();
      await stub();
      same('status', widget().status(), NEWEST ? { loaded: false, pending: false } : { loaded: false });
    },
    async '22 resetAndReloadWidget brings the stub back'() {
      await boot('A');
      const before = api();
      api().resetAndReloadWidget();
      same('the API object was replaced', api() !== before, true);
      same('status', [widget().status().loaded, box()], [false, null]);
      await sleep(300);
      same('asked', await asked(), ['A']);
    },
    async '23 an inline embed has its own container'() {
      const here = document.createElement('div');
      here.id = 'here';
      document.body.append(here);
      await boot('A', { inlineEmbedSelector: '#here' });
      same('inline', document.querySelectorAll('#here > #hubspot-conversations-inline-parent > iframe').length, 1);
      same('container', box(), null);
      widget().remove();
      same('removed', here.childElementCount, 0);
    },
    async '24 messagesUtk is set when the chat asks for it, and a reset takes it along'() {
      settings();
      await stub();
      use({ 'frame-delay': '500ms' });
      widget().load();
      await until('the container', box);
      same('before', cookie('messagesUtk'), '');
      await loaded();
      const utk = await until('messagesUtk', () => cookie('messagesUtk'));
      same('it is the one that was sent', (await log()).utks, [utk]);
      use();
      reset();
      same('after the reset', cookie('messagesUtk'), '');
    },
    async '24 a callback that throws keeps no other from running'() {
      let runs = 0;
      window.hsConversationsOnReady = [() => { throw new Error('mine'); }, () => runs++];
      await boot('A');
      same('runs', runs, 2);
      same('uncaught', errors, []);
    },
    async '25 a function instead of an array of callbacks is ignored'() {
      let runs = 0;
      window.hsConversationsOnReady = () => runs++;
      await boot('A');
      same('runs', runs, 0);
    },
    async '25 frozen settings do'() {
      settings('A');
      Object.freeze(window.hsConversationsSettings);
      await stub();
      widget().load();
      await loaded();
      same('asked', await asked(), ['A']);
    },
    async '26 the stub\'s load runs callbacks inside itself, and loads a second time'() {
      const seen = [];
      window.hsConversationsOnReady = [() => { seen.push(widget().status()); widget().load(); }];
      settings('A');
      use({ hide: '' });
      await stub();
      same('status in the second run', seen[1], { loaded: false, pending: false });
      await sleep(1600);
      same('runs', seen.length, 2);
      same('asked', await asked(), ['A', 'A']);
    },
    async '26 the options of the stub\'s load are lost, those of the real one count'() {
      settings('A');
      await stub();
      widget().load({ widgetOpen: true });
      await loaded();
      same('cookie', cookie('hs-messages-is-open'), '');
      widget().remove();
      await next();
      widget().load({ widgetOpen: true });
      await loaded(2);
      same('cookie', cookie('hs-messages-is-open'), 'true');
    },
    async '26 refresh and load have a second each'() {
      settings('A');
      await stub();
      widget().load();
      await loaded();
      widget().refresh();
      widget().remove();
      await sleep(300);
      same('asked', await asked(), ['A', 'A']);
    },
    async '26 a refresh that is answered 204 leaves the old chat standing, silently'() {
      await standing(204);
    },
    async '26 a refresh that is answered 404 leaves the old chat standing, silently'() {
      await standing(404);
    },
    async '26 a refresh that hides the widget takes the chat away'() {
      await boot('A');
      use({ hide: '' });
      widget().refresh();
      await until('it is gone', () => !box());
      same('status', widget().status(), { loaded: false, pending: false });
    },
    async '27 a call of the API while the chat\'s document starts loses e-mail and token on their way to it'() {
      settings('A');
      await stub();
      widget().load();
      await until('the chat', async () => {
        for (let i = 0; i < 10; i++) {
          widget().status(); // this is enough
          await sleep(10);
        }
        return (await told()).length > 0;
      });
      await until('the widget is loaded', () => widget().status().loaded);
      await sleep(300);
      same('told', await told(), [['widget-data', 'A']]);
    },
  };

  const requests = () => performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/livechat-public/'));

  // stuck is a load that ends without a chat and without an end.
  async function stuck(behaviour, wantEvents, wantWarnings, more) {
    settings('A', more);
    await stub();
    use(behaviour);
    warnings.length = 0;
    widget().load();
    await until('the event', () => events.length > 0);
    same('events', events, wantEvents);
    same('warnings', warnings.length, wantWarnings);
    await next();
    same('status', widget().status(), { loaded: false, pending: true });
    widget().load();
    await sleep(300);
    same('asked', await asked(), ['A']);
    use();
    widget().remove();
    same('status', widget().status(), { loaded: false, pending: false });
    await next();
    if (!more) {
      widget().load();
      await loaded();
      same('asked', await asked(), ['A', 'A']);
      widget().remove();
    }
  }

  async function standing(status) {
    await boot('A');
    await next();
    warnings.length = events.length = 0;
    use({ status });
    widget().refresh();
    await until('the answer', () => requests().some((entry) => entry.responseStatus === status));
    await sleep(200);
    same('container', box() !== null, true);
    same('status', widget().status(), { loaded: true, pending: false });
    same('signs', [warnings, events], [[], []]);
  }

  window.factNames = Object.keys(facts);
  window.runFact = async (name) => {
    try {
      await facts[name]();
      return '';
    } catch (error) {
      return String(error.stack || error);
    }
  };
})();
