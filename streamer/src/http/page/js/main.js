// The frame of the page: addresses, one render for each frame that comes, pause, what the tab is called.

import { html, render, nothing } from "../vendor/lit-html/lit-html.js";
import { fetchWanted, postJson, send } from "./api.js";
import { sender, tick } from "./sender.js";
import { clock, minute, NONE, rate, whole } from "./format.js";
import { follow, STALE_AFTER_MS } from "./live.js";
import { shape, time } from "./parts.js";
import { advance, begin, empty, rowsPerSecond } from "./state.js";
import "./chart.js";
import { overview, silence } from "./views/overview.js";
import { batches } from "./views/batches.js";
import { stream } from "./views/stream.js";
import { deadLetters } from "./views/dead-letters.js";
import { simulator } from "./views/simulator.js";
import { loadTest } from "./views/load-test.js";
import { sql } from "./views/sql.js";
import { enter, login } from "./views/login.js";

let world = empty();
sender.post = postJson;
/** Looks whether there is to be an event stream. */
let connect = () => {};
/** What the reader chose, and what this page knows of itself. */
const ui = {
  again: draw, entered, link: "connecting", stale: false, frozen: null, now: 0, width: 1200, rem: 16, small: false,
  session: null, views: new Set(), refused: null,
  range: "15 min", filter: "", batch: null, rollup: null, aggregate: null, letter: null, told: null, asked: null,
};

const VIEWS = { "": overview, batches, stream, "dead-letters": deadLetters, simulator, "load-test": loadTest, sql };
/** Address, word, name in `views` of the session. */
const NAV = [["", "Overview", "overview"], ["batches", "Micro-batches", "micro_batches"], ["dead-letters", "Dead letters", "dead_letters"],
  ["simulator", "Simulator", "simulator"], ["load-test", "Load test", "load_test"], ["sql", "SQL", "sql"]];

/** Since when frames are due: a hidden page gets none. */
let visibleSince = Date.now();
const staleNow = () => Date.now() - Math.max(world.heard ?? 0, visibleSince) > STALE_AFTER_MS;

function place() {
  const [, view = "", ...rest] = location.hash.split("/");
  try {
    return { view, arg: decodeURIComponent(rest.join("/")) };
  } catch {
    return { view: "", arg: "" };
  }
}

async function askSession() {
  const { status, data } = await send("GET", "/api/session");
  if (status !== 200) return;
  ui.session = data;
  ui.views = new Set(data.views ?? ["overview", "micro_batches"]);
  draw();
}

function entered() {
  ui.link = "connecting";
  history.replaceState(null, "", place().view === "login" ? "#/" : location.hash);
  askSession();
  connect();
}

function pulse(w) {
  const at = ui.stale ? "stale" : ui.frozen ? "paused" : "live";
  const word = { live: "Live", paused: "Paused", stale: "Stale" }[at];
  const old = w.heard ? `${Math.max(0, Math.round((Date.now() - w.heard) / 1000))} s ago` : NONE;
  return html`<div class="pulse" data-at=${at}><span class="dot ${at === "live" && w.beat ? "beat" : ""}" aria-hidden="true"></span>
    <span class="word">${word}</span>
    <span class="ago">${ui.frozen ? html`at ${time(ui.frozen.at)}` : html`<span class="long">updated </span>${old}`}</span>
    <button type="button" class="pause" aria-pressed=${ui.frozen !== null} @click=${pause}>${ui.frozen ? "Go on" : "Pause"}</button></div>`;
}

function pause() {
  ui.frozen = ui.frozen ? null : structuredClone(world);
  draw();
}

/** On every view but the overview, what ails is one line that leads to it. */
function notice(w, view, arg) {
  const a = ui.stale ? silence(w, ui) : w.ailments[0];
  if (!a || !view || (view === "stream" && !ui.stale && (!a.stream || a.stream === arg))) return nothing;
  return html`<a class="notice ${a.kind}" href="#/">${shape(a.kind)}<b>${a.head}</b>
    <span>${a.since ? `since ${minute(a.since)}, ${whole(ui.now - a.since)}` : ""}</span> <u>What to do</u></a>`;
}

/** A link's word, without what there is no room for. */
const short = (to, word) => ({
  batches: html`<span><span class="long">Micro-</span>${ui.small ? "Batches" : "batches"}</span>`,
  "load-test": html`<span>Load<span class="long"> test</span></span>`,
}[to] ?? word);

