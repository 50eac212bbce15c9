//! Threads that work is shared out among, and the clock of what they do.

pub(crate) mod clock;
pub(crate) mod threads;
