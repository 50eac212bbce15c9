//! Files of a run's own, which no link leads elsewhere.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::{Error, Result};

/// Whether there is a file at a path of the run's own.
///
/// # Errors
/// [`Error::Data`] where there is a link, a folder or a device; [`Error::Io`] where the path cannot be looked at.
pub fn check_own(path: &Path) -> Result<bool> {
    check_no_link(path)?;
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) => {
            let got = if found.is_dir() { "a folder" } else { "something else" };
            Err(not_own(path, &format!("expected a file that the run wrote, got {got}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { path: path.into(), source }),
    }
}

/// Refuses a link: a run makes none, and what is written through one lies outside of its folder.
pub(super) fn check_no_link(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => Err(not_own(
            path,
            "expected the run's own file, got a link: replace the link with its target; nothing was written",
        )),
        _ => Ok(()),
    }
}

fn not_own(path: &Path, message: &str) -> Error {
    Error::Data { path: path.into(), place: String::new(), message: message.into() }
}

/// Opens a file of the run's own, and no other that a link leads to.
pub(super) fn open_own(path: &Path, options: &OpenOptions) -> Result<File> {
    check_own(path)?;
    let io_error = |source| Error::Io { path: path.into(), source };
    let file = options.open(path).map_err(io_error)?;
    // A link may have come in between.
    check_own(path)?;
    if is_at(&file, path).map_err(io_error)? {
        Ok(file)
    } else {
        Err(not_own(path, "expected a file that stays in place, got one that was moved while it was opened"))
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (opened, named) = (file.metadata()?, path.symlink_metadata()?);
    Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino()))
}

#[cfg(unix)]
pub(super) fn has_other_names(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|opened| opened.nlink() > 1)
}

/// The standard library does not tell which file an open one is.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Nor how many names it has.
#[cfg(not(unix))]
pub(super) fn has_other_names(_: &File) -> bool {
    false
}
