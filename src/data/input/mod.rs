//! Bytes from files: only regular files, within a memory limit, decompressed and checked to be UTF-8.

pub(super) mod encoding;
pub(super) mod file;
pub(super) mod gzip;
pub(super) mod source;

pub use crate::files::open_input;
pub use encoding::utf8;
pub use file::{InputLimit, read_input, read_settings};
