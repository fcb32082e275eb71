// What happens, seen on the open page: rows arrive, the streamer and the database go and come back, a lock is held.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Postgres, SHOP, Streamer, browse, cell, eventually, open, says, shopEvents, shot } from "./support.mjs";

const AWAY = /The database (is away|does not answer)/;

let postgres, browser;
before(async () => { [postgres, browser] = [await Postgres.start(), await browse()]; });
after(async () => { await browser?.close(); await postgres?.remove(); });

/** A streamer and its page, for one test. */
async function opened(t, options = { config: SHOP }) {
  const streamer = await Streamer.start(postgres, options);
  const page = await open(browser, streamer.url);
  t.after(async () => {
    await page.context().close();
    await streamer.remove();
  });
  return { streamer, page };
}

test("the first start says what to do, and rows rise without a reload", async (t) => {
  const { streamer, page } = await opened(t);
  await says(page, "Ready");
  await page.getByText("generator", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Copy generator" }).click();
  // Where there is no clipboard, the text is marked.
  await page.locator(".cmd button", { hasText: /Copied|Ctrl-C/ }).waitFor();
  await shot(page, "state-first-start");
  await page.evaluate(() => { window.isTheSame = true; });
  await streamer.file("user_events_1.csv", shopEvents(500));
  await says(page, "All is well");
  await eventually("500 rows are shown", async () => (await cell(page, "user_events", "Rows")).includes("500"));
  await streamer.file("user_events_2.csv", shopEvents(700, 501));
  await eventually("1,200 rows are shown", async () => (await cell(page, "user_events", "Rows")).includes("1,200"));
  assert.equal(await streamer.metric("streamer_rows_total", "user_events"), 1200);
  assert.equal(await streamer.sql("select count(*) from user_events"), "1200");
  assert.ok(await page.evaluate(() => window.isTheSame), "the page was loaded again");
  await eventually("the title tells the rate", async () => /rows\/s/.test(await page.title()));
  assert.deepEqual(page.faults, []);
});

test("a reload shows the past", async (t) => {
  const { streamer, page } = await opened(t);
  await streamer.file("user_events_1.csv", shopEvents(3000));
  await eventually("3,000 rows are shown", async () => (await cell(page, "user_events", "Rows")).includes("3,000"));
  await page.reload();
  await says(page, "All is well");
  await page.locator(".streams .spark polyline").first().waitFor();
  await page.locator("table.only-sr").first().waitFor({ state: "attached" });
});

test("a streamer that was killed is stale, and goes on by itself", async (t) => {
  const { streamer, page } = await opened(t);
  await streamer.file("user_events_1.csv", shopEvents(100));
  await says(page, "All is well");
  await streamer.kill();
  await says(page, "The streamer does not answer");
  await page.locator('.pulse[data-at="stale"]').waitFor();
  assert.match(await page.title(), /^\? The streamer does not answer/);
  await page.locator(".ail code").getByText("streamer run").waitFor();
  await shot(page, "state-stale");
  // What is shown stays, and says of when it is.
  assert.match(await cell(page, "user_events", "Rows"), /100/);
  await streamer.begin();
  await page.locator('.pulse[data-at="live"]').waitFor();
  await page.getByText("started again at").waitFor();
  await streamer.file("user_events_2.csv", shopEvents(50, 101));
  await eventually("50 rows are shown", async () => /\b50\b/.test(await cell(page, "user_events", "Rows")));
});

test("a database that is away is said, with what to do, until it is back", async (t) => {
  const own = await Postgres.start();
  t.after(() => own.remove());
  const streamer = await Streamer.start(own, { config: SHOP });
  t.after(() => streamer.remove());
  const page = await open(browser, streamer.url);
  t.after(() => page.context().close());
  await streamer.file("user_events_1.csv", shopEvents(100));
  await says(page, "All is well");
  await own.stop();
  await streamer.file("user_events_2.csv", shopEvents(100, 101));
  await says(page, AWAY);
  await eventually("the tab says so", async () => /^! The database/.test(await page.title()));
  await page.locator(".ail", { hasText: "Nothing is lost" }).waitFor();
  await shot(page, "state-away");
  // Spoken once: the alert has fixed words.
  assert.match(await page.getByRole("alert").innerText(), AWAY);
  await page.getByRole("link", { name: "Micro-batches" }).click();
  await page.locator("a.notice", { hasText: AWAY }).click();
  await says(page, AWAY);
  await own.begin();
  await says(page, "All is well");
  await eventually("200 rows are shown", async () => (await cell(page, "user_events", "Rows")).includes("200"));
});

test("who holds a lock is named, with the command that ends it", async (t) => {
  const { streamer, page } = await opened(t);
  await streamer.file("user_events_1.csv", shopEvents(100));
  await says(page, "All is well");
  const holder = await postgres.hold(streamer.database, "lock table user_events in share mode");
  t.after(() => holder.end());
  await streamer.file("user_events_2.csv", shopEvents(100, 101));
  await says(page, /user_events .*lock/);
  await page.locator(".ail p").getByText(holder.pid).waitFor();
  await page.locator(".ail code").getByText(`pg_terminate_backend(${holder.pid})`).waitFor();
  await page.locator(".streams tr.bad .state", { hasText: "Stuck" }).waitFor();
  await shot(page, "state-lock");
  // A pause freezes the view; the tab's title does not stand still.
  await page.getByRole("button", { name: "Pause" }).click();
  holder.end();
  await eventually("the title goes on", async () => /rows\/s/.test(await page.title()));
  await says(page, /user_events .*lock/);
  await page.getByRole("button", { name: "Go on" }).click();
  await says(page, "All is well");
});

test("a paused view stands, and shows what came when it goes on", async (t) => {
  const { streamer, page } = await opened(t);
  await streamer.file("user_events_1.csv", shopEvents(100));
  await eventually("100 rows are shown", async () => (await cell(page, "user_events", "Rows")).includes("100"));
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator('.pulse[data-at="paused"]').waitFor();
  const second = await open(browser, streamer.url, { context: page.context() });
  await streamer.file("user_events_2.csv", shopEvents(100, 101));
  await eventually("another page shows 200 rows", async () => (await cell(second, "user_events", "Rows")).includes("200"));
  assert.match(await cell(page, "user_events", "Rows"), /100/);
  await page.getByRole("button", { name: "Go on" }).click();
  await eventually("200 rows are shown", async () => (await cell(page, "user_events", "Rows")).includes("200"));
});

test("a page beyond what a browser's connections allow says so, and takes the place of one that is hidden", async (t) => {
  const { streamer, page } = await opened(t);
  const context = page.context();
  const others = [];
  for (let i = 0; i < 4; i += 1) others.push(await open(browser, streamer.url, { context }));
  for (const other of [page, ...others]) await other.locator('.pulse[data-at="live"]').waitFor();
  const last = await open(browser, streamer.url, { context });
  await says(last, "Too many pages of this browser");
  // A browser that shows no window hides no page: so the page is told that it is.
  await others[0].evaluate(() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await last.locator('.pulse[data-at="live"]').waitFor();
  await eventually("the hidden page has closed its event stream", async () => {
    const metrics = await (await fetch(`${streamer.url}/metrics`)).text();
    return /^streamer_event_streams 5$/m.test(metrics);
  });
});
