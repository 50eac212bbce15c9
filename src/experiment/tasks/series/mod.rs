//! Forecasts of a series.

pub mod rolled;
pub mod series_data;
pub mod series_task;
