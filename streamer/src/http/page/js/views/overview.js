// Is all well? If not: what is stuck, since when, why, and the command that mends it.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { ago, bytes, clock, count, known, lagSpan, minute, NONE, plural, rate, span, visible } from "../format.js";
import { ailment, cmd, figures, segments, shape, spark, state, streamAt, time } from "../parts.js";
import { isEmpty, isNone, rowsPerSecond } from "../state.js";

const SPEC = [{ colour: "--accent", fill: "--accent-soft" }];
const ARROW = { 1: ["↗", "growing", "up"], 0: ["→", "steady", ""], "-1": ["↘", "shrinking", ""] };
/** With more streams, those that need attention come first, and there is a filter. */
const ALL_SHOWN = 200;

/** Why no frames come, as an ailment; `link` says what is known of the event stream. */
export function silence(w, ui) {
  const kind = "bad";
  const since = w.at;
  if (ui.link === "crowded") {
    return { kind, since, head: "Too many pages of this browser", prompt: "$", command: null,
      why: ["This browser has ", { b: "five pages of the streamer" }, " open, and keeps no more connections."],
      then: "Close or hide one of them: this page then goes on by itself." };
  }
  if (ui.link === "full") {
    return { kind, since, head: "Too many pages are open", prompt: "$", command: null,
      why: ["The streamer serves ", { b: "64 event streams" }, ", and all are taken. This page waits for its turn."],
      then: "It goes on by itself. The same numbers: /metrics, streamer status." };
  }
  return { kind, since, head: "The streamer does not answer", prompt: "$",
    why: [{ b: `Nothing comes from ${location.origin}` }, ". It has ended, or this machine cannot reach it. The page tries each second, and goes on by itself."],
    label: "If it has ended:", command: w.streamer?.restart_command ?? "streamer run",
    then: "Nothing is lost: what was not committed is read again from the files." };
}

const furthest = (streams, of) => streams.reduce((a, s) => ((of(s) ?? -1) > (of(a) ?? -1) ? s : a), streams[0]);

function well(w, worst) {
  const all = plural(w.streams.length, "stream");
  if (worst?.lag.trend < 0) {
    return html`${all}. <a href=${streamAt(worst.name)}>${worst.label}</a> is catching up${known(worst.lag.time_left_s)
      ? `, done in about ${span(worst.lag.time_left_s)}` : ""}.`;
  }
  if (worst?.lag.s > 0) return html`${all}. <a href=${streamAt(worst.name)}>${worst.label}</a> has the most to read.`;
  return `${all}, none behind.`;
}

function answer(w, ui) {
  const worst = furthest(w.streams, (s) => s.lag.s);
  const slow = furthest(w.streams, (s) => s.latency?.p99_s);
  const dead = w.streams.reduce((n, s) => n + (s.counted?.dead_letters ?? 0), 0);
  const a = ui.stale ? silence(w, ui) : w.ailments[0];
  const others = w.streams.filter((s) => s.kind === "run" || s.kind === "idle").length;
  const say = ui.stale ? html`All below is as of ${time(w.at)}.`
    : !a ? well(w, worst)
      : others === w.streams.length ? "All streams go on."
        : others ? `The other ${plural(others, "stream is", "streams are")} well.` : w.streams.length > 1 ? "All streams are affected." : "It is the only stream.";
  return html`<section class="answer ${a ? a.kind : ""}">
    <div class="top"><h1>${a ? shape(a.kind) : nothing}${a ? a.head : "All is well"}</h1><p class="say">${say}</p></div>
    ${figures([
      [html`<span class="long">rows a second</span><span class="narrow">rows/s</span>`, rate(rowsPerSecond(w)), "#/batches"],
      [html`<span class="long">furthest </span>behind`, html`${worst?.lag.trend
        ? html`<small aria-hidden="true">${ARROW[worst.lag.trend][0]}</small>` : nothing}${isNone(worst?.lag) ? "none" : lagSpan(worst?.lag.s)}`,
      worst ? streamAt(worst.name) : "#/", worst?.lag.trend > 0],
      [html`worst <span class="long">latency </span>P99`, span(slow?.latency?.p99_s), slow ? streamAt(slow.name) : "#/"],
      [html`dead<span class="long"> letters</span>`, count(dead), "#/dead-letters"],
    ])}
    <div class="stage ${a ? "free" : ""}">${a
      ? ailment(a, ui.now, ui.stale ? w.ailments.length : w.ailments.length - 1) : chart(w, ui)}</div>
    ${a ? nothing : readable(w, ui)}
  </section>`;
}

