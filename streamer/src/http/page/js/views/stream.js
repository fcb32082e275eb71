// One stream: how far, what is in it, where each row came from.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { want } from "../api.js";
import { bytes, count, known, lagSpan, NONE, plural, rate, span, visible } from "../format.js";
import { ailment, figures, file, meter, shape, state, streamAt, waiting } from "../parts.js";
import { isNone } from "../state.js";
import { rollup } from "./rollup.js";

/** More columns of a table than this are named, not shown. */
const COLUMNS = 24;

const STATES = {
  done: () => html`<span class="low">read</span>`,
  pending: () => html`<span class="low">not begun</span>`,
  reading: (f) => share(f),
  waiting: (f) => state("warn", f.waits_for ?? "waits"),
  refused: () => state("bad", "refused"),
  stopped: () => state("bad", "stopped"),
  gone: () => html`<span class="low">gone</span>`,
};
const share = (f) => (f.size_bytes ? `${Math.min(99, Math.floor((f.next_offset / f.size_bytes) * 100))} %` : NONE);

function fileRow(f) {
  const isHalf = f.size_bytes && f.next_offset > 0 && f.next_offset < f.size_bytes;
  return html`<tr><td class="file">${file(f.file)}${isHalf ? meter(f.next_offset / f.size_bytes, f.state === "stopped") : nothing}
      ${f.refusal ? html`<small class="wrap">${f.refusal}</small>` : nothing}</td>
    <td class="n">${(STATES[f.state] ?? (() => f.state))(f)}</td><td class="n opt">${bytes(f.size_bytes)}</td>
    <td class="n opt">${f.lag_bytes ? bytes(f.lag_bytes) : html`<span class="low">–</span>`}</td><td class="n opt">${count(f.rows)}</td>
    <td class="n">${f.dead_letters ? html`<a href="#/dead-letters">${count(f.dead_letters)}</a>` : html`<span class="low">${count(f.dead_letters)}</span>`}</td></tr>`;
}

function files(s, { files: list, more_files: more }) {
  return html`<section><div class="head">
    <h2>Files</h2><span class="soft">${list.length ? "the newest first" : ""}${s.files ? html`, pattern <code>${s.files}</code>` : nothing}</span></div>
  ${list.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="Files"><table><thead><tr><th>File</th>
    <th class="n">Read</th><th class="n opt">Of</th><th class="n opt">Left</th><th class="n opt">Rows</th>
    <th class="n">Dead letters</th></tr></thead>
    <tbody>${list.map(fileRow)}</tbody></table></div>${more ? html`<p class="soft gap1">and ${plural(more, "more file")}: <code>streamer status</code></p>` : nothing}`
    : html`<p class="soft">No file yet. The first that fits the pattern is loaded by itself.</p>`}</section>`;
}

function newestRow(n, columns, row, i, ids) {
  const id = n.batch_ids[i];
  const from = n.files[i] ?? "a listener";
  return html`<tr>${columns.map((c, k) => html`<td class="clip" title=${row[k] ?? "NULL"}>${row[k] ?? html`<span class="low">NULL</span>`}</td>`)}
    <td class="n"><span class="clip" title=${from}>${from}</span><small>${ids.has(id) ? html`<a href="#/batches/${id}">micro-batch ${count(id)}</a>` : `micro-batch ${count(id)}`}</small></td></tr>`;
}

function newest(n, w) {
  if (!n) return nothing;
  const columns = n.columns.slice(0, COLUMNS);
  const more = n.columns.length - columns.length;
  const ids = new Set(w.batches.map((b) => b.batch_id));
  return html`<section><div class="head">
    <h2>Newest rows</h2><span class="soft">each with its file and its micro-batch${more > 0 ? `; ${plural(more, "more column")} not shown` : ""}</span></div>
    ${n.rows.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="Newest rows">
      <table class="newest">
      <thead><tr>${columns.map((c) => html`<th class="clip" title=${c}>${c}</th>`)}<th class="n">From</th></tr></thead>
    <tbody>${n.rows.map((row, i) => newestRow(n, columns, row, i, ids))}</tbody></table></div>` : html`<p class="soft">The table is empty.</p>`}</section>`;
}

