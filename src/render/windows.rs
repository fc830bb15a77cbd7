//! `traffic_5m`, `vehicle_15m` and `environment_15m`.

use std::fmt::Write as _;

use citystream_dataflows::changes::{EnvironmentWindow, TrafficWindow, VehicleWindow};

use super::frame::{Frame, metres, seconds, unquantised};
use super::{RenderError, Row};
use crate::tables::Table;

impl Row for TrafficWindow {
    const TABLE: Table = Table::Traffic5m;

    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError> {
        frame.key(|row, key| write!(key, "{}/{}", row.c8, row.start));
        frame.long(|row| row.c8 as i64);
        frame.time(|row| row.start);
        frame.centre(|row| row.c8)?;
        frame.count(|row| row.pings);
        frame.count(|row| row.vehicles);
        frame.count(|row| row.with_traffic);
        frame.reading(|row| row.speed_mean);
        frame.reading(|row| row.speed_harmonic);
        for percentile in 0..3 {
            frame.int_or_null(|row| row.speed_percentiles.map(|all| all[percentile]));
        }
        frame.reading(|row| row.ratio_mean);
        frame.reading(|row| row.ratio_min);
        frame.count(|row| row.congested);
        frame.count(|row| row.records);
        frame.count(|row| row.closures);
        (0..3).for_each(|level| frame.count(|row| row.levels[level]));
        (0..3).for_each(|source| frame.count(|row| row.sources[source]));
        Ok(())
    }
}

impl Row for VehicleWindow {
    const TABLE: Table = Table::Vehicle15m;

    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError> {
        frame.named_key(|row| row.vehicle, |row, key| write!(key, "/{}", row.start))?;
        frame.name_of(|row| row.vehicle)?;
        frame.time(|row| row.start);
        frame.count(|row| row.pings);
        frame.count(|row| row.records);
        frame.count(|row| row.steps);
        frame.double(|row| metres(row.distance_mm));
        frame.double(|row| seconds(row.moving_us));
        frame.double(|row| seconds(row.idle_us));
        (0..2).for_each(|way| frame.int_or_null(|row| row.harsh.map(|harsh| harsh[way] as i32)));
        frame.double_or_null(|row| row.fuel_used.map(unquantised));
        frame.double_or_null(|row| row.odometer_gain.map(unquantised));
        Ok(())
    }
}

impl Row for EnvironmentWindow {
    const TABLE: Table = Table::Environment15m;

    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError> {
        frame.key(|row, key| write!(key, "{}/{}", row.c5, row.start));
        frame.long(|row| row.c5 as i64);
        frame.time(|row| row.start);
        frame.centre(|row| row.c5)?;
        frame.count(|row| row.records);
        for measure in 0..crate::tables::derived::MEASURES.len() {
            (0..3).for_each(|what| frame.reading(|row| row.measures[measure][what]));
        }
        frame.count(|row| row.rain.0);
        frame.reading(|row| row.rain.1);
        frame.count(|row| row.dry.0);
        frame.reading(|row| row.dry.1);
        Ok(())
    }
}
