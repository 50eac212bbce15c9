//! How good a network is, and against what.

pub mod comparison;
pub mod frequencies;
pub mod loss;
pub mod naive_range;
pub mod quantiles;
pub mod series_errors;
mod series_tables;
