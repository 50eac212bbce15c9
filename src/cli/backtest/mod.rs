//! `bptt backtest`.

pub(crate) mod args;
pub(crate) mod command;
