// A rollup of a stream over its windows: sums and counts as stacked bars, what cannot be added up as lines; one without
// windows as a list of its largest keys.

import { html, svg, nothing } from "../../vendor/lit-html/lit-html.js";
import { want } from "../api.js";
import { clock, count, known, minute, NONE, rate, seconds, short, visible } from "../format.js";
import { behind, meter, segments, waiting } from "../parts.js";

/** Heights above and below the bars, in rem. */
const TOP = 0.625;
const FOOT = 1.375;
const WINDOWS = 24;
/** As many keys have a colour of their own. */
const KEYS = 5;
const REST = "others";

const keyText = (key) => (key === null ? REST : key.length ? key.map((k) => k ?? "NULL").join(", ") : "all");
const figure = (v) => (!known(v) ? NONE : Number.isInteger(v) ? count(v) : Math.abs(v) < 10 ? v.toFixed(2) : Math.abs(v) < 1000 ? rate(Number(v.toFixed(1))) : count(v));

/** The windows as numbers by key: the largest keys, and for what can be added up the rest of them together. */
function reckon(answer, index, isStacked) {
  const sums = new Map();
  const windows = answer.windows.map((window) => {
    const by = new Map();
    for (const { key, values } of window.rows) by.set(keyText(key), (by.get(keyText(key)) ?? 0) + (values[index] ?? 0));
    for (const [key, v] of by) sums.set(key, (sums.get(key) ?? 0) + Math.abs(v));
    return { at: seconds(window.from), open: window.open, by };
  });
  const ranked = [...sums].filter(([key]) => key !== REST).sort((a, b) => b[1] - a[1]).map(([key]) => key);
  const keys = ranked.slice(0, KEYS).sort();
  const others = [...sums.keys()].filter((key) => !keys.includes(key));
  if (isStacked && others.length) keys.push(REST);
  const of = (by, key) => (key === REST ? others.reduce((n, k) => n + (by.get(k) ?? 0), 0) : (by.get(key) ?? null));
  return { keys, data: slots(windows, answer.window_s).map(({ at, open, by }) => ({ at, open, values: keys.map((key) => of(by, key)) })) };
}

/** As many windows as are shown, up to the newest; those that have no row are empty. */
function slots(windows, windowS) {
  const { at: end } = windows.at(-1);
  const had = new Map(windows.map((w) => [w.at, w]));
  return Array.from({ length: WINDOWS }, (_, i) => end - (WINDOWS - 1 - i) * windowS)
    .map((at) => had.get(at) ?? { at, open: false, by: new Map() });
}

/** A round step that cuts the axis in about four. */
function nice(max) {
  const p = 10 ** Math.floor(Math.log10(max / 4));
  return [1, 2, 2.5, 5, 10].map((n) => n * p).find((n) => n >= max / 4);
}

/** Where things are in the drawing. */
function measure(data, isStacked, { width, rem }) {
  const left = rem * 3.4;
  const [top, high, foot] = [TOP, 10.5, FOOT].map((n) => n * rem);
  const step = (width - left - (isStacked ? 0 : rem * 7)) / data.length;
  const bar = step * 0.76;
  const tops = data.map((d) => (isStacked ? d.values.reduce((a, b) => a + Math.max(0, b ?? 0), 0) : Math.max(0, ...d.values.map((v) => v ?? 0))));
  const max = (Math.max(...tops) || 1) * 1.05;
  return { left, top, high, foot, width, step, bar, max, rem, y: (v) => top + high - (Math.max(0, v) / max) * high, x: (i) => left + i * step + (step - bar) / 2 };
}

function stack(d, i, m) {
  let from = 0;
  const rects = d.values.map((v, k) => {
    const low = from;
    from += Math.max(0, v ?? 0);
    return v > 0 ? svg`<rect class="k${k + 1}" x=${m.x(i)} y=${m.y(from)} width=${m.bar} height=${Math.max(0, m.y(low) - m.y(from) - 1)}/>` : nothing;
  });
  const hatch = svg`<rect fill="url(#open)" x=${m.x(i)} y=${m.y(from)} width=${m.bar} height=${m.y(0) - m.y(from)}/>`;
  return svg`${rects}${d.open ? hatch : nothing}`;
}

/** The lines of what cannot be stacked, with their names at the ends, none over another. */
function lines(keys, data, m) {
  const ends = keys.map((name, k) => ({ name, k, y: m.y(data.at(-1).values[k] ?? 0) + 4 })).sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => { if (i && end.y < ends[i - 1].y + m.rem * 0.8) end.y = ends[i - 1].y + m.rem * 0.8; });
  const dots = (k) => data.map((d, i) => (known(d.values[k]) ? `${m.x(i) + m.bar / 2} ${m.y(d.values[k])}` : null)).filter(Boolean);
  return ends.map(({ name, k, y }) => svg`${dots(k).length ? svg`<path class="line l${k + 1}" d="M${dots(k).join("L")}"/>` : nothing}
    <text x=${m.x(data.length - 1) + m.bar / 2 + 8} y=${y}>${name.slice(0, 14)}</text>`);
}