function chart(w, ui) {
  const day = ui.range === "24 h";
  const axis = day ? w.minutes : w.seconds;
  return html`<div class="over"><span>Rows a second<span class="long">, all streams</span></span>
      ${segments("Time shown", ["15 min", "24 h"], ui.range, (range) => { ui.range = range; ui.again(); })}</div>
    <line-chart role="img" .spec=${SPEC} .data=${[axis.t, axis.rows]}
      aria-label="Rows a second of all streams in the last ${ui.range}, ${rate(rowsPerSecond(w))} now"></line-chart>`;
}

/** Ten figures of the chart, the newest last: for screen readers, because the room below is the streams'. */
function readable(w, ui) {
  const axis = ui.range === "24 h" ? w.minutes : w.seconds;
  const step = Math.floor(axis.t.length / 10);
  const rows = axis.t.map((t, i) => [minute(t), rate(axis.rows[i])]).filter((_, i) => step && (i + 1) % step === 0);
  return html`<table class="only-sr"><caption>Rows a second, all streams, in the last ${ui.range}</caption>
    <thead><tr><th scope="col">At</th><th scope="col">Rows a second</th></tr></thead>
    <tbody>${rows.map(([at, n]) => html`<tr><td>${at}</td><td>${n}</td></tr>`)}</tbody></table>`;
}

function lag({ lag: l }) {
  if (!known(l.s) && !known(l.bytes)) return NONE;
  if (isNone(l)) return html`<span class="zero">none</span>`;
  const [sign, word, look] = ARROW[l.trend ?? 0];
  const more = l.trend < 0 && known(l.time_left_s) ? `, ~${span(l.time_left_s)} left` : l.trend > 0 ? ", growing" : "";
  return html`${lagSpan(l.s)}<span class="arrow ${look}" aria-hidden="true">${sign}</span><span class="only-sr">, ${word}</span>
    <small>${bytes(l.bytes)}${more}</small>`;
}

const zero = (n) => (n === 0 ? html`<span class="zero">0</span>` : count(n));

/** How late the rows of listeners are; of files, how old their events were. */
function late(s) {
  const old = s.event_age?.p50_s;
  if (s.latency || !known(old)) return span(s.latency?.p50_s);
  return html`${NONE}<small title="Half of the events from files were older than that when their rows became visible, in the last minute">age ${span(old)}</small>`;
}

function row(s, w, ui) {
  const alone = w.ailments.some((a) => a.stream === s.name);
  const c = s.counted ?? {};
  return html`<tr role="row" class=${s.kind === "idle" || alone ? s.kind : ""}>
    <td role="cell" class="st">${state(s.kind, s.word)}${s.why && alone ? html`<small class="clip" title=${s.why}>${s.why}</small>` : nothing}</td>
    <th role="rowheader" scope="row" class="name"><a href=${streamAt(s.name)} title=${s.label}>${s.label}</a><small class="opt" title=${s.files ?? ""}>${s.files ?? "listeners"}</small></th>
    <td role="cell" class="n rt"><span class="rate">${rate(s.rate)}</span></td>
    <td role="cell" class="sp">${spark(s.history ?? [], `Rows a second in the last 5 minutes, ${rate(s.rate)} now`)}</td>
    <td role="cell" class="n lag" data-label="Behind">${lag(s)}</td>
    <td role="cell" class="n opt">${late(s)}</td>
    <td role="cell" class="n opt p90">${span(s.latency?.p90_s)}</td>
    <td role="cell" class="n" data-label="P99">${span(s.latency?.p99_s)}</td>
    <td role="cell" class="n" data-label="Rows">${count(c.rows)}</td>
    <td role="cell" class="n opt du">${zero(c.duplicates)}</td>
    <td role="cell" class="n" data-label="Dead letters">${c.dead_letters ? html`<a href="#/dead-letters">${count(c.dead_letters)}</a>` : zero(c.dead_letters)}</td>
    <td role="cell" class="n opt">${s.last ? html`${ui.stale ? time(s.last.at) : time(s.last.at, ago(ui.now - s.last.at))}<small>${s.last.path}</small>` : NONE}</td>
  </tr>`;
}

