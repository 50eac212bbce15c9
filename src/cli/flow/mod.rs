//! `bptt flow`.

pub(crate) mod chart;
pub(crate) mod command;
pub(crate) mod compare;
pub(crate) mod measure;