function drawing({ keys, data }, isStacked, label, stamp, ui) {
  const m = measure(data, isStacked, ui);
  const gap = nice(m.max);
  const grid = Array.from({ length: Math.floor(m.max / gap) + 1 }, (_, i) => i * gap);
  const each = Math.ceil((m.rem * 5.5) / m.step);
  const name = (d, i) => svg`<text x=${m.x(i) + m.bar / 2} y=${m.top + m.high + m.rem} text-anchor=${d.open ? "end" : "middle"} dx=${d.open ? m.bar / 2 : 0}>${d.open ? "open now" : stamp(d.at)}</text>`;
  return html`<svg class="bars" height=${m.top + m.high + m.foot} viewBox="0 0 ${m.width} ${m.top + m.high + m.foot}" role="img" aria-label="${label}; the figures follow as a table">
    ${grid.map((v) => svg`<line class="grid" x1=${m.left} x2=${m.width} y1=${m.y(v)} y2=${m.y(v)}/>
      <text x=${m.left - 8} y=${m.y(v) + 4} text-anchor="end">${short(v)}</text>`)}
    ${data.map((d, i) => svg`<g>${isStacked ? stack(d, i, m) : nothing}${(data.length - 1 - i) % each === 0 ? name(d, i) : nothing}</g>`)}
    ${isStacked ? nothing : lines(keys, data, m)}</svg>`;
}

const windowText = (s) => (s % 3600 === 0 ? `${s / 3600} h` : s % 60 === 0 ? `${s / 60} min` : `${s} s`);

function chosen(answer, ui) {
  const aggregate = answer.aggregates.find((a) => a.name === ui.aggregate) ?? answer.aggregates[0];
  const isStacked = aggregate.kind === "sum" || aggregate.kind === "count";
  return { aggregate, isStacked, ...reckon(answer, answer.aggregates.indexOf(aggregate), isStacked) };
}

function chart(answer, ui) {
  const { aggregate, isStacked, keys, data } = chosen(answer, ui);
  const stamp = answer.window_s < 60 ? clock : minute;
  const shut = data.findLast((d) => !d.open) ?? data.at(-1);
  const by = answer.keys.length ? ` by ${answer.keys.join(", ")}` : "";
  const label = `${visible(aggregate.name)}${by}, windows of ${windowText(answer.window_s)}`;
  const swatch = (k) => (isStacked ? svg`<rect class="k${k + 1}" width="18" height="12"/>` : svg`<path class="l${k + 1}" d="M0 6h18"/>`);
  return html`${drawing({ keys, data }, isStacked, label, stamp, ui)}
    <div class="keys">${keys.map((key, k) => html`<span><svg viewBox="0 0 18 12" aria-hidden="true">${swatch(k)}</svg><span class="clip" title=${key}>${key}</span> <b>${figure(shut.values[k])}</b></span>`)}
      <span>figures of ${stamp(shut.at)}, ${shut.open ? "a window that is open" : "the last window that is closed"}</span></div>
    ${behind(["Window", ...keys], data.slice(-12).reverse().map((d) => [d.open ? `${stamp(d.at)}, open` : stamp(d.at), ...d.values.map(figure)]))}`;
}

/** The largest keys of a rollup without windows, by the chosen aggregate. */
function largest({ keys, aggregates, windows: [{ rows }] }, is) {
  const index = aggregates.findIndex((a) => a.name === is);
  const most = Math.max(...rows.map((r) => Math.abs(r.values[index] ?? 0))) || 1;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="The largest keys"><table>
    <thead><tr><th>${visible(keys.join(", "))}</th>${aggregates.map((a) => html`<th class="n ${a.name === is ? "" : "opt"}">${visible(a.name)}</th>`)}</tr></thead>
    <tbody>${rows.map((r) => html`<tr><td class="file">${keyText(r.key)}${meter(Math.abs(r.values[index] ?? 0) / most)}</td>
      ${r.values.map((v, i) => html`<td class="n ${i === index ? "" : "opt"}">${figure(v)}</td>`)}</tr>`)}</tbody></table></div>
    <p class="soft gap1">The largest by ${visible(is)}.</p>`;
}

/** The rollups of a stream, one at a time. */
export function rollup(stream, rollups, ui) {
  if (!rollups.length) return nothing;
  const now = rollups.find((r) => r.name === ui.rollup) ?? rollups.find((r) => r.window_s) ?? rollups[0];
  const names = now.aggregates.map((a) => a.name);
  const is = names.includes(ui.aggregate) ? ui.aggregate : names[0];
  const by = now.window_s || is === undefined ? "" : `&by=${encodeURIComponent(is)}`;
  const answer = want(`/api/streams/${encodeURIComponent(stream)}/rollups/${encodeURIComponent(now.name)}?windows=${WINDOWS}${by}`);
  return html`<section><div class="head"><h2>${rollups.length > 1
    ? html`<select aria-label="Rollup" @change=${(e) => { ui.rollup = e.target.value; ui.aggregate = null; ui.again(); }}>
        ${rollups.map((r) => html`<option value=${r.name} ?selected=${r === now}>${visible(r.name)}</option>`)}</select>` : visible(now.name)}</h2>
    ${names.length > 1 ? html`<span class="end">${segments("Aggregate", names, is, (v) => { ui.aggregate = v; ui.again(); })}</span>` : nothing}</div>
    ${is === undefined ? html`<p class="soft">None of its values is a number.</p>`
      : !answer.data ? waiting(answer)
      : !answer.data.windows.length ? html`<p class="soft">It has no row yet.</p>`
      : now.window_s ? chart(answer.data, ui) : largest(answer.data, is)}</section>`;
}
