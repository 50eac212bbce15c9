//! Opens regular files, whose size is known in advance.

use std::fs::{File, Metadata};
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a file for reading, and returns its size in bytes. Links are followed.
///
/// # Errors
/// [`Error::Io`] if it does not exist or may not be read; [`Error::Data`] for a folder, a pipe, a socket or a device,
/// which have no size, naming its kind.
pub fn open_input(path: &Path) -> Result<(File, u64)> {
    let io = |source| Error::Io { path: path.into(), source };
    // Checked before opening: opening a pipe would wait for a writer.
    check_regular(&std::fs::metadata(path).map_err(io)?, path)?;
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    // It may have been replaced by now.
    check_regular(&metadata, path)?;
    Ok((file, metadata.len()))
}

fn check_regular(metadata: &Metadata, path: &Path) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let message = if metadata.is_dir() {
        "expected a file, got a folder".to_owned()
    } else {
        format!("expected a regular file, got {}: write its contents to a file and name that file", kind(metadata))
    };
    Err(Error::data(path, "", message))
}

/// The kind of something that is neither a file nor a folder.
#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        return "a pipe";
    }
    if kind.is_socket() {
        return "a socket";
    }
    if kind.is_char_device() || kind.is_block_device() { "a device" } else { "something else" }
}

#[cfg(not(unix))]
fn kind(_: &Metadata) -> &'static str {
    "something else"
}
