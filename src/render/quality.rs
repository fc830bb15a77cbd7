//! `data_quality_15m`.

use std::fmt::Write as _;

use citystream_dataflows::changes::QualityWindow;
use citystream_dataflows::disposition::Disposition;

use super::frame::Frame;
use super::{RenderError, Row};
use crate::tables::{Reason, Table};

/// Fates below this are dispositions, the others reasons.
const ROWS: usize = Disposition::ALL.len();

impl Row for QualityWindow {
    const TABLE: Table = Table::DataQuality15m;

    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError> {
        let fate = |row: &QualityWindow, index: usize| row.fates.get(index).copied().unwrap_or(0);
        frame.key(|row, key| write!(key, "{}/{}", row.topic.name(), row.start));
        frame.word(|row| Some(row.topic.name()));
        frame.time(|row| row.start);
        frame.count(|row| row.fates.iter().sum());
        (0..ROWS).for_each(|disposition| frame.count(|row| fate(row, disposition)));
        frame.count(|row| row.fates.iter().skip(ROWS).sum());
        (0..Reason::ALL.len()).for_each(|reason| frame.count(|row| fate(row, ROWS + reason)));
        (0..2).for_each(|percentile| frame.int_or_null(|row| row.delays.map(|delays| delays[percentile])));
        Ok(())
    }
}
