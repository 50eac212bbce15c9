//! `bptt flow`.

pub(crate) mod args;
mod chart;
pub(crate) mod command;
mod compare;
mod report;
