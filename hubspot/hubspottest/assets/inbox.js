// The agent's inbox: asks for the chats every second and shows them, the newest
// first. Whatever visitors wrote is put into the page as text.
(function () {
  'use strict';

  const list = document.getElementById('chats');
  const conversation = document.getElementById('conversation');
  const empty = document.getElementById('empty');
  let selected = -1; // until the agent chooses, the newest chat is shown
  let shown = '';

  refresh();

  async function refresh() {
    try {
      const response = await fetch('/inbox.json');
      const text = await response.text();
      if (response.ok && text !== shown) {
        shown = text;
        render(JSON.parse(text));
      }
    } catch (error) {
      // The server is gone for the moment; what was shown stays.
    }
    setTimeout(refresh, 1000);
  }

  function render(chats) {
    const current = selected >= 0 && selected < chats.length ? selected : chats.length - 1;
    const focused = [...list.children].indexOf(document.activeElement) < 0 ? -1 : Number(document.activeElement.dataset.index);
    list.replaceChildren(...chats.map((chat, i) => row(chat, i, i === current, chats)).reverse());
    conversation.replaceChildren(current < 0 ? empty : detail(chats[current]));
    conversation.dataset.contact = current < 0 ? '' : chats[current].contact || '';
    // The keyboard's focus stays on its chat, among newer ones, too.
    list.querySelector(`[data-index="${focused}"]`)?.focus();
  }

  function contactOf(chat) {
    return chat.contact || 'Unknown Visitor';
  }

  function titleOf(chat) {
    return chat.name || contactOf(chat);
  }

  // mark fills in what list and detail have in common.
  function mark(element, chat) {
    element.dataset.contact = chat.contact || '';
    element.dataset.identified = String(chat.identified);
    element.classList.toggle('identified', chat.identified);
    element.querySelector('.badge').hidden = !chat.identified;
    element.querySelector('.avatar').textContent = chat.contact ? Array.from(titleOf(chat))[0].toUpperCase() : '?';
  }

  function row(chat, index, current, chats) {
    const button = document.getElementById('chat-template').content.cloneNode(true).firstElementChild;
    mark(button, chat);
    button.dataset.index = index;
    button.setAttribute('aria-current', String(current));
    button.querySelector('.contact').textContent = contactOf(chat);
    button.querySelector('.last').textContent = chat.messages[chat.messages.length - 1];
    button.addEventListener('click', () => { selected = index; render(chats); });
    return button;
  }

  function detail(chat) {
    const box = document.createDocumentFragment();
    box.append(document.getElementById('conversation-template').content.cloneNode(true));
    const head = box.querySelector('.head');
    mark(head, chat);
    head.querySelector('.title').textContent = titleOf(chat);
    head.querySelector('.email').textContent = chat.name ? contactOf(chat) : '';
    box.querySelector('.messages').append(...chat.messages.map((text) => {
      const item = document.createElement('li');
      item.textContent = text;
      return item;
    }));
    return box;
  }
})();
