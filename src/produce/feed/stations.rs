//! The file that says which stations there are: CSV with a header.
//!
//! ```csv
//! id,kind,lat,lon
//! M40-J9,camera,51.8794,-1.1710
//! ```

use std::collections::HashMap;

use citystream_dataflows::time::bindings::Topic;
use citystream_live_apis::Place;
use serde::Serialize;

/// The columns, in any order; others are left alone.
const COLUMNS: [&str; 4] = ["id", "kind", "lat", "lon"];
/// The longest id in bytes.
const LONGEST_ID: usize = 200;

/// What a station reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Traffic.
    Camera,
    /// The weather.
    Weather,
    /// Emergency services around it.
    Services,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Camera, Kind::Weather, Kind::Services];

    /// The topic of its records.
    pub fn topic(self) -> Topic {
        [Topic::TRAFFIC, Topic::WEATHER, Topic::EMERGENCY][self as usize]
    }

    /// Its word in the file.
    pub fn name(self) -> &'static str {
        ["camera", "weather", "services"][self as usize]
    }
}

/// Something at a place that reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Its name: the device of its records.
    pub id: String,
    /// What it reports.
    pub kind: Kind,
    /// Where it is.
    pub place: Place,
}

/// Why a file names no stations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StationsError {
    /// A line that cannot be read.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No line but the header, or not even that.
    #[error("no station in it; expected a line {} and one line a station", COLUMNS.join(","))]
    Empty,
}

/// Reads the stations of a file. Blank lines and lines that begin with `#` are passed over.
///
/// # Errors
/// The first line that is wrong.
pub fn stations(text: &str) -> Result<Vec<Station>, StationsError> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut lines = lines.map(|(number, line)| (number, line.split(',').map(str::trim).collect::<Vec<_>>()));
    let (number, header) = lines.next().ok_or(StationsError::Empty)?;
    let columns = columns(&header).map_err(|what| StationsError::Line { line: number, what })?;
    let mut seen = HashMap::new();
    let mut stations = Vec::new();
    for (line, fields) in lines {
        let station = station(&fields, header.len(), columns).map_err(|what| StationsError::Line { line, what })?;
        if let Some(first) = seen.insert((station.kind, station.id.clone()), line) {
            let what = format!("{} {} stands in line {first} already", station.kind.name(), station.id);
            return Err(StationsError::Line { line, what });
        }
        stations.push(station);
    }
    if stations.is_empty() { Err(StationsError::Empty) } else { Ok(stations) }
}

/// Where the columns stand.
fn columns(header: &[&str]) -> Result<[usize; 4], String> {
    let mut columns = [0; 4];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = header
            .iter()
            .position(|field| field.eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("the header has no column {name}; expected {}", COLUMNS.join(",")))?;
    }
    Ok(columns)
}

fn station(fields: &[&str], width: usize, columns: [usize; 4]) -> Result<Station, String> {
    if fields.len() != width {
        return Err(format!("{} fields; the header has {width}", fields.len()));
    }
    let [id, kind, lat, lon] = columns.map(|column| fields[column]);
    if id.is_empty() || id.len() > LONGEST_ID || id.contains('"') {
        return Err(format!("id `{id}`: expected a name of at most {LONGEST_ID} bytes, without quotes"));
    }
    let kind = Kind::ALL.into_iter().find(|k| k.name().eq_ignore_ascii_case(kind));
    let kind = kind.ok_or_else(|| format!("kind `{}`: expected camera, weather or services", fields[columns[1]]))?;
    let degrees = |name: &str, text: &str| text.parse().map_err(|_| format!("{name} `{text}`: expected degrees"));
    let place = Place::new(degrees("lat", lat)?, degrees("lon", lon)?).map_err(|error| error.to_string())?;
    Ok(Station { id: id.to_owned(), kind, place })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stations_are_read_whatever_the_order_of_the_columns() {
        let text =
            "\u{feff}# ours\nlon, lat, name, kind, ID\r\n\n-0.5,51.5,Gate,Camera,c1\n-0.6,51.6,Roof,weather,c1\n";
        let place = |lat, lon| Place::new(lat, lon).unwrap();
        let wanted = vec![
            Station { id: "c1".into(), kind: Kind::Camera, place: place(51.5, -0.5) },
            Station { id: "c1".into(), kind: Kind::Weather, place: place(51.6, -0.6) },
        ];
        assert_eq!(stations(text), Ok(wanted));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let said = |text: &str| stations(text).unwrap_err().to_string();
        assert_eq!(said("id,lat,lon\n"), "line 1: the header has no column kind; expected id,kind,lat,lon");
        let row = |row: &str| said(&format!("id,kind,lat,lon\n\na,camera,1,2\n{row}\n"));
        assert_eq!(row("b,camera,1"), "line 4: 3 fields; the header has 4");
        assert_eq!(row("b,radar,1,2"), "line 4: kind `radar`: expected camera, weather or services");
        assert_eq!(row("b,camera,north,2"), "line 4: lat `north`: expected degrees");
        assert!(row("b,camera,91,2").starts_with("line 4: (91, 2) is not on Earth"));
        assert!(row("b,camera,NaN,2").starts_with("line 4: (NaN, 2) is not on Earth"));
        assert_eq!(row("a,camera,1,2"), "line 4: camera a stands in line 3 already");
        assert!(row(",camera,1,2").starts_with("line 4: id ``"));
        for empty in ["", "# nothing\n", "id,kind,lat,lon\n"] {
            assert_eq!(stations(empty), Err(StationsError::Empty));
        }
    }
}
