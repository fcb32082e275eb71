// A load through all of the streamer, and how it takes it.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { postJson, send, want } from "../api.js";
import { count, NONE, rate } from "../format.js";
import { behind, figures, shape, spark, streamAt, waiting } from "../parts.js";

const PATH = "/api/load_test";
/** The newest seconds that the table shows. */
const SHOWN = 60;

/** Why the last request was refused. */
let refused = null;

const ms = (s) => (s === undefined ? NONE : s < 10 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`);

const WORDS = {
  sending: (t) => [`Sending ${rate(t.sent_per_s ?? 0)} events/s`, `${Math.round(t.elapsed_s)} of ${t.duration_s} s. Batches go the way that all events go: spool, micro-batch, commit.`],
  committing: (t) => ["Waiting for the last commits", `All is sent; ${count(t.batches.accepted - t.batches.committed - t.batches.unknown)} batches are not committed yet.`],
  done: (t) => [`${rate(t.accepted_per_s ?? 0)} events/s were accepted`, lost(t) ? `${count(lost(t))} batches were not taken or not seen to be committed.` : "Every batch was accepted and is committed."],
  stopped: () => ["Stopped", "What was accepted before is committed as ever."],
};

const lost = (t) => t.batches.refused + t.batches.unsent + t.batches.unknown;

async function ask(ui, request) {
  const { error } = await request;
  refused = error ?? null;
  ui.again();
}

function start(event, ui) {
  event.preventDefault();
  const { duration, batches } = event.target.elements;
  ask(ui, postJson("/load_test", { duration: Number(duration.value), batches_per_second: Number(batches.value) }));
}

function form(ui, limits, test, off) {
  const [rates, times] = [limits.batches_per_second, limits.duration];
  return html`<section><div class="head"><h2>A load test</h2></div>
    <form class="acts form" @submit=${(event) => start(event, ui)}>
    <label class="field">Duration, in seconds<input class="num" name="duration" type="number" min=${times[0]} max=${times[1]} step="1" value="60" required ?disabled=${test?.running}></label>
    <label class="field">Batches per second<input class="num" name="batches" type="number" min=${rates[0]} max=${rates[1]} step="1" value="10" required ?disabled=${test?.running}></label>
    ${test?.running ? html`<button type="button" ?disabled=${off} @click=${() => ask(ui, send("DELETE", PATH))}>Stop</button>`
      : html`<button class="go" ?disabled=${off}>Start</button>`}</form>
    <p class="soft">Reactions of now, ${limits.events_per_batch[0]} to ${limits.events_per_batch[1]} in a batch: real rows of the table
      <a href=${streamAt("emoji_reactions")}>emoji_reactions</a>.</p>
    ${refused ? html`<p class="note bad" role="alert">${refused}</p>` : nothing}</section>`;
}

function counts(t) {
  const rows = [["Sent", t.batches.sent, t.events.sent], ["Accepted", t.batches.accepted, t.events.accepted], ["Committed", t.batches.committed, t.events.rows + t.events.duplicates + t.events.dead_letters],
    ["Refused: no room (503)", t.batches.refused, null], ["Not sent: 1,000 had no answer", t.batches.unsent, null], ["Accepted, commit not seen", t.batches.unknown, null]];
  return html`<section><div class="head"><h2>What became of it</h2></div><div class="scroll" tabindex="0" role="region" aria-label="Batches and events"><table>
    <thead><tr><th scope="col">What</th><th scope="col" class="n">Batches</th><th scope="col" class="n">Events</th></tr></thead>
    <tbody>${rows.map(([what, batches, events]) => html`<tr><th scope="row">${what}</th><td class="n">${count(batches)}</td><td class="n">${events === null ? NONE : count(events)}</td></tr>`)}</tbody></table></div></section>`;
}

function rates(t) {
  const { sent_per_s: sent, accepted_per_s: accepted } = t.seconds;
  const first = Math.max(0, sent.length - SHOWN);
  const rows = sent.slice(first).map((n, i) => [`${first + i + 1} s`, count(n), count(accepted[first + i])]).reverse();
  return html`<section><div class="head"><h2>Events per second</h2></div>
    <table class="rates"><tbody><tr><th scope="row">sent</th><td>${spark(sent, "Events sent, by second")}</td><td class="n">${sent.length ? count(sent.at(-1)) : NONE}</td></tr>
    <tr><th scope="row">accepted</th><td>${spark(accepted, "Events accepted, by second")}</td><td class="n">${accepted.length ? count(accepted.at(-1)) : NONE}</td></tr></tbody></table>
    ${behind(["Second", "Sent", "Accepted"], rows)}</section>`;
}

export function loadTest(w, ui) {
  const answer = want(PATH);
  const test = answer.data?.test;
  const off = ui.stale || !(ui.session?.may_post ?? false);
  const [head, words] = test ? WORDS[test.phase](test) : ["Try what it can take", "Batches at a rate, for a time; how many were accepted, and how long until they are committed."];
  const isBad = test && lost(test) > 0;
  return html`<section class="answer ${isBad ? "warn" : ""}"><div class="top"><h1>${isBad ? shape("warn") : nothing}${head}</h1>
    <p class="say">${words}</p></div>
    ${figures([["P50", ms(test?.latency?.p50_s), "#/load-test"], ["P90", ms(test?.latency?.p90_s), "#/load-test"], ["P99", ms(test?.latency?.p99_s), "#/load-test"],
      ["errors", test ? count(lost(test)) : NONE, "#/load-test", isBad]])}</section>
  ${answer.data ? html`${form(ui, answer.data.limits, test, off)}
    ${off && !ui.stale ? html`<p class="note">This page may read, not send. <button type="button" @click=${() => { ui.link = "login"; ui.again(); }}>Log in</button></p>` : nothing}
    ${test ? html`<div class="two">${counts(test)}${rates(test)}</div>` : nothing}` : waiting(answer)}`;
}
