// The map where there is no WebGL: the same areas, drawn flat.

import { areas, cells, circles } from "./shapes.js";

const degrees = ([x, y]) => [(x - 0.5) * 360, (Math.atan(Math.sinh((0.5 - y) * 2 * Math.PI)) * 180) / Math.PI];

const mercator = ([lon, lat]) => {
  const sine = Math.sin((lat * Math.PI) / 180);
  return [lon / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
};

/** A map in an element, with the interface of the one with WebGL. */
export function flatMap(container, first) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas.style, { width: "100%", height: "100%" });
  canvas.tabIndex = 0;
  canvas.setAttribute("aria-label", "Map: arrow keys move it, plus and minus change its scale");
  container.replaceChildren(canvas);
  let [centre, scale, colours, latest] = [[0.5, 0.5], 512, first, null];
  const tellers = [];
  const tell = () => tellers.forEach((teller) => teller());
  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const project = (place) => {
    const [x, y] = mercator(place);
    const [width, height] = size();
    return [(x - centre[0]) * scale + width / 2, (y - centre[1]) * scale + height / 2];
  };
  const paint = () => {
    const [width, height] = size();
    const ratio = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = colours.map;
    context.fillRect(0, 0, width, height);
    if (!latest) return;
    const trace = ({ geometry }) => {
      context.beginPath();
      geometry.coordinates[0].map(project).forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    };
    for (const area of cells(latest.city.views.cells, latest.ramp).features) {
      const { fill, opacity, edge } = area.properties;
      trace(area);
      Object.assign(context, { fillStyle: fill, strokeStyle: fill, lineWidth: edge, globalAlpha: opacity });
      context.fill();
      context.globalAlpha = 0.8;
      context.stroke();
    }
    for (const area of circles(latest.city.views.incidents).features) {
      trace(area);
      Object.assign(context, { fillStyle: colours.bad, strokeStyle: colours.bad, lineWidth: 1.5, globalAlpha: 0.08 });
      context.fill();
      context.globalAlpha = 1;
      context.stroke();
    }
    Object.assign(context, { strokeStyle: colours.accent, lineWidth: 1.5 });
    context.setLineDash([6, 3]);
    for (const area of areas(latest.city.views.standing).features) {
      trace(area);
      context.stroke();
    }
  };
  const move = (right, down) => {
    centre = [centre[0] + right / scale, centre[1] + down / scale];
    paint();
    tell();
  };
  const zoom = (factor) => {
    scale = Math.min(Math.max(scale * factor, 512), 512 * 2 ** 18);
    paint();
    tell();
  };
  const show = (place, zoom) => {
    [centre, scale] = [mercator(place), zoom == null ? scale : 512 * 2 ** zoom];
    paint();
    tell();
  };
  const keys = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] };
  canvas.addEventListener("keydown", (event) => {
    if (keys[event.key]) move(...keys[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else return;
    event.preventDefault();
  });
  let drag = 0;
  canvas.addEventListener("pointerdown", () => (drag = 0));
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    drag += Math.abs(event.movementX) + Math.abs(event.movementY);
    move(-event.movementX, -event.movementY);
  });
  canvas.addEventListener("wheel", (event) => (event.preventDefault(), zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15)), { passive: false });
  new ResizeObserver(paint).observe(container);
  return {
    project,
    show: (city, ramp) => ((latest = { city, ramp }), paint()),
    recolour: (next) => ((colours = next), paint()),
    fit: ([west, south, east, north]) => {
      const [[left, bottom], [right, top]] = [mercator([west, south]), mercator([east, north])];
      const [width, height] = size();
      centre = [(left + right) / 2, (top + bottom) / 2];
      scale = Math.min((width - 80) / Math.max(right - left, 1e-7), (height - 150) / Math.max(bottom - top, 1e-7));
      paint();
      tell();
    },
    go: (place, zoom = Math.max(Math.log2(scale / 512), 13)) => show(place, zoom),
    jump: show,
    sight: () => {
      const [width, height] = size();
      const corner = (x, y) => degrees([centre[0] + (x * width) / scale / 2, centre[1] + (y * height) / scale / 2]);
      return { place: degrees(centre), zoom: Math.log2(scale / 512), box: [...corner(-1, 1), ...corner(1, -1)] };
    },
    moved: (teller) => tellers.push(teller),
    clicked: (teller) => canvas.addEventListener("click", ({ offsetX, offsetY }) => drag < 5 && teller([offsetX, offsetY])),
  };
}
