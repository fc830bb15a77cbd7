// The pipeline over time, from /api/history: small charts whose series are told apart by dashes and names, not by colour alone.

import { ask } from "./ask.js";
import { bytes, count, span } from "./words.js";

const EVERY_MS = 5000;
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [1, 5], [12, 4], [4, 2, 1, 2], [3, 6]];
const COLOURS = ["accent", "slow", "middle", "fast", "soft", "good", "calm", "ink"];
/** Workers that are drawn. */
const MOST = 8;

/** The time of day in UTC, as the times of records are. */
const time = (seconds) => new Date(seconds * 1000).toISOString().slice(11, seconds % 60 ? 19 : 16);
const rate = (value) => `${count(value)}/s`;
const share = (value) => (value == null ? "–" : `${Math.round(value * 100)} %`);

/** What is drawn: a title, how a value is written, and the series of a history. */
const CHARTS = [
  { title: "Records, by topic", write: rate, series: ({ records }) => Object.entries(records) },
  { title: "Lag: still to read", write: count, series: ({ lag }) => [["all partitions", lag]] },
  { title: "How long it takes", write: span, series: (it) => [["a commit", it.commit_seconds], ["an epoch", it.epoch_seconds]] },
  { title: "Corrections", write: rate, series: ({ corrections }) => [["rows taken back", corrections]] },
  {
    title: "Late and lost",
    write: rate,
    series: (it) => [["late", it.late], ["expired", it.expired], ["unreadable", it.dead_letters]],
  },
  {
    title: "Memory",
    write: (value) => (value == null ? "–" : bytes(value)),
    series: ({ memory: { resident, ...state } }) => [["resident", resident], ...Object.entries(state).filter(([, values]) => values.some((value) => value > 0))],
  },
  {
    title: "Busy workers",
    write: share,
    range: [0, 1],
    series: ({ busy }) => Object.entries(busy).slice(0, MOST).map(([worker, values]) => [`worker ${worker}`, values]),
  },
];

/** Keeps the charts of a section. */
export function keepCharts(section, colours) {
  const charts = CHARTS.map((chart) => new Chart(section.querySelector("#figures"), chart, colours));
  const buttons = [...section.querySelectorAll("button[data-bin]")];
  let bin = "5s";
  const look = async () => {
    const history = await ask(`/api/history?bin=${bin}`);
    if (history) charts.forEach((chart) => chart.show(history));
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      bin = button.dataset.bin;
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      look();
    });
  }
  const again = () => look().finally(() => setTimeout(again, EVERY_MS));
  again();
  new ResizeObserver(() => charts.forEach((chart) => chart.fit())).observe(section);
  return { recolour: (next) => charts.forEach((chart) => chart.recolour(next)), charts };
}

class Chart {
  constructor(parent, { title, write, series, range }, colours) {
    Object.assign(this, { write, series, range, colours, names: "", history: null });
    this.figure = document.createElement("figure");
    this.figure.innerHTML = `<figcaption><h3></h3><ul></ul></figcaption><div class="plot" aria-hidden="true"></div>`;
    this.figure.querySelector("h3").textContent = title;
    [this.list, this.plot] = [this.figure.querySelector("ul"), this.figure.querySelector(".plot")];
    parent.append(this.figure);
  }

  show(history) {
    this.history = history;
    const series = this.series(history);
    const names = series.map(([name]) => name).join();
    const data = [history.times, ...series.map(([, values]) => values)];
    if (names !== this.names || !this.drawn) this.draw(series, data);
    else this.drawn.setData(data);
    this.names = names;
    // The newest value of each is text, for whoever does not see the lines.
    series.forEach(([, values], i) => {
      const last = values.findLast((value) => value != null);
      this.list.children[i].lastChild.textContent = last == null ? "–" : this.write(last);
    });
  }

  draw(series, data) {
    this.drawn?.destroy();
    const { colours, write } = this;
    const axis = { stroke: colours.soft, font: "11px system-ui", grid: { stroke: colours.line, width: 1 }, ticks: { show: false } };
    const line = (name, i) => ({ label: name, stroke: colours[COLOURS[i % COLOURS.length]], dash: DASHES[i % DASHES.length], width: 1.6, spanGaps: true, points: { show: false } });
    const range = this.range ?? ((_, low, high) => [0, high > 0 ? high * 1.08 : 1]);
    const options = {
      ...this.size(),
      series: [{}, ...series.map(([name], i) => line(name, i))],
      axes: [{ ...axis, space: 70, size: 22, gap: 3, values: (_, ticks) => ticks.map(time) }, { ...axis, space: 26, size: 58, gap: 4, values: (_, ticks) => ticks.map(write) }],
      scales: { y: { range } },
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 8, 0, 0],
    };
    this.drawn = new window.uPlot(options, data, this.plot);
    this.list.replaceChildren(...series.map(([name], i) => legend(name, colours[COLOURS[i % COLOURS.length]], DASHES[i % DASHES.length])));
  }

  size() {
    return { width: Math.max(this.plot.clientWidth, 120), height: Math.max(this.plot.clientHeight, 90) };
  }

  fit() {
    const { width, height } = this.size();
    if (this.drawn && (this.drawn.width !== width || this.drawn.height !== height)) this.drawn.setSize({ width, height });
  }

  recolour(colours) {
    this.colours = colours;
    this.names = null;
    if (this.history) this.show(this.history);
  }
}

/** A line as it is drawn, its name, its newest value. */
function legend(name, colour, dash) {
  const item = document.createElement("li");
  item.innerHTML = `<svg viewBox="0 0 26 6" aria-hidden="true"><line x1="0" y1="3" x2="26" y2="3" stroke-width="2"/></svg><span></span> <b></b>`;
  const line = item.querySelector("line");
  line.setAttribute("stroke", colour);
  line.setAttribute("stroke-dasharray", dash.join(" "));
  item.querySelector("span").textContent = name;
  return item;
}
