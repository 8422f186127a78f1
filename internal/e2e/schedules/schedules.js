// What the test calls, in a page of its own:
//
//   await prepare(config)          once: page parts and HubSpot's scripts, see the Go test
//   await hunt(from, count, small) the first failure among the schedules of these numbers, or
//                                  null; made small if asked to
//   await play(schedule)           what happens in one schedule
//   script(text)                   another script than the page parts have

import { generate, shrink } from "./generate.js";
import { World } from "./world.js";

let config;

export async function prepare({ parts, ...rest }) {
  config = rest;
  config.parts = Object.fromEntries(Object.entries(parts).map(([name, html]) => [name, elements(html)]));
  config.claims = Object.fromEntries(Object.entries(config.parts).map(([name, scripts]) => [name, scripts[1].attributes["data-hubspot-visitor"]]));
  config.markers = { A: config.claims.A, B: config.claims.B };
  return config.claims;
}

// script runs another script than the page parts have.
export function script(text) {
  for (const scripts of Object.values(config.parts)) scripts[1].text = inFunction(text);
}

// elements is the script elements of a page part.
function elements(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return [...parsed.querySelectorAll("script")].map(({ attributes, text }) => {
    const named = Object.fromEntries([...attributes].map(({ name, value }) => [name, value]));
    return { attributes: named, text: "data-hubspot-visitor" in named ? inFunction(text) : text };
  });
}

// inFunction gives a script the tab's location instead of the frame's.
function inFunction(text) {
  return "(function (location) {" + text + "\n})(window.pageLocation)";
}

export async function play(schedule) {
  const world = new World(config, schedule);
  const broken = await world.run();
  return { schedule, broken, log: world.log };
}

export async function hunt(from, count, small) {
  for (let seed = from; seed < from + count; seed++) {
    const { broken, schedule, log } = await play(generate(seed));
    if (!broken) continue;
    if (!small) return { seed, schedule, broken, log };
    const least = await shrink(schedule, async (s) => (await play(s)).broken?.rule === broken.rule);
    return { seed, ...await play(least) };
  }
  return null;
}
