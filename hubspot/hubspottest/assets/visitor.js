// The chat inside the widget's iframe: a launcher, and a panel with one thread.
// It shows the thread of whomever the page names, by the backend's answer that
// the widget passes on or by an e-mail with its token, also when that changes.
// Everything a visitor wrote is put into the page as text.
(function () {
  'use strict';

  const query = new URLSearchParams(location.search);
  const inline = query.get('inline') === 'true';
  const portal = location.pathname.split('/threads/')[0];
  const utk = location.pathname.split('/').pop();
  const element = (id) => document.getElementById(id);
  const list = element('messages');
  const field = element('message');
  let session = '';  // of the thread that is shown: the backend's word for a visitor
  let identified = false;
  let messages = [];
  let sent = 0;
  let opened = false;

  element('launcher').addEventListener('click', () => { setOpen(true, true); interacted(); });
  element('close').addEventListener('click', () => { setOpen(false, true); interacted(); });
  element('compose').addEventListener('submit', (event) => { event.preventDefault(); send(); });
  window.addEventListener('message', (event) => {
    if (event.source === window.parent) {
      hear(event.data);
    }
  });
  window.addEventListener('load', () => tell('request-widget'));

  document.body.classList.toggle('inline', inline);
  element('close').hidden = inline;
  if (inline) {
    showOpen(true);
  } else {
    setOpen(query.get('startOpen') === 'true', false);
  }

  // ---- the page -----------------------------------------------------------

  // tell lets the page know what happened, never what was written.
  function tell(type, data = {}) {
    window.parent.postMessage(JSON.stringify({ type, uuid: query.get('uuid'), data }), '*');
  }

  function report(eventType, payload) {
    tell('external-api-event', { eventType, payload });
  }

  function interacted() {
    report('userInteractedWithWidget', { message: 'the user interacted with the widget' });
  }

  function hear(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch (error) {
      return;
    }
    const data = message.data;
    switch (message.type) {
      case 'widget-data':
      case 'refresh-widget-data':
        log({ type: message.type, session: data.sessionId });
        showThread(data.sessionId);
        break;
      case 'visitor-identification-attributes':
        log({ type: message.type, email: data.identificationEmail });
        identify(data.identificationEmail, data.identificationToken);
        break;
      case 'request-open': setOpen(true, true); break;
      case 'request-close': setOpen(false, true); break;
    }
  }

  // log keeps for the tests of the application what this iframe was told.
  function log(message) {
    return ask(utk + '/told', message);
  }

  function ask(path, body) {
    return fetch(portal + '/threads/utk/' + path, body === undefined ? {} : {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  // ---- the visitor --------------------------------------------------------

  async function identify(email, token) {
    if (!email || !token) {
      return;
    }
    const response = await ask(utk + '/identify', { email, token });
    if (response.ok) {
      await showThread((await response.json()).session);
    }
  }

  // read shows what the thread holds, unless another one is to be shown by then. An
  // answer may not have what was sent meanwhile: then it asks again.
  async function read(key) {
    let before, thread;
    do {
      before = sent;
      const response = await ask(key + '/messages');
      thread = response.ok && await response.json();
      if (!thread || session !== key) {
        return false;
      }
    } while (sent !== before);
    identified = thread.identified;
    messages = thread.messages;
    render();
    return true;
  }

  async function showThread(key) {
    session = key;
    if (!await read(key)) {
      return;
    }
    if (!identified) {
      tell('store-messages-cookie', utk); // only an anonymous visitor is known by it
    }
    document.body.dataset.identified = String(identified);
    report('unreadConversationCountChanged', { unreadCount: 0 });
  }

  // ---- the panel ----------------------------------------------------------

  function setOpen(open, byUser) {
    if (inline || (byUser && open === opened)) {
      return;
    }
    showOpen(open);
    tell('iframe-resize', open ? { width: 376, height: 530 } : { width: 100, height: 96 });
    if (open || byUser) {
      tell('open-change', { isOpen: open, isUser: byUser });
    }
    if (byUser && !open) {
      tell('closed-welcome-message');
      report('widgetClosed', { message: 'widget has closed' });
    }
    if (open && messages.length > 0) {
      report('userSelectedThread', { conversation: { conversationId: session } });
    }
    if (open && byUser && query.get('isInitialInputFocusDisabled') !== 'true') {
      field.focus();
    }
  }

  function showOpen(open) {
    opened = open;
    element('panel').hidden = !open;
    element('launcher').hidden = open;
    element('launcher').setAttribute('aria-expanded', String(open));
    list.scrollTop = list.scrollHeight;
  }

  function render() {
    const bubble = (text, from) => {
      const item = document.createElement('li');
      item.className = from;
      item.textContent = text;
      return item;
    };
    list.replaceChildren(bubble('Hi! How can we help you today?', 'agent'),
      ...messages.map((text) => bubble(text, 'visitor')));
    list.scrollTop = list.scrollHeight;
  }

  async function send() {
    const text = field.value.trim();
    if (!text || !session) {
      return;
    }
    field.value = '';
    const key = session;
    const first = messages.length === 0;
    const response = await ask(key + '/messages', { text });
    if (!response.ok) {
      field.value = text;
      return;
    }
    sent++;
    await read(key);
    interacted();
    if (first) {
      report('conversationStarted', { conversation: { conversationId: session } });
      if (identified) {
        report('contactAssociated', { message: 'visitor identified' });
      }
    }
  }
})();
