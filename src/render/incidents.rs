//! `incidents`.

use std::fmt::Write as _;

use citystream_dataflows::changes::IncidentRow;
use citystream_dataflows::records::{IncidentKind, Phase, Severity};

use super::frame::{Frame, seconds};
use super::{RenderError, Row};
use crate::tables::Table;

impl Row for IncidentRow {
    const TABLE: Table = Table::Incidents;

    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError> {
        let place = |row: &IncidentRow| (row.life.first.partition, row.life.first.offset);
        frame.named_key(|row| row.life.incident, |row, key| write!(key, "/{}/{}", place(row).0, place(row).1))?;
        frame.name_of(|row| row.life.incident)?;
        frame.time(|row| row.life.first.time);
        frame.time(|row| row.life.last);
        frame.count(|row| row.life.statuses);
        frame.double(|row| row.life.at.lat);
        frame.double(|row| row.life.at.lon);
        frame.int(|row| place(row).0);
        frame.long(|row| place(row).1);
        frame.word(|row| row.life.kind.map(IncidentKind::word));
        frame.word(|row| row.life.severity.map(Severity::word));
        phases(frame);
        exposure(frame);
        Ok(())
    }
}

fn phases(frame: &mut Frame<'_, IncidentRow>) {
    for phase in Phase::ALL {
        frame.time_or_null(|row| row.life.since(phase));
    }
    for phase in Phase::ALL {
        let stamp = |row: &IncidentRow| row.life.phases[phase as usize];
        frame.int_or_null(|row| stamp(row).map(|stamp| stamp.partition));
        frame.long_or_null(|row| stamp(row).map(|stamp| stamp.offset));
    }
    frame.double_or_null(|row| row.life.until(Phase::Responding).map(seconds));
    frame.double_or_null(|row| row.life.until(Phase::Resolved).map(seconds));
}

/// An incident that was never active has no circle to count in.
fn exposure(frame: &mut Frame<'_, IncidentRow>) {
    let counted = |row: &IncidentRow, count: u64| row.exposure.vehicles.map(|_| count as i64);
    frame.long_or_null(|row| row.exposure.vehicles.map(|vehicles| vehicles as i64));
    frame.long_or_null(|row| counted(row, row.exposure.during.0));
    frame.reading(|row| row.exposure.during.1);
    frame.long_or_null(|row| counted(row, row.exposure.before.0));
    frame.reading(|row| row.exposure.before.1);
}
