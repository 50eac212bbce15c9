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
mod numbers;
mod piano_roll;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod text_sample;
mod throughput;

pub(crate) use confusion::Confusion;
pub(crate) use drawing::{Drawing, STYLE, escape};
pub(crate) use flow::{FlowLine, FlowPanel, FlowPicture};
pub(crate) use forecast::{Forecast, Onward, Rolled, RolledTarget, Rows, Target};
pub(crate) use gradient_norm::gradient_norm;
pub(crate) use histogram::Lengths;
pub(crate) use loss::{Baseline, loss};
pub(crate) use numbers::{Digits, share};
pub(crate) use piano_roll::PianoRoll;
pub(crate) use steps::{Epochs, Steps};
pub(crate) use text_sample::TextSample;
pub(crate) use throughput::{Rate, Rates, Throughput};
