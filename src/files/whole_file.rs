//! A file that is complete or absent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A file that gets its name once it is complete. If dropped before, it is deleted.
pub(crate) struct WholeFile {
    file: Option<File>,
    /// Until it has its name.
    temporary: Option<PathBuf>,
    path: PathBuf,
}

impl WholeFile {
    /// Creates a file in the folder of `path`, under a temporary name.
    ///
    /// # Errors
    /// If the folder is not writable.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let (file, temporary) = temporary(folder_of(path)).map_err(|source| io_error(path, source))?;
        Ok(Self { file: Some(file), temporary: Some(temporary), path: path.into() })
    }

    /// Gives the file its name with `give_name(temporary, path)`, if it was written. That returns whether the temporary
    /// name is gone.
    ///
    /// # Errors
    /// The error of `written`, with the path of this file if it is [`Error::Io`]; [`Error::Io`] if its bytes do not
    /// reach the disk or `give_name` fails. [`Error::Io`] with the path of the folder if the file has its name, but the
    /// name may not have reached the disk.
    pub(crate) fn finish(
        mut self,
        written: Result<()>,
        give_name: impl FnOnce(&Path, &Path) -> io::Result<bool>,
    ) -> Result<()> {
        let path = self.path.clone();
        if let Some(file) = self.file.take() {
            written.map_err(|error| match error {
                Error::Io { source, .. } => io_error(&path, source),
                other => other,
            })?;
            file.sync_all().map_err(|source| io_error(&path, source))?;
        }
        if let Some(temporary) = &self.temporary {
            let is_gone = give_name(temporary, &path).map_err(|source| io_error(&path, source))?;
            // Once it is free, it may be the name of another file, which must not be deleted.
            self.temporary = self.temporary.take().filter(|_| !is_gone);
        }
        drop(self);
        synced(folder_of(&path)).map_err(|source| io_error(folder_of(&path), source))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        drop(self.file.take());
        // It has its own name too by now, or is incomplete and useless.
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.into(), source }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file under a temporary name, short enough for every file system.
fn temporary(folder: &Path) -> io::Result<(File, PathBuf)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // A browser has no processes.
    let process = if cfg!(target_family = "wasm") { 0 } else { std::process::id() };
    let mut attempts = 0;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".bptt-{process}-{number}.part"));
        match File::create_new(&path) {
            // Left by a killed process with the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < 1000 => attempts += 1,
            made => return made.map(|file| (file, path)),
        }
    }
}

/// Where folders cannot be opened as files, or their file system does not sync them, there is nothing to wait for.
///
/// # Errors
/// Where the file system does sync folders, and could not.
pub(crate) fn synced(folder: &Path) -> io::Result<()> {
    let Ok(file) = File::open(folder) else { return Ok(()) };
    match file.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}
