//! A run's folder: new for each run, and its files whole or absent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bptt::{Error, Result};

/// A folder that this run has made.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes `out`, or without it the first free one of `runs/NAME-1`, `runs/NAME-2`, …
    ///
    /// # Errors
    /// Where `out` exists, whatever it holds.
    pub(crate) fn create(out: Option<&Path>, name: &str) -> Result<Self> {
        if let Some(path) = out {
            return match make(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
                made => made.map_err(io_error(path)).map(|()| Self { path: path.into() }),
            };
        }
        let mut number = 1;
        loop {
            let path = Path::new("runs").join(format!("{name}-{number}"));
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map_err(io_error(&path)).map(|()| Self { path }),
            }
        }
    }

    /// Refuses an existing `out` before any work is done for it.
    pub(crate) fn check_free(out: Option<&Path>) -> Result<()> {
        out.filter(|path| path.symlink_metadata().is_ok()).map_or(Ok(()), |path| Err(exists(path)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file as a whole.
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let mut file = self.begin(name)?;
        file.append(contents)?;
        file.commit()
    }

    /// Begins a file that grows during the run and gets its name at the end.
    pub(crate) fn begin(&self, name: &str) -> Result<Growing> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!("{name}.part")));
        let file = File::create_new(&temporary).map_err(io_error(&temporary))?;
        Ok(Growing { file: BufWriter::new(file), temporary, path })
    }
}

/// A file under its temporary name.
pub(crate) struct Growing {
    file: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Growing {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(io_error(&self.temporary))
    }

    /// Gives the file its name, once its bytes are on the disk.
    pub(crate) fn commit(mut self) -> Result<()> {
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.and_then(|()| fs::rename(&self.temporary, &self.path)).map_err(io_error(&self.path))?;
        // The name itself is an entry of the folder. Where folders cannot be opened as files they need no syncing.
        match self.path.parent().map(File::open) {
            Some(Ok(folder)) => folder.sync_all().map_err(io_error(&self.path)),
            _ => Ok(()),
        }
    }
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(path)
}

fn exists(path: &Path) -> Error {
    Error::Unsupported(format!(
        "--out {}: expected a folder that does not exist yet; nothing was written",
        path.display()
    ))
}

/// The error of results as comma-separated text that could not be written.
pub(crate) fn unwritten(error: impl Into<io::Error>) -> Error {
    io_error(Path::new("the comma-separated text"))(error.into())
}

pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Io { path, source }
}
