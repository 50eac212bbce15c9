//! `bptt sweep`.

pub(crate) mod args;
pub(crate) mod command;