const RANK = { bad: 0, warn: 1, run: 2, idle: 3 };

function shown(w, ui) {
  if (w.streams.length <= ALL_SHOWN) return w.streams;
  const fits = w.streams.filter((s) => s.name.includes(ui.filter));
  return fits.sort((a, b) => RANK[a.kind] - RANK[b.kind] || (b.lag.s ?? 0) - (a.lag.s ?? 0)).slice(0, ALL_SHOWN);
}

const HEADS = [["State"], ["Stream"], ["Rows/s", "n"], ["Last 5 min"], ["Behind", "n"], ["Latency P50", "n"], ["P90", "n p90"],
  ["P99", "n"], ["Rows", "n"], ["Duplicates", "n du"], ["Dead letters", "n"], ["Last micro-batch", "n"]];

function table(w, ui) {
  const begun = w.streamer.started;
  const list = shown(w, ui);
  return html`<section>
  <div class="head"><h2>Streams</h2><span class="soft">${w.restarted
    ? html`started again at ${time(w.restarted)}, counted from there` : html`counted since the start at ${time(begun, minute(begun))}`}</span>
    ${w.streams.length > ALL_SHOWN ? html`<label class="end">Name has <input type="search" .value=${ui.filter}
      @input=${(e) => { ui.filter = e.target.value; ui.again(); }}> ${count(list.length)} of ${count(w.streams.length)}</label>` : nothing}</div>
  <table class="streams" role="table" aria-label="Streams">
    <colgroup><col class="w-st"><col class="w-nm"><col class="w-rt"><col><col class="w-lag"><col class="w-p"><col class="w-q p90"><col class="w-q"><col class="w-rows"><col class="w-du du"><col class="w-dl"><col class="w-mb"></colgroup>
    <thead role="rowgroup"><tr role="row">${HEADS.map(([h, look]) => html`<th role="columnheader" class=${look ?? ""}>${h}</th>`)}</tr></thead>
    <tbody role="rowgroup">${repeat(list, (s) => s.name, (s) => row(s, w, ui))}</tbody>
  </table></section>`;
}

const WHAT = { symlink: "A symbolic link, which is not followed.", special: "Not a file to read." };

const untaken = (w) => w.untaken?.length
  ? html`<section><div class="head"><h2>Files that no stream takes</h2></div>
  ${w.untaken.map((f) => html`<div class="group"><p><code>${visible(f.name)}</code> <span class="soft">${WHAT[f.kind]
    ?? html`${bytes(f.size_bytes)}. Its name matches the <code>files</code> of no stream in streams.toml.`}</span></p></div>`)}</section>`
  : nothing;

const first = (w, ui) => html`<section class="answer">
  <div class="top"><h1>Ready. Nothing new has come.</h1>
  <p class="say">The streamer runs since ${time(w.streamer.started)}, the database is there, ${plural(w.streams.length, "stream watches", "streams watch")} the folder
    <code>${w.streamer.data}</code>. Any of these brings rows, and this page shows them at once:</p></div></section>
  <section><ol class="steps">
    <li><h2>1. Make events</h2><p class="soft">30,000 of a shop, in a file that is loaded by itself.</p>
      ${cmd(w.streamer.started_by === "compose" ? "docker compose run --rm generator" : "generator")}</li>
    ${ui.views.has("simulator") ? html`<li><h2>2. Send one by hand</h2><p class="soft">An emoji, by HTTP. See it arrive in the table.</p>
      <p><a class="button go" href="#/simulator">Open the simulator</a></p></li>` : nothing}
    <li><h2>${ui.views.has("simulator") ? 3 : 2}. Bring your own file</h2>
      <p class="soft">CSV or JSON lines: make a table with its columns, name it and the file in streams.toml, and try.</p>
      ${cmd("streamer check")}</li>
  </ol></section>`;

export function overview(w, ui) {
  const isFirst = !ui.stale && !w.ailments.length && isEmpty(w);
  return html`${isFirst ? first(w, ui) : answer(w, ui)}${table(w, ui)}${untaken(w)}
    <p class="soft">streamer ${w.streamer.version} ${w.streamer.instance}, folder <code>${w.streamer.data}</code>, started at ${time(w.streamer.started, clock(w.streamer.started))}.</p>`;
}
