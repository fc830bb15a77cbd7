// The live views as the server sends them: a snapshot of what is in sight, then the changes of each epoch.

import { MOST } from "./movers.js";

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
    city.crowded = frame.crowded ?? null;
    city.rows = frame.rows ?? null;
    Object.assign(city, { epoch: frame.epoch, horizon: frame.horizon, at: performance.now() });
    status("live");
    seen(city, changed);
  };
  let source = null;
  let area = null;
  const open = async () => {
    source?.close();
    const answer = await fetch("/api/views").catch(() => null);
    if (!answer?.ok) return refused(answer);
    // The browser comes back by itself, and says how far it was.
    source = new EventSource(`/api/views/${VIEWS.join(",")}/changes?most=${MOST}${area ? `&bbox=${area}` : ""}`);
    source.addEventListener("snapshot", take(true));
    source.addEventListener("changes", take(false));
    source.addEventListener("error", async () => {
      if (source.readyState !== EventSource.CLOSED) return status("lost");
      // It was refused: the answer says why.
      refused(await fetch("/api/views").catch(() => null));
    });
  };
  const refused = (answer) => {
    status(answer?.status === 404 ? "off" : "lost");
    if (answer?.status === 401) location.reload();
    else if (answer?.status !== 404) setTimeout(open, 3000);
  };
  open();
  /** Only what is in this box is sent from now on. */
  city.within = (box) => {
    const next = box.map((degrees) => degrees.toFixed(4)).join(",");
    if (next === area) return;
    area = next;
    if (source) open();
  };
  return city;
}
