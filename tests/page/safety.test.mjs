// What others wrote is text, whatever it says; beyond this machine the page asks for the token.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Postgres, SHOP, Streamer, browse, eventually, open, says, shopEvents } from "./support.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TOKEN = "0123456789abcdef0123456789abcdef";
const VIEWS = { overview: "#/", micro_batches: "#/batches", stream: "#/stream/", dead_letters: "#/dead-letters", simulator: "#/simulator", load_test: "#/load-test", sql: "#/sql" };

let postgres, browser;
before(async () => { [postgres, browser] = [await Postgres.start(), await browse()]; });
after(async () => { await browser?.close(); await postgres?.remove(); });

test("hostile names and values are text, and what cannot be seen is spelled out", async (t) => {
  const stream = "<img src=x onerror=alert(1)>\u202e";
  const streamer = await Streamer.start(postgres, {
    config: `[stream.${JSON.stringify(stream)}]\nfiles = "*hostile*.csv"\ntable = ${JSON.stringify(`"<i>&'"`)}\n`,
    prepare: `create table "<i>&'" (id integer primary key, "</script><script>alert(2)</script>" text)`,
  });
  t.after(() => streamer.remove());
  const header = 'id,</script><script>alert(2)</script>';
  await streamer.file("<svg onload=alert(3)>hostile\u202egpj.csv", `${header}\n1,<script>alert(4)</script>\n2,javascript:alert(5)\n3,${"<b>".repeat(100_000)}\n`);
  await streamer.file("hostile\nline.csv", `${header}\n<img src=x onerror=alert(6)>,a\n4,\u0007\u2066\n`);
  await streamer.file("<iframe src=javascript:alert(7)>.csv", "a,b\n1,2\n");
  await eventually("it is loaded", async () => (await streamer.sql(`select count(*) from "<i>&'"`)) === "4");
  const page = await open(browser, streamer.url);
  t.after(() => page.context().close());
  await page.locator(".streams .name a", { hasText: "<img src=x onerror=alert(1)>\\u202E" }).waitFor();
  const { views } = await (await fetch(`${streamer.url}/api/session`)).json();
  for (const view of Object.keys(VIEWS).filter((name) => views.includes(name)).map((name) => VIEWS[name])) {
    await page.goto(`${streamer.url}/${view === "#/stream/" ? view + encodeURIComponent(stream) : view}`);
    await page.locator("h1").first().waitFor();
    await eventually("the database has answered", async () => (await page.getByText("Asking the database").count()) === 0);
    const made = await page.evaluate(() => [...document.querySelectorAll("img, iframe, script:not([src]), [onerror], [onload], main a[href^=javascript]")].map((e) => e.outerHTML));
    assert.deepEqual(made, [], view);
    const text = await page.evaluate(() => document.body.innerText + document.title);
    assert.doesNotMatch(text, /[\u0000-\u0008\u202a-\u202e\u2066-\u2069]/, view);
    assert.equal(await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)), 0, `${view} is too wide`);
  }
  assert.deepEqual(page.faults, []);
});

test("beyond this machine the page asks for the token, and leads back to where it was opened", async (t) => {
  const streamer = await Streamer.start(postgres, { config: SHOP, listen: "0.0.0.0", env: { STREAMER_TOKEN: TOKEN } });
  t.after(() => streamer.remove());
  const page = await open(browser, `${streamer.url}/#/batches`, { bypassCSP: true });
  t.after(() => page.context().close());
  await says(page, "Log in with the token");
  await page.addScriptTag({ content: AXE });
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${process.env.SHOTS}/login-${colorScheme}-1280.png` });
    const found = await page.evaluate(() => axe.run());
    assert.deepEqual(found.violations.map((v) => `${v.id} ${v.nodes[0].html}`), []);
  }
  await page.getByLabel("Token", { exact: true }).fill("wrong");
  await page.keyboard.press("Enter");
  await eventually("it says why not", async () => (await page.getByRole("alert").innerText()).length > 0);
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.keyboard.press("Enter");
  await says(page, "No micro-batch yet");
  const [cookie] = await page.context().cookies();
  assert.ok(cookie.httpOnly && cookie.sameSite === "Strict", JSON.stringify(cookie));
  assert.notEqual(cookie.value, TOKEN);
  assert.equal(await page.evaluate(() => document.cookie), "");
  await streamer.file("user_events_1.csv", shopEvents(10));
  await says(page, /keep/);
  await page.reload();
  await says(page, /keep/);
  // A streamer that starts anew knows no session.
  await streamer.kill();
  await streamer.begin();
  await says(page, "Log in with the token");
});

test("the link that the streamer prints logs in once, and leaves nothing in the address", async (t) => {
  const streamer = await Streamer.start(postgres, { config: SHOP, listen: "0.0.0.0", env: { STREAMER_TOKEN: TOKEN } });
  t.after(() => streamer.remove());
  const fragment = await eventually("it prints a link", async () => (await streamer.log()).match(/#\/login\/\S+/)?.[0]);
  const page = await open(browser, `${streamer.url}/${fragment}`);
  t.after(() => page.context().close());
  await says(page, "Ready");
  assert.equal(new URL(page.url()).hash, "#/");
  const second = await open(browser, `${streamer.url}/${fragment}`);
  t.after(() => second.context().close());
  await says(second, "Log in with the token");
});
