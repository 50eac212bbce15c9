//! Forecasts of windows: as distributions, with conformal ranges, and by a linear autoregression.

mod calibration;
mod likelihood;
mod linear;

pub use linear::LinearAutoregression;
