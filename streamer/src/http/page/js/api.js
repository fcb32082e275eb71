// Requests: what a view asks the database for, and what it posts.

import { visible } from "./format.js";

/** What is sent back, or cut by offsets, stays as it came; views show it by `visible`. */
const RAW = new Set(["stream", "name", "rollup", "text", "alike", "href"]);

/** JSON of the streamer, in which nothing is unseen. */
export const parse = (json) =>
  JSON.parse(json, (key, value) => (typeof value === "string" && !RAW.has(key) ? visible(value) : value));

/** A view's answers are asked for again after so long. */
const AGAIN_MS = 2000;

const answers = new Map();
let wanted = new Set();

/** The last answer of GET `path`: {data, error, at}. Asks for it while the view wants it. */
export function want(path) {
  wanted.add(path);
  return answers.get(path) ?? {};
}

/**
 * Forgets what no view wants any more, and asks for what is due; where the view `stands`, only for what has no answer.
 * `changed` is called for each answer.
 */
export function fetchWanted(changed, stands) {
  for (const path of answers.keys()) if (!wanted.has(path)) answers.delete(path);
  for (const path of wanted) {
    const answer = answers.get(path) ?? {};
    if (answer.busy || (stands ? answer.at : Date.now() - (answer.at ?? 0) < AGAIN_MS)) continue;
    answers.set(path, { ...answer, busy: true });
    send("GET", path).then(({ data, error }) => {
      if (!answers.has(path)) return;
      answers.set(path, { data: data ?? answers.get(path).data, error, at: Date.now() });
      changed();
    });
  }
  wanted = new Set();
}

/** The next draw asks again for what begins with `prefix`. */
export function refresh(prefix) {
  for (const [path, answer] of answers) if (path.startsWith(prefix)) answer.at = 0;
}

/** One request: {status, data} or {status, error}, with status 0 where nothing answers. */
export async function send(method, path, body, headers = {}) {
  try {
    const response = await fetch(path, {
      method,
      body,
      // Only scripts of this origin can set it: what a foreign page makes a browser send lacks it.
      headers: method === "GET" ? headers : { "x-streamer-page": "1", ...headers },
    });
    const text = await response.text();
    let data = null;
    try { data = parse(text); } catch { /* an answer without JSON has no data */ }
    if (response.ok) return { status: response.status, data };
    return { status: response.status, error: data?.error ?? `${response.status} ${response.statusText}` };
  } catch {
    return { status: 0, error: "the streamer cannot be reached" };
  }
}

export const postJson = (path, value) =>
  send("POST", path, JSON.stringify(value), { "content-type": "application/json" });
