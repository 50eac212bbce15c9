//! Threads, and their profile.

pub(crate) mod clock;
pub(crate) mod threads;
