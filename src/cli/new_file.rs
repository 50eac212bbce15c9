//! A file for results that must not exist yet.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use bptt::{Error, Result};

use super::Failure;
use super::folder::io_error;

/// Refuses a path at which there is something, or whose folder is not there, before any work is done for it.
pub(crate) fn check(flag: &str, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    check_free(flag, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent.filter(|parent| !parent.is_dir()) {
        Some(parent) => {
            let got = if parent.exists() { "a file" } else { "none" };
            let message = format!(
                "{flag} {}: expected a folder {} that is there, got {got}; nothing was written",
                path.display(),
                parent.display()
            );
            Err(Error::Unsupported(message))
        }
        None => Ok(()),
    }
}

/// Refuses a path at which there is something.
pub(crate) fn check_free(flag: &str, path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => {
            let message =
                format!("{flag} {}: expected a file that does not exist yet; nothing was written", path.display());
            Err(Error::Unsupported(message))
        }
        Err(_) => Ok(()),
    }
}

/// Endings of files that are no comma-separated text.
const NO_TEXT: [&str; 22] = [
    "arrow",
    "feather",
    "gz",
    "html",
    "jpeg",
    "jpg",
    "json",
    "jsonl",
    "npy",
    "npz",
    "ods",
    "onnx",
    "parquet",
    "pdf",
    "png",
    "safetensors",
    "svg",
    "tsv",
    "xls",
    "xlsx",
    "xml",
    "zip",
];

/// As [`check`], and refuses a name whose ending is that of another kind of file than a picture as SVG.
pub(crate) fn check_picture(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    check_ending(flag, path, "svg", "a picture", |ending| ending != "svg")?;
    Ok(check(flag, path)?)
}

/// As [`check`], and refuses a name whose ending is that of another kind of file than comma-separated text.
pub(crate) fn check_table(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    check_ending(flag, path, "csv", "comma-separated text", |ending| NO_TEXT.contains(&ending))?;
    Ok(check(flag, path)?)
}

/// What is written is of one kind, whatever its name says.
fn check_ending(
    flag: &str,
    path: Option<&Path>,
    own: &str,
    what: &str,
    is_other: fn(&str) -> bool,
) -> Result<(), Failure> {
    let ending = path.and_then(Path::extension).map(|ending| ending.to_string_lossy().to_lowercase());
    match path.zip(ending).filter(|(_, ending)| is_other(ending)) {
        Some((path, ending)) => {
            let other = path.with_extension(own);
            let message = format!(
                "{flag} {}: expected a name that ends in .{own}, since {what} is written, got .{ending}: {flag} {}",
                path.display(),
                other.display()
            );
            Err(Failure::usage(Error::Unsupported(message)))
        }
        None => Ok(()),
    }
}

pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(io_error(path))?;
    file.write_all(contents).map_err(io_error(path))
}
