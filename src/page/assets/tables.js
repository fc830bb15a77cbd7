// The tables beside the map: alerts, standing views, open incidents, connected congestion, slowest cells. A row leads to its place on the map.

import { ask } from "./ask.js";
import { alertAt, viewOf } from "./asked.js";
import { cellName, count, minute } from "./words.js";

const ROWS = 6;
/** Once a second is often enough to read, and to reach what one wants to press. */
const EVERY_MS = 1000;
const DEAD_EVERY_MS = 30000;
/** Letters of a payload that are shown. */
const LONG = 160;

/** Rows stay where they are and change their texts, so that what one points at, or has the focus, is not taken away. */
class Table {
  constructor(id, isNumber, none) {
    Object.assign(this, { body: document.getElementById(id), isNumber, none });
  }

  fill(rows, go) {
    const wanted = Math.max(rows.length, 1);
    while (this.body.rows.length > wanted) this.body.deleteRow(-1);
    while (this.body.rows.length < wanted) this.add(go);
    [...this.body.rows].forEach((row, i) => this.set(row, rows[i]));
  }

  add(go) {
    const row = this.body.insertRow();
    this.isNumber.forEach((isNumber, i) => {
      const cell = row.insertCell();
      if (isNumber) cell.className = "number";
      if (i > 0) return;
      const button = cell.appendChild(document.createElement("button"));
      button.type = "button";
      button.addEventListener("click", () => row.about && go(row));
    });
  }

  set(row, { place, box, about, texts } = {}) {
    Object.assign(row, { place, box, about });
    row.classList.toggle("empty", !texts);
    const [first, ...others] = row.cells;
    write(first.firstChild, texts?.[0] ?? this.none);
    first.firstChild.disabled = !about;
    others.forEach((cell, i) => write(cell, texts?.[i + 1] ?? ""));
  }
}

/** A text, or a share of one as a bar and a number. */
function write(element, value) {
  const text = typeof value === "object" ? `${Math.round(value.share * 100)} %` : String(value);
  if (element.textContent === text) return;
  element.textContent = text;
  if (typeof value !== "object") return;
  const bar = document.createElement("span");
  bar.className = "bar";
  bar.appendChild(document.createElement("i")).style.width = `${Math.min(value.share, 1) * 100}%`;
  element.prepend(bar);
}

/** What shows the tables of a city. */
export function tables(go) {
  const incidents = new Table("incidents", [false, false, false], "None.");
  const clusters = new Table("clusters", [false, true, false], "No two congested cells touch.");
  const worst = new Table("worst", [false, true, true], "No traffic records yet.");
  const alerts = new Table("alerts", [false, false], "None.");
  const standing = new Table("standing", [false, true], "None.");
  const dead = new DeadLetters(document.getElementById("dead-letters"));
  let next = 0;
  return (city, now) => {
    if (now < next) return;
    next = now + EVERY_MS;
    const { views } = city;
    dead.look(now);
    appear(alerts, alerted(city), go);
    appear(standing, asked(views.standing), go);
    incidents.fill(newest(views.incidents), go);
    clusters.fill(largest(views.clusters), go);
    worst.fill(slowest(views.worst), go);
  };
}

/** Fills a table that is not there where there never was anything for it. */
function appear(table, rows, go) {
  if (rows.length) table.body.closest("section").hidden = false;
  table.fill(rows, go);
}

/** Alerts that are raised, the newest first, then who is silent, then what is over. */
function alerted(city) {
  const { raised, cleared, silent } = city.alerts;
  const row = (isOver) => (alert) => {
    const { view, key, since } = alert;
    const texts = [`${alert.alert}: ${named(viewOf(city, view), key)}`, isOver ? "over" : minute(since)];
    return { place: alertAt(city, alert), about: [viewOf(city, view), key], texts };
  };
  // A topic is not on the map.
  const quiet = silent.map((alert) => {
    const about = alert.view && [viewOf(city, alert.view), alert.key];
    return { place: about && alertAt(city, alert), about, texts: [`${alert.alert}: ${alert.key}`, "silent"] };
  });
  const latest = [...raised].sort((one, other) => (one.since < other.since ? 1 : -1));
  return [...latest.map(row(false)), ...quiet, ...cleared.map(row(true))].slice(0, ROWS);
}

/** What an alert is about, in short. */
const SHORT = { cells: cellName, clusters: cellName, incidents: (key) => key.slice(0, 8) };
const named = (view, key) => SHORT[view]?.(key) ?? key;

function asked(rows) {
  return [...rows].map(([name, row]) => ({ box: row.box, about: ["standing", name], texts: [`${name}: ${row.asks}`, row.rows] }));
}

/** What could not be read, from the lake: asked for when there is more of it, and seldom. */
class DeadLetters {
  constructor(body) {
    Object.assign(this, { body, next: 0 });
  }

  async look(now) {
    if (now < this.next) return;
    this.next = now + DEAD_EVERY_MS;
    const reasons = await ask("/api/dead-letters");
    if (reasons?.length) this.body.replaceChildren(...reasons.map(deadLetter));
  }
}

function deadLetter({ reason, meaning, count: records, examples }) {
  const row = document.createElement("tr");
  const last = examples.at(-1);
  const payload = (last?.payload ?? "").slice(0, LONG);
  const texts = [reason.replaceAll("_", " "), count(records), last ? `${last.at}: ${[last.detail, payload].filter(Boolean).join("; ")}` : ""];
  texts.forEach((text, i) => {
    const cell = row.insertCell();
    cell.textContent = text;
    if (i === 1) cell.className = "number";
  });
  row.title = `A record that ${meaning}`;
  return row;
}

function newest(rows) {
  const sorted = [...rows].sort(([, one], [, other]) => (one.since < other.since ? 1 : -1)).slice(0, ROWS);
  return sorted.map(([key, row]) => {
    const what = [row.kind ?? "Incident", row.severity].filter(Boolean).join(", ");
    return { place: row.at, about: ["incidents", key], texts: [what, minute(row.since), row.responded ? minute(row.responded) : "none yet"] };
  });
}

function largest(rows) {
  const sorted = [...rows].sort(([, one], [, other]) => other.cells - one.cells).slice(0, ROWS);
  const name = (row) => `${cellName(row.head)} to ${cellName(row.tail)}`;
  return sorted.map(([key, row]) => ({ place: row.head_at, about: ["clusters", key], texts: [name(row), row.cells, minute(row.since)] }));
}

function slowest(rows) {
  const ranked = [...rows].sort(([one], [other]) => one - other).map(([, row]) => row).slice(0, ROWS);
  return ranked.map((row) => {
    return { place: row.at, about: ["cells", row.cell], texts: [cellName(row.cell), row.closed ? "closed" : row.speed_kmh, { share: row.ratio }] };
  });
}
