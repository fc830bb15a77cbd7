//! The files of the page, in the program: nothing is fetched from elsewhere. `assets/vendor/README.md` says where the
//! libraries of the map and the charts are from.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! assets {
    ($($name:literal: $kind:expr,)+) => {
        &[$(($name, $kind, include_bytes!(concat!("assets/", $name)).as_slice()),)+]
    };
}

/// Name, type, bytes.
const ASSETS: &[(&str, &str, &[u8])] = assets! {
    "index.html": HTML,
    "login.html": HTML,
    "login.js": SCRIPT,
    "page.css": STYLE,
    "page.js": SCRIPT,
    "ask.js": SCRIPT,
    "asked.js": SCRIPT,
    "stream.js": SCRIPT,
    "movers.js": SCRIPT,
    "shapes.js": SCRIPT,
    "charts.js": SCRIPT,
    "detail.js": SCRIPT,
    "link.js": SCRIPT,
    "pick.js": SCRIPT,
    "map.js": SCRIPT,
    "canvas.js": SCRIPT,
    "strip.js": SCRIPT,
    "tables.js": SCRIPT,
    "words.js": SCRIPT,
    "vendor/maplibre-gl.css": STYLE,
    "vendor/maplibre-gl.mjs": SCRIPT,
    "vendor/maplibre-gl-worker.mjs": SCRIPT,
    "vendor/LICENSE.txt": TEXT,
    "vendor/uPlot.min.css": STYLE,
    "vendor/uPlot.iife.min.js": SCRIPT,
    "vendor/LICENSE.uPlot.txt": TEXT,
};

/// The answer with a file.
pub fn asset(name: &str) -> Response {
    match ASSETS.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, bytes)) => ([(CONTENT_TYPE, *kind)], *bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}
