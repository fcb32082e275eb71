// The event stream of GET /api/live: open while the page is visible, opened again when it ends.

import { parse } from "./api.js";

/** Without a frame for so long, what is shown is stale. */
export const STALE_AFTER_MS = 3000;
/** Without a byte for so long, the connection is taken for dead. */
const DEAD_AFTER_MS = 8000;
const RETRY_MS = 1000;
/** A browser keeps six connections to an origin. One stays free for requests. */
const PAGES_MAX = 5;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls `take(event, data)` for each event of the body. Returns when it ends. */
async function readEvents(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const lines of events.map((event) => event.split("\n"))) {
      const field = (name) => lines.filter((l) => l.startsWith(name)).map((l) => l.slice(name.length).trimStart());
      const data = field("data:").join("\n");
      take(field("event:")[0], data && parse(data));
    }
  }
}

/** One of the places that the pages of this browser share: a function that gives it back, or nothing. */
async function takePlace() {
  // Plain HTTP beyond loopback has no locks: there the browser's own limit holds.
  if (!navigator.locks) return () => {};
  for (let place = 1; place <= PAGES_MAX; place += 1) {
    const release = await new Promise((resolve) => {
      navigator.locks.request(`live ${place}`, { ifAvailable: true }, (lock) =>
        lock ? new Promise((free) => resolve(free)) : resolve(null),
      );
    });
    if (release) return release;
  }
  return null;
}

/**
 * Follows the event stream. `hear(event, data)` gets what comes; `tell(state)` gets "open", or why there is none:
 * "crowded" (this browser has too many pages open), "full" (so has the streamer), "login", "away". After "login" it
 * rests until the function that it returns is called.
 */
export function follow(hear, tell) {
  let current = null;

  /** Follows one connection to its end; returns why there is none. */
  async function connect(stop) {
    const place = await takePlace();
    if (!place) return "crowded";
    const dead = new AbortController();
    const end = () => dead.abort();
    stop.addEventListener("abort", end);
    let watchdog = setTimeout(end, DEAD_AFTER_MS);
    try {
      const response = await fetch("/api/live", { signal: dead.signal, headers: { accept: "text/event-stream" } });
      if (response.status === 401) return "login";
      if (response.status === 503) return "full";
      if (!response.ok) return "away";
      tell("open");
      await readEvents(response.body, (event, data) => {
        clearTimeout(watchdog);
        watchdog = setTimeout(end, DEAD_AFTER_MS);
        if (event) hear(event, data);
      });
      return "away";
    } catch {
      return "away";
    } finally {
      clearTimeout(watchdog);
      stop.removeEventListener("abort", end);
      place();
    }
  }

  async function run(stop) {
    while (!stop.aborted) {
      const why = await connect(stop);
      if (stop.aborted) return;
      tell(why);
      if (why === "login") {
        current = null;
        return;
      }
      await pause(RETRY_MS);
    }
  }

  function look() {
    if (document.visibilityState === "visible" && !current) {
      current = new AbortController();
      run(current.signal);
    } else if (document.visibilityState !== "visible" && current) {
      current.abort();
      current = null;
    }
  }
  document.addEventListener("visibilitychange", look);
  // A page that the browser puts aside for "back" must not keep its connection.
  addEventListener("pagehide", () => { current?.abort(); current = null; });
  addEventListener("pageshow", look);
  look();
  return look;
}
