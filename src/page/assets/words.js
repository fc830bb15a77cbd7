// Numbers, times and colours, as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => (n == null || Number.isNaN(n) ? "–" : n < 100000 ? whole.format(n) : short.format(n));

export const clock = (iso) => (iso ? iso.slice(11, 19) : "–");

export const minute = (iso) => (iso ? iso.slice(11, 16) : "–");

export const bytes = (n) => (n < 1 << 20 ? `${whole.format(n / 1024)} KiB` : `${whole.format(n / 1048576)} MiB`);

export function span(seconds) {
  if (!(seconds >= 0)) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** The end of a cell's name that tells it from its neighbours. */
export const cellName = (cell) => cell.replace(/f+$/, "").slice(-6);

/** The colours of the page, read once a theme. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["slow", "middle", "calm", "fast", "ink", "soft", "panel", "line", "map", "accent", "bad", "good"];
  return Object.fromEntries(names.map((name) => [name, of(name)]));
}

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** Shares of the free flow at which the ramp has its colours, and which. */
const STOPS = [[0, "slow"], [0.5, "middle"], [0.75, "calm"], [0.95, "fast"]];

/** From standing to free: red, amber, pale, blue, told apart by whoever sees no red or no green. */
export function rampOf(colours) {
  const stops = STOPS.map(([at, name]) => [at, parts(colours[name])]);
  return (ratio) => {
    if (ratio == null) return colours.soft;
    const next = stops.findIndex(([at]) => at >= ratio);
    if (next === 0 || next < 0) return colours[STOPS.at(next)[1]];
    const [[from, low], [to, high]] = [stops[next - 1], stops[next]];
    const part = (ratio - from) / (to - from);
    return `rgb(${low.map((value, i) => Math.round(value + (high[i] - value) * part)).join(",")})`;
  };
}
