//! The pictures of a run, from plain data, for light and dark pages.
//!
//! All but the text sample are data for the same kind of chart: lines, areas, cells and points over axes.

mod axis;
mod chart;
mod confusion;
mod drawing;
mod forecast;
mod gradient_flow;
mod gradient_norm;
mod histogram;
mod loss;
mod piano_roll;
mod signal;
mod steps;
mod sweep;
#[cfg(test)]
pub mod tests;
mod text_sample;
mod throughput;

pub use confusion::Confusion;
pub use drawing::{Drawing, STYLE, escape};
pub use forecast::backtest::{BacktestChart, ErrorLine};
pub use forecast::{ForecastChart, ForecastTarget, RolledOut, RolloutChart, RolloutTarget, RowAxis};
pub use gradient_flow::{GradientLine, GradientPanel, gradient_flow};
pub use gradient_norm::gradient_norm;
pub use histogram::Lengths;
pub use loss::{Baseline, loss};
pub use piano_roll::PianoRoll;
pub use signal::{SignalChart, SignalLine, SignalTarget};
pub use steps::{Epochs, Steps};
pub use sweep::{SweepAxis, SweepChart, SweepLine};
pub use text_sample::TextSample;
pub use throughput::{Rate, Rates, throughput};
