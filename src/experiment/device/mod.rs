//! Devices by name, networks on them, and the memory that this program may still use.

pub mod free_memory;
pub mod network;
pub mod open;
pub mod selection;
pub mod session;
