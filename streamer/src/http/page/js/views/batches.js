// Does it keep up, and what holds it back?

import { html, svg, nothing } from "../../vendor/lit-html/lit-html.js";
import { clock, clockMs, count, known, minute, percent, plural, rate, span, visible } from "../format.js";
import { behind, figures, file, shape, streamAt, time } from "../parts.js";
import { recent, rowsPerSecond } from "../state.js";

const SPEC = [{ colour: "--edge", width: 1, fill: "--sunk" }, { colour: "--accent" }];
/** Key of `times`, word, colour. */
const PHASES = [["read_s", "read", "k4"], ["encode_s", "encode", "k3"], ["copy_s", "COPY", "k2"], ["commit_s", "commit", "k1"], ["other_s", "other", "k5"]];
/** Heights above and below the bars, in rem. */
const TOP = 1.125;
const FOOT = 1.375;
const BAR_MIN = 9;

/** Where the time of a micro-batch went; what the phases do not account for is "other". */
function phasesOf(b) {
  if (!b.times) return [];
  const of = { ...b.times };
  const sum = Object.values(of).reduce((a, v) => a + (v ?? 0), 0);
  of.other_s = Math.max(0, b.duration_s - sum);
  return PHASES.filter(([key]) => known(of[key])).map(([key, word, look]) => ({
    key, look, s: of[key], word: key === "read_s" && !known(of.encode_s) ? "read and encode" : word,
  }));
}

/** The phase that takes most of the time of all these micro-batches, and its share. */
function bottleneck(list) {
  const sums = new Map();
  let all = 0;
  for (const { word, s } of list.flatMap(phasesOf)) {
    sums.set(word, (sums.get(word) ?? 0) + s);
    all += s;
  }
  const [top] = [...sums].filter(([word]) => word !== "other").sort((a, b) => b[1] - a[1]);
  return top && all > 0 ? { word: top[0], share: percent(top[1], all) } : null;
}

/** The last 60, or as many as are 9 px wide, as one listbox: one tab stop, arrow keys choose. */
function strip(list, chosen, ui) {
  const left = ui.rem * 3.4;
  const [top, high, foot] = [TOP, 7.5, FOOT].map((n) => n * ui.rem);
  const { width } = ui;
  const n = list.length;
  const max = Math.max(...list.map((b) => b.duration_s), 0.001);
  const step = (width - left) / Math.max(n, Math.min(60, (width - left) / BAR_MIN));
  const bar = Math.max(3, step - Math.max(2, step * 0.2));
  const at = list.findIndex((b) => b.batch_id === chosen.batch_id);
  const choose = (i) => {
    ui.batch = list[Math.max(0, Math.min(n - 1, i))];
    ui.again();
  };
  const key = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -n, End: n }[event.key];
    if (!by) return;
    event.preventDefault();
    choose(at + by);
  };
  const nice = niceStep(max);
  const lines = Array.from({ length: Math.floor(max / nice) }, (_, i) => (i + 1) * nice);
  const y = (s) => top + high - (s / max) * high;
  return html`<svg class="strip" height=${top + high + foot} viewBox="0 0 ${width} ${top + high + foot}" role="listbox" tabindex="0" aria-label="The last ${n} micro-batches" aria-activedescendant=${at < 0 ? nothing : `b${chosen.batch_id}`} @keydown=${key}>
    ${lines.map((l) => svg`<line class="grid" x1=${left} x2=${width} y1=${y(l)} y2=${y(l)}/>
      <text x=${left - 8} y=${y(l) + 4} text-anchor="end">${span(l)}</text>`)}
    <line class="grid" x1=${left} x2=${width} y1=${top + high} y2=${top + high}></line>
    ${list.map((b, i) => oneOfStrip(b, { x: left + i * step, y: y(b.duration_s), foot: top + high, step, bar, isOn: i === at, choose: () => choose(i) }))}
    <text x=${left} y=${top + high + ui.rem}>${clock(list[0].at)}</text>
    ${n * step > ui.rem * 11 ? svg`<text x=${left + (n - 1) * step + bar} y=${top + high + ui.rem} text-anchor="end">${clock(list[n - 1].at)}</text>` : nothing}
  </svg>`;
}

