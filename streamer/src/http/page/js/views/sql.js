// How to ask the database itself, and what is in it.

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { want } from "../api.js";
import { count, visible } from "../format.js";
import { cmd, waiting } from "../parts.js";

/** More columns than this are counted, not shown. */
const COLUMNS = 200;

const name = (o) => visible(o.schema === "public" ? o.name : `${o.schema}.${o.name}`);
const quoted = (text) => (/^[a-z_][a-z0-9_]*$/.test(text) ? text : `"${visible(text).replaceAll('"', '""')}"`);
const sqlName = (o) => (o.schema === "public" ? quoted(o.name) : `${quoted(o.schema)}.${quoted(o.name)}`);

/** Questions to begin with, of what is there. */
function questions(objects, w) {
  const has = (schema, table) => objects.some((o) => o.schema === schema && o.name === table);
  const table = objects.find((o) => o.kind === "table" && o.schema === "public" && o.columns.some((c) => c.name === "batch_id"));
  const id = w.batches.at(-1)?.batch_id;
  return [
    table && ["The newest rows", `select * from ${sqlName(table)} order by batch_id desc limit 20;`],
    has("public", "purchase_funnel") && ["From views to purchases", "select * from purchase_funnel;"],
    id && ["Where a row came from", `select * from streamer.batch_origin(${id});`],
  ].filter(Boolean);
}

function object(o, isOpen) {
  const columns = o.columns.slice(0, COLUMNS);
  const more = o.columns.length - columns.length;
  return html`<details class="dict" ?open=${isOpen}>
    <summary><b class="mono">${name(o)}</b> <span class="soft">${o.comment ?? o.kind}</span></summary>
    <div class="scroll" tabindex="0" role="region" aria-label="Columns of ${name(o)}"><table><thead><tr><th>Column</th>
      <th>Type</th><th>What</th></tr></thead>
    <tbody>${columns.map((c) => html`<tr><td class="mono">${visible(c.name)}</td><td class="mono low">${c.type}</td>
      <td>${c.comment ?? ""}</td></tr>`)}</tbody></table></div>
    ${more > 0 ? html`<p class="soft">and ${count(more)} more columns</p>` : nothing}</details>`;
}

const pgadmin = (url, table) => html`<div class="head gap2"><h2>pgAdmin</h2></div>
  <p><a href=${url} rel="noopener">Open pgAdmin</a>, connected already. The rows: Servers › streamer ›
  Databases › streamer › Schemas › public › Tables${table ? html` › ${visible(table.name)}` : nothing}, then View/Edit Data.</p>`;

/** Only an address of the web becomes a link. */
const isWeb = (url) => /^https?:\/\//.test(url ?? "");

export function sql(w) {
  const answer = want("/api/dictionary");
  const d = answer.data;
  const objects = d?.objects ?? [];
  const ask = questions(objects, w);
  return html`<section class="answer"><div class="top"><h1>Ask the database</h1>
    <p class="say">All is plain tables in PostgreSQL. This page holds no password; these lines work on the machine that runs the streamer.</p></div></section>
  ${d ? nothing : waiting(answer)}
  <div class="two">${d?.psql || isWeb(d?.pgadmin) ? html`<section>${d.psql ? html`<div class="head">
    <h2>psql</h2></div>${cmd(d.psql)}` : nothing}
    ${isWeb(d?.pgadmin) ? pgadmin(d.pgadmin, objects.find((o) => o.kind === "table")) : nothing}</section>` : nothing}
  <section>${ask.length ? html`<div class="head">
    <h2>To begin with</h2></div>${ask.map(([what, text]) => html`<p class="soft gap1">${what}</p>${cmd(text, { prompt: "=#" })}`)}` : nothing}</section></div>
  ${objects.length ? html`<section><div class="head">
    <h2>What is there</h2><span class="soft">comments of the database itself</span></div>${objects.map((o, i) => object(o, i === 0))}</section>` : nothing}`;
}
