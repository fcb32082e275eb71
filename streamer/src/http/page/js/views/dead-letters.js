// What was refused, why, and how to get it in.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { postJson, refresh, want } from "../api.js";
import { count, moment, NONE, percent, plural, seconds, span, visible } from "../format.js";
import { cmd, figures, streamAt, ticks, time, waiting } from "../parts.js";

const keyOf = (g) => JSON.stringify([g.stream, g.column, g.sqlstate, g.reason]);

/** The text of a record, with the values that were refused marked. */
function marked(text, reasons) {
  const places = reasons.map((r) => r.at).filter((at) => at && at[1] > at[0]).sort((a, b) => a[0] - b[0]);
  const parts = [];
  let from = 0;
  for (const [start, end] of places) {
    if (start < from) continue;
    parts.push(visible(text.slice(from, start)), html`<mark>${visible(text.slice(start, end))}</mark>`);
    from = end;
  }
  return [...parts, visible(text.slice(from))];
}

const ask = (id) => document.getElementById(id).showModal();
const close = (event) => event.currentTarget.closest("dialog").close();

/** What a group is to the streamer: up to the last record that is shown here. */
const chosen = ({ stream, alike, last_id }) => ({ stream, alike, last_id });

async function act(what, group, ui) {
  const { status, error, data } = await postJson(`/api/dead-letters/${what}`, chosen(group));
  const became = () => `Tried again: ${count(data.rows)} became rows, ${count(data.duplicates)} were there before, ${count(data.dead_letters)} were refused again.`;
  ui.told = status === 401 ? "That needs a login with the token." : error
    ?? (what === "retry" ? became() : `${plural(data.discarded, "record")} discarded.`);
  refresh("/api/dead-letters");
  ui.again();
}

const doing = (what, group, ui) => (event) => {
  close(event);
  act(what, group, ui);
};

const dialog = (g, ui, { what, word, look, table }) => html`<dialog id=${what} aria-labelledby="${what}-h">
  <h2 id="${what}-h">${word} ${plural(g.count, "record")} of ${visible(g.stream)}?</h2>
  <p>${what === "retry"
    ? html`They are tried with the table <code>${table}</code> and the settings as they are now. Those that fit become rows of it, each once. The others stay here, with their new reason.`
    : html`They are given up: they are open no more, cannot be retried or exported, and do not get into <code>${table}</code>. They stay in streamer.dead_letter, marked as discarded, as long as keep_bookkeeping says.`}
    What came since this page was read is left as it is.</p>
  <div class="acts"><button type="button" class=${look} @click=${doing(what, g, ui)}>${word} ${plural(g.count, "record")}</button>
    <button type="button" autofocus @click=${close}>Cancel</button></div></dialog>`;

/** Retry and discard, for whoever may; a number that changes meanwhile is not meant. */
function acts(g, w, ui) {
  const changes = ui.session?.changes;
  if (!changes || (changes.streams && !changes.streams.includes(g.stream))) {
    return html`<p class="note gap">To retry or discard takes a login${changes ? " for this stream" : ""}.
      <button type="button" @click=${() => { ui.link = "login"; ui.again(); }}>Log in</button></p>`;
  }
  const table = visible(w.streams.find((s) => s.name === g.stream)?.table ?? NONE);
  const show = (id) => () => { ui.asked = g; ui.again(); ask(id); };
  // What is asked stands still while the numbers behind it go on.
  const asked = ui.asked && keyOf(ui.asked) === keyOf(g) ? ui.asked : g;
  return html`<div class="acts gap"><button type="button" @click=${show("retry")}>Retry…</button><button type="button" @click=${show("discard")}>Discard…</button></div>
    ${dialog(asked, ui, { what: "retry", word: "Retry", look: "go", table })}${dialog(asked, ui, { what: "discard", word: "Discard", look: "harm", table })}`;
}

/** A file for each header, as the command writes it. */
function exports(g) {
  const { stream, alike, last_id } = chosen(g);
  const { data } = want(`/api/dead-letters/exports?${new URLSearchParams({ stream, alike, last_id })}`);
  if (!data?.files.length) return nothing;
  return html`<p class="soft gap">As a file to mend, with the original header:</p>
    ${data.files.map((f) => html`<p class="gap1"><a href=${f.href} download>${visible(f.name)}</a>
      <span class="soft">${plural(f.records, "record")}${f.cut ? `; ${plural(f.cut, "record")} longer than 64 KiB left out` : ""}</span></p>`)}
    ${data.more_files ? html`<p class="soft">and ${plural(data.more_files, "more file")}: by command</p>` : nothing}`;
}

