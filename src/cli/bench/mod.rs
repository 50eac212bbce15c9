//! `bptt bench`.

pub(crate) mod command;
mod profile;
mod sweep;
