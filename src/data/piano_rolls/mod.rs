//! Piano rolls: pieces of music and the like, with some of many keys active at each step.

mod next_step;
pub(super) mod pieces;

pub use next_step::NextStep;
pub use pieces::{PianoKeys, PianoRolls, Piece};
