// What people have asked of the city: standing views, of which those of an area are drawn, and the alerts as of the last commit.

import { ask } from "./ask.js";
import { bounds, placeOf } from "./shapes.js";

const EVERY_MS = 2000;

/** Keeps `city.views.standing` (what each view asks, and how many rows it has) and `city.alerts`; `told` is called when they were heard. */
export function keepAsked(city, told) {
  Object.assign(city, { alerts: { raised: [], cleared: [], silent: [] } });
  city.views.standing = new Map();
  const look = async () => {
    const [definitions, list, alerts] = await Promise.all(["/api/standing", "/api/views", "/api/alerts"].map(ask));
    setTimeout(look, EVERY_MS);
    const rows = new Map(list?.views?.map((view) => [view.name, view.rows]));
    if (definitions) city.views.standing = new Map(Object.entries(definitions).map(([name, asks]) => [name, row(asks, rows.get(name))]));
    if (alerts) city.alerts = alerts;
    told();
  };
  look();
}

/** What is shown of a standing view. */
function row({ kind, ...asks }, rows) {
  const outline = asks.area?.coordinates[0] ?? null;
  return { of: kind, asks: sentence(kind, asks), rows: rows ?? 0, outline, box: outline && bounds(outline) };
}

/** What a view asks, in words. */
function sentence(kind, asks) {
  const [field, value] = Object.entries(asks)[0];
  const words = {
    area: `${kind} in an area`,
    ids: `${value.length} ${kind} by name`,
    speed_above_kmh: `vehicles above ${value} km/h`,
    ratio_below: `cells below ${Math.round(value * 100)} % of free flow`,
    k: `the ${value} slowest cells`,
    cells_at_least: `congestion of ${value} cells or more`,
  };
  return words[field] ?? kind;
}

/** The built-in view that has the row of an alert, as the alert may be about a standing one. */
export const viewOf = (city, view) => city.views.standing.get(view)?.of ?? view;

/** Where on the map an alert is; null where that is not in sight. */
export const alertAt = (city, { view, key }) => placeOf(city.views[viewOf(city, view)]?.get(key));
