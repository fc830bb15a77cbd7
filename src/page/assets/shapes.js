// The areas of the map as GeoJSON: cells by how slow they are, and the circles of incidents.

const collection = (features) => ({ type: "FeatureCollection", features });

const polygon = (ring, properties) => ({
  type: "Feature",
  properties,
  geometry: { type: "Polygon", coordinates: [[...ring, ring[0]]] },
});

/** Cells: the slower, the denser; heavy ones have an outline, so that colour is not needed to see them. */
export function cells(rows, ramp) {
  const feature = ([key, row]) => {
    const slow = row.ratio == null ? 0 : 1 - Math.min(row.ratio, 1);
    const crowd = Math.min(row.vehicles / 20, 1);
    const properties = {
      key,
      fill: ramp(row.ratio),
      opacity: row.ratio == null ? 0.08 + 0.1 * crowd : 0.2 + 0.5 * slow,
      edge: row.level === "HEAVY" ? 2 : 0.4,
    };
    return polygon(row.outline, properties);
  };
  return collection([...rows].map(feature));
}

const STEPS = 64;
const METRES_A_DEGREE = 111195;

export function circles(rows) {
  const ring = ({ at: [lon, lat], radius_m: radius }) => {
    const [north, east] = [radius / METRES_A_DEGREE, radius / METRES_A_DEGREE / Math.cos((lat * Math.PI) / 180)];
    const turn = (i) => (i / STEPS) * 2 * Math.PI;
    return Array.from({ length: STEPS }, (_, i) => [lon + east * Math.cos(turn(i)), lat + north * Math.sin(turn(i))]);
  };
  return collection([...rows.values()].map((row) => polygon(ring(row), {})));
}

/** The areas of standing views. */
export function areas(rows) {
  return collection([...rows.values()].filter((row) => row.outline).map((row) => polygon(row.outline, {})));
}

/** Where a row of any view is; null where it is nowhere. */
export const placeOf = (row) => row?.at ?? row?.head_at ?? null;

/** West, south, east, north of all places. */
export function bounds(places) {
  const box = [180, 90, -180, -90];
  for (const [lon, lat] of places) {
    box[0] = Math.min(box[0], lon);
    box[1] = Math.min(box[1], lat);
    box[2] = Math.max(box[2], lon);
    box[3] = Math.max(box[3], lat);
  }
  return box;
}
