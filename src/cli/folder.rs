//! A run's folder: new for each run, and its files whole or absent, but for those that grow.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
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

    /// Writes a file as a whole: see [`begin`](Self::begin).
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let mut part = self.begin(name)?;
        let written = part.write_all(contents).map_err(io_error(&part.path));
        part.end(written)
    }

    /// Begins a file that is to be there as a whole: what had the name before stays until its bytes are on the disk.
    pub(crate) fn begin(&self, name: &str) -> Result<Part> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!("{name}.part")));
        let file = File::create(&temporary).map_err(io_error(&path))?;
        Ok(Part { file, path, temporary: Some(temporary) })
    }

    /// Begins a file that grows line by line, anew where there is one.
    pub(crate) fn log(&self, name: &str) -> Result<Log> {
        let path = self.path.join(name);
        let file = File::create(&path).map_err(io_error(&path))?;
        sync_names(&self.path)?;
        Ok(Log { file: BufWriter::new(file), path, bytes: 0, flushed: Instant::now() })
    }

    /// Goes on with such a file behind its first `bytes`, whose lines `each` is told one after the other.
    ///
    /// # Errors
    /// [`Error::Data`] where it is shorter, and for the line that `each` refuses.
    pub(crate) fn log_from(
        &self,
        name: &str,
        bytes: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Log> {
        let path = self.path.join(name);
        let file = File::options().read(true).write(true).open(&path).map_err(io_error(&path))?;
        check_length(&path, &file, bytes)?;
        let (mut lines, mut line, mut number) = (BufReader::new((&file).take(bytes)), Vec::new(), 0_u64);
        while lines.read_until(b'\n', &mut line).map_err(io_error(&path))? > 0 {
            number += 1;
            each(&line).map_err(|message| Error::Data {
                path: path.clone(),
                place: format!(", line {number}"),
                message: format!("expected the run's own lines: {message}"),
            })?;
            line.clear();
        }
        let mut file = &file;
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes))).map_err(io_error(&path))?;
        let file = file.try_clone().map_err(io_error(&path))?;
        Ok(Log { file: BufWriter::new(file), path, bytes, flushed: Instant::now() })
    }

    /// Copies the first `bytes` of a file.
    ///
    /// # Errors
    /// [`Error::Data`] where it is shorter.
    pub(crate) fn copy(&self, name: &str, from: &Path, bytes: u64) -> Result<()> {
        let (file, _) = sized(from)?;
        check_length(from, &file, bytes)?;
        let mut part = self.begin(name)?;
        let copied = io::copy(&mut file.take(bytes), &mut part).map(|_| ()).map_err(io_error(&part.path));
        part.end(copied)
    }
}

/// Refuses a file with fewer bytes than a run had written into it.
fn check_length(path: &Path, file: &File, bytes: u64) -> Result<()> {
    let got = file.metadata().map_err(io_error(path))?.len();
    if got < bytes {
        let message = format!("expected the {bytes} bytes that the run had written, got {got}");
        return Err(Error::Data { path: path.into(), place: String::new(), message });
    }
    Ok(())
}

/// A file to be read, and how many bytes it has.
pub(crate) fn sized(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(io_error(path))?;
    let length = file.metadata().map_err(io_error(path))?.len();
    Ok((file, length))
}

/// A file that is being written, under another name. One that is let go of before its end is gone: half a file helps
/// nobody, least of all on a full disk.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    /// The other name; `None` once it has its own.
    temporary: Option<PathBuf>,
}

impl Part {
    /// Gives the file its name, once its bytes are on the disk; `written`: whether all of it could be written.
    pub(crate) fn end(mut self, written: Result<()>) -> Result<()> {
        written.map_err(|error| match error {
            Error::Io { source, .. } => io_error(&self.path)(source),
            other => other,
        })?;
        self.file.sync_all().map_err(io_error(&self.path))?;
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path).map_err(io_error(&self.path))?;
        }
        self.temporary = None;
        self.path.parent().map_or(Ok(()), sync_names)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.temporary.iter().for_each(|temporary| drop(fs::remove_file(temporary)));
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Part {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
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

/// An error in what a file holds as one of that file, and one of reading it with the file's name.
pub(crate) fn in_file(path: &Path) -> impl FnOnce(Error) -> Error {
    let path = path.to_owned();
    |error| match error {
        Error::Io { source, .. } => Error::Io { path, source },
        other => Error::Data { path, place: String::new(), message: other.to_string() },
    }
}
