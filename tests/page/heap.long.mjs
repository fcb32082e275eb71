// A tab that is left open: half an hour of frames, forty a second at most, leaves the page's memory as it was.
// The frames are those of a real streamer, passed on again and again with the next second's time.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";
import { Postgres, SHOP, Streamer, browse, eventually, open, says, shopEvents } from "./support.mjs";

/** The rings of the page are full after 900 frames. */
const WARM = 950;
const FRAMES = 1800;
const EVERY_MS = 25;

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

/** A server before the streamer that plays the frames it is told to, each with a micro-batch of its own. */
async function player([history, ...frames]) {
  const played = { frames: 0, until: 0 };
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
      if (played.frames >= played.until) return;
      const frame = frames[played.frames % frames.length];
      at += 1000;
      played.frames += 1;
      const micro_batches = [{ ...frame.micro_batches[0], batch_id: played.frames, at: new Date(at).toISOString() }];
      put("frame", { ...frame, at: new Date(at).toISOString(), number: played.frames, micro_batches });
    }, EVERY_MS);
    ask.on("close", () => clearInterval(timer));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return { server, played };
}

test("half an hour of frames leaves the memory as it was", async (t) => {
  const recording = recorded((events) => events.slice(1).some((f) => f.micro_batches.length));
  await streamer.file("user_events_1.csv", shopEvents(2000));
  const [history, ...frames] = await recording;
  const { server, played } = await player([history, ...frames.filter((f) => f.micro_batches.length)]);
  t.after(() => { server.closeAllConnections(); server.close(); });
  const page = await open(browser, `http://127.0.0.1:${server.address().port}/#/batches`);
  await says(page, "No micro-batch yet");
  const devtools = await page.context().newCDPSession(page);
  const heap = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    return (await devtools.send("Runtime.getHeapUsage")).usedSize;
  };
  const after = async (frames) => {
    played.until = frames;
    await eventually(`${frames} frames are shown`, async () => (await page.locator(`#b${frames}`).count()) > 0, 240_000);
    return heap();
  };
  const warm = await after(WARM);
  const late = await after(WARM + FRAMES);
  t.diagnostic(`heap after ${WARM} frames ${warm} bytes, after ${FRAMES} more ${late} bytes`);
  assert.ok(late < warm * 1.1, `${warm} bytes became ${late}`);
  assert.deepEqual(page.faults, []);
});
