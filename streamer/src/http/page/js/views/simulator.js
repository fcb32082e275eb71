// Send an event, see what becomes of it.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { clockMs, count, NONE } from "../format.js";
import { figures, shape, state, streamAt } from "../parts.js";
import { fire, KINDS, REACTIONS, REGIONS, reaction, sender, transfer } from "../sender.js";

const SHOWN = 50;

const FATES = {
  sent: () => [state("idle", "Sent"), "no answer yet"],
  accepted: (e) => [state("warn", "Waits"), e.more],
  row: (e) => [state("run", "In the table"), `after ${e.ms} ms`],
  duplicate: (e) => [state("idle", "Duplicate"), e.more],
  dead: () => [state("warn", "Refused"), html`<a href="#/dead-letters">why</a>`],
  refused: (e) => [state("warn", "Refused"), e.more],
  unreached: (e) => [state("bad", "Not sent"), e.more],
};

function logRow(e) {
  const [fate, more] = FATES[e.fate](e);
  return html`<tr><td class="n low opt">${e.n}</td><td class="mono opt">${clockMs(e.at)}</td>
    <td>${e.words}${e.by === "automatic" ? html`<span class="low"> automatic</span>` : nothing}</td>
    <td class="fate">${fate} <span class="soft">${more}</span></td></tr>`;
}

const log = () => html`<section><div class="head"><h2>What became of it</h2><span class="soft">the newest first</span></div>
  ${sender.log.length ? html`<div class="scroll log" tabindex="0" role="log" aria-live=${sender.isAuto ? "off" : "polite"} aria-label="Events sent">
    <table><thead><tr><th class="n opt">No.</th>
    <th class="opt">Sent at</th><th>Event</th><th>Became</th></tr></thead>
    <tbody>${repeat(sender.log.slice(0, SHOWN), (e) => e.n, logRow)}</tbody></table></div>`
    : html`<p class="note">Nothing sent yet. Press an emoji: its line appears here, and tells when its row can be seen.</p>`}</section>`;

function reactions(ui, gone, off) {
  const turn = () => {
    sender.connected = !sender.connected;
    if (!sender.connected) sender.isAuto = false;
    ui.again();
  };
  return html`<div class="group"><div class="head">
    <h2>Reactions</h2><span class="end acts">${state(off ? "bad" : "run", off ? "Disconnected" : "Connected")}
      <button type="button" ?disabled=${gone} @click=${turn}>${sender.connected ? "Disconnect" : "Connect"}</button></span></div>
    <p role="status" class="soft">${sender.connected ? `Events go to ${location.origin}.` : "Disconnected: nothing is sent before you connect again."}</p>
    <div class="emoji">${REACTIONS.map((r) => html`<button type="button" ?disabled=${off} @click=${() => fire(reaction(r), "by hand", ui.again)}><span aria-hidden="true">${r[0]}</span><small>${r[1].replace("_", " ")}</small></button>`)}</div></div>`;
}

function automatic(ui, off, kinds) {
  const start = (event) => {
    event.preventDefault();
    sender.everyS = Number(event.target.elements.every.value);
    sender.kind = event.target.elements.what.value;
    sender.isAuto = !sender.isAuto;
    sender.due = Date.now();
    ui.again();
  };
  return html`<div class="group"><h3>Automatic</h3><form class="acts form" @submit=${start}>
    <label class="field">Every, in seconds<input class="num" name="every" type="number" min="0.1" max="60" step="0.1" value="2" required ?disabled=${sender.isAuto}></label>
    <label class="field">What<select name="what" ?disabled=${sender.isAuto}>${kinds.map((k) => html`<option>${k}</option>`)}</select></label>
    <button class=${sender.isAuto ? "" : "go"} ?disabled=${off}>${sender.isAuto ? "Stop" : "Start"}</button></form></div>`;
}

function transfers(ui, off) {
  const submit = (event) => {
    event.preventDefault();
    const { amount, region } = event.target.elements;
    fire(transfer(amount.value, region.value), "by hand", ui.again);
  };
  return html`<div class="group"><h3>A bank transfer</h3><form class="acts form" @submit=${submit}>
    <label class="field">Amount<input class="num" name="amount" value="129.50" inputmode="decimal" required></label>
    <label class="field">Region<select name="region">${REGIONS.map((r) => html`<option>${r}</option>`)}</select></label>
      <button ?disabled=${off}>Send</button></form></div>`;
}

const needsLogin = (ui) => html`<p class="note">This page may read, not send. <button type="button" @click=${() => { ui.link = "login"; ui.again(); }}>Log in</button></p>`;

export function simulator(w, ui) {
  const gone = ui.stale;
  const mayPost = ui.session?.may_post ?? false;
  const off = gone || !sender.connected || !mayPost;
  const rows = sender.log.filter((e) => e.fate === "row");
  const no = sender.log.filter((e) => e.fate === "refused" || e.fate === "dead").length;
  const median = rows.length ? `${rows.map((e) => e.ms).sort((a, b) => a - b)[rows.length >> 1]} ms` : NONE;
  const has = (name) => w.streams.some((s) => s.name === name);
  const kinds = KINDS.filter((_, i) => (i === 0 ? has("emoji_reactions") : i === 1 ? has("transfers") : has("emoji_reactions") && has("transfers")));
  const say = gone ? `${location.origin} does not answer. What you send now would be lost, so the buttons rest until it is back.`
    : sender.log.length ? "Each goes the way that all events go: HTTP, spool, micro-batch, commit." : "Press an emoji and watch its row arrive.";
  return html`<section class="answer ${gone ? "bad" : ""}">
    <div class="top"><h1>${gone ? html`${shape("bad")}The streamer cannot be reached` : sender.connected ? "Send events by hand" : "Disconnected"}</h1>
    <p class="say">${say}</p></div>
    ${figures([["sent", count(sender.sent), "#/simulator"], ["in the table", count(rows.length), streamAt("emoji_reactions")], [html`median<span class="long"> until visible</span>`, median, "#/simulator"], ["refused", count(no), "#/dead-letters"]])}</section>
  ${mayPost || gone ? nothing : needsLogin(ui)}
  <div class="two wide-right"><section>${has("emoji_reactions") ? reactions(ui, gone, off) : nothing}
    ${kinds.length ? automatic(ui, off, kinds) : nothing}${has("transfers") ? transfers(ui, off) : nothing}</section>${log()}</div>`;
}
