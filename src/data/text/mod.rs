//! Text by characters or bytes, whole or as lines in classes.

mod contiguous_streams;
mod histogram;
mod indexed_text;
mod labelled_lines;
mod next_character;
mod random_windows;
mod split;
mod vocabulary;

pub use contiguous_streams::Lanes;
pub use histogram::Histogram;
pub use indexed_text::Text;
pub use labelled_lines::Lines;
pub use random_windows::RandomWindows;
pub use split::Parts;
pub use vocabulary::{Unit, Vocabulary};
