//! The pictures of a run, from plain data, legible on a light and on a dark page.

mod axis;
mod chart;
mod confusion;
mod drawing;
mod flow;
mod forecast;
mod gradient_norm;
mod heat;
mod histogram;
mod loss;
mod piano_roll;
mod steps;
#[cfg(test)]
pub mod tests;
mod text_sample;
mod throughput;

pub use confusion::Confusion;
pub use drawing::{Drawing, STYLE, escape};
pub use flow::{FlowLine, FlowPanel, FlowPicture};
pub use forecast::{ForecastChart, ForecastTarget, Onward, RolloutChart, RolloutTarget, Rows};
pub use gradient_norm::gradient_norm;
pub use histogram::Lengths;
pub use loss::{Baseline, loss};
pub use piano_roll::PianoRoll;
pub use steps::{Epochs, Steps};
pub use text_sample::TextSample;
pub use throughput::{Rate, Rates, Throughput};
