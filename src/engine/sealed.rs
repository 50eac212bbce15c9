//! What keeps the traits of this crate to its own types.

/// Of no other type than this crate's own.
pub trait Sealed {}
