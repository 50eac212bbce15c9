//! Lists devices and handles the messages of their drivers.

pub(crate) mod devices;
pub(crate) mod drivers;
