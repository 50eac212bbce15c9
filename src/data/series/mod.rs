//! Time series: tables over a time index, cut into windows and forecast.

mod calendar;
mod codec;
mod conformal;
mod encoded;
mod forecast_errors;
mod forecasting;
mod members;
pub(crate) mod naive;
mod relative;
mod rollout;
mod sensor;
mod table;
#[cfg(test)]
mod tests;
mod time_index;
mod time_series;
mod windows;

pub use calendar::{CalendarEncoding, CalendarField, CalendarInput};
pub use codec::{ColumnCodec, SeriesCodec};
pub use conformal::Conformal;
pub use encoded::EncodedSeries;
#[cfg(feature = "experiment")]
pub(crate) use forecast_errors::ratio;
pub use forecast_errors::{ForecastErrors, NaiveScale, TargetErrors, forecast_errors};
pub use forecasting::LinearAutoregression;
pub use members::{StaticCodec, StaticColumn, StaticEncoding};
pub use relative::RelativeTo;
pub use rollout::{Forecast, Rollout};
pub use sensor::SensorCodec;
pub use table::{Column, LongForm, SeriesTable};
pub use time_series::{ColumnRoles, Series};
pub use windows::Windows;
