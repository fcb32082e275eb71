// A tab that is left open: half an hour of frames, twenty a second, leaves the page's memory as it was.
// The frames are those of a real streamer, passed on again and again with the next second's time.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";
import { Postgres, SHOP, Streamer, browse, eventually, open, says, shopEvents } from "./support.mjs";

/** The rings of the page are full after 900 frames. */
const WARM = 950;
const FRAMES = WARM + 1800;
const EVERY_MS = 50;

let postgres, streamer, browser;
before(async () => {
  [postgres, browser] = [await Postgres.start(), await browse()];
  streamer = await Streamer.start(postgres, { config: SHOP });
});
after(async () => {
  await browser?.close();
  await streamer?.remove();
  await postgres?.remove();
});

/** The history and the frames of the streamer, until `enough` says so. */
async function recorded(enough) {
  const events = [];
  const response = await fetch(`${streamer.url}/api/live`);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n").filter((l) => l.startsWith("data:"));
      if (lines.length) events.push(JSON.parse(lines.map((l) => l.slice(5)).join("\n")));
    }
    if (enough(events)) break;
  }
  return events;
}

/** A server before the streamer that plays the events; `played.frames` counts. */
async function player([history, ...frames], played) {
  const server = createServer((ask, answer) => {
    if (ask.url !== "/api/live") {
      const up = request(`${streamer.url}${ask.url}`, { method: ask.method }, (got) => { answer.writeHead(got.statusCode, got.headers); got.pipe(answer); });
      return ask.pipe(up);
    }
    answer.writeHead(200, { "content-type": "text/event-stream" });
    const put = (event, data) => answer.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    put("history", history);
    let at = Date.parse(history.frame.at);
    const timer = setInterval(() => {
      const frame = frames[played.frames % frames.length];
      at += 1000;
      played.frames += 1;
      const micro_batches = frame.micro_batches.map((b) => ({ ...b, batch_id: played.frames, at: new Date(at).toISOString() }));
      put("frame", { ...frame, at: new Date(at).toISOString(), number: played.frames, micro_batches });
    }, EVERY_MS);
    ask.on("close", () => clearInterval(timer));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return server;
}

test("half an hour of frames leaves the memory as it was", async (t) => {
  const recording = recorded((events) => events.slice(1).filter((f) => f.micro_batches.length).length >= 3);
  for (let i = 0; i < 6; i += 1) {
    await streamer.file(`user_events_${i}.csv`, shopEvents(200, 1 + i * 200));
    await eventually("it is loaded", async () => Number(await streamer.sql("select count(*) from user_events")) === (i + 1) * 200);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // the next one belongs to another frame
  }
  const played = { frames: 0 };
  const server = await player(await recording, played);
  t.after(() => { server.closeAllConnections(); server.close(); });
  const page = await open(browser, `http://127.0.0.1:${server.address().port}/#/batches`);
  await says(page, /keep/);
  const devtools = await page.context().newCDPSession(page);
  const heap = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    return (await devtools.send("Runtime.getHeapUsage")).usedSize;
  };
  const after = (frames) => new Promise((resolve) => {
    const timer = setInterval(() => { if (played.frames >= frames) { clearInterval(timer); resolve(); } }, EVERY_MS);
  });
  await after(WARM);
  const warm = await heap();
  await after(FRAMES);
  const late = await heap();
  t.diagnostic(`heap after ${WARM} frames ${warm} bytes, after ${played.frames} frames ${late} bytes`);
  assert.ok(late < warm * 1.1, `${warm} bytes became ${late}`);
  assert.deepEqual(page.faults, []);
});
