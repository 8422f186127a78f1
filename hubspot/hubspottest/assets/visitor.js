// The chat inside the widget's iframe: a launcher, and a panel with one thread.
// Everything a visitor wrote is put into the page as text.
(function () {
  'use strict';

  const query = new URLSearchParams(location.search);
  const inline = query.get('inline') === 'true';
  const element = (id) => document.getElementById(id);
  const list = element('messages');
  const field = element('message');
  let messages = [];
  let opened = false;

  element('launcher').addEventListener('click', () => { setOpen(true); tell('interacted'); });
  element('close').addEventListener('click', () => { setOpen(false); tell('interacted'); });
  element('compose').addEventListener('submit', (event) => { event.preventDefault(); send(); });
  window.addEventListener('message', (event) => {
    if (event.source !== window.parent || !event.data || event.data.to !== 'hubspot-messages') {
      return;
    }
    switch (event.data.type) {
      case 'open': setOpen(true); break;
      case 'close': setOpen(false); break;
      case 'refresh': read(); break;
    }
  });

  document.body.classList.toggle('inline', inline);
  element('close').hidden = inline;
  showOpen(inline || query.get('open') === 'true');
  read().then(() => tell('ready'));

  // tell lets the page know what happened, never what was written.
  function tell(type) {
    window.parent.postMessage({ from: 'hubspot-messages', type }, '*');
  }

  function setOpen(open) {
    if (inline || open === opened) {
      return;
    }
    showOpen(open);
    tell(open ? 'opened' : 'closed');
    if (open && messages.length > 0) {
      tell('selected');
    }
    if (open && query.get('focus') === 'true') {
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

  async function read() {
    const response = await fetch(location.pathname + '/messages');
    if (!response.ok) {
      return;
    }
    const thread = await response.json();
    document.body.dataset.identified = String(thread.identified);
    messages = thread.messages;
    render();
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
    if (!text) {
      return;
    }
    field.value = '';
    const response = await fetch(location.pathname + '/messages', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ text }),
    });
    if (!response.ok) {
      field.value = text;
      return;
    }
    messages.push(text);
    render();
    tell('interacted');
    if (messages.length === 1) {
      tell('started');
    }
  }
})();
