//! Measures a network and compares it with baselines.

pub mod comparison;
pub(crate) mod error_to_signal;
pub mod frequencies;
pub(crate) mod linear;
pub mod loss;
pub(crate) mod metric;
pub mod naive2;
pub mod naive_range;
pub mod quantiles;
pub mod r_squared;
pub mod ranges;
pub mod series_errors;
mod series_scores;
pub(crate) mod series_tables;