function oneOfStrip(b, { x, y, foot, step, bar, isOn, choose }) {
  const label = `${b.batch_id}, ${visible(b.stream)}, ${span(b.duration_s)}, ${b.path}${b.dead_letters ? `, ${plural(b.dead_letters, "dead letter")}` : ""}`;
  return svg`<g id="b${b.batch_id}" role="option" aria-selected=${isOn} aria-label=${label} @click=${choose}>
    <rect class="hit ${isOn ? "on" : ""}" x=${x - (step - bar) / 2} y="0" width=${step} height=${foot + 2}/>
    <rect class="c-${b.path}" x=${x} y=${y} width=${bar} height=${foot - y}/>
    ${b.dead_letters ? svg`<path class="c-mark" d="M${x + bar / 2} ${y - 13}l5 5-5 5-5-5z"/>` : nothing}</g>`;
}

/** A round step that cuts `max` in at most five. */
function niceStep(max) {
  const p = 10 ** Math.floor(Math.log10(max / 4));
  return [1, 2, 5, 10].map((n) => n * p).find((n) => n >= max / 5);
}

function phases(b) {
  const list = phasesOf(b);
  const sum = list.reduce((a, p) => a + p.s, 0) || 1;
  let x = 0;
  const rects = list.map((p) => {
    const width = (p.s / sum) * 1000;
    x += width;
    return svg`<rect class=${p.look} x=${x - width} y="0" width=${Math.max(0, width - 3)} height="24"/>`;
  });
  return html`<h3 class="gap">Where its time went</h3>
    <svg class="phases" viewBox="0 0 1000 24" preserveAspectRatio="none" aria-hidden="true">${rects}</svg>
    <div class="keys">${list.map((p) => html`<span><svg viewBox="0 0 18 12" aria-hidden="true">
      <rect class=${p.look} width="18" height="12"/></svg>${p.word} <b>${span(p.s)}, ${percent(p.s, sum)}</b></span>`)}</div>`;
}

const KEY_LINE = html`<svg viewBox="0 0 18 12" aria-hidden="true"><path class="l2" d="M0 6h18"/></svg>`;
const KEY_AREA = html`<svg viewBox="0 0 18 12" aria-hidden="true"><rect class="in" x=".5" y=".5" width="17" height="11"/></svg>`;

/** A chart with two lines; its figures are in the legend. */
function pair({ id, head, unit, label, line, area, t, text }) {
  const told = (i, isHover) => {
    const el = document.getElementById(id);
    if (!el) return;
    el.querySelector(".a").textContent = text(line.values[i]);
    el.querySelector(".b").textContent = text(area.values[i]);
    el.querySelector(".c").textContent = isHover ? clock(t[i]) : "now";
  };
  const rows = t.map((at, i) => [at, i]).filter(([at]) => at % 60 === 0).slice(-15)
    .map(([at, i]) => [minute(at), text(line.values[i]), text(area.values[i])]);
  return html`<section><div class="head"><h2>${head}</h2>
    <div class="keys end" id=${id}><span>${KEY_LINE}${line.word} <b class="a"></b></span><span>${KEY_AREA}${area.word} <b class="b"></b></span><span class="c"></span></div></div>
    <div class="chart">
      <line-chart role="img" aria-label=${label} .spec=${SPEC} .told=${told} .unit=${unit} .data=${[t, area.values, line.values]}></line-chart></div>
    ${behind(["Minute", line.word, area.word], rows)}</section>`;
}

