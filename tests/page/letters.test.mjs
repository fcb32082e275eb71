// Dead letters by the page: who has not logged in cannot change them; retry and discard ask again, and do what they say.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Postgres, Streamer, browse, eventually, open } from "./support.mjs";

const TOKEN = "0123456789abcdef0123456789abcdef";

const PAIRS = '[stream.pairs]\nfiles = "*.csv"\n';
const BAD = 'id,note\n1,bad\n2,bad\n3,bad\n';

let postgres, streamer, browser;
before(async () => {
  [postgres, browser] = [await Postgres.start(), await browse()];
  streamer = await Streamer.start(postgres, {
    config: PAIRS, env: { STREAMER_TOKEN: TOKEN },
    prepare: "create table pairs (id integer primary key, note text check (note <> 'bad'))",
  });
  await streamer.file("pairs_1.csv", BAD);
  await streamer.file("pairs_2.csv", "id,note\nx,fine\ny,fine\n");
  await eventually("they are refused", async () => Number(await streamer.sql("select count(*) from streamer.dead_letter")) === 5);
});
after(async () => {
  await browser?.close();
  await streamer?.remove();
  await postgres?.remove();
});

const state = () => streamer.sql("select coalesce(resolution, 'open') || ' ' || count(*) from streamer.dead_letter group by resolution order by 1");

test("retry and discard need a login, ask again with how many and into which table, and do that", async (t) => {
  const page = await open(browser, `${streamer.url}/#/dead-letters`);
  t.after(() => page.context().close());
  await page.locator(".record", { hasText: "1,bad" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Retry…" }).count(), 0);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.keyboard.press("Enter");
  // The file is the command's.
  const link = page.getByRole("link", { name: "pairs_1.dead-letters.csv" });
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  assert.equal(await readFile(await download.path(), "utf8"), BAD);
  // To be asked changes nothing.
  await page.getByRole("button", { name: "Retry…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Retry 3 records of pairs?").waitFor();
  await dialog.locator("code", { hasText: "pairs" }).waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await state(), "open 5");
  await streamer.sql("alter table pairs drop constraint pairs_note_check");
  await page.getByRole("button", { name: "Retry…" }).click();
  await dialog.getByRole("button", { name: "Retry 3 records" }).click();
  await page.getByText("Tried again: 3 became rows, 0 were there before, 0 were refused again.").waitFor();
  assert.equal(await streamer.sql("select count(*) from pairs"), "3");
  // What is left is the other group.
  await page.getByRole("button", { name: "Discard…" }).click();
  await dialog.getByRole("button", { name: "Discard 2 records" }).click();
  await page.getByText("None is open").waitFor();
  assert.equal(await state(), "discarded 2\nretried 3");
  assert.deepEqual(page.faults, []);
});
