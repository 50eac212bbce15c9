//! Rolling-origin evaluation: forecasts of a series from several origins, each by a network that knows the rows up to
//! its origin, scored together.
//!
//! Each fold is an ordinary run in a folder of its own, cut by `train-until`, `validation` and `test-until`. What it
//! wrote of its K test rows is gathered from there, so that a backtest can be stopped anywhere.

mod driver;
mod folds;
mod forecasts;
mod plan;
mod results;
mod scores;

pub use driver::Backtest;
pub use folds::{Cuts, Fold};
pub use results::BacktestResults;
