//! Forecasts of a series.

mod pictures;
pub mod rolled;
pub mod series_data;
pub mod series_task;
