// What is at a point of the map: a vehicle, an incident, a cell.

const NEAR = 14;

/** The view and key of what is nearest to a point in pixels; null where nothing is. */
export function pick(point, project, city, movers) {
  const { incidents, clusters, cells } = city.views;
  const near = (places) => nearest(point, project, places);
  const incident = near([...incidents].map(([key, row]) => [key, row.at]));
  if (incident) return ["incidents", incident];
  const vehicle = near(movers.places(performance.now()));
  if (vehicle) return ["vehicles", vehicle];
  const cluster = near([...clusters].filter(([, row]) => row.cells > 2).map(([key, row]) => [key, row.head_at]));
  if (cluster) return ["clusters", cluster];
  const cell = [...cells].find(([, row]) => isWithin(point, row.outline.map(project)));
  // From afar a cell is less than what one can hit.
  const key = cell?.[0] ?? near([...cells].map(([key, row]) => [key, row.at]));
  return key ? ["cells", key] : null;
}

function nearest([x, y], project, places) {
  let [found, least] = [null, NEAR ** 2];
  for (const [key, place] of places) {
    const [left, top] = project(place);
    const away = (left - x) ** 2 + (top - y) ** 2;
    if (away < least) [found, least] = [key, away];
  }
  return found;
}

function isWithin([x, y], ring) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [[ax, ay], [bx, by]] = [ring[i], ring[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
