//! Time series: tables of columns over a time index, cut into windows and forecast.

mod codec;
mod encoded;
mod forecast_accuracy;
mod rollout;
mod table;
mod time_index;
mod time_series;
mod windows;

pub use codec::{ColumnCodec, SeriesCodec};
pub use encoded::Encoded;
pub use forecast_accuracy::{Accuracy, TargetAccuracy, accuracy};
pub use rollout::{Forecast, Roll};
pub use table::{Column, Table};
pub use time_series::{Roles, Series};
pub use windows::Windows;
