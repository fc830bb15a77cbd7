// What is behind something that was clicked: its row as the map shows it, and from the lake the row that was derived, how it came to
// stand so, and the records behind it.

import { ask } from "./ask.js";
import { placeOf } from "./shapes.js";
import { cellName } from "./words.js";
import { write } from "./link.js";

const WINDOW_MS = 5 * 60 * 1000;
/** What is not committed yet is asked for again. */
const AGAIN_MS = 3000;
const TRIES = 3;
/** Fields of rows that say nothing to people. */
const UNSAID = ["outline", "box", "head_at", "tail_at"];
/** Rows of a standing view that are listed. */
const LISTED = 50;

const TITLES = { vehicles: "Vehicle", cells: "Cell", incidents: "Incident", clusters: "Congestion from", worst: "Cell", standing: "Standing view" };

/** The rows of the lake that may be behind a row of a view: the first that is there is explained. */
function targets(view, key, row, city) {
  if (view === "vehicles") return [`enriched_pings:${row.source.join("/")}`, `gps/${row.source.join("/")}`];
  if (view === "incidents") return [`incidents:${row.incident}/${row.source.join("/")}`, `emergency/${row.source.join("/")}`];
  const cell = { cells: key, clusters: row.head, worst: row.cell }[view];
  if (!cell) return [];
  const last = [...city.views.vehicles.values()].reduce((latest, { time }) => (time > latest ? time : latest), city.horizon ?? "");
  const start = Math.floor(Date.parse(last) / WINDOW_MS) * WINDOW_MS;
  return Number.isNaN(start) ? [] : [0, 1, 2, 3].map((back) => `traffic_5m:${BigInt(`0x${cell}`)}/${start - back * WINDOW_MS}000`);
}

/** Cells are numbers that a browser would round: they stay as they are written. */
const exact = (text) => JSON.parse(text, (_, value, { source } = {}) => (Number.isInteger(value) && !Number.isSafeInteger(value) && source ? source : value));

const element = (name, text, kind) => Object.assign(document.createElement(name), { textContent: text ?? "", className: kind ?? "" });

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Fields as a list of names and values. */
function fields(row, only = null) {
  const list = document.createElement("dl");
  for (const [name, value] of Object.entries(row)) {
    if (UNSAID.includes(name) || value === null || (only && !only.includes(name))) continue;
    const item = document.createElement("div");
    item.append(element("dt", name.replaceAll("_", " ")), element("dd", shown(value)));
    list.append(item);
  }
  return list;
}

export class Detail {
  constructor(panel, city, go) {
    Object.assign(this, { panel, city, go, asked: 0, opener: null });
    this.panel.querySelector(".close").addEventListener("click", () => this.close());
    this.panel.querySelector(".copy").addEventListener("click", (event) => this.copy(event.target));
    document.addEventListener("keydown", (event) => event.key === "Escape" && !this.panel.hidden && this.close());
  }

  /** Shows a row; false if there is none of that name. */
  open(view, key, row = this.city.views[view]?.get(key)) {
    if (!row) return false;
    const name = view === "clusters" ? cellName(row.head) : view === "worst" ? cellName(row.cell) : view === "cells" ? cellName(key) : (row.incident ?? key);
    const now = element("section");
    now.append(element("h3", `Now, at epoch ${this.city.epoch}`), fields(row));
    this.sources = element("section", "", "sources");
    this.sources.append(element("h3", "Behind it"), element("p", "Looking it up in the lake …"));
    this.unfold(view, name, now, this.sources);
    write({ view, key });
    if (view === "standing") this.list(key, row.of);
    else this.ask(targets(view, key, row, this.city));
    return true;
  }

  /** Says that what was asked for is not there any more. */
  gone(view, key) {
    this.unfold(view, key, element("p", "It is not there any more."));
  }

  unfold(view, name, ...parts) {
    // A button in the panel goes with what it opens.
    if (!this.panel.contains(document.activeElement)) this.opener = document.activeElement;
    this.panel.hidden = false;
    this.panel.querySelector("h2").textContent = `${TITLES[view] ?? view} ${name}`;
    this.panel.querySelector(".body").replaceChildren(...parts);
    this.panel.focus({ preventScroll: true });
  }

