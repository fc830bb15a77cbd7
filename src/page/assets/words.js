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
  const names = ["slow", "middle", "fast", "ink", "soft", "panel", "line", "map", "accent", "bad"];
  return Object.fromEntries(names.map((name) => [name, of(name)]));
}

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** From standing (0) over half of the free flow to free (1): red, amber, blue, told apart by whoever sees no red or no green. */
export function rampOf(colours) {
  const stops = [colours.slow, colours.middle, colours.fast].map(parts);
  return (ratio) => {
    if (ratio == null) return colours.soft;
    const at = Math.min(Math.max(ratio, 0), 1) * 2;
    const low = stops[Math.min(Math.floor(at), 1)];
    const high = stops[Math.min(Math.floor(at), 1) + 1];
    const part = at - Math.min(Math.floor(at), 1);
    return `rgb(${low.map((from, i) => Math.round(from + (high[i] - from) * part)).join(",")})`;
  };
}
