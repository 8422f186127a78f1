// Random schedules, and smaller ones that fail alike.

import { BACKEND, ENDPOINT } from "./world.js";

const MOST_EVENTS = 12;
const LONGEST_GAP = 3000;

// random is a generator of numbers from 0 to 1 (mulberry32).
function random(seed) {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

// generate is the schedule of a number: always the same.
export function generate(seed) {
  const next = random(seed);
  const one = (...choices) => choices[Math.floor(next() * choices.length)];
  const chance = (p) => next() < p;
  const ms = (most) => Math.round(next() * most / 10) * 10;
  const visitor = () => one("A", "B", "nobody");
  const page = () => one("fresh", "fresh", "fresh", "fresh", "late", "anybody", "asks", "never", "stale A", "stale B", "stale nobody");

  const events = {
    visit: [8, () => ({ how: one("swap", "swap", "swap", "fragment", "morph", "document"), page: page(), url: one("/0", "/1", "/2"), preview: chance(0.3), takes: ms(1000) })],
    back: [2, () => ({})],
    sign: [7, () => ({ who: visitor(), ...(chance(0.3) ? { tab: "other" } : { then: one("swap", "swap", "document", "refresh", "signOut", "nothing"), takes: ms(1500) }) })],
    expire: [1, () => (chance(0.5) ? { then: "401" } : {})],
    look: [3, () => ({ as: one("visibility", "pageshow", "focus") })],
    endpoint: [1.5, () => ({ as: one("ok", "ok", ...Object.keys(ENDPOINT)) })],
    backend: [3, () => ({ as: one("ok", "ok", "ok", "slow", "slow", ...Object.keys(BACKEND)) })],
    display: [1, () => ({ after_s: one(0, 2, 5, 12, 40) })],
    refresh: [1, () => ({})],
    open: [1, () => ({})],
    resize: [1, () => ({})],
    own: [1.5, () => ({ call: one("clear", "load", "refresh") })],
    takeOut: [0.7, () => ({})],
    copy: [0.7, () => ({})],
    loader: [0.5, () => ({})],
  };
  // Each schedule has some kinds of events only, so that these meet more often.
  const kinds = Object.entries(events).filter(([name]) => name === "visit" || name === "sign" || chance(0.5));
  const total = kinds.reduce((sum, [, [weight]]) => sum + weight, 0);
  const hurried = chance(0.4);
  const event = () => {
    let at = next() * total;
    const [name, [, make]] = kinds.find(([, [weight]]) => (at -= weight) < 0);
    // Now and then the page is left alone for longer than five minutes.
    const after = chance(0.02) ? 310000 : chance(hurried ? 0.7 : 0.3) ? ms(300) : ms(LONGEST_GAP);
    return { after, do: name, ...make() };
  };
  return {
    start: {
      session: visitor(), page: page(),
      loader: chance(0.03) ? "blocked" : one(20, 80, 300, 2000, 6000),
      iframe: one(50, 300, 1500),
      head: chance(0.7),
      cookieEvents: one(0, 5, 40),
      backend: chance(0.8) ? "ok" : one(...Object.keys(BACKEND)),
      endpoint: chance(0.9) ? "ok" : one(...Object.keys(ENDPOINT)),
      displayAfter: chance(0.85) ? 0 : one(2, 5, 12, 40),
      sample: chance(0.9) ? "" : one("before", "after"),
    },
    events: Array.from({ length: 1 + Math.floor(next() * MOST_EVENTS) }, event),
  };
}

// What a schedule is like where nothing is said, from the plainest.
const PLAIN = {
  session: "nobody", page: "fresh", loader: 80, iframe: 300, head: true, cookieEvents: 5, backend: "ok", endpoint: "ok", displayAfter: 0, sample: "",
};

// smaller yields what is simpler than a schedule by one step.
function* smaller(schedule) {
  const { start, events } = schedule;
  for (let i = events.length - 1; i >= 0; i--) {
    yield { start, events: events.toSpliced(i, 1) };
    // The time that the event took shall not be missing.
    if (i + 1 < events.length) {
      const next = { ...events[i + 1], after: events[i].after + events[i + 1].after };
      yield { start, events: events.toSpliced(i, 2, next) };
    }
  }
  for (const name of Object.keys(start)) {
    if (start[name] !== PLAIN[name]) yield { start: { ...start, [name]: PLAIN[name] }, events };
  }
  for (let i = 0; i < events.length; i++) {
    const event = events[i];
    const change = (changes) => ({ start, events: events.with(i, { ...event, ...changes }) });
    for (const after of [0, 100, 1000, Math.round(event.after / 200) * 100]) if (after < event.after) yield change({ after });
    for (const takes of [0, 100, 500]) if (takes < event.takes) yield change({ takes });
    if (event.preview) yield change({ preview: false });
    if (event.do === "visit" && event.page !== "fresh") yield change({ page: "fresh" });
    if (event.do === "visit" && event.how !== "swap") yield change({ how: "swap" });
    if (event.do === "look" && event.as !== "focus") yield change({ as: "focus" });
    if (event.url && event.url !== "/0") yield change({ url: "/0" });
  }
}

// shrink is the smallest schedule found within ten seconds that still fails.
export async function shrink(schedule, fails) {
  const end = performance.now() + 10000;
  for (let found = schedule; found;) {
    schedule = found;
    found = null;
    for (const candidate of smaller(schedule)) {
      if (performance.now() > end) break;
      if (await fails(candidate)) {
        found = candidate;
        break;
      }
    }
  }
  const start = Object.fromEntries(Object.entries(schedule.start).filter(([name, value]) => value !== PLAIN[name]));
  const events = schedule.events.map((event) => Object.fromEntries(Object.entries(event).filter(([, value]) => value !== false && value !== undefined)));
  return { start, events };
}
