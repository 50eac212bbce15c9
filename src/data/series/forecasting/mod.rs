//! Forecasts of windows: naive ones, a linear autoregression, distributions, and conformal ranges.

mod calibration;
mod likelihood;
mod linear;
mod naive;

pub use linear::LinearAutoregression;
