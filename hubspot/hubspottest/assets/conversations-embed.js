// The widget: an imitation of the chat that HubSpot's loader adds to a page. It
// does what HubSpot's does as seen from the page, its rudeness included: shells
// that live on after a reset, a message queue that does not ask whose chat it
// fills, a state that gets stuck. Nothing here is kinder than the original.
//
// A shell is one life of the widget: it knows one visitor, whom it captured when
// it was made. A reset makes a new shell; the old one keeps its timers, its
// requests under way, its queue and its listeners.
//
// Time and network are those of this window at the moment of the call, so a test
// can put its own setTimeout and fetch there. With the chat's iframe the widget
// speaks by postMessage alone, in JSON texts {type, uuid, data}:
//
//   from the chat: request-widget · store-messages-cookie (data: the utk) ·
//     open-change {isOpen, isUser} · iframe-resize {height, width} ·
//     external-api-event {eventType, payload}
//   to the chat: widget-data, refresh-widget-data (the backend's answer and what
//     the widget knows) · visitor-identification-attributes
//     {identificationEmail, identificationToken} · request-open · request-close ·
//     open-to-new-thread · browser-window-resize · first-visitor-session ·
//     track-api-usage
(function () {
  'use strict';

  const LOADER_ID = 'hubspot-messages-loader';
  const CONTAINER = { parent: 'hubspot-messages-iframe-container', iframe: 'hubspot-conversations-iframe' };
  const INLINE = { parent: 'hubspot-conversations-inline-parent', iframe: 'hubspot-conversations-inline-iframe' };
  const OPEN_CLASS = 'hs-messages-widget-open';
  const NEWEST_RELEASE = '2026-05';
  const THROTTLE_MS = 1000;
  const HALF_HOUR_S = 30 * 60;
  const HALF_YEAR_S = 180 * 24 * 60 * 60;

  // The states of a shell. What became stuck stays PENDING: no answer, an answer
  // without a chat, a failure, a container that could not be put in.
  const IDLE = 'idle';
  const PENDING = 'pending';
  const LOADED = 'loaded';

  const hosts = findHosts();
  let debugging = false;

  if (document.readyState === 'loading') {
    document.addEventListener('DOMContentLoaded', start, { once: true });
  } else {
    start();
  }

  // start begins a life of the widget: once for each run of this script and for
  // each reset. It throws where the loader's tag is not in the document.
  function start() {
    const release = loaderAttribute('data-hsjs-release') || NEWEST_RELEASE;
    addStyle();
    if (readSettings().loadImmediately) {
      launch(newListeners());
    } else {
      window.HubSpotConversations = stubApi(newListeners(), release);
      runCallbacks();
    }
  }

  // launch makes a shell, and starts it unless another one is running. One that
  // was not started can be loaded all the same.
  function launch(listeners) {
    const shell = newShell(listeners);
    if (window.hubspot_live_messages_running) {
      console.warn('duplicate instance of live chat exists on page');
    } else {
      window.hubspot_live_messages_running = true;
      shell.start();
    }
    return shell;
  }

  // runCallbacks never empties the array. An exception keeps no later callback
  // from running.
  function runCallbacks() {
    const callbacks = window.hsConversationsOnReady;
    if (!Array.isArray(callbacks)) {
      return;
    }
    callbacks.forEach((callback) => {
      try {
        callback();
      } catch (error) {
        debugLog('a ready callback threw: ' + error);
      }
    });
  }

  // stubApi is there until the first load. Its load starts a shell, which runs
  // the ready callbacks, and only then loads; its options are lost.
  function stubApi(listeners, release) {
    const tooEarly = () => console.warn('loadImmediately is set to false and widget.load() has not been called yet');
    return {
      debug: tooEarly,
      on: listeners.on,
      off: listeners.off,
      clear: tooEarly,
      resetAndReloadWidget: tooEarly,
      widget: {
        load: () => launch(listeners).load(),
        remove: tooEarly,
        open: tooEarly,
        close: tooEarly,
        refresh: tooEarly,
        status: () => (release < NEWEST_RELEASE ? { loaded: false } : { loaded: false, pending: false }),
      },
    };
  }

  // ---- a shell ------------------------------------------------------------

  function newShell(listeners) {
    const shell = {
      portalId: Number(loaderAttribute('data-hsjs-portal')),
      release: loaderAttribute('data-hsjs-release') || NEWEST_RELEASE,
      uuid: randomKey(),
      utk: readCookie('messagesUtk'),
      firstSession: false,
      visitor: readVisitor(),   // captured: neither refresh nor remove asks again
      state: IDLE,
      open: startsOpen() === true,
      answer: null,             // the backend's last one
      queue: [],                // messages that found no chat in the document
    };
    if (!/[a-zA-Z\d]{32}/.test(shell.utk)) {
      shell.utk = randomKey();
      shell.firstSession = true;
    }

    // Each has a second of its own.
    shell.load = throttled((options = {}) => load(shell, options, () => show(shell, loaded)));
    shell.refresh = throttled((options = {}) => refresh(shell, options));

    // loaded is the iframe's load event. Each resize sends, and so does this:
    // whatever waits in the queue goes out with it.
    function loaded() {
      setTimeout(() => listeners.emit('widgetLoaded', { message: 'widget has loaded' }));
      postSize(shell);
      shell.state = LOADED;
    }

    shell.start = () => {
      window.HubSpotConversations = realApi(shell, listeners);
      runCallbacks();
      window.addEventListener('resize', () => postSize(shell), { passive: true });
      if (readSettings().loadImmediately) {
        shell.load();
      }
      postVisitor(shell);
    };

    window.addEventListener('message', (event) => hear(shell, listeners, event));
    return shell;
  }

  function realApi(shell, listeners) {
    // Each call is reported to the chat, which empties the queue into it.
    const reported = (name, method) => (...args) => {
      const result = method(...args);
      post(shell, 'track-api-usage', { eventName: name });
      return result;
    };
    return {
      debug: (enabled) => { debugging = enabled; },
      on: reported('on', listeners.on),
      off: listeners.off,
      clear: reported('clear', (options) => clear(shell, options)),
      resetAndReloadWidget: () => clear(shell, { resetWidget: true }),
      widget: {
        load: reported('load', shell.load),
        refresh: reported('refresh', shell.refresh),
        open: reported('open', () => {
          if (!shell.open) {
            post(shell, 'request-open');
          }
        }),
        close: reported('close', () => {
          if (shell.open) {
            post(shell, 'request-close');
          }
        }),
        remove: reported('remove', () => remove(shell)),
        status: reported('status', () => ({ loaded: shell.state === LOADED, pending: shell.state === PENDING })),
      },
    };
  }

  // load asks the backend once. Only a loaded iframe, an answer that hides the
  // widget, or remove ends the pending state.
  function load(shell, options, install) {
    if (shell.state !== IDLE) {
      debugLog('Cannot load the widget: it is ' + shell.state);
      return;
    }
    shell.state = PENDING;
    if (options.widgetOpen) {
      writeCookie('hs-messages-is-open', 'true', HALF_HOUR_S);
    }
    ask(shell, (answer) => {
      const willRender = answer['@type'] !== 'HIDE_WIDGET' && Boolean(answer.sessionId);
      if (willRender) {
        displayAfter(delayOf(answer), () => {
          shell.answer = answer;
          install();
        });
      } else {
        shell.state = IDLE;
      }
      announce(willRender);
    }, () => announce(false));
  }

  // displayAfter cannot be called off: not by remove, not by a reset.
  function displayAfter(delay, show) {
    if (delay === null) {
      show();
    } else {
      setTimeout(show, delay);
    }
  }

  // delayOf is how long the chatflow wants its chat to wait, null for not at all.
  function delayOf(answer) {
    const trigger = answer.message.clientTriggers.displayOnTimeDelay;
    const popsOpen = answer.message.popOpenWidget || answer.message.popOpenWelcomeMessage;
    return trigger.enabled && !popsOpen ? trigger.timeDelaySeconds * 1000 : null;
  }

  // refresh asks for the captured visitor again and passes the answer to
  // whatever chat is in the document when it comes. A shell without a chat loads.
  function refresh(shell, options) {
    if (shell.state === PENDING) {
      debugLog('Cannot refresh the widget: it is pending');
      return;
    }
    const openToNewThread = () => {
      if (options.openToNewThread) {
        post(shell, 'open-to-new-thread');
      }
    };
    if (shell.state === IDLE) {
      shell.load();
      openToNewThread();
      return;
    }
    if (options.setIdentification && shell.release >= NEWEST_RELEASE) {
      shell.visitor = readVisitor();
      postVisitor(shell);
    }
    ask(shell, (answer) => {
      shell.answer = answer;
      if (answer['@type'] === 'HIDE_WIDGET') {
        remove(shell);
      } else {
        post(shell, 'refresh-widget-data', Object.assign({}, answer, frameParameters(shell)));
      }
      openToNewThread();
    });
  }

  // remove takes away the chat that is there, whoever put it in.
  function remove(shell) {
    const ids = readSettings().inlineEmbedSelector ? INLINE : CONTAINER;
    const parent = document.getElementById(ids.parent);
    if (parent) {
      parent.remove();
    }
    shell.state = IDLE;
  }

  function clear(shell, options) {
    const reset = Boolean(options && options.resetWidget);
    if (reset) {
      remove(shell);
    }
    ['messagesUtk', 'hs-messages-is-open', 'hs-messages-hide-welcome-message'].forEach((name) => writeCookie(name, '', -1));
    if (reset) {
      window.hubspot_live_messages_running = false;
      start();
    }
  }

  // announce tells the page what the backend's answer means.
  function announce(messageWillRender) {
    window.dispatchEvent(Object.assign(new Event('hubspot:messages:initialized'), { messageWillRender }));
  }

  // ---- the backend --------------------------------------------------------

  // ask has no way back: whoever waits for the answer gets it.
  async function ask(shell, onAnswer, onNone = () => {}) {
    let status = 0;
    let body = '';
    try {
      const response = await fetch(backendUrl(shell), { headers: { 'X-HubSpot-Messages-Uri': pageUrl() } });
      body = await response.text();
      status = response.status;
    } catch (error) {
      status = 0; // the network failed
    }
    if (status === 200 || status === 304) {
      try {
        onAnswer(JSON.parse(body));
      } catch (error) {
        console.warn('Initial messages API response is invalid');
        onNone();
      }
      return;
    }
    if (status !== 204 && status !== 404) {
      console.warn('Initial messages API call failed');
    }
    onNone();
  }

  function backendUrl(shell) {
    const query = ['portalId=' + shell.portalId, 'messagesUtk=' + shell.utk, 'traceId=' + shell.utk];
    if (document.referrer) {
      query.push('referrer=' + encodeURIComponent(document.referrer));
    }
    if (shell.visitor.token) {
      query.push('identificationToken=' + shell.visitor.token); // not encoded, as in the original
    }
    if (shell.visitor.email) {
      query.push('email=' + encodeEmail(shell.visitor.email));
    }
    return hosts.api + '/livechat-public/v1/message/public?' + query.join('&');
  }

  // encodeEmail takes an address that is encoded already as it is meant.
  function encodeEmail(email) {
    return encodeURIComponent(email.includes('@') ? email : decodeURIComponent(email));
  }

  function pageUrl() {
    return location.href === 'about:srcdoc' ? window.top.location.href : location.href;
  }

  // ---- the container and its iframe ---------------------------------------

  function show(shell, onLoad) {
    const settings = readSettings();
    const ids = settings.inlineEmbedSelector ? INLINE : CONTAINER;
    const place = settings.inlineEmbedSelector ? document.querySelector(settings.inlineEmbedSelector) : document.body;
    if (ids === INLINE && !place) {
      debugLog('cannot embed widget: nothing is at ' + settings.inlineEmbedSelector);
      return;
    }
    if (ids === CONTAINER && document.getElementById(ids.parent)) {
      console.warn('Element with id ' + ids.parent + ' already exists. Unable to load HubSpot Conversations Widget.');
      return;
    }
    const iframe = document.createElement('iframe');
    iframe.id = ids.iframe;
    iframe.title = 'Chat Widget';
    iframe.allowFullscreen = true;
    iframe.src = frameUrl(shell);
    iframe.addEventListener('load', onLoad);
    const parent = document.createElement('div');
    parent.id = ids.parent;
    parent.setAttribute('role', 'region');
    parent.setAttribute('aria-label', 'Chat Widget');
    parent.append(iframe);
    place.append(parent);
  }

  function frameUrl(shell) {
    return hosts.app + '/conversations-visitor/' + shell.portalId + '/threads/utk/' + shell.utk +
      '?' + new URLSearchParams(frameParameters(shell));
  }

  // frameParameters is what the chat learns about the page, in its address and
  // with each answer of the backend.
  function frameParameters(shell) {
    const settings = readSettings();
    const inline = Boolean(settings.inlineEmbedSelector);
    const open = startsOpen();
    if (settings.disableInitialInputFocus && !inline) {
      console.warn('hsConversationsSettings: disableInitialInputFocus works together with inlineEmbedSelector only');
    }
    return Object.assign({
      uuid: shell.uuid,
      messagesUtk: shell.utk,
      domain: hostName(),
      url: location.href,
      inline,
      isFirstVisitorSession: shell.firstSession,
      isAttachmentDisabled: settings.disableAttachment,
      isInitialInputFocusDisabled: inline && settings.disableInitialInputFocus,
      enableWidgetCookieBanner: settings.enableWidgetCookieBanner,
    }, open === undefined ? {} : { startOpen: open }, settings.hideNewThreadLink ? { hideNewThreadLink: true } : {});
  }

  // startsOpen is what the visitor left behind, undefined for nothing.
  function startsOpen() {
    const cookie = readSettings().inlineEmbedSelector ? '' : readCookie('hs-messages-is-open');
    return cookie ? cookie === 'true' : undefined;
  }

  // ---- messages -----------------------------------------------------------

  // post sends to the chat that is in the document now, whoever's it is, and
  // then whatever had waited, the latest first.
  function post(shell, type, data = {}) {
    const iframe = presentIframe();
    if (!iframe || (iframe.contentDocument && iframe.contentDocument.URL === 'about:blank')) {
      shell.queue.unshift({ type, data });
      return;
    }
    const send = (message) => {
      if (iframe.contentWindow) {
        iframe.contentWindow.postMessage(JSON.stringify(message), hosts.app);
      }
    };
    send({ type, data });
    shell.queue.splice(0).forEach(send);
  }

  function presentIframe() {
    return document.querySelector((readSettings().inlineEmbedSelector || '#' + CONTAINER.parent) + ' iframe');
  }

  function postSize(shell) {
    post(shell, 'browser-window-resize', { height: window.innerHeight, width: window.innerWidth });
  }

  function postVisitor(shell) {
    post(shell, 'visitor-identification-attributes', {
      identificationEmail: shell.visitor.email,
      identificationToken: shell.visitor.token,
    });
  }

  // hear takes a message that carries this shell's uuid, from any chat.
  function hear(shell, listeners, event) {
    if (event.origin !== hosts.app) {
      return;
    }
    try {
      const message = JSON.parse(event.data);
      if (message.uuid === shell.uuid) {
        obey(shell, listeners, message, event.source);
      }
    } catch (error) {
      // Somebody else's message.
    }
  }

  function obey(shell, listeners, message, chat) {
    const data = message.data;
    switch (message.type) {
      case 'request-widget':
        chat.postMessage(JSON.stringify({ type: 'widget-data', data: Object.assign({}, shell.answer, frameParameters(shell)) }), '*');
        break;
      case 'refresh-widget-data':
        shell.refresh();
        break;
      case 'store-messages-cookie':
        post(shell, 'first-visitor-session', { isFirstVisitorSession: false });
        writeCookie('messagesUtk', data, HALF_YEAR_S);
        break;
      case 'open-change':
        shell.open = data.isOpen;
        if (data.isUser) {
          writeCookie('hs-messages-is-open', String(data.isOpen), HALF_HOUR_S);
        }
        document.documentElement.classList.toggle(OPEN_CLASS, data.isOpen);
        break;
      case 'closed-welcome-message':
        writeCookie('hs-messages-hide-welcome-message', 'true', HALF_HOUR_S);
        break;
      case 'iframe-resize': {
        const parent = document.getElementById(CONTAINER.parent);
        if (parent && data.width && data.height) {
          parent.style.width = data.width + 'px';
          parent.style.height = data.height + 'px';
        }
        break;
      }
      case 'external-api-event':
        listeners.emit(data.eventType, data.payload);
        break;
    }
  }

  // ---- what the page says -------------------------------------------------

  // readSettings throws for a value of a wrong type, and with it whatever asked.
  function readSettings() {
    const settings = {
      loadImmediately: true,
      isFullscreen: false,
      inlineEmbedSelector: '',
      disableAttachment: false,
      enableWidgetCookieBanner: false,
      identificationEmail: '',
      identificationToken: '',
      disableInitialInputFocus: false,
      hideNewThreadLink: false,
    };
    const types = Object.entries(settings);
    Object.entries(window.hsConversationsSettings || {}).forEach(([name, value]) => {
      if (value !== undefined) {
        settings[name] = value;
      }
    });
    types.forEach(([name, usual]) => {
      const right = name === 'enableWidgetCookieBanner' ?
        [false, true, 'ON_WIDGET_LOAD', 'ON_EXIT_INTENT'].includes(settings[name]) :
        typeof settings[name] === typeof usual;
      if (!right) {
        throw new Error('Invariant Violation: hsConversationsSettings.' + name + ' has a wrong type: ' + settings[name]);
      }
    });
    return settings;
  }

  function readVisitor() {
    const settings = readSettings();
    return { email: settings.identificationEmail, token: settings.identificationToken };
  }

  function loaderAttribute(name) {
    return document.getElementById(LOADER_ID).getAttribute(name);
  }

  // On HubSpot's host names API, chat and style sheets have hosts of their own,
  // those under hubspot.com always with https, which browsers insist on;
  // elsewhere everything is where this script is.
  function findHosts() {
    const tag = document.currentScript || document.getElementById(LOADER_ID);
    const self = new URL(tag.src || document.baseURI);
    if (!/(^|\.)usemessages\.com$/.test(self.hostname)) {
      return { api: self.origin, app: self.origin, assets: self.origin };
    }
    const hublet = loaderAttribute('data-hsjs-hublet') || 'na1';
    const suffix = hublet === 'na1' ? '' : '-' + hublet;
    return {
      api: 'https://api' + suffix + '.hubspot.com',
      app: 'https://app' + suffix + '.hubspot.com',
      assets: location.protocol + '//static.hsappstatic.net',
    };
  }

  // ---- small things -------------------------------------------------------

  function debugLog(text) {
    if (debugging) {
      console.log('HubSpot Conversations log: ' + text);
    }
  }

  function newListeners() {
    const listeners = {};
    const check = (event, listener) => {
      if (typeof event !== 'string' || typeof listener !== 'function') {
        throw new Error('Invariant Violation: an event and a function are expected');
      }
    };
    return {
      on: (event, listener) => {
        check(event, listener);
        (listeners[event] = listeners[event] || []).push(listener);
      },
      off: (event, listener) => {
        check(event, listener);
        listeners[event] = (listeners[event] || []).filter((other) => other !== listener);
      },
      emit: (event, payload) => (listeners[event] || []).slice().forEach((listener) => listener(payload)),
    };
  }

  // throttled runs a call at once and, of those that follow within a second, the
  // last one when that second is over. The late one opens no second of its own.
  function throttled(run) {
    let resting = false;
    let late = null;
    return (...args) => {
      if (resting) {
        late = args;
        return;
      }
      resting = true;
      run(...args);
      setTimeout(() => {
        const call = late;
        resting = false;
        late = null;
        if (call) {
          run(...call);
        }
      }, THROTTLE_MS);
    };
  }

  function randomKey() {
    return Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join('');
  }

  // addStyle obeys a strict policy on request: a linked sheet instead of an
  // inline one.
  function addStyle() {
    const settings = window.hsConversationsSettings;
    let style;
    if (settings && settings.avoidInlineStyles) {
      style = document.createElement('link');
      style.rel = 'stylesheet';
      style.href = hosts.assets + '/conversations-embed/widget.css';
    } else {
      style = document.createElement('style');
      style.textContent =
        '#' + CONTAINER.parent + '{display:initial!important;position:fixed!important;right:0!important;bottom:0!important;' +
        'z-index:2147483647;width:100px;height:96px;max-width:100%;max-height:100%}' +
        '#' + INLINE.parent + '{width:100%;height:100%;min-height:400px}' +
        '#' + CONTAINER.parent + '>iframe,#' + INLINE.parent + '>iframe{display:block!important;width:100%!important;height:100%!important;' +
        'min-height:inherit;border:0!important;background:transparent!important;color-scheme:normal}';
    }
    document.head.append(style);
  }

  // ---- cookies ------------------------------------------------------------

  function readCookie(name) {
    const found = document.cookie.split('; ').find((cookie) => cookie.startsWith(name + '='));
    return found ? found.slice(name.length + 1) : '';
  }

  // writeCookie with a negative age deletes. Browsers refuse a Domain on an
  // address or on a name without a dot; there the cookie is the host's alone.
  function writeCookie(name, value, seconds) {
    const hostOnly = !location.hostname.includes('.') || /^[0-9.]+$/.test(location.hostname);
    document.cookie = name + '=' + value + '; Max-Age=' + seconds + (hostOnly ? '' : '; Domain=.' + hostName()) +
      '; Path=/; SameSite=Lax' + (location.protocol === 'https:' ? '; Secure' : '');
  }

  function hostName() {
    return location.hostname.replace(/^www\./, '');
  }
})();
