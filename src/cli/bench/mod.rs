//! `bptt bench`.

pub(crate) mod basics;
pub(crate) mod command;
pub(crate) mod compare;
pub(crate) mod fields;
pub(crate) mod profile;
pub(crate) mod sweep;
pub(crate) mod work;
