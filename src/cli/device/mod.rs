//! The devices there are, and what their drivers print.

pub(crate) mod devices;
pub(crate) mod drivers;