  /** The rows of a standing view, each of which leads to itself. */
  async list(name, of) {
    const asked = ++this.asked;
    const found = await ask(`/api/views/${encodeURIComponent(name)}`);
    if (asked !== this.asked) return;
    if (!found) return this.say("It cannot be read now: the run, or the view, has gone.");
    const rows = Object.entries(found.views[name]);
    const all = element("ul", "", "listed");
    for (const [key, row] of rows.slice(0, LISTED)) {
      const button = Object.assign(element("button", of === "cells" ? cellName(key) : key), { type: "button" });
      button.addEventListener("click", () => {
        const place = placeOf(row);
        if (place) this.go(place);
        this.open(of, key, row);
      });
      all.appendChild(document.createElement("li")).append(button);
    }
    const more = rows.length > LISTED ? [element("p", `and ${rows.length - LISTED} more: /api/views/${name}`)] : [];
    this.sources.replaceChildren(element("h3", rows.length ? "Its rows" : "It has no rows"), all, ...more);
  }

  close() {
    this.asked += 1;
    this.panel.hidden = true;
    write({ view: null, key: null });
    this.opener?.focus?.({ preventScroll: true });
  }

  async copy(button) {
    await navigator.clipboard?.writeText(location.href).catch(() => null);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy link"), 1500);
  }

  async ask(wanted) {
    const asked = ++this.asked;
    const query = wanted.map((target) => `target=${encodeURIComponent(target)}`).join("&");
    for (let tried = 0; tried < TRIES && wanted.length; tried += 1) {
      const answer = await fetch(`/api/explain?${query}`).catch(() => null);
      if (asked !== this.asked) return;
      const found = answer?.ok ? exact(await answer.text()) : null;
      if (found) return this.explain(found);
      if (answer && !answer.ok && answer.status !== 503) return this.say(await answer.text());
      await new Promise((done) => setTimeout(done, AGAIN_MS));
      if (asked !== this.asked) return;
    }
    this.say(wanted.length ? "It is not in the lake yet: what the map shows is ahead of the commits." : "This row is made of others.");
  }

  say(text) {
    this.sources.replaceChildren(element("h3", "Behind it"), element("p", text));
  }

  explain({ target, says, row, revisions, behind, records, rederived, gone }) {
    const parts = [element("h3", `In the lake: ${target}`)];
    if (says) parts.push(element("p", says));
    if (rederived !== null) parts.push(element("p", rederived ? "Derived once more from these records: the same row." : "Derived once more from these records: ANOTHER ROW."));
    for (const { table, date, commit } of gone) parts.push(element("p", `Gone: rows of ${table} of ${date}, kept no longer since commit ${commit}.`));
    if (row) parts.push(folded("The row", fields(row)));
    const corrections = revisions.length - 1;
    const history = element("ol", "", "revisions");
    history.append(...revisions.map(revision));
    parts.push(element("h3", corrections > 0 ? `${corrections} correction${corrections > 1 ? "s" : ""}` : "No corrections"), history);
    parts.push(element("h3", `Records: ${behind.map(([table, rows]) => `${rows} of ${table}`).join(", ") || "none"}`));
    parts.push(...records.map((record) => folded(`${record.at}, commit ${record.seq}`, fields(record.row))));
    this.sources.replaceChildren(...parts);
  }
}

function folded(title, content) {
  const details = document.createElement("details");
  details.append(element("summary", title), content);
  return details;
}

function revision({ seq, row, changed, because_of: because }, i) {
  const item = document.createElement("li");
  const what = !row ? "it went" : i === 0 ? "it appeared" : `changed: ${changed.map((name) => `${name.replaceAll("_", " ")} ${shown(row[name])}`).join(", ") || "nothing"}`;
  item.append(element("b", `Commit ${seq} `), element("span", what));
  if (because.length) item.append(element("small", `because of ${because.join(", ")}`));
  return item;
}
