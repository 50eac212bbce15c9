//! A file for results that must not exist yet.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use bptt::{Error, Result};

use super::folder::io_error;

/// Refuses a path at which there is something, before any work is done for it.
pub(crate) fn check(flag: &str, path: Option<&Path>) -> Result<()> {
    match path.filter(|path| path.symlink_metadata().is_ok()) {
        Some(path) => {
            let message =
                format!("{flag} {}: expected a file that does not exist yet; nothing was written", path.display());
            Err(Error::Unsupported(message))
        }
        None => Ok(()),
    }
}

pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(io_error(path))?;
    file.write_all(contents).map_err(io_error(path))
}
