//! Devices, what they have room for, and networks on them.

pub(crate) mod devices;
pub(crate) mod drivers;
pub(crate) mod free_memory;
pub(crate) mod gradients;
pub(crate) mod memory;
pub(crate) mod opened;
pub(crate) mod setup;
