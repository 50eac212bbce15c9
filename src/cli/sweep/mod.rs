//! `bptt sweep`.

pub(crate) mod args;
pub(crate) mod command;
pub(crate) mod space;
