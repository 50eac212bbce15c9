//! Piano rolls: pieces of music and the like, at each step some of many keys.

pub(super) mod pieces;

pub use pieces::{Keys, NextFrame, Piece, Rolls};
