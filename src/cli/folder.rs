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
    /// Let go of with the file, however the process ends. Some file systems have no locks.
    lock: Option<File>,
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
        let file = File::options().write(true).create(true).truncate(false).open(&lock).map_err(io_error(&lock))?;
        let lock = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                let message = "expected a run that no process is at, but one writes into it".into();
                return Err(Error::Data { path: path.into(), place: String::new(), message });
            }
            Err(TryLockError::Error(_)) => None,
        };
        Ok(Self { path: path.into(), lock })
    }

    /// What there is to say of it.
    pub(crate) fn note(&self) -> Option<&'static str> {
        let reason = "this file system has no locks: nothing but care keeps a second process out of the run";
        self.lock.is_none().then_some(reason)
    }

    /// Takes away what was being written when a process ended.
    pub(crate) fn clear_parts(&self, folders: &[&str]) -> Result<()> {
        for folder in folders.iter().map(|folder| self.path.join(folder)).filter(|folder| folder.is_dir()) {
            for entry in fs::read_dir(&folder).map_err(io_error(&folder))? {
                let path = entry.map_err(io_error(&folder))?.path();
                if path.extension().is_some_and(|extension| extension == "part") {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                }
            }
        }
        Ok(())
    }

    /// Makes a folder within, and sees to it that its name is on the disk.
    pub(crate) fn make(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(io_error(&path))?;
        sync_names(&self.path)
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
        path.parent().map_or(Ok(()), sync_names)
    }

    /// Begins a file that grows line by line, anew where there is one.
    pub(crate) fn log(&self, name: &str) -> Result<Log> {
        let path = self.path.join(name);
        let file = File::create(&path).map_err(io_error(&path))?;
        sync_names(&self.path)?;
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
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // A file in its place is no run that is there already.
    parent.map_or(Ok(()), fs::create_dir_all).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
        _ => error,
    })?;
    fs::create_dir(path)?;
    synced(parent.unwrap_or(Path::new(".")))
}

/// Waits until the names of a folder are on the disk: a file's name is an entry of its folder, and not of the file.
fn sync_names(folder: &Path) -> Result<()> {
    synced(folder).map_err(io_error(folder))
}

/// Where folders cannot be opened as files, or their file system does not sync them, there is nothing to wait for.
fn synced(folder: &Path) -> io::Result<()> {
    let Ok(file) = File::open(folder) else { return Ok(()) };
    match file.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
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
