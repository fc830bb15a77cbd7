// The live views as the server sends them: a snapshot, then the changes of each epoch.

export const VIEWS = ["vehicles", "cells", "incidents", "clusters", "worst"];

/** Follows all views; `seen` is called with what there is after each epoch, and `status` when the connection changes. */
export function follow({ seen, status }) {
  const city = { epoch: null, horizon: null, at: null, views: Object.fromEntries(VIEWS.map((name) => [name, new Map()])) };
  const take = (whole) => (event) => {
    const frame = JSON.parse(event.data);
    const changed = {};
    for (const [name, rows] of Object.entries(frame.views)) {
      const held = city.views[name];
      if (whole) for (const key of [...held.keys()]) if (!(key in rows)) held.delete(key);
      for (const [key, row] of Object.entries(rows)) row === null ? held.delete(key) : held.set(key, row);
      changed[name] = Object.keys(rows);
    }
    Object.assign(city, { epoch: frame.epoch, horizon: frame.horizon, at: performance.now() });
    status("live");
    seen(city, changed);
  };
  // The browser comes back by itself, and says how far it was.
  const source = new EventSource(`/api/views/${VIEWS.join(",")}/changes`);
  source.addEventListener("snapshot", take(true));
  source.addEventListener("changes", take(false));
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) return status("lost");
    // It was refused: the answer says why.
    const answer = await fetch("/api/views").catch(() => null);
    status(answer?.status === 404 ? "off" : "lost");
    if (answer?.status !== 404) setTimeout(() => location.reload(), 3000);
  });
  return city;
}
