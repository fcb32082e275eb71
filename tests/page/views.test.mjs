// Each view: what it shows, by mouse and by keyboard, that nothing breaks the content security policy, and axe-core.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Postgres, SHOP, Streamer, browse, cell, eventually, open, says, shopEvents } from "./support.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const EMOJI = '[stream.emoji_reactions]\nfiles = "emoji_reactions_*.csv"\ndataset = "emoji_reactions"\nevent_time = "timestamp"\n';
const CONFIG = `[server]\nsimulator = true\n\n${SHOP}\n${EMOJI}`;

let postgres, streamer, browser, views;
before(async () => {
  [postgres, browser] = [await Postgres.start(), await browse()];
  streamer = await Streamer.start(postgres, { config: CONFIG });
  await streamer.file("user_events_1.csv", shopEvents(2000));
  await streamer.file("user_events_2.csv", shopEvents(20, 3000, "12;50"));
  await streamer.file("nobodys.csv", "a,b\n1,2\n");
  await eventually("the files are loaded", async () => (await streamer.metric("streamer_dead_letters_total", "user_events")) === 20);
  views = (await (await fetch(`${streamer.url}/api/session`)).json()).views;
});
after(async () => {
  await browser?.close();
  await streamer?.remove();
  await postgres?.remove();
});

/** Address of each view that this streamer has, with what its first line says. */
const all = () => [
  ["#/", /All is well|dead letters/, "overview"], ["#/batches", /keep/, "micro_batches"], ["#/stream/user_events", "user_events", "stream"],
  ["#/dead-letters", /One reason|All for one reason/, "dead_letters"], ["#/simulator", "Send events", "simulator"],
  ["#/load-test", /Try what|accepted|Sending|Waiting/, "load_test"], ["#/sql", "Ask the database", "sql"],
].filter(([, , name]) => views.includes(name));

const has = (name) => (views.includes(name) ? false : `this streamer has no view ${name}`);

test("a walk through all views breaks no policy and says nothing to the console", async () => {
  const page = await open(browser, streamer.url);
  for (const [address, words] of all()) {
    await page.goto(`${streamer.url}/${address}`);
    await says(page, words);
  }
  const links = page.locator("nav a");
  for (let i = 0; i < (await links.count()); i += 1) {
    await links.nth(i).click();
    await eventually("focus is in the new view", () => page.evaluate(() => document.activeElement.id === "main"));
  }
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1280, 2560]) {
    test(`axe-core finds nothing, and nothing is wider than the window: ${colorScheme}, ${width} px`, async () => {
      const page = await open(browser, streamer.url, { colorScheme, width, height: width > 2000 ? 1440 : 860, bypassCSP: true });
      await page.addScriptTag({ content: AXE });
      for (const [address, words, name] of all()) {
        await page.goto(`${streamer.url}/${address}`);
        await says(page, words);
        await eventually("the database has answered", async () => (await page.getByText("Asking the database").count()) === 0);
        await page.screenshot({ path: `${process.env.SHOTS}/${name}-${colorScheme}-${width}.png`, fullPage: width < 500 });
        const found = await page.evaluate(() => axe.run());
        assert.deepEqual(found.violations.map((v) => `${name}: ${v.id} ${v.nodes[0].html}`), []);
        assert.ok(found.passes.length > 10, "axe-core has looked");
        assert.equal(await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)), 0, `${name} is too wide`);
      }
      await page.context().close();
    });
  }
}

test("the keyboard reaches and does everything", async () => {
  const page = await open(browser, streamer.url);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "To the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.locator("nav a", { hasText: "atches" }).focus();
  await page.keyboard.press("Enter");
  await says(page, /keep/);
  const strip = page.getByRole("listbox");
  await strip.focus();
  const chosen = () => page.locator('[role="option"][aria-selected="true"]').getAttribute("id");
  await page.keyboard.press("Home");
  const first = await chosen();
  await page.keyboard.press("ArrowRight");
  await eventually("another is chosen", async () => (await chosen()) !== first);
  await page.locator(".pause").focus();
  assert.notEqual(await page.locator(".pause").evaluate((b) => getComputedStyle(b).outlineStyle), "none", "focus can be seen");
  await page.keyboard.press("Space");
  await page.locator('.pulse[data-at="paused"]').waitFor();
  await page.keyboard.press("Space");
  await page.locator('.pulse[data-at="live"]').waitFor();
  await page.context().close();
});

