//! The version of the crate.

/// The version of the crate, with the commit it was built from if it was built in a repository.
pub const VERSION: &str = env!("BPTT_VERSION");

/// The version of the crate alone.
pub(crate) const RELEASE: &str = env!("CARGO_PKG_VERSION");
