// The page: the stream of views, drawn on a map and listed beside it, under the strip of the pipeline.

import { ask } from "./ask.js";
import { keepAsked } from "./asked.js";
import { flatMap } from "./canvas.js";
import { keepCharts } from "./charts.js";
import { Detail } from "./detail.js";
import { read, write } from "./link.js";
import { MOST, Movers, draw } from "./movers.js";
import { pick } from "./pick.js";
import { bounds, placeOf } from "./shapes.js";
import { follow } from "./stream.js";
import { keepStrip } from "./strip.js";
import { tables } from "./tables.js";
import { count, palette, rampOf } from "./words.js";

const by = (id) => document.getElementById(id);
const movers = new Movers();
let colours = palette();
let ramp = rampOf(colours);
let isFitted = false;
let map = null;
let detail = null;
let shows = 0;
/** Something that an address names, until it is there. */
let wanted = read();
const showTables = tables(({ place, box, about }) => {
  if (place) map?.go(place);
  if (box) map?.fit(box);
  show(...about);
});

/** Shows a row, wherever it is; what was asked for last wins. */
async function show(view, key) {
  const turn = (shows += 1);
  if (!detail || detail.open(view, key)) return;
  const row = (await everywhere([view]))[view]?.get(key);
  if (turn !== shows) return;
  if (!row) return detail.gone(view, key);
  const place = placeOf(row);
  if (place) map.go(place);
  detail.open(view, key, row);
}

const STATUS = {
  live: "live",
  lost: "no connection, trying again",
  off: "no live views here",
};

function status(is) {
  document.body.classList.toggle("live", is === "live");
  document.body.classList.toggle("lost", is !== "live");
  if (is !== "live") by("status-text").textContent = STATUS[is];
  note(is === "off" ? "Live views are off. Process 0 shows them when it is started with --live on." : null);
}

function note(text) {
  by("note").hidden = !text;
  by("note").textContent = text ?? "";
}

function seen(city, changed) {
  const { vehicles, cells } = city.views;
  movers.take(vehicles, changed.vehicles, cells, performance.now());
  for (const name of ["vehicles", "cells", "incidents", "clusters"]) by(`total-${name}`).textContent = count(city.rows?.[name] ?? city.views[name].size);
  by("status-text").textContent = `live, epoch ${count(city.epoch)}`;
  if (!isFitted && cells.size > 5 && map) {
    if (!wanted?.place) map.fit(bounds([...cells.values()].flatMap((row) => row.outline)));
    isFitted = cells.size > 20 || Boolean(wanted?.place);
  }
  if (wanted?.key && detail?.open(wanted.view, wanted.key)) wanted = { ...wanted, key: null };
  map?.show(city, ramp);
  showTables(city, performance.now());
}

/** How long the map rests before what is in sight is asked for. */
const SETTLED_MS = 400;

/** Does something once it has not been asked to for a while. */
function later(time, act) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, time);
  };
}

/** A box and a quarter of it on each side: what comes into sight next is there already. */
function wider([west, south, east, north]) {
  const [across, up] = [(east - west) / 4, (north - south) / 4];
  return [Math.max(west - across, -180), Math.max(south - up, -90), Math.min(east + across, 180), Math.min(north + up, 90)];
}

/** Finds a row by its key, or the beginning of one: in sight, or else anywhere. */
function keepSearch(form, city) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = form.elements.text.value.trim().toLowerCase();
    const found = text ? (search(city.views, text) ?? search(await everywhere(), text)) : null;
    form.elements.text.classList.toggle("none", !found);
    if (!found) return;
    const [view, key, row] = found;
    if (row.at) map.go(row.at);
    detail.open(view, key, row);
  });
}

const SEARCHED = ["vehicles", "incidents", "cells"];

async function everywhere(names = SEARCHED) {
  const found = await ask(`/api/views/${names.join(",")}`);
  return Object.fromEntries(Object.entries(found?.views ?? {}).map(([name, rows]) => [name, new Map(Object.entries(rows))]));
}

function search(views, text) {
  for (const fits of [(key) => key === text, (key) => key.startsWith(text), (key) => key.includes(text)]) {
    for (const view of SEARCHED) for (const [key, row] of views[view] ?? []) if (fits(key.toLowerCase())) return [view, key, row];
  }
  return null;
}

/** Waits for the first paint, of a page that is seen: what takes long to begin does not hold it up. */
const painted = () => new Promise((done) => (document.hidden ? done() : requestAnimationFrame(() => setTimeout(done))));

async function begin() {
  await painted();
  const hasGl = ["webgl2", "webgl"].some((kind) => document.createElement("canvas").getContext(kind));
  const flat = new URLSearchParams(location.search).has("flat");
  if (hasGl && !flat) map = await import("./map.js").then(({ glMap }) => glMap(by("map"), colours));
  map ??= flatMap(by("map"), colours);
  if (wanted.place) map.jump(wanted.place, wanted.zoom);
  const city = follow({ seen, status });
  keepStrip(by("strip"), by("sentence"), city);
  keepAsked(city, () => map.show(city, ramp));
  const charts = keepCharts(by("charts"), colours);
  detail = new Detail(by("detail"), city, map.go);
  const moved = later(SETTLED_MS, () => {
    const { place, zoom, box } = map.sight();
    write({ place, zoom });
    city.within(wider(box));
  });
  map.moved(() => isFitted && moved());
  map.clicked((point) => {
    const found = pick(point, map.project, city, movers);
    if (found) detail.open(...found);
  });
  keepSearch(by("find"), city);
  const frame = (now) => {
    const shown = draw(by("overlay"), map.project, { movers, city, ramp, colours, now });
    const crowd = city.crowded ?? (shown > MOST ? shown : null);
    if (city.epoch != null) note(crowd ? `${count(crowd)} vehicles in sight: come nearer to see them` : null);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = palette();
    ramp = rampOf(colours);
    map.recolour(colours);
    charts.recolour(colours);
    map.show(city, ramp);
  });
  // For tests: what the page holds.
  window.citystream = { city, movers, map, charts };
}

begin();
