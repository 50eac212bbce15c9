//! Piano rolls: pieces of music and the like, at each step some of many keys.

mod next_step;
pub(super) mod pieces;

pub use next_step::NextStep;
pub use pieces::{PianoKeys, PianoRolls, Piece};
