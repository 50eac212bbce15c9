//! Forecasts of a series.

mod columns;
mod conformal;
pub(crate) mod forecast_columns;
mod forecast_file;
pub(crate) mod forecasters;
mod forecasts;
pub mod paths;
mod pictures;
pub mod rolled;
pub mod series_data;
pub mod series_task;
mod view;
