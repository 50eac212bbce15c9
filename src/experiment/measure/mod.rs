//! Measures a network and compares it with baselines.

pub mod comparison;
pub mod frequencies;
pub mod loss;
pub mod naive_range;
pub mod quantiles;
pub mod r_squared;
pub mod series_errors;
mod series_tables;
