// The map, with WebGL: no tiles and no fonts, so that nothing is asked of anyone else.

import { Map, NavigationControl, ScaleControl } from "./vendor/maplibre-gl.mjs";
import { areas, cells, circles } from "./shapes.js";

const EMPTY = { type: "FeatureCollection", features: [] };

function style(colours) {
  const source = () => ({ type: "geojson", data: EMPTY });
  // From afar a cell is less than its edge: together they are a ribbon along the road.
  const width = ["interpolate", ["linear"], ["zoom"], 8, 7, 11, ["get", "edge"]];
  const edge = { "line-color": ["get", "fill"], "line-width": width, "line-opacity": ["get", "opacity"] };
  return {
    version: 8,
    sources: { cells: source(), circles: source(), areas: source() },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": colours.map } },
      { id: "cells", type: "fill", source: "cells", paint: { "fill-color": ["get", "fill"], "fill-opacity": ["get", "opacity"] } },
      { id: "edges", type: "line", source: "cells", layout: { "line-join": "round" }, paint: edge },
      { id: "circles", type: "fill", source: "circles", paint: { "fill-color": colours.bad, "fill-opacity": 0.08 } },
      { id: "areas", type: "line", source: "areas", paint: { "line-color": colours.accent, "line-width": 1.5, "line-dasharray": [6, 3] } },
      { id: "rims", type: "line", source: "circles", paint: { "line-color": colours.bad, "line-width": 1.5, "line-dasharray": [3, 2] } },
    ],
  };
}

/** A map in an element; it throws where there is no WebGL. */
export function glMap(container, colours) {
  const map = new Map({
    container,
    style: style(colours),
    center: [0, 30],
    zoom: 2,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    fadeDuration: 0,
  });
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new ScaleControl({}), "bottom-right");
  let latest = null;
  const show = () => {
    if (!latest || !map.getSource("cells")) return;
    map.getSource("cells").setData(cells(latest.city.views.cells, latest.ramp));
    map.getSource("circles").setData(circles(latest.city.views.incidents));
    map.getSource("areas").setData(areas(latest.city.views.standing));
  };
  map.on("load", show);
  map.on("styledata", show);
  return {
    project: (place) => {
      const { x, y } = map.project(place);
      return [x, y];
    },
    show: (city, ramp) => {
      latest = { city, ramp };
      show();
    },
    recolour: (colours) => map.setStyle(style(colours)),
    fit: (box) => map.fitBounds(box, { padding: { top: 80, bottom: 50, left: 50, right: 60 }, duration: 0 }),
    go: (place, zoom = Math.max(map.getZoom(), 13)) => map.flyTo({ center: place, zoom }),
    jump: (place, zoom) => map.jumpTo({ center: place, zoom: zoom ?? map.getZoom() }),
    sight: () => {
      const { lng, lat } = map.getCenter();
      return { place: [lng, lat], zoom: map.getZoom(), box: map.getBounds().toArray().flat() };
    },
    moved: (tell) => map.on("moveend", tell),
    clicked: (tell) => map.on("click", ({ point: { x, y } }) => tell([x, y])),
  };
}
