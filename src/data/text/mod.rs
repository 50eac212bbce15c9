//! Text as characters or bytes, continuous or as lines with classes.

mod character_counts;
mod contiguous_streams;
mod indexed_text;
mod labelled_lines;
mod next_character;
mod random_windows;
mod split;
mod vocabulary;

pub use character_counts::CharacterCounts;
pub use contiguous_streams::ContiguousStreams;
pub use indexed_text::Text;
pub use labelled_lines::LabelledLines;
pub use random_windows::RandomWindows;
pub use split::TextSplit;
pub use vocabulary::{TextUnit, Vocabulary};
