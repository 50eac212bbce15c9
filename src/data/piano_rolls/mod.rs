//! Piano rolls: pieces of music and the like, at each step some of many keys.

mod next_frame;
pub(super) mod pieces;

pub use next_frame::NextFrame;
pub use pieces::{Keys, Piece, Rolls};
