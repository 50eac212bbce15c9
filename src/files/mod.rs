//! Files: regular ones to read, and complete or absent ones to write.

mod input;
pub(crate) mod whole_file;

pub use input::open_input;
pub(crate) use whole_file::WholeFile;
