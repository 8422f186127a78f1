// The widget: an imitation of the chat that HubSpot's loader adds to a page. It
// does what HubSpot's does as seen from the page, including what is awkward:
// the API object is replaced, callbacks run again, the visitor is captured at
// load and resets do not queue.
(function () {
  'use strict';

  const CONTAINER_ID = 'hubspot-messages-iframe-container';
  const STYLE_ID = 'hubspot-messages-style';
  const COOKIES = ['messagesUtk', 'hs-messages-is-open', 'hs-messages-hide-welcome-message'];
  const UTK_SECONDS = 180 * 24 * 60 * 60;
  const OPEN_SECONDS = 30 * 60;
  const DAY_SECONDS = 24 * 60 * 60;
  const THROTTLE_MS = 1000;

  const tag = document.currentScript || document.getElementById('hubspot-messages-loader');
  const portalId = tag.getAttribute('data-hsjs-portal');
  const hosts = findHosts(new URL(tag.src), tag.getAttribute('data-hsjs-hublet') || 'na1');

  if (window.hubspot_live_messages_running) {
    console.warn('duplicate instance of live chat exists on page');
    return;
  }
  window.hubspot_live_messages_running = true;

  // What outlives a reset: the listeners of the page, and the instance whose chat
  // is in the container.
  const listeners = {};
  let shown = null;
  let debugging = false;

  window.addEventListener('message', onMessage);
  start();

  // ---- settings -----------------------------------------------------------

  // readSettings throws for settings of a wrong type: whoever calls it stops
  // there, as HubSpot's widget does.
  function readSettings() {
    const settings = window.hsConversationsSettings;
    if (settings === undefined) {
      return {};
    }
    if (settings === null || typeof settings !== 'object') {
      throw new Error('hsConversationsSettings must be an object, got ' + String(settings));
    }
    const types = {
      loadImmediately: 'boolean',
      identificationEmail: 'string',
      identificationToken: 'string',
      inlineEmbedSelector: 'string',
      disableAttachment: 'boolean',
      disableInitialInputFocus: 'boolean',
      avoidInlineStyles: 'boolean',
      hideNewThreadLink: 'boolean',
    };
    Object.keys(types).forEach((name) => {
      const value = settings[name];
      if (value !== undefined && typeof value !== types[name]) {
        throw new Error('hsConversationsSettings.' + name + ' must be a ' + types[name] + ', got ' + String(value));
      }
    });
    const banner = settings.enableWidgetCookieBanner;
    if (![undefined, false, true, 'ON_WIDGET_LOAD', 'ON_EXIT_INTENT'].includes(banner)) {
      throw new Error('hsConversationsSettings.enableWidgetCookieBanner is invalid: ' + String(banner));
    }
    return settings;
  }

  // On HubSpot's host names API, chat and style sheets have hosts of their own,
  // those under hubspot.com always with https, which browsers insist on;
  // elsewhere everything is where this script is.
  function findHosts(self, hublet) {
    if (!/(^|\.)usemessages\.com$/.test(self.hostname)) {
      return { api: self.origin, app: self.origin, assets: self.origin };
    }
    const suffix = hublet === 'na1' ? '' : '-' + hublet;
    return {
      api: 'https://api' + suffix + '.hubspot.com',
      app: 'https://app' + suffix + '.hubspot.com',
      assets: location.protocol + '//static.hsappstatic.net',
    };
  }

  // ---- one life of the widget, from a start to the next reset -------------

  function start() {
    const settings = readSettings();
    const instance = newInstance();
    if (settings.loadImmediately === false) {
      window.HubSpotConversations = stubApi(instance);
      runCallbacks();
    } else {
      instance.load();
    }
  }

  function newInstance() {
    const instance = {
      asked: false,     // load was called, so the stub's methods work
      loaded: false,
      pending: false,
      request: 0,       // remove() gives up the answer to an earlier one
      identity: null,   // captured by the first load, kept until the reset
      utk: '',          // of the thread that is shown
      identified: false,
      open: false,
      container: null,
      iframe: null,
      waiting: [],      // messages for an iframe that is not ready yet; null once it is
    };
    instance.load = throttle((options) => load(instance, options || {}));
    instance.refresh = throttle((options) => refresh(instance, options || {}));
    return instance;
  }

  function load(instance, options) {
    if (instance.pending || instance.loaded) {
      return;
    }
    capture(instance);
    instance.asked = true;
    instance.pending = true;
    const request = ++instance.request;
    log('load', instance.identity);
    ask(instance).then((answer) => {
      if (request !== instance.request) {
        return;
      }
      if (answer.silent) {
        instance.pending = false;
        return;
      }
      if (answer.failed) {
        console.error('Initial messages API call failed', answer.failed);
        return; // and pending stays set
      }
      // A reset has ended this instance? Its answer still comes back, shows
      // itself and takes over the API; only it does not count as loaded, so a
      // throttled second load of it asks once more for the old visitor.
      instance.loaded = instance.pending;
      instance.pending = false;
      show(instance, answer, options);
      window.HubSpotConversations = realApi(instance);
      runCallbacks();
    });
  }

  function capture(instance) {
    if (instance.identity) {
      return;
    }
    const settings = readSettings();
    instance.identity = {
      email: settings.identificationEmail || '',
      token: settings.identificationToken || '',
    };
  }

  function refresh(instance, options) {
    if (!instance.loaded) {
      return;
    }
    log('refresh', instance.identity);
    ask(instance).then((answer) => {
      if (answer.failed || answer.silent || !instance.loaded) {
        return;
      }
      remember(instance, answer);
      post(instance, { type: 'refresh', openToNewThread: Boolean(options.openToNewThread) });
    });
  }

  function remove(instance) {
    instance.request++;
    instance.loaded = false;
    instance.pending = false;
    removeContainer();
  }

  // reset neither waits for a load of the instance nor stops it.
  function reset(instance) {
    instance.loaded = false;
    instance.pending = false;
    removeContainer();
    COOKIES.forEach(deleteCookie);
    start();
  }

  // ask asks the backend which chat this visitor gets.
  function ask(instance) {
    const identity = instance.identity;
    let url = hosts.api + '/livechat-public/v1/message/public?portalId=' + encodeURIComponent(portalId);
    const utk = readCookie('messagesUtk');
    if (utk) {
      url += '&messagesUtk=' + encodeURIComponent(utk);
    }
    if (identity.email) {
      url += '&email=' + encodeURIComponent(identity.email);
    }
    if (identity.token) {
      url += '&identificationToken=' + identity.token; // not encoded, as in the original
    }
    return fetch(url, { headers: { 'X-HubSpot-Messages-Uri': location.href } }).then((response) => {
      if (response.status === 204 || response.status === 404) {
        return { silent: true };
      }
      if (response.status === 304) {
        const key = response.headers.get('X-HubSpot-Messages-Utk') || '';
        return { messagesUtk: key, identified: Boolean(identity.email && identity.token) };
      }
      return response.status === 200 ? response.json() : { failed: response.status };
    }).catch((error) => ({ failed: error }));
  }

  // ---- callbacks and the API object ---------------------------------------

  // runCallbacks never empties the array. A callback that throws keeps those
  // after it from running.
  function runCallbacks() {
    const callbacks = window.hsConversationsOnReady;
    if (Array.isArray(callbacks)) {
      callbacks.forEach((callback) => callback());
    }
  }

  function realApi(instance) {
    return {
      on,
      off,
      debug,
      clear: (options) => {
        if (options && options.resetWidget) {
          reset(instance);
        } else {
          COOKIES.forEach(deleteCookie);
        }
      },
      widget: {
        load: (options) => instance.load(options),
        refresh: (options) => instance.refresh(options),
        open: () => setOpen(instance, true),
        close: () => setOpen(instance, false),
        remove: () => remove(instance),
        status: () => ({ loaded: instance.loaded, pending: instance.pending }),
      },
    };
  }

  // stubApi is there before the first load of an instance. Until then there is
  // nothing to clear, remove, refresh, open or close.
  function stubApi(instance) {
    const api = realApi(instance);
    const guard = (method, name) => (options) => {
      if (instance.asked) {
        method(options);
      } else {
        console.warn('Cannot ' + name + ' the conversations widget before it is loaded');
      }
    };
    api.clear = guard(api.clear, 'clear');
    ['refresh', 'open', 'close', 'remove'].forEach((name) => {
      api.widget[name] = guard(api.widget[name], name);
    });
    return api;
  }

  function on(event, listener) {
    (listeners[event] = listeners[event] || []).push(listener);
  }

  function off(event, listener) {
    listeners[event] = (listeners[event] || []).filter((other) => other !== listener);
  }

  function emit(event, payload) {
    log(event, payload);
    (listeners[event] || []).slice().forEach((listener) => listener(payload));
  }

  function debug(enabled) {
    debugging = enabled !== false;
  }

  function log(...what) {
    if (debugging) {
      console.log('[conversations]', ...what);
    }
  }

  // throttle runs a call at once, and of those that follow within the next
  // second the last one, when the second is over.
  function throttle(run) {
    let last = -Infinity;
    let timer = 0;
    let options;
    return (latest) => {
      options = latest;
      if (timer) {
        return;
      }
      const wait = last + THROTTLE_MS - performance.now();
      const go = () => {
        timer = 0;
        last = performance.now();
        run(options);
      };
      if (wait <= 0) {
        go();
      } else {
        timer = setTimeout(go, wait);
      }
    };
  }

  // ---- the container and its iframe ---------------------------------------

  function show(instance, answer, options) {
    remember(instance, answer);
    const settings = window.hsConversationsSettings || {};
    const inline = settings.inlineEmbedSelector ? document.querySelector(settings.inlineEmbedSelector) : null;
    instance.open = Boolean(options.widgetOpen || inline || readCookie('hs-messages-is-open') === 'true');

    if (document.getElementById(CONTAINER_ID)) {
      console.error('Element with id ' + CONTAINER_ID + ' already exists');
      return;
    }
    addStyle(settings.avoidInlineStyles === true);

    const container = document.createElement('div');
    container.id = CONTAINER_ID;
    container.className = inline ? 'hs-messages-inline' : '';
    const iframe = document.createElement('iframe');
    iframe.id = 'hubspot-conversations-iframe';
    iframe.title = 'Chat Widget';
    iframe.setAttribute('allowtransparency', 'true');
    iframe.src = hosts.app + '/conversations-visitor/' + encodeURIComponent(portalId) +
      '/threads/utk/' + encodeURIComponent(instance.utk) +
      '?domain=' + encodeURIComponent(location.hostname) +
      '&open=' + instance.open + '&inline=' + Boolean(inline) +
      '&focus=' + (settings.disableInitialInputFocus !== true);
    container.appendChild(iframe);
    instance.container = container;
    instance.iframe = iframe;
    instance.waiting = [];
    shown = instance;
    resize(instance);
    (inline || document.body).appendChild(container);
  }

  // remember keeps who the backend says this is. Only an anonymous visitor is
  // known by a cookie.
  function remember(instance, answer) {
    instance.utk = answer.messagesUtk;
    instance.identified = answer.identified;
    if (!answer.identified) {
      writeCookie('messagesUtk', answer.messagesUtk, UTK_SECONDS);
    }
  }

  function removeContainer() {
    const container = document.getElementById(CONTAINER_ID);
    if (container) {
      container.remove();
    }
  }

  function resize(instance) {
    instance.container.classList.toggle('hs-messages-open', instance.open);
  }

  function setOpen(instance, open) {
    if (!instance.loaded) {
      return;
    }
    post(instance, { type: open ? 'open' : 'close' });
  }

  function post(instance, message) {
    if (instance.waiting) {
      instance.waiting.push(message);
      return;
    }
    const target = instance.iframe && instance.iframe.contentWindow;
    if (target) {
      target.postMessage(Object.assign({ to: 'hubspot-messages' }, message), hosts.app);
    }
  }

  // onMessage hears what the visitor does in the chat.
  function onMessage(event) {
    const message = event.data;
    const instance = shown;
    if (!instance || event.source !== instance.iframe.contentWindow ||
        event.origin !== hosts.app || !message || message.from !== 'hubspot-messages') {
      return;
    }
    switch (message.type) {
      case 'ready': {
        const waiting = instance.waiting || [];
        instance.waiting = null;
        waiting.forEach((message) => post(instance, message));
        emit('widgetLoaded', { message: 'widget has loaded' });
        emit('unreadConversationCountChanged', { unreadCount: 0 });
        break;
      }
      case 'opened':
      case 'closed':
        instance.open = message.type === 'opened';
        resize(instance);
        writeCookie('hs-messages-is-open', String(instance.open), OPEN_SECONDS);
        writeCookie('hs-messages-hide-welcome-message', 'true', DAY_SECONDS);
        if (!instance.open) {
          emit('widgetClosed', { message: 'widget has closed' });
        }
        break;
      case 'interacted':
        emit('userInteractedWithWidget', { message: 'the user interacted with the widget' });
        break;
      case 'selected':
        emit('userSelectedThread', { conversation: { conversationId: instance.utk } });
        break;
      case 'started':
        emit('conversationStarted', { conversation: { conversationId: instance.utk } });
        if (instance.identified) {
          emit('contactAssociated', { message: 'visitor identified' });
        }
        break;
    }
  }

  // addStyle obeys a strict policy on request: a linked sheet instead of an
  // inline one.
  function addStyle(linked) {
    if (document.getElementById(STYLE_ID)) {
      return;
    }
    let style;
    if (linked) {
      style = document.createElement('link');
      style.rel = 'stylesheet';
      style.href = hosts.assets + '/conversations-embed/widget.css';
    } else {
      style = document.createElement('style');
      style.textContent =
        '#' + CONTAINER_ID + '{position:fixed;right:0;bottom:0;width:100px;height:96px;z-index:2147483647}' +
        '#' + CONTAINER_ID + '.hs-messages-open{width:376px;height:530px;max-width:100%;max-height:100%}' +
        '#' + CONTAINER_ID + '.hs-messages-inline{position:relative;width:100%;height:100%;min-height:400px;max-width:none;max-height:none;z-index:auto}' +
        '#' + CONTAINER_ID + '>iframe{display:block;width:100%;height:100%;border:0;background:transparent;color-scheme:normal}';
    }
    style.id = STYLE_ID;
    document.head.appendChild(style);
  }

  // ---- cookies ------------------------------------------------------------

  function readCookie(name) {
    const found = document.cookie.split('; ').find((cookie) => cookie.startsWith(name + '='));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : '';
  }

  function writeCookie(name, value, seconds) {
    document.cookie = name + '=' + encodeURIComponent(value) + '; Max-Age=' + seconds + cookieScope();
  }

  function deleteCookie(name) {
    document.cookie = name + '=; Max-Age=0' + cookieScope();
  }

  // Browsers refuse a Domain on an address or on a name without a dot.
  function cookieScope() {
    const host = location.hostname;
    const hostOnly = !host.includes('.') || /^[0-9.]+$/.test(host);
    return (hostOnly ? '' : '; Domain=.' + host.replace(/^www\./, '')) +
      '; Path=/; SameSite=Lax' + (location.protocol === 'https:' ? '; Secure' : '');
  }
})();
