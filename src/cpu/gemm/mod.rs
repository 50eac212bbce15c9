//! Matrix products.

pub(crate) mod matmul;
pub(crate) mod packed;
pub(crate) mod shared;
pub(crate) mod tile;
pub(crate) mod transposed;
