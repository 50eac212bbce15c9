//! Devices by name, networks on them, and the free memory.

pub mod free_memory;
pub mod network;
pub mod open;
pub mod selection;
pub mod session;
