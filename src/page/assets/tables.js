// The tables beside the map: open incidents, connected congestion, slowest cells. A row leads to its place on the map.

import { cellName, minute } from "./words.js";

const ROWS = 8;

function cell(content, isNumber) {
  const element = document.createElement("td");
  element.append(content);
  if (isNumber) element.className = "number";
  return element;
}

function link(text, place, go) {
  const button = document.createElement("button");
  button.textContent = text;
  button.type = "button";
  button.addEventListener("click", () => go(place));
  return button;
}

function bar(ratio) {
  const element = document.createElement("span");
  element.innerHTML = `<span class="bar"><i style="width:${Math.round(Math.min(ratio, 1) * 100)}%"></i></span>`;
  element.append(`${Math.round(ratio * 100)} %`);
  return element;
}

/** Rows are made anew only where they are others, so that focus stays. */
function fill(body, rows, none) {
  const text = JSON.stringify(rows.map((row) => row.text));
  if (body.dataset.text === text) return;
  body.dataset.text = text;
  const made = rows.map(({ cells }) => {
    const row = document.createElement("tr");
    row.append(...cells());
    return row;
  });
  if (!made.length) {
    const row = document.createElement("tr");
    row.className = "empty";
    row.append(cell(none));
    made.push(row);
  }
  const focused = [...body.querySelectorAll("button")].indexOf(document.activeElement);
  body.replaceChildren(...made);
  if (focused >= 0) body.querySelectorAll("button")[Math.min(focused, rows.length - 1)]?.focus();
}

/** Shows the tables of a city. */
export function showTables(city, go) {
  const { incidents, clusters, worst, cells } = city.views;
  const newest = [...incidents.values()].sort((a, b) => (a.since < b.since ? 1 : -1)).slice(0, ROWS);
  const incident = (row) => {
    const what = [row.kind ?? "Incident", row.severity].filter(Boolean).join(", ");
    const help = row.responded ? minute(row.responded) : "none yet";
    return { text: [what, row.since, help], cells: () => [cell(link(what, row.at, go)), cell(minute(row.since)), cell(help)] };
  };
  fill(document.getElementById("incidents"), newest.map(incident), "None.");

  const largest = [...clusters.values()].sort((a, b) => b.cells - a.cells).slice(0, ROWS);
  const cluster = (row) => {
    const name = `${cellName(row.head)} to ${cellName(row.tail)}`;
    const since = minute(row.since);
    return { text: [name, row.cells, since], cells: () => [cell(link(name, row.head_at, go)), cell(row.cells, true), cell(since)] };
  };
  fill(document.getElementById("clusters"), largest.map(cluster), "No two congested cells touch.");

  const ranked = [...worst.entries()].sort((a, b) => a[0] - b[0]).map(([, row]) => row).slice(0, ROWS);
  const slow = (row) => {
    const held = cells.get(row.cell);
    const [speed, vehicles] = [held?.closed ? "closed" : (held?.speed_kmh ?? "–"), held?.vehicles ?? 0];
    const make = () => [cell(link(cellName(row.cell), row.at, go)), cell(speed, true), cell(bar(row.ratio), true), cell(vehicles, true)];
    return { text: [row.cell, speed, row.ratio, vehicles], cells: make };
  };
  fill(document.getElementById("worst"), ranked.map(slow), "No traffic records yet.");
}