test("a micro-batch tells its partition, its offsets and what became of its records", async () => {
  const page = await open(browser, `${streamer.url}/#/batches`);
  await page.getByRole("option").last().click();
  await page.locator(".facts", { hasText: /user_events_\d\.csv \[\d/ }).waitFor();
  const sum = await page.locator(".eq > span").allInnerTexts();
  const [records, ...parts] = sum.map((text) => Number(text.split("\n")[0].replaceAll(",", "")));
  assert.equal(records, parts.reduce((a, b) => a + b));
  await page.context().close();
});

test("rows, dead letters and the counters of the overview are those of /metrics and of the database", async () => {
  const page = await open(browser, streamer.url);
  const shown = async (label) => Number((await cell(page, "user_events", label)).replace(/\D/g, ""));
  await eventually("the page has the last micro-batch", async () => (await shown("Rows")) === 2000);
  assert.equal(await shown("Rows"), await streamer.metric("streamer_rows_total", "user_events"));
  assert.equal(await shown("Rows"), Number(await streamer.sql("select count(*) from user_events")));
  assert.equal(await shown("Dead letters"), await streamer.metric("streamer_dead_letters_total", "user_events"));
  assert.equal(await shown("Dead letters"), Number(await streamer.sql("select count(*) from streamer.dead_letter")));
  const { streams } = await (await fetch(`${streamer.url}/api/overview`)).json().then((o) => o.frame ?? o);
  const { counted } = streams.find((s) => s.stream === "user_events");
  for (const name of ["records", "rows", "duplicates", "repeated", "dead_letters", "failed_files"]) {
    assert.equal(counted[name], await streamer.metric(`streamer_${name}_total`, "user_events"), name);
  }
  await page.context().close();
});

test("a stream shows its files, its rollup and its newest rows", async (t) => {
  if (has("stream")) return t.skip(has("stream"));
  const page = await open(browser, `${streamer.url}/#/stream/user_events`);
  await page.getByRole("region", { name: "Files" }).getByText("user_events_1.csv").waitFor();
  await page.getByRole("region", { name: "Newest rows" }).getByText("purchase").first().waitFor();
  await page.locator("svg.bars rect").first().waitFor();
  for (const aggregate of await page.locator(".seg button").allInnerTexts()) {
    await page.getByRole("button", { name: aggregate, exact: true }).click();
    await page.locator(`.seg button[aria-pressed="true"]`, { hasText: aggregate }).waitFor();
  }
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a dead letter shows its record, the value that is at fault, and its place", async (t) => {
  if (has("dead_letters")) return t.skip(has("dead_letters"));
  const page = await open(browser, `${streamer.url}/#/dead-letters`);
  await page.locator(".record mark", { hasText: "12;50" }).waitFor();
  await page.locator(".facts", { hasText: /user_events_2\.csv, line \d/ }).waitFor();
  await page.locator(".cmd code", { hasText: "streamer dead-letters" }).first().waitFor();
  await page.context().close();
});

test("an emoji is sent, is in the log, and is in the table", async (t) => {
  if (has("simulator")) return t.skip(has("simulator"));
  const page = await open(browser, `${streamer.url}/#/simulator`);
  const before = Number(await streamer.sql("select count(*) from emoji_reactions"));
  await page.getByRole("button", { name: "fire" }).click();
  await page.locator(".log tr", { hasText: "fire" }).getByText("In the table").waitFor();
  assert.equal(Number(await streamer.sql("select count(*) from emoji_reactions where emoji_type = 'fire'")), before + 1);
  await page.locator('input[name="every"]').fill("0.2");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await eventually("five are in the table", async () => (await page.locator(".log tr", { hasText: "In the table" }).count()) >= 5);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await eventually("all are answered", async () => (await page.getByText("no answer yet").count()) === 0);
  assert.equal(await page.locator(".log tbody tr").count(), Number(await streamer.sql("select count(*) from emoji_reactions")) - before);
  await page.getByRole("button", { name: "Disconnect" }).click();
  await page.getByText("nothing is sent before you connect again").waitFor();
  assert.ok(await page.getByRole("button", { name: "joy" }).isDisabled());
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a load test runs, tells its rates and latencies, and is stopped", async (t) => {
  if (has("load_test")) return t.skip(has("load_test"));
  const page = await open(browser, `${streamer.url}/#/load-test`);
  const before = Number(await streamer.sql("select count(*) from emoji_reactions"));
  await page.getByLabel("Duration, in seconds").fill("600");
  await page.getByLabel("Batches per second").fill("20");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await says(page, "Sending");
  const figure = (name) => page.locator(".figures div", { has: page.locator("dt", { hasText: name }) }).locator("dd").innerText();
  await eventually("P99 is known", async () => /\d m?s/.test(await figure("P99")));
  await eventually("rates are drawn", async () => (await page.locator(".rates polyline").count()) === 2);
  await page.screenshot({ path: `${process.env.SHOTS}/load-test-runs.png` });
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await says(page, "Stopped");
  const { test: told } = await (await fetch(`${streamer.url}/api/load_test`)).json();
  assert.equal(Number(await streamer.sql("select count(*) from emoji_reactions")) - before, told.events.rows);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