function facts(d, g, now) {
  const at = seconds(d.created_at);
  return html`<dl class="facts gap"><dt>Place</dt>
    <dd><span class="mono">${d.file}</span>${d.line ? `, line ${count(d.line)}` : ""}, offset ${count(d.start_offset)}</dd>
    <dt>Refused</dt><dd>${time(at, moment(at))}, ${span(now - at)} ago, in micro-batch ${count(d.batch_id)}</dd>
    <dt>Stream</dt><dd><a href=${streamAt(g.stream)}>${visible(g.stream)}</a></dd>
    ${d.reasons.length > 1 ? d.reasons.map((r) => html`<dt>${r.column ?? "record"}</dt><dd>${r.reason}</dd>`) : nothing}</dl>`;
}

function record(g, w, ui) {
  const answer = want(`/api/dead-letters/${g.example_id}`);
  const d = answer.data;
  return html`<section><div class="head">
    <h2>${g.column ? html`<code>${g.column}</code>: ` : nothing}${g.reason}</h2><span class="soft">number ${count(g.example_id)}, one of ${count(g.count)}</span></div>
    ${d ? html`<div class="record" tabindex="0" role="region" aria-label="The record"><span class="this"><span class="no">${d.line ?? ""}</span>${marked(d.text, d.reasons)}</span></div>
      ${d.is_cut ? html`<p class="soft gap1">It is longer than what is shown.</p>` : nothing}${facts(d, g, ui.now)}` : waiting(answer)}
    ${acts(g, w, ui)}<p class="gap" role="status">${ui.told ?? ""}</p>${exports(g)}
    ${d?.commands ? html`<p class="soft gap">By command:</p>
      ${["export", "retry", "discard"].filter((c) => d.commands[c]).map((c) => html`<div class="gap1">${cmd(d.commands[c])}</div>`)}` : nothing}</section>`;
}

function groupRow(g, isChosen, ui) {
  const choose = (event) => {
    event.preventDefault();
    ui.letter = keyOf(g);
    ui.told = null;
    ui.again();
  };
  return html`<tr aria-selected=${isChosen}><td><a href="#/dead-letters" aria-current=${isChosen ? "true" : nothing} @click=${choose}>${g.column ?? "whole record"}</a>
      <small class="clip" title=${g.reason}><span class="narrow">${visible(g.stream)}: </span>${g.reason}</small></td>
        <td class="opt clip" title=${visible(g.stream)}>${visible(g.stream)}</td>
    <td class="tr opt">${ticks(g.trend, `Refused in each 5 minutes of the last hour, ${g.trend.at(-1)} in the last`)}</td>
      <td class="n">${count(g.count)}</td></tr>`;
}

export function deadLetters(w, ui) {
  const answer = want("/api/dead-letters");
  const d = answer.data;
  if (!d) return html`<section class="answer"><div class="top"><h1>Dead letters</h1></div></section>${waiting(answer)}`;
  if (!d.groups.length) {
    return html`<section class="answer"><div class="top"><h1>${d.retried || d.discarded ? "None is open" : "Nothing was refused"}</h1>
      <p class="say">A record that cannot become a row is kept here whole, with its file, line, column and reason. The others go on.</p></div>
      ${sums(d)}</section>`;
  }
  const [big] = d.groups;
  const g = d.groups.find((x) => keyOf(x) === ui.letter) ?? big;
  const head = d.groups.length === 1 ? "All for one reason" : `One reason makes ${percent(big.count, d.open)} of them`;
  return html`<section class="answer"><div class="top"><h1>${head}</h1>
    <p class="say">${visible(big.stream)}${big.column ? `.${big.column}` : ""}: ${big.reason}. All records are kept whole.</p></div>
    ${sums(d)}</section>
  ${answer.error ? waiting(answer) : nothing}
  <div class="two"><section><div class="head"><h2>Reasons</h2><span class="soft">of what is open, the most frequent first</span></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Reasons"><table class="reasons"><thead><tr><th>Column, reason</th>
      <th class="opt">Stream</th><th class="opt">Last hour</th><th class="n">Open</th></tr></thead>
    <tbody>${d.groups.map((x) => groupRow(x, x === g, ui))}</tbody></table></div>${d.more_groups ? html`<p class="soft gap1">and ${plural(d.more_groups, "more reason")}: <code>streamer dead-letters list</code></p>` : nothing}</section>
  ${record(g, w, ui)}</div>`;
}

const sums = (d) => figures([
  ["open", count(d.open), "#/dead-letters"],
  [html`<span class="long">in the </span>last hour`, count(d.last_hour), "#/dead-letters"],
  [html`retried<span class="long">, now rows</span>`, count(d.retried), "#/dead-letters"],
  ["discarded", count(d.discarded), "#/dead-letters"],
]);
