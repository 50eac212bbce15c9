//! `bptt train`.

pub(crate) mod command;
pub(crate) mod display;
