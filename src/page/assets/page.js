// The page: the stream of views, drawn on a map and listed beside it, under the strip of the pipeline.

import { flatMap } from "./canvas.js";
import { MOST, Movers, draw } from "./movers.js";
import { bounds } from "./shapes.js";
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
const showTables = tables((place) => map?.go(place));

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
  for (const name of ["vehicles", "cells", "incidents", "clusters"]) by(`total-${name}`).textContent = count(city.views[name].size);
  by("status-text").textContent = `live, epoch ${count(city.epoch)}`;
  if (!isFitted && cells.size > 5 && map) {
    map.fit(bounds([...cells.values()].flatMap((row) => row.outline)));
    isFitted = cells.size > 20;
  }
  map?.show(city, ramp);
  showTables(city, performance.now());
}

async function begin() {
  const hasGl = ["webgl2", "webgl"].some((kind) => document.createElement("canvas").getContext(kind));
  const flat = new URLSearchParams(location.search).has("flat");
  if (hasGl && !flat) map = await import("./map.js").then(({ glMap }) => glMap(by("map"), colours));
  map ??= flatMap(by("map"), colours);
  const city = follow({ seen, status });
  keepStrip(by("strip"), by("sentence"), city);
  const frame = (now) => {
    const shown = draw(by("overlay"), map.project, { movers, city, ramp, colours, now });
    if (city.epoch != null) note(shown > MOST ? `${count(shown)} vehicles in sight: come nearer to see them` : null);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = palette();
    ramp = rampOf(colours);
    map.recolour(colours);
    map.show(city, ramp);
  });
  // For tests: what the page holds.
  window.citystream = { city, movers, map };
}

begin();
