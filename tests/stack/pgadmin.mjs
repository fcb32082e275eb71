// Opens pgAdmin as a newcomer does, and asks for the rows of user_events: node pgadmin.mjs URL FOLDER_FOR_SCREENSHOTS
// Fails if a login or a password is asked for, or if there are no rows. BROWSER names the Chromium to use.

import { chromium } from "playwright-core";

const [url, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.BROWSER,
  args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: 1400, height: 1200 } });
page.setDefaultTimeout(60_000);

const entry = (name) => page.locator(".file-entry").filter({ has: page.getByText(name, { exact: true }) }).last();

// Opens a node of the tree, unless pgAdmin has opened it by itself, and waits for what is below it.
async function open(name, child) {
  await entry(name).waitFor();
  for (let tries = 0; tries < 6; tries++) {
    const isShut = await entry(name).locator(".directory-toggle:not(.open)").count();
    // One that stays open and empty is shut first, so that pgAdmin reads what is below once more.
    if (isShut || tries > 0) await entry(name).locator(".directory-toggle").click();
    if (!isShut && tries > 0) await entry(name).locator(".directory-toggle:not(.open)").click();
    try {
      return await entry(child).waitFor({ timeout: 8_000 });
    } catch {
      // pgAdmin may have closed it while it was reading what is below.
    }
  }
  throw new Error(`no ${child} below ${name}`);
}

async function refusePrompts() {
  const asked = await page.locator("input[type=password]:visible").count();
  if (asked > 0) throw new Error("pgAdmin asks for a password");
}

// From the address to the table in the tree.
async function findTable() {
  await page.goto(url);
  await entry("Servers").waitFor();
  await refusePrompts();
  await open("Servers", "streamer");
  await open("streamer", "Databases");
  await refusePrompts();
  await page.screenshot({ path: `${folder}/pgadmin-connected.png` });
  await open("Databases", "streamer");
  await open("streamer", "Schemas");
  await open("Schemas", "public");
  await open("public", "Tables");
  await open("Tables", "user_events");
}

// What the page says, for who reads of a failure.
const tellPage = async () => console.error(`pgAdmin shows:\n${await page.locator("body").innerText()}`);

try {
  // pgAdmin's tree may hang while its server is slow; a person presses F5 then.
  for (let tries = 1; ; tries++) {
    try {
      await findTable();
      break;
    } catch (error) {
      await tellPage();
      if (tries === 3) throw error;
      console.error(`   ${error.message}; once more`);
    }
  }
  // The rows come in a frame of their own. The shortcut for View Data does nothing before pgAdmin has taken
  // notice of the choice.
  for (let tries = 0; tries < 10 && !(await page.locator("iframe").count()); tries++) {
    await entry("user_events").click();
    await page.keyboard.press("Alt+Shift+V");
    await page.locator("iframe").first().waitFor({ timeout: 10_000 }).catch(() => {});
  }
  const result = page.frameLocator("iframe:visible");
  await result.getByRole("gridcell").first().waitFor();
  const seen = await result.getByText(/Showing rows: 1 to \d+/).textContent();
  await page.screenshot({ path: `${folder}/pgadmin.png` });
  await refusePrompts();
  console.log(`   ${await page.title()}: user_events opened without a login; ${seen}`);
} catch (error) {
  await page.screenshot({ path: `${folder}/pgadmin-failed.png` });
  await tellPage();
  throw error;
} finally {
  await browser.close();
}
