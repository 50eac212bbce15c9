//! Seals the traits of this module.

/// Implemented only by types of this crate.
pub trait Sealed {}
