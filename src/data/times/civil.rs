//! The local dates and clocks of a column of labels.

use super::column::TimeColumn;
use super::label;
use super::label::calendar::{TimeUnit, day_of};
use super::label::time::LabelPart;
use super::label::{LabelReader, Reading};

/// Labels that are dates, by their own clocks: what the label shows, whatever its offset from UTC.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CivilTimes {
    /// What a label names: a moment or a day, a month, a week and so on.
    pub(crate) unit: TimeUnit,
    /// Whether any label has a time of day.
    pub(crate) has_clock: bool,
    /// The start of each by its local clock, in nanoseconds since 1970.
    pub(crate) walls: Vec<i128>,
}

impl CivilTimes {
    /// Reads `labels` like those of `times`.
    ///
    /// # Errors
    /// What the labels are instead, in words.
    pub(crate) fn read(times: &TimeColumn, labels: &[String]) -> Result<Self, &'static str> {
        let LabelReader { reading, months, .. } = times.found.reader;
        let (unit, order) = match reading {
            Reading::Dates { unit: TimeUnit::Clock, .. } => return Err("times of day without a date"),
            Reading::Dates { unit, order, .. } => (unit, order),
            Reading::Numbers { .. } => return Err("numbers"),
            Reading::Seasons => return Err("pairs of years"),
            Reading::NumberInWords { .. } => return Err("numbers within words"),
        };
        let (mut parts, mut has_clock, mut walls) = (Vec::new(), false, Vec::with_capacity(labels.len()));
        for label in labels {
            let time = label::read_of(label, order, months, &mut parts).ok_or("not all dates")?;
            let is_clock =
                |part: &LabelPart<'_>| matches!(part, LabelPart::Hour(_) | LabelPart::Hour12(_) | LabelPart::Hour24);
            has_clock |= parts.iter().any(is_clock);
            // Hour 24 of the last day.
            day_of(time.wall).ok_or("not all before the year 10000")?;
            walls.push(time.wall);
        }
        Ok(Self { unit, has_clock, walls })
    }
}
