// What the browser tests are written with: a PostgreSQL of their own, a streamer, a browser, and waiting.
// From tests/page/run: STREAMER, the program; BROWSER, a Chromium; PG_BIN, the folder of PostgreSQL's programs.

import { execFile, spawn } from "node:child_process";
import { createServer } from "node:net";
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const run = promisify(execFile);
const LIMIT_MS = Number(process.env.LIMIT_MS ?? 60_000);

/** Waits until `look` says something true, and returns that. */
export async function eventually(what, look, limitMs = LIMIT_MS) {
  const begun = Date.now();
  let last;
  for (;;) {
    try {
      last = await look();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() - begun > limitMs) throw new Error(`${what}: not within ${limitMs / 1000} s; last: ${last}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function folder(name) {
  const path = await mkdtemp(join(tmpdir(), `streamer-page-${name}-`));
  await chmod(path, 0o755);
  return path;
}

/** Root may not run PostgreSQL: its account does then. */
const asServer = (program, args) =>
  process.getuid() === 0 ? ["runuser", ["-u", "postgres", "--", program, ...args]] : [program, args];

/** A PostgreSQL server with a folder of its own. */
export class Postgres {
  static async start() {
    const server = new Postgres();
    server.folder = await folder("database");
    server.port = await freePort();
    if (process.getuid() === 0) {
      const { stdout } = await run("id", ["-u", "postgres"]);
      await chown(server.folder, Number(stdout), 0);
    }
    await server.#program("initdb", ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D", join(server.folder, "pg")]);
    await server.begin();
    return server;
  }

  #program(name, args) {
    return run(...asServer(join(process.env.PG_BIN, name), args), { cwd: "/" });
  }

  begin() {
    const options = `-c port=${this.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${this.folder}`;
    return this.#program("pg_ctl", ["-w", "-D", join(this.folder, "pg"), "-l", join(this.folder, "log"), "-o", options, "start"]);
  }

  stop() {
    return this.#program("pg_ctl", ["-w", "-D", join(this.folder, "pg"), "-m", "fast", "stop"]);
  }

  url(database) {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  #psql(database) {
    return ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", this.url(database)];
  }

  async sql(database, text) {
    const { stdout } = await run(join(process.env.PG_BIN, "psql"), [...this.#psql(database), "-c", text]);
    return stdout.trim();
  }

  /** A session that runs `text` and then stays idle in its transaction; its end gives the locks back. */
  async hold(database, text) {
    const session = spawn(join(process.env.PG_BIN, "psql"), this.#psql(database), { stdio: ["pipe", "pipe", "inherit"] });
    session.stdin.write(`begin; ${text}; select pg_backend_pid();\n`);
    const pid = await new Promise((resolve) => session.stdout.once("data", (data) => resolve(String(data).trim())));
    return { pid, end: () => session.stdin.end() };
  }

  async remove() {
    await this.stop().catch(() => {});
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** `streamer run` with a data folder of its own, and a database in `postgres`. */
export class Streamer {
  static async start(postgres, { config = "", args = [], env = {}, listen = "127.0.0.1", prepare = "select 1" } = {}) {
    const streamer = new Streamer();
    streamer.folder = await folder("data");
    streamer.data = join(streamer.folder, "data");
    streamer.port = await freePort();
    streamer.url = `http://127.0.0.1:${streamer.port}`;
    streamer.database = `test_${streamer.port}`;
    streamer.postgres = postgres;
    await mkdir(streamer.data);
    await writeFile(join(streamer.folder, "streams.toml"), config);
    await postgres.sql("postgres", `create database ${streamer.database}`);
    await streamer.sql(prepare);
    streamer.args = ["run", "--config", join(streamer.folder, "streams.toml"), "--data", streamer.data, "--every", "0s",
      "--listen", `${listen}:${streamer.port}`, ...args];
    streamer.env = { ...process.env, DATABASE_URL: postgres.url(streamer.database), STREAMER_SPOOL: join(streamer.folder, "spool"),
      NO_COLOR: "1", ...env };
    await streamer.begin();
    return streamer;
  }

  async begin() {
    const log = openSync(join(this.folder, "log"), "a");
    this.process = spawn(process.env.STREAMER, this.args, { env: this.env, stdio: ["ignore", log, log] });
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
    const ready = eventually("the streamer is ready", async () => (await fetch(`${this.url}/readyz`)).ok);
    const ended = this.ended.then(async () => { throw new Error(`the streamer has ended: ${await this.log()}`); });
    ended.catch(() => {});
    await Promise.race([ready, ended]);
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  sql(text) {
    return this.postgres.sql(this.database, text);
  }

  /** A file of the data folder, that appears at once and whole. */
  async file(name, text) {
    const hidden = join(this.data, `.${name}.tmp`);
    await writeFile(hidden, text);
    await rename(hidden, join(this.data, name));
  }

  /** What it has printed. */
  log() {
    return readFile(join(this.folder, "log"), "utf8");
  }

  /** The value of a counter of a stream at /metrics. */
  async metric(name, stream) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split("\n").find((l) => l.startsWith(`${name}{stream="${stream}"}`));
    return line && Number(line.split(" ")[1]);
  }

  async remove() {
    // A test that failed may have left it behind a lock, where it would wait.
    await this.kill();
    await this.postgres.sql("postgres", `drop database if exists ${this.database} with (force)`).catch(() => {});
    await rm(this.folder, { recursive: true, force: true });
  }
}

const HEADER = "event_id,user_id,product_id,event_type,event_time,price,category,user_device,user_location";

/** A file of `count` events of a shop; `numbers` make their keys. */
export function shopEvents(count, first = 1, price = "9.90") {
  const lines = Array.from({ length: count }, (_, i) => {
    const id = String(first + i).padStart(12, "0");
    return `00000000-0000-7000-8000-${id},${i % 90},${i % 40},purchase,${new Date().toISOString()},${price},${["books", "toys", "home"][i % 3]},mobile,Oslo`;
  });
  return `${[HEADER, ...lines].join("\n")}\n`;
}

export const SHOP = '[stream.user_events]\nfiles = "user_events_*.csv"\ndataset = "user_events"\n';

/** A browser whose pages note what goes wrong in them. */
export async function browse() {
  return chromium.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox", "--disable-background-networking"] });
}

/** A page with `faults`: what the console and the content security policy had to say. */
export async function open(browser, url, { width = 1280, height = 860, ...options } = {}) {
  const context = options.context ?? (await browser.newContext({ viewport: { width, height }, reducedMotion: "reduce", ...options }));
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => { page.faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.faults.push(`${message.type()}: ${message.text()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
  });
  await page.goto(url);
  await page.locator("h1").first().waitFor();
  return page;
}

/** Keeps what the page looks like, for people. */
export const shot = (page, name) => page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });

/** The first line of the view says so. */
export const says = (page, words) =>
  page.locator("h1", { hasText: words }).first().waitFor();

/** The text of a stream's cell on the overview. */
export const cell = (page, stream, label) =>
  page.locator(".streams tr", { has: page.locator(`th a[title=${JSON.stringify(stream)}]`) }).locator(`td[data-label="${label}"]`).innerText();
