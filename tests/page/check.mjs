// The page in a real browser, over the demo: what is drawn is what the API tells, nothing is asked of another host, nothing is
// logged as an error. `node check.mjs PROGRAM CHROMIUM [FOLDER FOR PICTURES]`

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createSite } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { Town } from "./town.mjs";

const [program, executablePath, pictures] = process.argv.slice(2);
const port = await freePort();
const origin = `http://127.0.0.1:${port}`;
const folder = mkdtempSync(join(tmpdir(), "citystream-page-"));
let demo = null;
let passed = 0;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A port that is free, with those after it. */
async function freePort(many = 1) {
  const listen = (port) =>
    new Promise((done) => {
      const server = createServer().once("error", () => done(null)).listen(port, "127.0.0.1", () => done(server));
    });
  for (;;) {
    const servers = [await listen(0)];
    const { port } = servers[0].address();
    while (servers.length < many) servers.push(await listen(port + servers.length));
    await Promise.all(servers.map((server) => server && new Promise((done) => server.close(done))));
    if (servers.every(Boolean)) return port;
  }
}

/** Waits until a condition gives something true, and gives that. */
async function until(what, seconds, condition) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(performance.now() < end, `${what}: not within ${seconds} s`);
    await pause(100);
  }
}

async function check(name, body) {
  const began = performance.now();
  await body();
  passed += 1;
  console.log(`ok ${passed} ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
}

function start(...more) {
  const flags = ["demo", "--dir", folder, "--listen", `127.0.0.1:${port}`, ...more];
  demo = spawn(program, flags, { stdio: ["ignore", "pipe", "pipe"] });
  demo.said = "";
  for (const stream of [demo.stdout, demo.stderr]) stream.on("data", (text) => (demo.said += text));
  demo.gone = new Promise((done) => demo.on("exit", done));
}

async function stop() {
  demo.kill("SIGTERM");
  assert.equal(await demo.gone, 0, demo.said);
}

const get = async (path, headers) => fetch(origin + path, { headers });

/** The first event of a stream. */
async function firstEvent(path, headers) {
  const cut = new AbortController();
  const answer = await fetch(origin + path, { headers, signal: cut.signal });
  let text = "";
  for await (const part of answer.body) {
    text += Buffer.from(part).toString();
    if (text.includes("\n\n")) break;
  }
  cut.abort();
  const field = (name) => new RegExp(`^${name}: ?(.*)$`, "m").exec(text)?.[1];
  return { kind: field("event"), id: field("id"), data: JSON.parse(field("data")) };
}

/** What the page holds, in short. */
const held = (page) =>
  page.evaluate(() => {
    const { city, movers } = window.citystream;
    const size = Object.fromEntries(Object.entries(city.views).map(([name, rows]) => [name, rows.size]));
    return { ...size, movers: movers.byKey.size, epoch: city.epoch, rows: city.rows, incidents: [...city.views.incidents.keys()], clusters: [...city.views.clusters].map(([id, row]) => `${id}:${row.cells}`) };
  });

/** Pixels of the layer above the map that are not empty, and a mark of what they are. */
const drawn = (page) =>
  page.evaluate(() => {
    const canvas = document.getElementById("overlay");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let [pixels, mark] = [0, 0];
    for (let at = 3; at < data.length; at += 4) if (data[at]) [pixels, mark] = [pixels + 1, (mark * 31 + at) | 0];
    return { pixels, mark };
  });

/** Opens the page; everything that should not happen is an error. */
async function open(browser, path, options) {
  const context = await browser.newContext(options);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
  const page = await context.newPage();
  page.wrong = [];
  page.isDown = false;
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) page.wrong.push(`asks ${url}`);
  });
  page.on("console", (message) => message.type() === "error" && !page.isDown && page.wrong.push(message.text()));
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  await page.goto(origin + path);
  await until("the page draws vehicles", 20, async () => (await held(page).catch(() => ({}))).movers > 300);
  return page;
}

async function run(browser) {
  await check("the page draws moving vehicles soon after the demo began", async () => {
    await until("the address is said", 20, () => demo.said.includes(`${origin}/`));
    run.page = await open(browser, "/", { viewport: { width: 1024, height: 700 } });
    let before = 0;
    await until("vehicles are drawn", 10, async () => (before = await drawn(run.page)).pixels > 3000);
    await until("they move", 5, async () => (await drawn(run.page)).mark !== before.mark);
    assert.ok(await run.page.evaluate(() => document.querySelector("#map canvas.maplibregl-canvas")), "the map is drawn with WebGL");
  });

  await check("what the page holds is what the API tells of the same epoch", async () => {
    const { views, epoch } = await (await get("/api/views")).json();
    assert.deepEqual(views.map((view) => view.name), ["vehicles", "cells", "incidents", "clusters", "worst", "oxford"]);
    await until("the page is past that epoch", 5, async () => (await held(run.page)).epoch > epoch);
    const { id, data } = await firstEvent("/api/views/vehicles,cells/changes");
    assert.equal(Number(id.split(".")[1]), data.epoch);
    const rows = Object.values(data.views.vehicles);
    assert.ok(rows.length > 300 && rows.every((row) => row.at.length === 2 && row.time.endsWith("Z")));
    const counted = Object.values(data.views.cells).reduce((sum, cell) => sum + cell.vehicles, 0);
    assert.equal(counted, rows.length, "each vehicle is counted in one cell");
  });

  await check("a subscription resumes where it broke off; an id of another run gets a snapshot that says so", async () => {
    const { id } = await firstEvent("/api/views/vehicles/changes");
    await pause(1200);
    const next = await firstEvent("/api/views/vehicles/changes", { "Last-Event-ID": id });
    assert.equal(next.kind, "changes");
    assert.ok(next.data.epoch > Number(id.split(".")[1]) && next.data.epoch <= Number(id.split(".")[1]) + 3);
    const other = await firstEvent("/api/views/vehicles/changes", { "Last-Event-ID": "999.1" });
    assert.deepEqual([other.kind, other.data.why], ["snapshot", "another run"]);
    const crowd = (await firstEvent("/api/views/vehicles/changes?bbox=-10,50,5,60&most=100")).data;
    assert.ok(crowd.crowded > 700 && Object.keys(crowd.views.vehicles).length === 0, "a crowd is counted");
    const away = (await firstEvent("/api/views/vehicles/changes?bbox=100,50,101,60&most=100")).data;
    assert.deepEqual([away.crowded, away.views.vehicles], [null, {}]);
    assert.equal((await get("/api/views/vehicles?bbox=nowhere")).status, 400);
  });

  await check("incidents come and go, clusters grow and dissolve", async () => {
    const began = await held(run.page);
    const seen = new Set(began.incidents);
    let hasCome = false;
    await until("an incident comes and one goes", 25, async () => {
      const { incidents } = await held(run.page);
      hasCome ||= incidents.some((key) => !began.incidents.includes(key));
      incidents.forEach((key) => seen.add(key));
      return hasCome && seen.size > incidents.length;
    });
    await until("clusters change", 15, async () => String((await held(run.page)).clusters) !== String(began.clusters));
  });

  await check("strip and tables are filled, a row leads to its place, by keyboard", async () => {
    const page = run.page;
    const values = await page.locator("#strip .value").allTextContents();
    assert.ok(values.length === 6 && values.every((value) => value.trim() !== "–"), String(values));
    assert.match(await page.locator("#sentence").textContent(), /windows before \d\d:\d\d:\d\d are final/);
    const place = () => page.evaluate(() => String(window.citystream.map.project([-0.1, 51.5])));
    const before = await place();
    await page.locator("#worst button").first().focus();
    await page.keyboard.press("Enter");
    await until("the map has moved", 5, async () => (await place()) !== before);
    await until("only what is in sight is sent, and all is counted", 10, async () => {
      const { vehicles, rows } = await held(page);
      return rows?.vehicles > 700 && vehicles < rows.vehicles;
    });
    await until("the address says where it rests", 5, () => /at=.*zoom=/.test(page.url()));
    await page.keyboard.press("Escape");
  });

  await check("an alert is raised and cleared, where it is on the map; a standing view leads to its rows", async () => {
    const page = run.page;
    const asked = () => page.evaluate(() => ({ ...window.citystream.city.alerts, standing: [...window.citystream.city.views.standing] }));
    await until("an alert is raised", 40, async () => (await asked()).raised.length > 0);
    await until("an alert is cleared", 40, async () => (await asked()).cleared.length > 0);
    assert.match(await page.locator("#alerts").textContent(), /(jam|no-help-yet|speeding): /);
    const [[name, view]] = (await asked()).standing;
    assert.deepEqual([name, view.asks, view.outline.length], ["oxford", "vehicles in an area", 5]);
    const button = page.locator("#standing button");
    assert.equal(await button.textContent(), "oxford: vehicles in an area");
    await button.press("Enter");
    const detail = page.locator("#detail");
    await until("its rows are listed", 10, async () => (await detail.locator(".listed button").count()) > 5);
    const [west, south, east, north] = view.box;
    const [lon, lat] = await page.evaluate(() => window.citystream.map.sight().place);
    assert.ok(lon > west && lon < east && lat > south && lat < north, "the map is there");
    const key = await detail.locator(".listed button").first().textContent();
    await detail.locator(".listed button").first().press("Enter");
    await until("a row leads to itself", 5, async () => (await detail.locator("h2").textContent()) === `Vehicle ${key}`);
    await until("the map rests there, and the address says so", 10, async () => {
      const { place, zoom } = await page.evaluate(() => window.citystream.map.sight());
      const at = new URLSearchParams(page.url().split("#")[1]).get("at").split(",");
      return zoom > 12.99 && place.every((degrees, i) => Math.abs(degrees - at[i]) < 1e-4);
    });
    await page.keyboard.press("Escape");
  });

  await check("a click on anything leads to its row, its sources and a link to it", async () => {
    const page = run.page;
    const find = () => page.evaluate(() => {
      const { map, movers, city } = window.citystream;
      const { width, height } = document.getElementById("map").getBoundingClientRect();
      const far = (one, other) => (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 > 900;
      const incidents = [...city.views.incidents.values()].map((row) => map.project(row.at));
      const inside = ([x, y]) => x > 60 && y > 120 && x < width - 80 && y < height - 80;
      return movers
        .places(performance.now())
        .map(([, place]) => map.project(place))
        .find((at) => inside(at) && incidents.every((other) => far(at, other)));
    });
    const { x, y } = await page.locator("#map").boundingBox();
    const detail = page.locator("#detail");
    // They move: one may be gone from where it was seen.
    await until("a vehicle is hit", 15, async () => {
      const point = await until("a vehicle is in sight", 10, find);
      await page.mouse.click(x + point[0], y + point[1]);
      if (/^Vehicle/.test(await detail.locator("h2").textContent())) return true;
      await page.keyboard.press("Escape");
    });
    await until("the lake explains it", 30, async () => /Derived once more from these records: the same row/.test(await detail.textContent())).catch(async (error) => {
      throw new Error(`${error.message}: ${await detail.textContent()}`);
    });
    assert.ok(/In the lake: enriched_pings:\d+\/\d+.*Commit \d+ it appeared.*Records: .*raw_gps/s.test(await detail.textContent()));
    const link = page.url();
    assert.match(link, /#view=vehicles&key=[^&]+&at=[^&]+&zoom=/);
    const other = await open(browser, link.slice(origin.length), { viewport: { width: 1024, height: 700 } });
    const title = await detail.locator("h2").textContent();
    await until("a colleague sees the same", 10, async () => (await other.locator("#detail h2").textContent()) === title);
    const sight = (page) => page.evaluate(() => window.citystream.map.sight());
    const [ours, theirs] = [await sight(page), await sight(other)];
    assert.ok(Math.abs(ours.zoom - theirs.zoom) < 0.1 && Math.abs(ours.place[0] - theirs.place[0]) < 1e-3, "at the same place");
    assert.deepEqual(other.wrong, []);
    await other.context().close();
    await page.keyboard.press("Escape");
    assert.ok(await detail.isHidden());
    // By keyboard, and of a cell.
    await page.locator("#worst button").first().press("Enter");
    await until("the cell's window is explained", 20, async () => /In the lake: traffic_5m:\d+\/\d+/.test(await detail.textContent()));
    const cell = /traffic_5m:(\d+)/.exec(await detail.textContent())[1];
    assert.ok((await detail.textContent()).includes(`h3 8${cell}`), "to the last digit");
    await page.locator("#find input").fill(title.split(" ").at(-1));
    await page.locator("#find input").press("Enter");
    await until("it is found", 10, async () => (await detail.locator("h2").textContent()) === title);
    await page.keyboard.press("Escape");
  });

  await check("charts draw what history tells, and say it in words", async () => {
    const page = run.page;
    const told = await (await get("/api/history?bin=5s")).json();
    assert.ok(told.times.length > 2 && told.records.gps.some((rate) => rate > 10), JSON.stringify(told.records));
    const drawn = () => page.evaluate(() => [...document.querySelectorAll("#figures canvas")].map((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)));
    await until("seven charts are drawn", 10, async () => {
      const all = await drawn();
      return all.length === 7 && all.every(Boolean);
    });
    const text = await page.locator("#figures").textContent();
    for (const words of [/gps [\d.,]+K?\/s/, /a commit [\d.]+ s/, /an epoch [\d.]+ s/, /rows taken back/, /resident \d+ MiB/, /worker 0 \d+ %/]) assert.match(text, words);
    await page.locator("button[data-bin='1m']").click();
    assert.equal(await page.locator("button[data-bin='1m']").getAttribute("aria-pressed"), "true");
  });

  await check("it is small, and paints soon", async () => {
    const fetched = await run.page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => name.includes("/assets/")));
    const sizes = await Promise.all(["/", ...fetched].map(async (url) => gzipSync(Buffer.from(await (await fetch(new URL(url, origin))).arrayBuffer())).length));
    const all = sizes.reduce((sum, size) => sum + size, 0);
    const paints = [];
    // What else this machine does is not the page's doing: the first page rests meanwhile, and the least of five loads counts. Nor is
    // what WebGL in software does to all that is drawn, with which an empty page takes a second: this browser has none.
    const plain = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-3d-apis"] });
    const rest = await run.page.context().newCDPSession(run.page);
    await rest.send("Page.setWebLifecycleState", { state: "frozen" });
    for (let loads = 0; loads < 5; loads += 1) {
      const context = await plain.newContext();
      const page = await context.newPage();
      await page.goto(origin, { waitUntil: "commit" });
      const painted = () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
      paints.push(await until("it paints", 10, painted));
      assert.equal(await page.evaluate(() => document.createElement("canvas").getContext("webgl")), null);
      await context.close();
    }
    await plain.close();
    await rest.send("Page.setWebLifecycleState", { state: "active" });
    console.log(`  ${fetched.length} files, ${Math.round(all / 1024)} KiB gzipped; first paint after ${paints.map(Math.round).join(", ")} ms`);
    assert.ok(all < 1.5e6 && Math.min(...paints) < 1000);
  });

  await check("a page of another site can neither read nor post", async () => {
    const foreign = createSite((_, answer) => answer.setHeader("content-type", "text/html").end("<title>another site</title>")).listen(0, "127.0.0.1");
    await new Promise((done) => foreign.once("listening", done));
    const page = await (await browser.newContext()).newPage();
    const statuses = [];
    page.on("response", (answer) => answer.url().startsWith(origin) && statuses.push(answer.status()));
    await page.goto(`http://localhost:${foreign.address().port}/`);
    const tried = await page.evaluate(async (origin) => {
      const ask = (path, options) => fetch(origin + path, options).then((answer) => answer.text()).catch(() => "");
      const texts = [await ask("/api/views", { mode: "no-cors" }), await ask("/api/views/vehicles"), await ask("/api/why", { credentials: "include" })];
      await ask("/login", { method: "POST", mode: "no-cors", body: "token=x" });
      return texts;
    }, origin);
    assert.deepEqual(tried, ["", "", ""]);
    assert.ok(statuses.length >= 2 && statuses.every((status) => status === 403), String(statuses));
    await page.context().close();
    foreign.close();
  });

  await check("elsewhere the token is asked for once, and the sentence names a partition that is paused", async () => {
    const town = await Town.start(program, join(folder, "town"), await freePort(2));
    try {
      await until("it answers", 20, async () => (await town.get("/api/why")).status === 401);
      for (const path of ["/api/views", "/api/explain?target=x", "/metrics/../api/history"]) assert.equal((await town.get(path)).status, 401, path);
      assert.equal((await town.get("/api/why", { authorization: `Bearer ${town.token}` })).status, 200);
      const page = await (await browser.newContext({ viewport: { width: 1024, height: 700 } })).newPage();
      await page.goto(town.origin);
      await page.fill("#token", "a wrong token of some length");
      await page.press("#token", "Enter");
      await page.fill("#token", town.token);
      await page.press("#token", "Enter");
      await until("the page draws its vehicles", 20, async () => (await held(page).catch(() => ({}))).movers === 2);
      const [cookie] = await page.context().cookies();
      assert.ok(cookie.httpOnly && cookie.sameSite === "Strict" && cookie.value !== town.token, JSON.stringify(cookie));
      const other = await (await browser.newContext()).newPage();
      await other.goto(`${town.origin}/?token=${town.token}`);
      assert.equal(other.url(), `${town.origin}/`, "the address does not keep the token");
      await other.context().close();
      const sentence = page.locator("#sentence");
      await until("nothing holds it back", 15, async () => /windows before .* are final|Waiting for every/.test(await sentence.textContent()));
      town.paused = true;
      await until("the sentence names it", 15, async () => /^Gps\/1 holds the horizon back: it has delivered nothing for \d+ s/.test(await sentence.textContent()));
      assert.match(await page.locator("#strip .held").textContent(), /Horizon/);
      town.paused = false;
      await until("it is over", 10, async () => !/holds the horizon back/.test(await sentence.textContent()));
      await town.end();
      const { epoch } = await held(page);
      town.spawn("launch", "-n", "2", "-w", "2");
      await until("the page goes on with two processes of two workers", 40, async () => {
        const now = await held(page);
        return now.epoch > epoch + 4 && now.movers === 2 && (await page.locator("#status").textContent()).includes("live");
      });
      const metrics = await (await town.get("/metrics", { authorization: `Bearer ${town.token}` })).text();
      assert.equal(metrics.match(/^citystream_worker_cpu_seconds_total\{/gm)?.length, 2, "process 0 has two workers");
      await page.context().close();
    } finally {
      await town.stop();
    }
  });

  await check("another host's name, another view and a post are refused", async () => {
    const { request } = await import("node:http");
    const status = (options) =>
      new Promise((done) => request({ host: "127.0.0.1", port, ...options }, (answer) => done(answer.resume().statusCode)).end());
    assert.equal(await status({ path: "/api/views", headers: { host: "evil.test" } }), 403);
    assert.equal(await status({ path: "/api/views/nothing" }), 404);
    assert.equal(await status({ path: "/api/views", method: "POST" }), 405);
    assert.equal(await status({ path: "/api/views", method: "POST", headers: { origin: "http://evil.test" } }), 403);
    assert.match((await get("/")).headers.get("content-security-policy"), /default-src 'none'/);
  });

  await check("without WebGL the map is drawn flat, on a phone, in the dark", async () => {
    const phone = { viewport: { width: 390, height: 844 }, colorScheme: "dark", deviceScaleFactor: pictures ? 2 : 1 };
    const flat = await open(browser, "/?flat", phone);
    await until("vehicles are drawn", 5, async () => (await drawn(flat)).pixels > 1000);
    assert.equal(await flat.locator("canvas.maplibregl-canvas").count(), 0);
    const accent = () =>
      flat.evaluate(() => {
        const canvas = document.querySelector("#map canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const is = (at) => Math.abs(data[at] - 79) + Math.abs(data[at + 1] - 195) + Math.abs(data[at + 2] - 217) < 60;
        return Array.from({ length: data.length / 4 }, (_, i) => 4 * i).filter(is).length;
      });
    await until("the area of the standing view is outlined", 10, async () => (await accent()) > 20);
    const wide = await flat.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `it is ${wide} px wide`);
    await pause(pictures ? 4000 : 0);
    if (pictures) await flat.screenshot({ path: join(pictures, "page-phone.png") });
    assert.deepEqual(flat.wrong, []);
    await flat.context().close();
  });

  if (pictures) await picture(browser);

  await check("after a restart with more workers the page goes on by itself", async () => {
    run.page.isDown = true;
    await stop();
    const says = async (text) => (await run.page.locator("#status").textContent()).includes(text);
    await until("the page says so", 10, () => says("trying again"));
    const { epoch } = await held(run.page);
    start("--workers", "2");
    await until("the page goes on", 25, async () => {
      const now = await held(run.page);
      return now.epoch > epoch + 4 && now.movers > 0 && says("live");
    });
    const { claim, epoch: last } = await (await get("/api/views")).json();
    assert.ok(claim > 0 && last > epoch, "the run is another one");
    assert.deepEqual(run.page.wrong, []);
  });
}

async function picture(browser) {
  for (const [name, colorScheme] of [["page", "light"], ["page-dark", "dark"]]) {
    const page = await open(browser, "/", { viewport: { width: 1440, height: 900 }, colorScheme });
    await pause(5000);
    await page.screenshot({ path: join(pictures, `${name}.png`) });
    await page.context().close();
  }
}

const flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"];
const browser = await chromium.launch({ executablePath, args: flags });
let failed = 0;
try {
  start();
  await run(browser);
  await stop();
} catch (error) {
  failed = 1;
  console.error(error, run.page?.wrong, demo?.said?.slice(-500));
  demo?.kill("SIGKILL");
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed);
