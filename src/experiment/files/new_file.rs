//! Output files that must not exist yet.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::folder::io_error;
use crate::files::WholeFile;
use crate::format::path_text;
use crate::{Error, Result};

/// Refuses an existing path, or one in a missing folder, before any work is done. The error names `flag`.
///
/// # Errors
/// [`Error::Unsupported`] with the path.
pub fn check(flag: &str, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    check_free(flag, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent.filter(|parent| !parent.is_dir()) {
        Some(parent) => {
            let got = if parent.exists() { "a file" } else { "none" };
            let message = format!(
                "{flag} {}: expected an existing folder {}, got {got}; nothing was written",
                path_text(path),
                path_text(parent)
            );
            Err(Error::Unsupported(message))
        }
        None => Ok(()),
    }
}

/// Refuses an existing path.
///
/// # Errors
/// [`Error::Unsupported`] with the path.
pub fn check_free(flag: &str, path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => {
            let message =
                format!("{flag} {}: expected a file that does not exist yet; nothing was written", path_text(path));
            Err(Error::Unsupported(message))
        }
        Err(_) => Ok(()),
    }
}

/// Extensions that are not for comma-separated text.
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

/// Like [`check`], and also refuses a name that does not end in `.svg`.
///
/// # Errors
/// See [`check`].
pub fn check_picture(flag: &str, path: Option<&Path>) -> Result<()> {
    check_ending(flag, path, "svg", "a picture", |ending| ending != "svg")?;
    check(flag, path)
}

/// Like [`check`], and also refuses a name that does not end in `.wav`.
///
/// # Errors
/// See [`check`].
pub fn check_sound(flag: &str, path: &Path) -> Result<()> {
    check_ending(flag, Some(path), "wav", "a wav file", |ending| ending != "wav")?;
    check(flag, Some(path))
}

/// Like [`check`], and also refuses an extension of another format than comma-separated text.
///
/// # Errors
/// See [`check`].
pub fn check_table(flag: &str, path: Option<&Path>) -> Result<()> {
    check_ending(flag, path, "csv", "comma-separated text", |ending| NO_TEXT.contains(&ending))?;
    check(flag, path)
}

/// The format is fixed, whatever the extension.
fn check_ending(flag: &str, path: Option<&Path>, own: &str, what: &str, is_other: fn(&str) -> bool) -> Result<()> {
    let ending = path.and_then(Path::extension).map(|ending| ending.to_string_lossy().to_lowercase());
    match path.zip(ending).filter(|(_, ending)| is_other(ending)) {
        Some((path, ending)) => {
            let other = path.with_extension(own);
            let message = format!(
                "{flag} {}: expected a name that ends in .{own}, since {what} is written, got .{ending}: {flag} {}",
                path_text(path),
                path_text(&other)
            );
            Err(Error::Unsupported(message))
        }
        None => Ok(()),
    }
}

/// Writes a new file, completely or not at all.
///
/// # Errors
/// If the file exists by now or there is no space; nothing is left then.
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(contents).map_err(io_error(path)))
}

/// Like [`write()`], with the content written by `fill`.
///
/// # Errors
/// Those of [`write()`] and of `fill`.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut NewFile) -> Result<()>) -> Result<()> {
    let mut file = NewFile::create(path)?;
    let written = fill(&mut file);
    file.finish(written)
}

/// A file that gets its name once it is complete. If dropped before, it is deleted.
pub struct NewFile(WholeFile);

impl NewFile {
    /// Creates a file in the folder of `path`, under a temporary name.
    ///
    /// # Errors
    /// If the folder is not writable.
    pub fn create(path: &Path) -> Result<Self> {
        WholeFile::create(path).map(Self)
    }

    /// Renames the file, if it was written.
    ///
    /// # Errors
    /// The error of `written`, with the path of this file if it is [`Error::Io`]; [`Error::Io`] if the path exists by
    /// now.
    pub fn finish(self, written: Result<()>) -> Result<()> {
        self.0.finish(written, give_name)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Gives a file its name, which must be unused. Whether the temporary name is gone.
fn give_name(temporary: &Path, path: &Path) -> io::Result<bool> {
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) => Ok(false),
        // Without hard links, an empty file reserves the name until the complete one replaces it.
        Err(_) => {
            File::create_new(path)?;
            fs::rename(temporary, path).inspect_err(|_| drop(fs::remove_file(path)))?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_new_file_is_complete_or_absent_and_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let full = |file: &mut NewFile| {
            file.write_all(b"half").unwrap();
            Err(io_error(Path::new("the text"))(io::ErrorKind::StorageFull.into()))
        };
        let error = write_with(&path, full).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        assert!(names(folder.path()).is_empty());
        write(&path, b"whole").unwrap();
        assert!(write(&path, b"another").is_err());
        assert_eq!(names(folder.path()), ["a.csv"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_missing_file_takes_no_name_without_hard_links() {
        let folder = tempfile::tempdir().unwrap();
        let [missing, path] = ["missing", "a.csv"].map(|name| folder.path().join(name));
        // No link can be made to what is not there, nor can it be renamed.
        assert!(give_name(&missing, &path).is_err());
        assert!(names(folder.path()).is_empty());
    }
}
