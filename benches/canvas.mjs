// When each vehicle is drawn on the page: `node canvas.mjs PORT CHROMIUM BOX`, for latency.py. Prints "ready" once the page follows the
// box, and after a line on its input all that was drawn, as JSON: vehicle to seconds since 1970.

import { once } from "node:events";
import { chromium } from "playwright-core";

const [port, executablePath, box] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
const [west, south, east, north] = box.split(",").map(Number);
await page.goto(`http://127.0.0.1:${port}/?flat#at=${(west + east) / 2},${(south + north) / 2}&zoom=11`);
await page.waitForFunction(() => window.citystream?.city.epoch);
await page.evaluate((box) => {
  const { city, movers, map } = window.citystream;
  city.within(box);
  const drawn = (window.drawn = {});
  // What is there before a frame of the browser is drawn in it.
  const look = () => {
    for (const [key, { to }] of movers.byKey) {
      if (!(key in drawn) && map.project(to).every((at) => at > 0)) drawn[key] = (performance.timeOrigin + performance.now()) / 1000;
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, [west, south, east, north]);
console.log("ready");
await once(process.stdin, "data");
console.log(JSON.stringify(await page.evaluate(() => window.drawn)));
await browser.close();
process.exit(0);
