//! The local times of a series' rows.

use super::Series;
use crate::data::series::calendar::CalendarRows;
use crate::data::times::CivilTimes;
use crate::data::{CalendarInput, UnevenSteps};
use crate::error::Result;

impl Series {
    /// Refuses a calendar that the labels do not determine: the labels are not dates, or the hour of dates without a time
    /// of day is asked for, or the weekday of months.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) with what was found, and what to do.
    pub fn check_calendar(&self, calendar: &[CalendarInput]) -> Result<()> {
        if calendar.is_empty() || self.labels.is_empty() {
            return Ok(());
        }
        CalendarRows::check(calendar, &self.times()?, &self.labels[0])
    }

    /// Steps in time that are not even, where no row is known to be [missing](Self::time_gaps).
    pub fn uneven_steps(&self) -> Option<UnevenSteps> {
        if self.time_gaps().is_some() { None } else { self.order.uneven(&self.labels) }
    }

    /// The local times of all rows, with the future.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if the labels are not dates.
    pub(in crate::data::series) fn times(&self) -> Result<CivilTimes> {
        self.order.civil(&self.labels, &self.label_name)
    }

    /// The local times of the `count` rows after the last, whose labels continue those of the series, and the first of
    /// these labels.
    ///
    /// # Errors
    /// Why they do not continue, in words.
    pub(in crate::data::series) fn times_ahead(&self, count: usize) -> Result<(CivilTimes, String), String> {
        self.order.civil_beyond(&self.labels, &self.label_name, count)
    }
}