function header(view) {
  const links = NAV.filter(([, , name]) => ui.views.has(name));
  const is = (to) => view === to || (to === "" && view === "stream");
  return html`<a class="skip" href="#main" @click=${skip}>To the content</a>
    <header class="bar">
      <a class="brand" href="#/"><svg viewBox="0 0 16 16" aria-hidden="true">
        <rect x="1" y="2.5" width="14" height="2.6" rx="1.3"/><rect x="3.5" y="6.7" width="11.5" height="2.6" rx="1.3"/>
        <rect x="6" y="10.9" width="9" height="2.6" rx="1.3"/></svg>streamer</a>
      <nav aria-label="Views">${links.map(([to, word]) => html`<a href="#/${to}" aria-current=${is(to) ? "page" : nothing}>${
        short(to, word)}</a>`)}</nav>
      ${pulse(world)}
    </header>`;
}

function skip(event) {
  event.preventDefault();
  document.querySelector("main").focus();
}

/** A view, or why there is nothing to show yet. */
function content(w, view, arg) {
  if (!w.streamer) {
    const a = ui.stale ? silence(w, ui) : null;
    return html`<section class="answer ${a ? "bad" : ""}">
      <div class="top"><h1>${a ? shape("bad") : nothing}${a ? a.head : "Connecting"}</h1>
      <p class="say">${a ? html`${a.why.map((p) => p.b ?? p)} ${a.then}` : "The first frame comes within a second."}</p></div></section>`;
  }
  return html`${notice(w, view, arg)}${(VIEWS[view] ?? overview)(w, ui, arg)}`;
}

function title() {
  const [a] = world.ailments;
  if (document.hidden) return "streamer";
  const sign = ui.stale ? "? " : a ? "! " : "";
  const what = ui.stale ? silence(world, ui).head : (a?.head ?? `${rate(rowsPerSecond(world))} rows/s`);
  return `${sign}${what} · streamer`;
}

/** Spoken once for each ailment: words that do not change while it lasts. */
function spoken() {
  const [a] = world.ailments;
  return ui.stale ? "The streamer does not answer." : a ? `${a.head}. ${a.label ?? ""} ${a.command ?? ""}` : "";
}

function draw() {
  ui.stale = staleNow();
  const w = ui.frozen ?? world;
  ui.now = ui.frozen ? w.at : w.at + (Date.now() - (w.heard ?? 0)) / 1000;
  ui.rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  ui.width = document.querySelector("main section")?.clientWidth || Math.max(320, Math.min(innerWidth, 1900) - 48);
  document.title = title();
  const { view, arg } = place();
  const page = ui.link === "login" ? login(ui) : html`${header(view)}
    <p class="only-sr" role="alert">${spoken()}</p>
    <main id="main" tabindex="-1" ?data-stale=${ui.stale}>${content(w, view, arg)}</main>`;
  render(page, document.getElementById("app"));
  if (ui.link !== "login") fetchWanted(draw, ui.frozen !== null || ui.stale);
}

function hear(event, data) {
  if (event === "history") world = begin(world, data);
  else if (event === "frame" && world.streamer) {
    advance(world, data);
    world.beat = !world.beat;
  }
  // A pause freezes the view; the tab's title goes on.
  if (ui.frozen) document.title = title();
  else draw();
}

function tell(link) {
  if (link === "open") askSession();
  if (link === ui.link) return;
  ui.link = link;
  draw();
}

async function arrive() {
  const { view, arg } = place();
  if (view === "login" && arg) {
    // The code is good once: it does not stay in the address.
    history.replaceState(null, "", "#/");
    await enter({ code: arg }, ui);
  }
  draw();
}

addEventListener("hashchange", () => {
  ui.batch = null;
  arrive();
  scrollTo(0, 0);
  document.querySelector("main")?.focus({ preventScroll: true });
});
const small = matchMedia("(max-width: 64rem)");
small.addEventListener("change", () => { ui.small = small.matches; draw(); });
ui.small = small.matches;
addEventListener("resize", draw);
document.addEventListener("visibilitychange", () => {
  visibleSince = Date.now();
  draw();
});
// When frames stop coming, the page says so by its own clock.
setInterval(() => { if (staleNow()) draw(); }, 1000);
setInterval(() => tick(ui), 100);
askSession();
await arrive();
connect = follow(hear, tell);
