//! The files of the page, in the program: nothing is fetched from elsewhere. `assets/vendor/README.md` says where the
//! libraries of the map and the charts are from.
//!
//! They are kept and sent as gzip, a third of their size (`build.rs`). Whoever does not take it, as `curl` without
//! `--compressed`, gets them as they are.

use std::io::Read;

use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! assets {
    ($($name:literal: $kind:expr,)+) => {
        &[$(($name, $kind, include_bytes!(concat!(env!("OUT_DIR"), "/assets/", $name, ".gz")).as_slice()),)+]
    };
}

/// Name, type, bytes as gzip.
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

/// The answer with a file, to a request with these headers.
pub fn asset(name: &str, asked: &HeaderMap) -> Response {
    let Some((_, kind, bytes)) = ASSETS.iter().find(|(known, _, _)| *known == name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let about = [(CONTENT_TYPE, *kind), (VARY, "accept-encoding")];
    if takes_gzip(asked) {
        return (about, [(CONTENT_ENCODING, "gzip")], *bytes).into_response();
    }
    let mut plain = Vec::new();
    match GzDecoder::new(*bytes).read_to_end(&mut plain) {
        Ok(_) => (about, plain).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{name}: {error}\n")).into_response(),
    }
}

/// Whether a request names gzip among what it takes, and does not refuse it (`gzip;q=0`).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_to_whoever_names_it() {
        let takes = |list: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, axum::http::HeaderValue::from_static(list))]))
        };
        assert!(!takes_gzip(&HeaderMap::new()));
        assert!(takes("gzip, deflate, br, zstd"));
        assert!(takes("br;q=1.0, GZIP;q=0.8"));
        assert!(!takes("identity"));
        assert!(!takes("br, gzip;q=0"));
        assert!(!takes("gzip; q=0.000"));
    }

    #[test]
    fn what_is_kept_is_the_file() {
        for (name, _, bytes) in ASSETS {
            let mut plain = Vec::new();
            GzDecoder::new(*bytes).read_to_end(&mut plain).unwrap_or_else(|error| panic!("{name}: {error}"));
            let path = format!("{}/src/page/assets/{name}", env!("CARGO_MANIFEST_DIR"));
            assert_eq!(plain, std::fs::read(&path).expect("a file of the page"), "{name}");
        }
    }
}
