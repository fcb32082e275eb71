// The simulator's events: what is sent, by hand or by itself, and what became of each. It imports nothing: `streamer
// simulator` puts it into a file that works when opened from disk.

const LOG_MAX = 200;
/** By itself it sends nothing while so many are without an answer: a browser has six connections. */
const UNANSWERED_MAX = 3;
const USERS = 10_000;

export const REACTIONS = [["❤️", "heart"], ["😂", "joy"], ["👍", "thumbs_up"], ["👏", "clap"], ["🔥", "fire"], ["🎉", "party"], ["😮", "surprised"],
  ["😢", "cry"], ["😡", "angry"], ["👎", "thumbs_down"]];
export const REGIONS = ["East Asian Trade Zone", "South Asian Trade Zone", "Eurasian Trade Zone", "North American Trade Zone", "African Free Trade Zone"];
/** What is sent by itself. */
export const KINDS = ["random reactions", "bank transfers", "both"];

export const sender = {
  /** Posts a value as JSON to a path: {status, data} or {status, error}, with status 0 where nothing answers. */
  post: null,
  connected: true, isAuto: false, everyS: 2, kind: KINDS[0], due: 0, sent: 0, log: [],
};

const random = (n) => Math.floor(Math.random() * n);

/** A random UUID; `crypto.randomUUID` is not there over plain HTTP beyond loopback. */
function uuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const hex = Array.from(b, (n) => n.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export function reaction([sign, name]) {
  const body = { user_id: 1 + random(USERS), emoji_type: name, timestamp: new Date().toISOString() };
  return { path: "/send_emoji?wait=commit", body, words: `${sign} ${name.replace("_", " ")}` };
}

export function transfer(amount, region) {
  const body = { transfer_id: uuid(), account_id: 1_000_000 + random(9_000_000), account_region: region, transaction_value: amount, event_time: new Date().toISOString() };
  return { path: "/streams/transfers/events?wait=commit", body, words: `transfer of ${amount}` };
}

/** What the answer of a request says of its event: [fate, words]. */
function fateOf({ status, data, error }) {
  if (status === 0) return ["unreached", error];
  if (status === 401) return ["refused", "that needs a login with the token"];
  if (status === 503 || status === 429) return ["refused", error];
  if (error) return ["refused", error];
  if (data?.dead_letters) return ["dead", ""];
  if (data?.duplicates) return ["duplicate", "the key was there before"];
  if (data?.rows) return ["row", ""];
  return ["accepted", "synced to disk, not yet committed"];
}

/** Sends an event and notes what becomes of it. */
export async function fire(event, by, again) {
  sender.sent += 1;
  const entry = { n: sender.sent, at: Date.now() / 1000, words: event.words, by, fate: "sent", more: "", ms: null };
  sender.log = [entry, ...sender.log].slice(0, LOG_MAX);
  again();
  const begun = performance.now();
  const answer = await sender.post(event.path, event.body);
  entry.ms = Math.round(performance.now() - begun);
  [entry.fate, entry.more] = fateOf(answer);
  again();
}

function oneByItself() {
  const isTransfer = sender.kind === KINDS[1] || (sender.kind === KINDS[2] && random(2));
  return isTransfer ? transfer((1 + random(99_900) / 100).toFixed(2), REGIONS[random(REGIONS.length)]) : reaction(REACTIONS[random(10)]);
}

/** Sends what is due by itself; called ten times a second. */
export function tick(ui) {
  const { isAuto, connected, due, everyS, log } = sender;
  if (!isAuto || !connected || ui.stale || Date.now() < due) return;
  if (log.filter((e) => e.fate === "sent").length >= UNANSWERED_MAX) return;
  sender.due = Math.max(due + everyS * 1000, Date.now());
  fire(oneByItself(), "automatic", ui.again);
}