function answer(w, list) {
  const come = recent(w.seconds.arrived);
  const taken = rowsPerSecond(w);
  const busy = list.reduce((n, b) => n + b.duration_s, 0);
  const could = busy > 0 ? list.reduce((n, b) => n + b.records, 0) / busy : null;
  const middle = list.map((b) => b.duration_s).sort((a, b) => a - b)[list.length >> 1];
  const [a] = w.ailments;
  const isAway = a && !a.stream && a.kind === "bad";
  const behindNow = w.streams.filter((s) => s.lag.trend > 0).map((s) => s.label);
  const head = isAway ? html`${shape("bad")}Nothing is taken` : a?.stream ? `All but ${visible(a.stream)} keep up`
    : behindNow.length === 1 ? `All but ${behindNow[0]} keep up` : behindNow.length ? `${behindNow.length} streams fall behind` : "It keeps up";
  const most = bottleneck(list);
  const say = isAway ? "What comes waits in its files and in the spool."
    : most ? html`The bottleneck, were there more: <b>${most.word}</b>, ${most.share} of the time of the last ${plural(list.length, "micro-batch", "micro-batches")}${most.word === "COPY" ? "; that is PostgreSQL" : ""}.` : "";
  return html`<section class="answer ${isAway ? "bad" : ""}"><div class="top"><h1>${head}</h1><p class="say">${say}</p></div>
    ${figures([
      [html`come<span class="long"> a second</span>`, rate(come), "#/batches"],
      [html`taken<span class="long"> a second</span>`, rate(taken), "#/batches"],
      [html`<span class="long">a writer </span>could take`, rate(could), "#/batches"],
      [html`median<span class="long"> duration</span>`, span(middle), "#/batches"],
    ])}</section>`;
}

function details(b) {
  const others = b.more_parts ? `, and ${plural(b.more_parts, "more file")}` : "";
  return html`<section><div class="head"><h2>Micro-batch ${count(b.batch_id)}</h2>
      <span class="soft">${b.path} path, ${span(b.duration_s)}, committed at ${time(b.at, clockMs(b.at))}</span></div>
    <div class="two">
      <div class="eq"><span>${count(b.records)}<small>records</small></span><i>=</i><span>${count(b.rows)}<small>rows</small></span><i>+</i>
      <span>${count(b.duplicates)}<small>duplicates</small></span>${b.repeated ? html`<i>+</i><span>${count(b.repeated)}<small>repeated</small></span>` : nothing}<i>+</i>
      <span>${b.dead_letters ? html`<a href="#/dead-letters">${count(b.dead_letters)}</a>` : 0}<small>dead letters</small></span></div>
    <dl class="facts"><dt>Stream</dt><dd><a href=${streamAt(b.stream)}>${visible(b.stream)}</a></dd>
      ${b.parts.map((p) => html`<dt>Partition</dt><dd>${file(p.file)} [${count(p.start_offset)}, ${count(p.end_offset)})</dd>`)}
      ${others ? html`<dt></dt><dd>${others}</dd>` : nothing}</dl></div>
    ${b.times ? phases(b) : nothing}</section>`;
}

const PATHS = ["direct", "filtered", "careful"];
const path = (name) => html`<span><svg viewBox="0 0 18 12" aria-hidden="true">
  <rect class="c-${name}" width="18" height="12"/></svg>${name}</span>`;

export function batches(w, ui, arg) {
  if (!w.batches.length) {
    return html`<section class="answer"><div class="top"><h1>No micro-batch yet</h1>
      <p class="say">The first comes with the first record since the start. <a href="#/">How to bring some</a></p></div></section>`;
  }
  const list = w.batches.slice(-Math.min(60, Math.floor((ui.width - ui.rem * 3.4) / BAR_MIN)));
  // What was chosen stays, also when it is no more among the last.
  const chosen = ui.batch ?? w.batches.find((b) => b.batch_id === Number(arg)) ?? list.at(-1);
  const { t, rows, arrived, p50, p99 } = w.seconds;
  return html`${answer(w, w.batches)}
  <div class="two">
    ${pair({ id: "in-out", head: "Records a second", unit: "", t, text: (v) => `${rate(v)}/s`, label: "Records that come and that are taken, a second, in the last 15 minutes",
      line: { word: "taken", values: rows }, area: { word: "come", values: arrived } })}
    ${pair({ id: "late", head: "Latency", unit: "s", t, text: span, label: "Latency P50 and P99 in the last 15 minutes, in seconds",
      line: { word: "P50", values: p50 }, area: { word: "P99", values: p99 } })}
  </div>
  <section><div class="head"><h2>The last ${plural(list.length, "micro-batch", "micro-batches")}</h2>
    <div class="keys end">${PATHS.map(path)}
      <span><svg viewBox="0 0 18 12" aria-hidden="true">
        <path class="c-mark" d="M9 1l5 5-5 5-5-5z"/></svg>with dead letters</span></div></div>
    ${strip(list, chosen, ui)}</section>
  ${details(chosen)}`;
}
