//! `bptt train`.

pub(crate) mod command;
pub(crate) mod ending;
pub(crate) mod progress;
pub(crate) mod shown;
pub(crate) mod words;
