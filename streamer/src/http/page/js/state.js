// What the page knows: the history and the frames of the event stream, as the views read it. No element here.

import { known, seconds, visible } from "./format.js";

/** Seconds of a stream's rate that a sparkline shows. */
const SPARK_S = 300;
const MINUTES = 1440;
/** So long is said that the counters have begun anew. */
const RESTART_TOLD_S = 600;
const BATCHES = 60;

const KINDS = { running: "run", catching_up: "run", idle: "idle", waits: "warn" };
const WORDS = {
  running: "Running", catching_up: "Catching up", idle: "Idle", waits: "Waits", stuck: "Stuck", stopped: "Stopped",
  away: "Away",
};

/** Nothing known yet. */
export const empty = () => ({
  heard: null, at: null, streamer: null, restarted: null, streams: [], batches: [], ailments: [], untaken: null,
  spool: null, total: null, seconds: axes(null, null, 0), minutes: axes(null, null, 0),
});

/** Times and values of a ring, aligned at its end; what it does not have is unknown. */
function axes(ring, values, length) {
  const end = ring ? seconds(ring.end) : 0;
  const step = ring?.step_s ?? 1;
  const t = Array.from({ length }, (_, i) => end - (length - 1 - i) * step);
  const of = (key) => padded(values?.[key], length);
  return { t, rows: of("rows_per_s"), arrived: of("arrived_per_s"), p50: of("latency_p50_s"), p99: of("latency_p99_s") };
}

function padded(values, length) {
  const last = (values ?? []).slice(-length);
  return [...Array(length - last.length).fill(null), ...last];
}

/** A stream of the wire as the views read it; `was` is what is known of it already. */
function taken(s, was) {
  const c = s.counted ?? {};
  return {
    ...s,
    name: s.stream,
    label: visible(s.stream),
    kind: KINDS[s.state] ?? "bad",
    word: s.state === "idle" && !c.micro_batches ? "Waits for files" : (WORDS[s.state] ?? s.state),
    since: seconds(s.since),
    rate: s.rows_per_s_10s ?? s.rows_per_s,
    lag: s.lag ?? {},
    last: s.last_micro_batch && { ...s.last_micro_batch, at: seconds(s.last_micro_batch.at) },
    history: was?.history ?? null,
  };
}

const takenBatch = (b) => ({ ...b, at: seconds(b.at), parts: b.parts ?? [] });

/** `why` of an ailment, cut at what is to stand bold. */
function cut(why, strong) {
  let parts = [why];
  for (const words of strong ?? []) {
    parts = parts.flatMap((part) => {
      const at = typeof part === "string" && words ? part.indexOf(words) : -1;
      return at < 0 ? [part] : [part.slice(0, at), { b: words }, part.slice(at + words.length)];
    });
  }
  return parts;
}

const takenAilment = (a) => ({
  ...a,
  kind: a.severity === "warn" ? "warn" : "bad",
  cause: a.kind,
  since: seconds(a.since),
  why: cut(a.why, a.strong),
  prompt: a.prompt ?? "$",
  link: ["stopped_file", "dead_letters", "refused"].includes(a.kind) && a.stream
    ? ["#/dead-letters", "See the records"] : null,
});

/** The state after a `history`: replaces all, but remembers which start of the streamer was seen before. */
export function begin(was, history) {
  const w = empty();
  const { streamer } = history;
  w.streamer = { ...streamer, started: seconds(streamer.started_at) };
  const isNew = was.streamer && was.streamer.started_at !== streamer.started_at;
  w.restarted = isNew ? w.streamer.started : was.restarted;
  w.seconds = axes(history.seconds, history.total.seconds, history.seconds.length);
  w.minutes = axes(history.minutes, history.total.minutes, Math.min(MINUTES, history.minutes.length));
  w.streams = history.streams.map((s) => {
    const stream = taken(s);
    if (s.seconds) stream.history = padded(s.seconds.rows_per_s, SPARK_S);
    return stream;
  });
  w.batches = history.micro_batches.map(takenBatch).slice(-BATCHES);
  note(w, history.frame);
  return w;
}

/** One second later. */
export function advance(w, frame) {
  const second = Math.floor(seconds(frame.at));
  push(w.seconds, second, frame.total);
  pushMinute(w, second);
  const came = new Map(frame.streams.map((s) => [s.stream, s]));
  w.streams = w.streams.map((s) => {
    const news = came.get(s.stream);
    const stream = news ? taken(news, s) : { ...s, rows_per_s: 0 };
    if (!stream.history && news?.rows_per_s > 0) stream.history = Array(SPARK_S).fill(null);
    if (stream.history) stream.history = [...stream.history.slice(1), news ? news.rows_per_s : 0];
    return stream;
  });
  const added = frame.micro_batches.map(takenBatch);
  if (added.length) w.batches = [...w.batches, ...added].slice(-BATCHES);
  note(w, frame);
}

/** What each frame has whole. */
function note(w, frame) {
  w.at = seconds(frame.at);
  w.total = frame.total;
  w.spool = frame.spool;
  w.ailments = frame.ailments.map(takenAilment);
  w.untaken = frame.untaken;
  w.heard = Date.now();
  if (w.restarted && w.at - w.restarted > RESTART_TOLD_S) w.restarted = null;
}

function push(axis, t, total) {
  axis.t = [...axis.t.slice(1), t];
  axis.rows = [...axis.rows.slice(1), total.rows_per_s];
  axis.arrived = [...axis.arrived.slice(1), total.arrived_per_s];
  axis.p50 = [...axis.p50.slice(1), total.latency_p50_s];
  axis.p99 = [...axis.p99.slice(1), total.latency_p99_s];
}

/** A minute that has ended joins the ring of minutes: the mean of its seconds. */
function pushMinute(w, second) {
  if (second % 60 !== 0 || !w.minutes.t.length) return;
  const from = w.seconds.t.findIndex((t) => t > second - 60);
  const mean = (values) => {
    const last = values.slice(from).filter(known);
    return last.length ? last.reduce((a, b) => a + b) / last.length : null;
  };
  push(w.minutes, second, {
    rows_per_s: mean(w.seconds.rows), arrived_per_s: mean(w.seconds.arrived),
    latency_p50_s: mean(w.seconds.p50), latency_p99_s: mean(w.seconds.p99),
  });
}

/** Rows a second of all streams: the sum of what stands beside each. */
export function rowsPerSecond(w) {
  const rates = w.streams.map((s) => s.rate).filter(known);
  return rates.length ? rates.reduce((a, b) => a + b) : null;
}

/** The last `n` known values' mean. */
export function recent(values, n = 10) {
  const last = values.slice(-n).filter(known);
  return last.length ? last.reduce((a, b) => a + b) / last.length : null;
}

/** Whether all that was found is committed. */
export const isNone = (lag) => lag?.bytes === 0 && !lag.s;

/** Whether no record has come since the start. */
export const isEmpty = (w) => w.streams.every((s) => !s.counted?.micro_batches && !s.counted?.failed_files && !s.lag.bytes);
