// Vehicles between their pings, and what else is drawn above the map: trails, incidents, clusters.

import { minute } from "./words.js";

/** Above so many in sight, cells take their place. */
export const MOST = 2000;
const TRAIL = 8;

export class Movers {
  constructor() {
    this.byKey = new Map();
  }

  /** Takes in the vehicles that an epoch has changed. */
  take(vehicles, changed, cells, now) {
    for (const key of changed) {
      const row = vehicles.get(key);
      if (!row) {
        this.byKey.delete(key);
        continue;
      }
      const held = this.byKey.get(key);
      const from = held ? place(held, now) : row.at;
      // As long as it took since the ping before: it arrives when the next one is due.
      const time = held ? Math.min(Math.max(now - held.since, 250), 2000) : 1;
      const trail = held ? [...held.trail, row.at].slice(-TRAIL) : [row.at];
      const free = cells.get(row.cell)?.free_flow_kmh;
      const ratio = free && row.speed_kmh != null ? row.speed_kmh / free : null;
      this.byKey.set(key, { from, to: row.at, since: now, time, trail, ratio, bearing: row.bearing });
    }
    if (this.byKey.size > vehicles.size) for (const key of this.byKey.keys()) if (!vehicles.has(key)) this.byKey.delete(key);
  }
}

function place(mover, now) {
  const part = Math.min((now - mover.since) / mover.time, 1);
  return [0, 1].map((i) => mover.from[i] + (mover.to[i] - mover.from[i]) * part);
}

/** Draws everything above the map; returns how many vehicles are in sight. */
export function draw(canvas, project, { movers, city, ramp, colours, now }) {
  const context = fit(canvas);
  const { width, height } = canvas.getBoundingClientRect();
  const isSeen = ([x, y]) => x > -20 && y > -20 && x < width + 20 && y < height + 20;
  const shown = [];
  for (const mover of movers.byKey.values()) {
    const at = project(place(mover, now));
    if (isSeen(at)) shown.push([mover, at]);
  }
  if (shown.length <= MOST) {
    const scale = shown.length > 400 ? 0.85 : 1;
    context.lineCap = "round";
    shown.forEach(([mover, at]) => drawTrail(context, mover, at, project, ramp));
    shown.forEach(([mover, at]) => drawMover(context, mover, at, ramp, colours, scale));
  }
  for (const cluster of city.views.clusters.values()) drawCluster(context, cluster, project, colours);
  for (const incident of city.views.incidents.values()) drawIncident(context, incident, project(incident.at), colours, now);
  return shown.length;
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return context;
}

function drawTrail(context, mover, at, project, ramp) {
  const points = mover.trail.slice(0, -1).map(project);
  points.push(at);
  context.strokeStyle = ramp(mover.ratio);
  for (let i = 1; i < points.length; i += 1) {
    context.globalAlpha = (0.35 * i) / points.length;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(...points[i - 1]);
    context.lineTo(...points[i]);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function drawMover(context, mover, [x, y], ramp, colours, scale) {
  context.save();
  context.translate(x, y);
  context.scale(scale, scale);
  context.fillStyle = ramp(mover.ratio);
  context.strokeStyle = colours.panel;
  context.lineWidth = 1;
  context.beginPath();
  if (mover.bearing == null) {
    context.arc(0, 0, 3, 0, 7);
  } else {
    context.rotate((mover.bearing * Math.PI) / 180);
    context.moveTo(0, -6.5);
    context.lineTo(4, 4.5);
    context.lineTo(0, 2.5);
    context.lineTo(-4, 4.5);
    context.closePath();
  }
  context.fill();
  context.stroke();
  context.restore();
}

/** From the tail to the head, where it is held up. */
function drawCluster(context, cluster, project, colours) {
  if (cluster.cells < 3) return;
  const [head, tail] = [project(cluster.head_at), project(cluster.tail_at)];
  context.strokeStyle = colours.slow;
  context.lineWidth = 2;
  context.setLineDash([2, 5]);
  context.beginPath();
  context.moveTo(...tail);
  context.lineTo(...head);
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  context.rect(head[0] - 4, head[1] - 4, 8, 8);
  context.fillStyle = colours.panel;
  context.fill();
  context.stroke();
  label(context, `${cluster.cells} cells since ${minute(cluster.since)}`, head[0] + 9, head[1] + 4, colours.slow, colours.panel);
}

const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");

function drawIncident(context, incident, [x, y], colours, now) {
  const beat = STILL.matches ? 0.5 : (now / 1600) % 1;
  context.strokeStyle = colours.bad;
  context.globalAlpha = 1 - beat;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 9 + 12 * beat, 0, 7);
  context.stroke();
  context.globalAlpha = 1;
  context.fillStyle = colours.bad;
  context.beginPath();
  context.moveTo(x, y - 10);
  context.lineTo(x + 10, y + 8);
  context.lineTo(x - 10, y + 8);
  context.closePath();
  context.fill();
  context.fillStyle = colours.panel;
  context.fillRect(x - 1, y - 4, 2, 6);
  context.fillRect(x - 1, y + 4, 2, 2);
  label(context, `${incident.kind ?? "Incident"}${incident.responded ? "" : ", no help yet"}`, x + 14, y + 5, colours.ink, colours.panel);
}

function label(context, text, x, y, ink, ground) {
  context.font = "600 12px system-ui, sans-serif";
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = ground;
  context.strokeText(text, x, y);
  context.fillStyle = ink;
  context.fillText(text, x, y);
}
