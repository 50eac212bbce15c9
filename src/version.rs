//! The crate's version.

/// The crate's version, with the commit that it was built of where that was in a repository.
pub const VERSION: &str = env!("BPTT_VERSION");
