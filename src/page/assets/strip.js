// The pipeline in six stages, from what /metrics tells: topics, read, epoch, horizon, commit, tables.

import { bytes, clock, count, span } from "./words.js";

const EVERY_MS = 1000;
const STAGES = ["Topics", "Read", "Epoch", "Horizon", "Commit", "Tables"];

/** Samples of the exposition format: name, labels, value. */
export function samples(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = /^(\w+)(?:\{(.*)\})? ([-+.\w]+)$/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    found.push({ name: match[1].replace(/^citystream_/, ""), labels, value: Number(match[3]) });
  }
  return found;
}

/** Keeps the strip and the sentence. */
export function keepStrip(list, sentence, city) {
  const items = STAGES.map((stage) => {
    const item = document.createElement("li");
    item.innerHTML = `<div class="stage">${stage}</div><div class="value">–</div><div class="detail">&nbsp;</div>`;
    list.append(item);
    return item;
  });
  const hold = (stage, causes) => {
    const item = items[STAGES.indexOf(stage)];
    item.classList.toggle("held", causes.length > 0);
    if (causes.length) item.title = causes.map(({ says }) => says).join("; ");
  };
  const set = (stage, value, detail) => {
    const item = items[STAGES.indexOf(stage)];
    item.querySelector(".value").textContent = value;
    item.querySelector(".detail").textContent = detail;
    item.title = `${stage}: ${value}, ${detail}`;
  };
  const rates = new Rates();
  const look = async () => {
    const [answer, why] = await Promise.all(["/metrics", "/api/why"].map((path) => fetch(path).catch(() => null)));
    if (answer?.ok && why?.ok) show(new Seen(samples(await answer.text())), await why.json(), rates, { set, hold }, sentence, city);
    setTimeout(look, EVERY_MS);
  };
  look();
}

/** What a look has found. */
class Seen {
  constructor(all) {
    this.all = all;
  }

  of(name, labels = {}) {
    return this.all.filter((it) => it.name === name && Object.entries(labels).every(([key, value]) => it.labels[key] === value));
  }

  sum(name, labels) {
    return this.of(name, labels).reduce((sum, it) => sum + it.value, 0);
  }

  most(name) {
    return Math.max(0, ...this.of(name).map((it) => it.value));
  }
}

/** How fast counters rise over the last looks, and since when a value is what it is. */
class Rates {
  constructor() {
    this.held = new Map();
    this.since = new Map();
  }

  of(name, value, now) {
    const looks = [...(this.held.get(name) ?? []), [now, value]].slice(-6);
    this.held.set(name, looks);
    const [[first, low], [last, high]] = [looks[0], looks.at(-1)];
    return last > first ? ((high - low) * 1000) / (last - first) : null;
  }

  age(name, value, now) {
    if (this.since.get(name)?.[1] !== value) this.since.set(name, [now, value]);
    return (now - this.since.get(name)[0]) / 1000;
  }
}

/** The stage that a part of the pipeline is shown in. */
const PARTS = { cluster: "Epoch", reading: "Read", frontier: "Epoch", commit: "Commit", horizon: "Horizon" };

function show(seen, why, rates, { set, hold }, sentence, city) {
  const now = performance.now();
  const iso = (seconds) => (seconds > 0 ? new Date(seconds * 1000).toISOString() : null);
  const clocks = seen.of("log_clock_seconds");
  const lag = seen.sum("lag_offsets");
  set("Topics", clock(iso(seen.most("log_clock_seconds"))), `${clocks.length} partitions, ${lag ? "more to read" : "all read"}`);
  const reading = rates.of("read", seen.sum("read_total"), now);
  set("Read", reading == null ? "–" : `${count(reading)}/s`, `${bytes(seen.sum("uncommitted_bytes"))} to commit`);
  const epoch = seen.sum("epoch");
  const epochs = rates.of("epoch", epoch, now);
  set("Epoch", count(epoch), epochs == null ? "–" : `${epochs.toFixed(1)}/s, ${span(rates.age("epoch", epoch, now))} old`);
  const horizon = iso(seen.sum("horizon_seconds"));
  const behind = seen.sum("horizon_lag_seconds");
  set("Horizon", clock(horizon), horizon ? `${span(behind)} behind the log` : "no horizon yet");
  const [seq, seconds] = [seen.sum("commit_seq"), seen.sum("commit_seconds_sum") / seen.sum("commit_seconds_count")];
  const age = rates.age("commit", seq, now);
  set("Commit", count(seq), `${span(age)} ago, takes ${span(seconds)}`);
  const [all, late, dead] = ["", "late", "dead_letter"].map((outcome) => seen.sum("records_total", outcome ? { outcome } : {}));
  set("Tables", count(all), `${count(late)} late, ${count(dead)} unreadable`);
  sentence.textContent = words({ reading, horizon, why, epoch: city.epoch });
  sentence.classList.toggle("held", Boolean(why.cause));
  for (const stage of STAGES) hold(stage, (why.chain ?? []).filter(({ part }) => PARTS[part] === stage));
}

/** What holds it back, in words: the server knows. */
function words({ reading, horizon, why, epoch }) {
  if (why?.cause) return why.sentence;
  if (!horizon) return "Waiting for every partition to deliver: there is no horizon yet.";
  const read = reading ? `Reading ${count(reading)} records/s` : "Nothing to read";
  const shown = epoch == null ? "" : ` The map shows epoch ${count(epoch)}.`;
  return `${read}; windows before ${clock(horizon)} are final.${shown}`;
}
