// Time that passes only when the test says so. Everything that a page waits for
// (timers, answers, loads) is a task of one clock; between two tasks the
// browser's microtasks run until none is left, as they do in a browser.

// DEEP is more than any chain of promises in the pages has links. Waiting that
// often costs microseconds, waiting for the browser's next task a millisecond.
const DEEP = 50;

async function settled() {
  for (let i = 0; i < DEEP; i++) await null;
}

export class Clock {
  now = 0;
  ran = 0; // tasks so far
  #tasks = [];
  #number = 0;

  // after runs a task in ms milliseconds. It belongs to an owner, with whom it ends.
  after(ms, run, owner) {
    const task = { at: this.now + ms, number: this.#number++, run, owner };
    if (ms !== Infinity) this.#tasks.push(task);
    return task;
  }

  cancel(task) {
    const i = this.#tasks.indexOf(task);
    if (i >= 0) this.#tasks.splice(i, 1);
  }

  cancelAll(owner) {
    this.#tasks = this.#tasks.filter((task) => task.owner !== owner);
  }

  // pending counts the owner's tasks that are still to come.
  pending(owner) {
    return this.#tasks.filter((task) => task.owner === owner).length;
  }

  // run runs all that is due until then, and calls look after each task.
  async run(until, look) {
    for (;;) {
      let next = null;
      for (const task of this.#tasks) {
        if (task.at <= until && (!next || task.at < next.at || task.at === next.at && task.number < next.number)) next = task;
      }
      if (!next) break;
      this.cancel(next);
      this.now = next.at;
      this.ran++;
      next.run();
      await settled();
      look();
    }
    this.now = until;
  }

  // breathe lets the browser itself come to a turn: it reports rejected promises.
  static breathe() {
    return new Promise((resolve) => {
      channel.port1.onmessage = resolve;
      channel.port2.postMessage(0);
    });
  }
}

const channel = new MessageChannel();
