// The tables beside the map: open incidents, connected congestion, slowest cells. A row leads to its place on the map.

import { cellName, minute } from "./words.js";

const ROWS = 6;
/** Once a second is often enough to read, and to reach what one wants to press. */
const EVERY_MS = 1000;

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
      button.addEventListener("click", () => row.place && go(row.place));
    });
  }

  set(row, { place, texts } = {}) {
    row.place = place;
    row.classList.toggle("empty", !place);
    const [first, ...others] = row.cells;
    write(first.firstChild, place ? texts[0] : this.none);
    first.firstChild.disabled = !place;
    others.forEach((cell, i) => write(cell, place ? texts[i + 1] : ""));
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
  let next = 0;
  return ({ views }, now) => {
    if (now < next) return;
    next = now + EVERY_MS;
    incidents.fill(newest(views.incidents), go);
    clusters.fill(largest(views.clusters), go);
    worst.fill(slowest(views.worst, views.cells), go);
  };
}

function newest(rows) {
  const sorted = [...rows.values()].sort((one, other) => (one.since < other.since ? 1 : -1)).slice(0, ROWS);
  return sorted.map((row) => {
    const what = [row.kind ?? "Incident", row.severity].filter(Boolean).join(", ");
    return { place: row.at, texts: [what, minute(row.since), row.responded ? minute(row.responded) : "none yet"] };
  });
}

function largest(rows) {
  const sorted = [...rows.values()].sort((one, other) => other.cells - one.cells).slice(0, ROWS);
  const name = (row) => `${cellName(row.head)} to ${cellName(row.tail)}`;
  return sorted.map((row) => ({ place: row.head_at, texts: [name(row), row.cells, minute(row.since)] }));
}

function slowest(rows, cells) {
  const ranked = [...rows].sort(([one], [other]) => one - other).map(([, row]) => row).slice(0, ROWS);
  return ranked.map((row) => {
    const cell = cells.get(row.cell);
    const speed = cell?.closed ? "closed" : (cell?.speed_kmh ?? "–");
    return { place: row.at, texts: [cellName(row.cell), speed, { share: row.ratio }, cell?.vehicles ?? 0] };
  });
}
