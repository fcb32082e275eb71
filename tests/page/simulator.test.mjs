// The page in one file: opened from disk it sends to a streamer that lists its origin, and says when it cannot.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Postgres, Streamer, browse, eventually, says } from "./support.mjs";

const TOKEN = "0123456789abcdef0123456789abcdef";
const STREAMS = ["emoji_reactions", "transfers"].map((name) => `[stream.${name}]\nfiles = "${name}_*.csv"\ndataset = "${name}"\n`).join("\n");
const CONFIG = `[server]\nsimulator = true\ncors_origins = ["null"]\n\n${STREAMS}`;

let postgres, browser;
before(async () => { [postgres, browser] = [await Postgres.start(), await browse()]; });
after(async () => { await browser?.close(); await postgres?.remove(); });

/** The file, opened from disk. */
async function opened(t, streamer) {
  const file = join(streamer.folder, "simulator.html");
  await writeFile(file, execFileSync(process.env.STREAMER, ["simulator"]));
  const page = await (await browser.newContext()).newPage();
  t.after(() => page.context().close());
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.stack));
  await page.goto(`file://${file}`);
  return page;
}

async function connect(page, streamer, token) {
  await page.getByLabel("Address of the streamer").fill(streamer.url);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Connect" }).click();
}

test("from disk it sends reactions and transfers, which are in the table", async (t) => {
  const streamer = await Streamer.start(postgres, { config: CONFIG, env: { STREAMER_TOKEN: TOKEN } });
  t.after(() => streamer.remove());
  const page = await opened(t, streamer);
  await connect(page, streamer, TOKEN);
  await page.getByText(`Events go to ${streamer.url}`).waitFor();
  await page.getByRole("button", { name: "fire" }).click();
  await page.locator("#log tr", { hasText: "fire" }).getByText("in the table").waitFor();
  assert.equal(await streamer.sql("select count(*) from emoji_reactions where emoji_type = 'fire'"), "1");
  await page.getByLabel("Amount").fill("77.25");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator("#log tr", { hasText: "transfer of 77.25" }).getByText("in the table").waitFor();
  assert.equal(await streamer.sql("select count(*) from transfers where transaction_value = 77.25"), "1");
  await page.getByLabel("Every, in seconds").fill("0.2");
  await page.getByRole("button", { name: "Start" }).click();
  await eventually("five more are in the table", async () => (await page.locator("#log tr", { hasText: "in the table" }).count()) >= 7);
  await page.getByRole("button", { name: "Stop" }).click();
  await eventually("all are answered", async () => (await page.getByText("no answer yet").count()) === 0);
  const [rows, sent] = [await streamer.sql("select (select count(*) from emoji_reactions) + (select count(*) from transfers)"), await page.locator("#log tr").count()];
  assert.equal(Number(rows), sent);
  assert.deepEqual(page.faults, []);
});

test("it says why nothing is sent: a wrong token, an origin that is not listed, no streamer", async (t) => {
  const streamer = await Streamer.start(postgres, { config: CONFIG, env: { STREAMER_TOKEN: TOKEN } });
  t.after(() => streamer.remove());
  const page = await opened(t, streamer);
  await connect(page, streamer, "wrong");
  await page.getByRole("button", { name: "fire" }).click();
  await says(page, "The streamer refuses");
  await connect(page, streamer, TOKEN);
  await page.getByRole("button", { name: "fire" }).click();
  await page.locator("#log tr").first().getByText("in the table").waitFor();
  await says(page, "Send events by hand");
  await streamer.kill();
  await page.getByRole("button", { name: "fire" }).click();
  await says(page, "The streamer cannot be reached");
  await page.getByText("cors_origins").first().waitFor();
  const unlisted = await Streamer.start(postgres, { config: `[server]\nsimulator = true\n\n${STREAMS}`, env: { STREAMER_TOKEN: TOKEN } });
  t.after(() => unlisted.remove());
  await connect(page, unlisted, TOKEN);
  await eventually("the address is taken", async () => (await page.locator("#say").innerText()).includes(unlisted.url));
  await says(page, "The streamer cannot be reached");
});
