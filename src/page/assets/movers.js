// Vehicles between their pings, and what else is drawn above the map: trails, incidents, clusters, alerts, names of areas.

import { alertAt, viewOf } from "./asked.js";
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

  /** Where all of them are now. */
  places(now) {
    return [...this.byKey].map(([key, mover]) => [key, place(mover, now)]);
  }
}

function place(mover, now) {
  const part = Math.min((now - mover.since) / mover.time, 1);
  return [0, 1].map((i) => mover.from[i] + (mover.to[i] - mover.from[i]) * part);
}

/** Draws everything above the map; returns how many vehicles are in sight. */
export function draw(canvas, project, { movers, city, ramp, colours, now }) {
  const context = fit(canvas);
  const sight = new Sight(canvas, project);
  const shown = [];
  for (const mover of movers.byKey.values()) {
    const at = project(place(mover, now));
    if (sight.has(at)) shown.push([mover, at]);
  }
  const { incidents, clusters } = city.views;
  for (const cluster of clusters.values()) drawCluster(context, cluster, project, colours, sight);
  if (shown.length <= MOST) {
    if (sight.isNear) shown.forEach(([mover, at]) => drawTrail(context, mover, at, project, ramp));
    const one = sight.isNear ? drawArrow : drawDot;
    shown.forEach(([mover, at]) => one(context, mover, at, ramp, colours));
  }
  const waiting = [...incidents.values()].sort((one, other) => (one.responded ? 1 : 0) - (other.responded ? 1 : 0));
  for (const incident of waiting) drawIncident(context, incident, project(incident.at), colours, now, sight);
  const largest = [...clusters.values()].filter((row) => row.cells > 2).sort((one, other) => other.cells - one.cells);
  for (const cluster of largest) {
    const [x, y] = project(cluster.head_at);
    sight.label(context, `${cluster.cells} cells since ${minute(cluster.since)}`, x + 9, y + 4, colours.slow, colours.panel);
  }
  for (const alert of city.alerts.raised) drawAlert(context, alert, alertPlace(city, alert, movers, now), project, colours, sight);
  for (const [name, { box }] of city.views.standing) if (box) sight.label(context, name, ...corner(box, project), colours.accent, colours.panel);
  return shown.length;
}

/** Where the name of an area stands: above its corner in the north-west. */
function corner([west, , , north], project) {
  const [x, y] = project([west, north]);
  return [x, y - 5];
}

/** A vehicle's alert goes with it. */
function alertPlace(city, alert, movers, now) {
  const mover = viewOf(city, alert.view) === "vehicles" && movers.byKey.get(alert.key);
  return mover ? place(mover, now) : alertAt(city, alert);
}

/** From so many pixels a kilometre on, vehicles are arrows with trails. */
const NEAR = 12;

/** What is in sight, how near it is, and where labels stand already. */
class Sight {
  constructor(canvas, project) {
    [this.width, this.height] = [canvas.clientWidth, canvas.clientHeight];
    const [left, right] = [project([0, 51]), project([0.0143, 51])];
    this.isNear = right[0] - left[0] > NEAR;
    this.taken = [];
    // On a wall all is larger.
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 15;
  }

  has([x, y]) {
    return x > -20 && y > -20 && x < this.width + 20 && y < this.height + 20;
  }

  /** Takes a box if nothing stands there. */
  take(box) {
    const isApart = ([left, top, right, bottom]) => box[0] > right || box[2] < left || box[1] > bottom || box[3] < top;
    const isFree = this.has([box[0], box[1]]) && this.taken.every(isApart);
    if (isFree) this.taken.push(box);
    return isFree;
  }

  /** Writes where there is room. */
  label(context, text, x, y, ink, ground) {
    context.font = `600 ${12 * this.unit}px system-ui, sans-serif`;
    const width = context.measureText(text).width;
    // On the other side of what it is about where it would be cut off.
    const left = x + width > this.width - 4 ? x - width - 26 * this.unit : x;
    if (!this.take([left, y - 11 * this.unit, left + width, y + 4 * this.unit])) return;
    Object.assign(context, { lineWidth: 3, lineJoin: "round", strokeStyle: ground, fillStyle: ink });
    context.strokeText(text, left, y);
    context.fillText(text, left, y);
  }
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

function drawDot(context, mover, [x, y], ramp, colours) {
  context.fillStyle = ramp(mover.ratio);
  context.strokeStyle = colours.panel;
  context.lineWidth = 0.7;
  context.beginPath();
  context.arc(x, y, 2.4, 0, 7);
  context.fill();
  context.stroke();
}

function drawArrow(context, mover, at, ramp, colours) {
  if (mover.bearing == null) return drawDot(context, mover, at, ramp, colours);
  context.save();
  context.translate(...at);
  context.rotate((mover.bearing * Math.PI) / 180);
  context.fillStyle = ramp(mover.ratio);
  context.strokeStyle = colours.panel;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, -8);
  context.lineTo(5, 5.5);
  context.lineTo(0, 3);
  context.lineTo(-5, 5.5);
  context.closePath();
  context.fill();
  context.stroke();
  context.restore();
}

/** From the tail to the head, where it is held up. */
function drawCluster(context, cluster, project, colours, sight) {
  if (cluster.cells < 3) return;
  const [head, tail] = [project(cluster.head_at), project(cluster.tail_at)];
  Object.assign(context, { strokeStyle: colours.slow, fillStyle: colours.panel, lineWidth: 2 });
  if (sight.isNear) {
    context.setLineDash([2, 5]);
    context.beginPath();
    context.moveTo(...tail);
    context.lineTo(...head);
    context.stroke();
    context.setLineDash([]);
  }
  context.beginPath();
  context.rect(head[0] - 4, head[1] - 4, 8, 8);
  context.fill();
  context.stroke();
}

/** A square frame with the alert's name below it. */
function drawAlert(context, { alert }, at, project, colours, sight) {
  if (!at) return;
  const [x, y] = project(at);
  const far = 13 * sight.unit;
  Object.assign(context, { strokeStyle: colours.bad, lineWidth: 2 });
  context.strokeRect(x - far, y - far, 2 * far, 2 * far);
  sight.label(context, alert, x - far, y + far + 13 * sight.unit, colours.bad, colours.panel);
}

const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");

/** A triangle; while no help is there, a ring that spreads. */
function drawIncident(context, incident, [left, top], colours, now, sight) {
  const { unit } = sight;
  context.save();
  context.translate(left, top);
  context.scale(unit, unit);
  if (!incident.responded) {
    const beat = STILL.matches ? 0.5 : (now / 1800) % 1;
    Object.assign(context, { strokeStyle: colours.bad, globalAlpha: 1 - beat, lineWidth: 2 });
    context.beginPath();
    context.arc(0, 0, 8 + 12 * beat, 0, 7);
    context.stroke();
    context.globalAlpha = 1;
  }
  Object.assign(context, { fillStyle: colours.bad, strokeStyle: colours.panel, lineWidth: 1.5 });
  context.beginPath();
  context.moveTo(0, -9);
  context.lineTo(9, 7);
  context.lineTo(-9, 7);
  context.closePath();
  context.stroke();
  context.fill();
  context.fillStyle = colours.panel;
  context.fillRect(-1, -4, 2, 5);
  context.fillRect(-1, 3, 2, 2);
  context.restore();
  const text = `${incident.kind ?? "Incident"}${incident.responded ? "" : ", no help yet"}`;
  sight.take([left - 9 * unit, top - 9 * unit, left + 9 * unit, top + 7 * unit]);
  sight.label(context, text, left + 13 * unit, top + 4 * unit, colours.ink, colours.panel);
}
