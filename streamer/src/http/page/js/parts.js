// Small parts that all views share. Nothing here sets a style attribute: the page's policy refuses them.

import { html, svg, nothing } from "../vendor/lit-html/lit-html.js";
import { both, clock, known, minute, whole } from "./format.js";

const SHAPES = {
  run: svg`<circle cx="6" cy="6" r="5"/>`,
  idle: svg`<circle cx="6" cy="6" r="4.5"/>`,
  warn: svg`<path d="M6 .4 12 11.4H0Z"/>`,
  bad: svg`<rect x=".6" y=".6" width="10.8" height="10.8" rx="1"/>`,
};
export const shape = (kind) => html`<svg viewBox="0 0 12 12" aria-hidden="true">${SHAPES[kind]}</svg>`;
export const state = (kind, word) => html`<span class="state ${kind}">${shape(kind)}${word}</span>`;

/** Where a stream's view is. */
export const streamAt = (name) => `#/stream/${encodeURIComponent(name)}`;

export const time = (at, text) =>
  known(at)
    ? html`<time datetime=${new Date(at * 1000).toISOString()} title=${both(at)}>${text ?? clock(at)}</time>`
    : html`${text ?? clock(at)}`;

async function copy(event) {
  const button = event.currentTarget;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // There is no clipboard over plain HTTP beyond loopback: mark it for Ctrl-C.
    getSelection().selectAllChildren(code);
    button.textContent = "Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

/** A command, and a button that copies it. */
export const cmd = (text, { prompt = "$", big = false } = {}) => html`<div class="cmd ${big ? "big" : ""}">
  <code tabindex="0" data-prompt=${prompt}>${text}</code>
  <button type="button" @click=${copy} aria-label="Copy ${text}">Copy</button></div>`;

/** Always four, always at the same place; each leads to its cause: [name, value, address, is it bad]. */
export const figures = (list) => html`<dl class="figures">
  ${list.map(
    ([name, value, to, bad]) => html`<div class=${bad ? "bad" : ""}><dt>${name}</dt>
      <dd><a href=${to}><span class="only-sr">${name}: </span>${value}</a></dd></div>`,
  )}</dl>`;

/** What ails: since when and why, and one command to copy. */
export const ailment = (a, now, more) => html`<div class="ail ${a.kind}">
  <p>${known(a.since)
    ? html`Since <b>${time(a.since, now - a.since < 90 ? clock(a.since) : minute(a.since))}</b> (${whole(now - a.since)}): `
    : nothing}${a.why.map((part) => (part.b === undefined ? part : html`<b>${part.b}</b>`))}</p>
  ${a.command
    ? html`<div class="mend"><span>${a.label}</span>${cmd(a.command, { big: true, prompt: a.prompt })}
        ${a.link ? html`<a href=${a.link[0]}>${a.link[1]}</a>` : nothing}</div>`
    : nothing}
  <p class="then">${a.then}${more > 0 ? html` <a href="#/">And ${more} more</a>` : nothing}</p></div>`;

const BASE = svg`<line class="base" x1="0" x2="100" y1="27.5" y2="27.5"/>`;

/** A line over time in a cell of a table. What is unknown is a gap in it. */
export function spark(values, label) {
  const top = Math.max(1, ...values.filter(known));
  const runs = [[]];
  values.forEach((v, i) => {
    if (known(v)) runs.at(-1).push(`${((i * 100) / (values.length - 1)).toFixed(1)},${(27 - (v / top) * 24).toFixed(1)}`);
    else if (runs.at(-1).length) runs.push([]);
  });
  return html`<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" role="img" aria-label=${label}>${BASE}
    ${runs.filter((r) => r.length > 1).map((r) => svg`<polyline points=${r.join(" ")}/>`)}</svg>`;
}

/** Counts of equal spans of time, as bars. */
export function ticks(values, label) {
  const top = Math.max(1, ...values);
  const step = 100 / values.length;
  return html`<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" role="img" aria-label=${label}>${BASE}
    ${values.map((v, i) => svg`<rect x=${i * step} width=${step * 0.7} y=${27 - (v / top) * 24} height=${(v / top) * 24}/>`)}</svg>`;
}

export const meter = (share, halted) => html`<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
  <rect class="rest" width="100" height="6"/>
  <rect class=${halted ? "halt" : "done"} width=${(Math.min(1, share) * 100).toFixed(1)} height="6"/></svg>`;

export const segments = (label, options, now, pick) => html`<div class="seg" role="group" aria-label=${label}>
  ${options.map((o) => html`<button type="button" aria-pressed=${o === now} @click=${() => pick(o)}>${o}</button>`)}</div>`;

/** The table behind a chart: for screen readers, and for whoever wants the figures. */
export const behind = (heads, rows) => html`<details class="behind"><summary>As a table</summary>
  <div class="scroll" tabindex="0" role="region" aria-label="Figures of the chart"><table>
    <thead><tr>${heads.map((h, i) => html`<th scope="col" class=${i ? "n" : ""}>${h}</th>`)}</tr></thead>
    <tbody>${rows.map((r) => html`<tr>${r.map((c, i) => html`<td class=${i ? "n" : ""}>${c}</td>`)}</tr>`)}</tbody>
  </table></div></details>`;

/** A file name that may break after its underlines. */
export const file = (name) => html`<span class="mono">${name
  .split("_")
  .map((p, i, all) => html`${p}${i < all.length - 1 ? html`_<wbr>` : nothing}`)}</span>`;

/** What a view shows while its first answer is under way, or when there is none. */
export const waiting = ({ data, error }) =>
  error
    ? html`<p class="note bad" role="status">${error}</p>`
    : data === undefined ? html`<p class="note" role="status">Asking the database …</p>` : nothing;
