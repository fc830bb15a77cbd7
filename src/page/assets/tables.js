// The tables beside the map: open incidents, connected congestion, slowest cells. A row leads to its place on the map.

import { cellName, count, minute } from "./words.js";

const ROWS = 6;
/** Once a second is often enough to read, and to reach what one wants to press. */
const EVERY_MS = 1000;
const DEAD_EVERY_MS = 30000;
const ALERTS_EVERY_MS = 2000;
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

  set(row, { place, about, texts } = {}) {
    Object.assign(row, { place, about });
    row.classList.toggle("empty", !about);
    const [first, ...others] = row.cells;
    write(first.firstChild, about ? texts[0] : this.none);
    first.firstChild.disabled = !about;
    others.forEach((cell, i) => write(cell, about ? texts[i + 1] : ""));
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
  const worst = new Table("worst", [false, true, true, true], "No traffic records yet.");
  const alerts = new Alerts(go);
  const dead = new DeadLetters(document.getElementById("dead-letters"));
  let next = 0;
  return ({ views }, now) => {
    if (now < next) return;
    next = now + EVERY_MS;
    dead.look(now);
    alerts.look(now);
    incidents.fill(newest(views.incidents), go);
    clusters.fill(largest(views.clusters), go);
    worst.fill(slowest(views.worst, views.cells), go);
  };
}

/** Alerts as of the last commit: those that are raised, then those that are over. Nothing is shown where there never was one. */
class Alerts {
  constructor(go) {
    Object.assign(this, { go, next: 0, table: new Table("alerts", [false, false], "None.") });
  }

  async look(now) {
    if (now < this.next) return;
    this.next = now + ALERTS_EVERY_MS;
    const answer = await fetch("/api/alerts").catch(() => null);
    if (!answer?.ok) return;
    const { raised, cleared, silent } = await answer.json();
    const shown = [...raised.map((alert) => this.row(alert, "")), ...cleared.map((alert) => this.row(alert, " (over)"))].slice(0, ROWS);
    if (shown.length || silent.length) this.table.body.closest("section").hidden = false;
    this.table.fill(shown, this.go);
  }

  row({ alert, view, key, since }, suffix) {
    return { place: null, about: [view, key], texts: [`${alert}: ${key}${suffix}`, minute(since)] };
  }
}

/** What could not be read, from the lake: asked for when there is more of it, and seldom. */
class DeadLetters {
  constructor(body) {
    Object.assign(this, { body, next: 0 });
  }

  async look(now) {
    if (now < this.next) return;
    this.next = now + DEAD_EVERY_MS;
    const answer = await fetch("/api/dead-letters").catch(() => null);
    if (!answer?.ok) return;
    const reasons = await answer.json();
    if (reasons.length) this.body.replaceChildren(...reasons.map(deadLetter));
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

function slowest(rows, cells) {
  const ranked = [...rows].sort(([one], [other]) => one - other).map(([, row]) => row).slice(0, ROWS);
  return ranked.map((row) => {
    const cell = cells.get(row.cell);
    const speed = cell?.closed ? "closed" : (cell?.speed_kmh ?? "–");
    return { place: row.at, about: ["cells", row.cell], texts: [cellName(row.cell), speed, { share: row.ratio }, cell?.vehicles ?? 0] };
  });
}