/** How late rows are: of the last minute and since the start, with what each counts from. */
function latencies(s) {
  const since = s.event_latency;
  const rows = [
    s.latency && [s.latency.basis === "event" ? "Events by listeners, the last minute" : "Accepted records, the last minute", s.latency.rows, s.latency.p50_s, s.latency.p90_s, s.latency.p99_s, s.latency.max_s],
    s.event_age && ["Age of events from files, the last minute", s.event_age.rows, s.event_age.p50_s, s.event_age.p90_s, s.event_age.p99_s, s.event_age.max_s],
    since && ["From event to visible row, all since the start", since.events, since.p50_seconds, since.p90_seconds, since.p99_seconds, since.max_seconds],
  ].filter(Boolean);
  if (!rows.length) return nothing;
  return html`<section><div class="head"><h2>How late</h2></div>
    <div class="scroll" tabindex="0" role="region" aria-label="How late rows are"><table><thead><tr><th>What</th>
    <th class="n">P50</th><th class="n opt">P90</th><th class="n">P99</th><th class="n opt">Longest</th>
    <th class="n opt">Rows</th></tr></thead>
    <tbody>${rows.map(([what, n, ...of]) => html`<tr><td>${what}</td>${of.map((v, i) => html`<td class="n ${i % 2 ? "opt" : ""}">${span(v)}</td>`)}<td class="n opt">${count(n)}</td></tr>`)}</tbody></table></div></section>`;
}

const total = ({ totals: t }) => html`<p class="soft">Since ever: ${plural(t.records, "record")}, ${plural(t.rows, "row")}, ${plural(t.duplicates, "duplicate")}${t.repeated ? `, ${count(t.repeated)} repeated` : ""}, ${plural(t.dead_letters_open, "open dead letter")}.</p>`;

function lagging({ lag: l, counted }) {
  if (!known(l.bytes)) return counted?.micro_batches ? "what is left is not known" : "nothing has come yet";
  if (!l.bytes) return "all that was found is in the table";
  return `${bytes(l.bytes)} still to read${known(l.time_left_s) ? `, done in about ${span(l.time_left_s)}` : ""}`;
}

export function stream(w, ui, name) {
  const s = w.streams.find((x) => x.name === name);
  if (!s) {
    return html`<section class="answer"><div class="top"><p class="crumb"><a href="#/">Overview</a></p><h1>No such stream</h1>
      <p class="say">This streamer has none of the name <code>${visible(name)}</code>.</p></div></section>`;
  }
  const a = w.ailments.find((x) => x.stream === s.name) ?? w.ailments.find((x) => !x.stream);
  const answer = want(`/api/streams/${encodeURIComponent(s.name)}`);
  const go = (e) => { location.hash = streamAt(e.target.value); };
  return html`
  <section class="answer ${s.kind}"><div class="top">
    <p class="crumb"><a href="#/">Overview</a> / <select aria-label="Stream" @change=${go}>${w.streams.map((x) => html`<option value=${x.name} ?selected=${x === s}>${x.label}</option>`)}</select></p>
      <h1>${s.kind === "bad" ? shape("bad") : nothing}${s.label}: ${s.word.toLowerCase()}</h1>
        <p class="say">Into <code>${s.table}</code>; ${lagging(s)}.</p></div>
    ${figures([
      [html`<span class="long">rows a second</span><span class="narrow">rows/s</span>`, rate(s.rate), "#/batches"],
      ["behind", isNone(s.lag) ? "none" : lagSpan(s.lag.s), streamAt(s.name), s.lag.trend > 0],
      ["latency P99", span(s.latency?.p99_s), "#/batches"],
      [html`dead<span class="long"> letters</span>`, count(s.counted?.dead_letters), "#/dead-letters"],
    ])}
    ${a && !ui.stale ? html`<div class="stage free">${ailment(a, ui.now)}</div>` : nothing}</section>
  ${answer.data ? html`${answer.error ? waiting(answer) : nothing}${files(s, answer.data)}${rollup(s.name, answer.data.rollups ?? [], ui)}
    ${latencies(s)}${newest(answer.data.newest, w)}${answer.data.totals ? total(answer.data) : nothing}` : html`${waiting(answer)}${latencies(s)}`}`;
}
