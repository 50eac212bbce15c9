//! A run's folder: new for each run, and its files whole or absent, but for those that grow.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bptt::{Error, Result};

/// The file that is locked while a run writes into its folder.
const LOCK: &str = ".lock";

/// A folder that this run writes into, and no other.
pub(crate) struct Folder {
    path: PathBuf,
    /// Let go of with the file, however the process ends.
    _lock: File,
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
                made => made.map_err(io_error(path)).and_then(|()| Self::open(path)),
            };
        }
        let mut number = 1;
        loop {
            let path = Path::new("runs").join(format!("{name}-{number}"));
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map_err(io_error(&path)).and_then(|()| Self::open(&path)),
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

    /// Takes over a folder that is there.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where another process writes into it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let lock = path.join(LOCK);
        let file = File::create(&lock).map_err(io_error(&lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), _lock: file }),
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                Err(Error::Unsupported(format!("{path}: expected a run that no process is at, but one writes into it")))
            }
            Err(TryLockError::Error(error)) => Err(io_error(&lock)(error)),
        }
    }

    /// Writes a file as a whole: what had the name before stays until its bytes are on the disk.
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!("{name}.part")));
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(contents)?;
            file.sync_all()
        });
        if let Err(error) = written {
            // Half a file helps nobody, least of all on a full disk.
            let _ = fs::remove_file(&temporary);
            return Err(io_error(&path)(error));
        }
        fs::rename(&temporary, &path).map_err(io_error(&path))?;
        // The name itself is an entry of the folder. Where folders cannot be opened as files they need no syncing.
        match path.parent().map(File::open) {
            Some(Ok(folder)) => folder.sync_all().map_err(io_error(&path)),
            _ => Ok(()),
        }
    }

    /// Begins a file that grows line by line.
    pub(crate) fn log(&self, name: &str) -> Result<Log> {
        let path = self.path.join(name);
        let file = File::create_new(&path).map_err(io_error(&path))?;
        Ok(Log { file: BufWriter::new(file), path, bytes: 0, flushed: Instant::now() })
    }

    /// Goes on with such a file behind its first `bytes`; returns these too.
    ///
    /// # Errors
    /// [`Error::Data`] where it is shorter.
    pub(crate) fn log_from(&self, name: &str, bytes: u64) -> Result<(Log, Vec<u8>)> {
        let path = self.path.join(name);
        let open = || {
            let file = File::options().read(true).write(true).open(&path)?;
            let mut before = Vec::new();
            (&file).take(bytes).read_to_end(&mut before)?;
            if before.len() as u64 == bytes {
                file.set_len(bytes)?;
            }
            Ok((file, before))
        };
        let (file, before) = open().map_err(io_error(&path))?;
        if before.len() as u64 != bytes {
            let message = format!("expected the {bytes} bytes that the run had written, got {}", before.len());
            return Err(Error::Data { path, place: String::new(), message });
        }
        Ok((Log { file: BufWriter::new(file), path, bytes, flushed: Instant::now() }, before))
    }
}

/// How old the end of a log may be for who reads it meanwhile.
const FLUSHED_EVERY: Duration = Duration::from_secs(1);

/// A file that grows line by line.
pub(crate) struct Log {
    file: BufWriter<File>,
    path: PathBuf,
    bytes: u64,
    flushed: Instant,
}

impl Log {
    pub(crate) fn append(&mut self, line: &[u8]) -> Result<()> {
        self.file.write_all(line).map_err(io_error(&self.path))?;
        self.bytes += line.len() as u64;
        if self.flushed.elapsed() > FLUSHED_EVERY {
            self.file.flush().map_err(io_error(&self.path))?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    /// Waits until everything is on the disk; returns how many bytes these are.
    pub(crate) fn sync(&mut self) -> Result<u64> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(io_error(&self.path))?;
        Ok(self.bytes)
    }
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // A file in its place is no run that is there already.
        fs::create_dir_all(parent).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
            _ => error,
        })?;
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
