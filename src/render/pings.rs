//! `enriched_pings`.

use std::fmt::Write as _;

use citystream_dataflows::changes::EnrichedPing;
use citystream_dataflows::records::{Level, Source, Stamp};

use super::frame::{Frame, metres, seconds};
use super::{RenderError, Row};
use crate::tables::Table;

impl Row for EnrichedPing {
    const TABLE: Table = Table::EnrichedPings;

    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError> {
        frame.key(|row, key| write!(key, "{}/{}", row.ping.stamp.partition, row.ping.stamp.offset));
        ping(frame)?;
        matched(frame, |row| row.traffic.as_ref().map(|t| (t.stamp, t.distance_mm, t.source)));
        frame.word(|row| row.traffic.as_ref().and_then(|t| t.level).map(Level::word));
        frame.double_or_null(|row| row.traffic.as_ref().and_then(|t| t.speed_ratio()));
        frame.double_or_null(|row| row.traffic.as_ref().and_then(|t| t.travel_time_index()));
        frame.flag_or_null(|row| row.traffic.as_ref().and_then(|t| t.is_congested()));
        matched(frame, |row| row.weather.as_ref().map(|w| (w.stamp, w.distance_mm, w.source)));
        frame.name_or_null(|row| row.weather.as_ref().map(|w| w.condition))?;
        frame.double_or_null(|row| row.weather.as_ref().and_then(|w| w.precipitation.get()));
        frame.int(|row| row.incidents.as_ref().map_or(0, |i| i.active as i32));
        frame.name_or_null(|row| row.incidents.as_ref().map(|i| i.incident))?;
        matched(frame, |row| row.incidents.as_ref().map(|i| (i.stamp, i.distance_mm, i.source)));
        Ok(())
    }
}

fn ping(frame: &mut Frame<'_, EnrichedPing>) -> Result<(), RenderError> {
    frame.time(|row| row.ping.stamp.time);
    frame.name_of(|row| row.ping.vehicle)?;
    frame.int(|row| row.ping.stamp.partition);
    frame.long(|row| row.ping.stamp.offset);
    frame.double(|row| row.ping.at.lat);
    frame.double(|row| row.ping.at.lon);
    frame.reading(|row| row.ping.speed);
    frame.long(|row| row.ping.c8 as i64);
    frame.long(|row| row.ping.c5 as i64);
    Ok(())
}

/// The five columns that name a matched record.
fn matched(frame: &mut Frame<'_, EnrichedPing>, of: impl Fn(&EnrichedPing) -> Option<(Stamp, i64, Option<Source>)>) {
    frame.int_or_null(|row| of(row).map(|(stamp, ..)| stamp.partition));
    frame.long_or_null(|row| of(row).map(|(stamp, ..)| stamp.offset));
    frame.double_or_null(|row| of(row).map(|(stamp, ..)| seconds(row.ping.stamp.time - stamp.time)));
    frame.double_or_null(|row| of(row).map(|(_, mm, _)| metres(mm)));
    frame.source(|row| of(row).and_then(|(.., source)| source));
}
