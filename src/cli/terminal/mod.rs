//! Terminal output and signals.

pub(crate) mod help;
pub(crate) mod interrupt;
pub(crate) mod printed;
pub(crate) mod profile_table;
