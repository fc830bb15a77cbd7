// What one sees as an address that one can send: a row, or a place and a scale, behind the `#`.

/** What an address says. */
export function read(hash = location.hash) {
  const of = new URLSearchParams(hash.slice(1));
  const at = of.get("at")?.split(",").map(Number);
  const zoom = Number(of.get("zoom"));
  return {
    view: of.get("view"),
    key: of.get("key"),
    place: at?.length === 2 && at.every(Number.isFinite) ? at : null,
    zoom: zoom > 0 ? zoom : null,
  };
}

/** Puts into the address what is not null; nobody has to go back through all of it. */
export function write(change) {
  const { view, key, place, zoom } = { ...read(), ...change };
  const of = new URLSearchParams();
  if (view && key) Object.entries({ view, key }).forEach(([name, value]) => of.set(name, value));
  if (place) of.set("at", place.map((degrees) => degrees.toFixed(5)).join(","));
  if (zoom) of.set("zoom", zoom.toFixed(1));
  history.replaceState(null, "", `#${of}`);
}
