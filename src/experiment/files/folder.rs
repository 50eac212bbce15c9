//! A run's folder. It is new for each run, and its files are complete or absent, except for logs.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::own_file::{check_no_link, check_own, has_other_names, open_own};
use crate::data::open_input;
use crate::files::whole_file::synced;
use crate::format::path_text;
use crate::{Error, Result};

/// The file that is locked while a run writes into its folder.
const LOCK: &str = ".lock";

/// The content of that file until the run has its configuration. It marks a folder that a run left early.
const BEGUN: &[u8] = b"bptt: a run that does not have its configuration yet\n";

/// Suffix of a file that is not yet complete.
pub(crate) const PART: &str = ".part";

/// A folder that only this run writes into.
pub struct Folder {
    path: PathBuf,
    /// Released with the file, however the process ends.
    lock: File,
    /// Some file systems have no locks.
    locked: bool,
}

impl Folder {
    /// Creates `out`, or without it the first unused one of `runs/NAME-1`, `runs/NAME-2`, … An empty `out`, or one that
    /// a run left before it had its configuration, is taken over: `is_beginning` recognises the paths that such a run
    /// may have written.
    ///
    /// # Errors
    /// If `out` contains anything else.
    pub fn create(out: Option<&Path>, name: &str, is_beginning: fn(&Path) -> bool) -> Result<Self> {
        if let Some(path) = out {
            return match make(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::take_over(path, is_beginning),
                made => made.map_err(io_error(path)).and_then(|()| Self::begun(path)),
            };
        }
        let mut number = 1;
        loop {
            let path = Path::new("runs").join(format!("{name}-{number}"));
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map_err(io_error(&path)).and_then(|()| Self::begun(&path)),
            }
        }
    }

    /// Refuses an `out` that [`create`](Self::create) would, before any work is done for it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the folder.
    pub fn check_free(out: Option<&Path>, is_beginning: fn(&Path) -> bool) -> Result<()> {
        let Some(path) = out.filter(|path| path.symlink_metadata().is_ok()) else { return Ok(()) };
        let lock = File::open(path.join(LOCK)).and_then(|file| read_lock(&file)).unwrap_or_default();
        match left_behind(path, &lock, is_beginning) {
            Some(_) => Ok(()),
            None => Err(exists(path)),
        }
    }

    /// An existing folder, locked against others.
    fn take_over(path: &Path, is_beginning: fn(&Path) -> bool) -> Result<Self> {
        Self::check_free(Some(path), is_beginning)?;
        let folder = Self::open(path)?;
        let lock = read_lock(&folder.lock).map_err(io_error(&path.join(LOCK)))?;
        let left = left_behind(path, &lock, is_beginning).filter(|_| folder.locked).ok_or_else(|| exists(path))?;
        for file in left.iter().filter(|file| !file.ends_with(LOCK)) {
            fs::remove_file(file).map_err(io_error(file))?;
        }
        folder.mark(BEGUN)?;
        Ok(folder)
    }

    /// A new folder.
    fn begun(path: &Path) -> Result<Self> {
        let folder = Self::open(path)?;
        folder.mark(BEGUN)?;
        Ok(folder)
    }

    fn mark(&self, with: &[u8]) -> Result<()> {
        let mut file = &self.lock;
        let marked = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(with));
        marked.and_then(|()| file.sync_all()).map_err(io_error(&self.path.join(LOCK)))?;
        sync_names(&self.path)
    }

    /// Writes the configuration, with which the folder is a run.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn write_config(&self, name: &str, contents: &[u8]) -> Result<()> {
        self.write(name, contents)?;
        self.mark(b"")
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over an existing folder.
    ///
    /// # Errors
    /// [`Error::Data`] if another process writes into it or its lock is a link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let lock = open_own(&path.join(LOCK), File::options().read(true).write(true).create(true).truncate(false))?;
        let locked = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                let message = "expected a run that no other process uses, but one writes into it".into();
                return Err(Error::Data { path: path.into(), place: String::new(), message });
            }
            Err(TryLockError::Error(_)) => false,
        };
        Ok(Self { path: path.into(), lock, locked })
    }

    /// Whether another process, or another part of this one, writes into the folder of a run.
    pub(crate) fn is_in_use(path: &Path) -> bool {
        let lock = File::options().read(true).write(true).open(path.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The note about missing locks.
    pub fn note(&self) -> Option<&'static str> {
        let reason = "this file system has no locks: make sure that no second process uses the run";
        (!self.locked).then_some(reason)
    }

    /// Deletes incomplete files in a subfolder that an interrupted process left under the run's own names. Incomplete
    /// files that every run writes are replaced when these are written.
    pub(crate) fn clear_parts(&self, folder: &str, is_own: fn(&str) -> bool) -> Result<()> {
        let folder = self.path.join(folder);
        if !folder.is_dir() {
            return Ok(());
        }
        check_no_link(&folder)?;
        for entry in fs::read_dir(&folder).map_err(io_error(&folder))? {
            let entry = entry.map_err(io_error(&folder))?;
            let name = entry.file_name();
            let whole = name.to_str().and_then(|name| name.strip_suffix(PART));
            if whole.is_some_and(is_own) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                fs::remove_file(entry.path()).map_err(io_error(&entry.path()))?;
            }
        }
        Ok(())
    }

    /// Makes a folder within, and sees to it that its name is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be created; [`Error::Data`] for a link in its place.
    pub fn make(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        check_no_link(&path)?;
        fs::create_dir_all(&path).map_err(io_error(&path))?;
        sync_names(&self.path)
    }

    /// Writes a file as a whole: see [`begin`](Self::begin).
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written; [`Error::Data`] for a link or a folder in its place.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let mut part = self.begin(name)?;
        let written = part.write_all(contents).map_err(io_error(&part.path));
        part.end(written)
    }

    /// Begins a file that is to be there as a whole: what had the name before stays until its bytes are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be created; [`Error::Data`] for a link or a folder in its place.
    pub fn begin(&self, name: &str) -> Result<PartialFile> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!("{name}{PART}")));
        check_own(&path)?;
        // Left by an interrupted process.
        if check_own(&temporary)? {
            fs::remove_file(&temporary).map_err(io_error(&temporary))?;
        }
        let file = File::create_new(&temporary).map_err(io_error(&path))?;
        Ok(PartialFile { file, path, temporary: Some(temporary) })
    }

    /// Begins a file that grows line by line, anew where there is one.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn log(&self, name: &str) -> Result<Log> {
        // A new file replaces the old one, which may have another hard link.
        self.write(name, b"")?;
        let path = self.path.join(name);
        // Readable, since it is read once written.
        let file = open_own(&path, File::options().read(true).write(true))?;
        Ok(Log { file: BufWriter::new(file), path, bytes: 0, flushed: Instant::now() })
    }

    /// Continues a log after its first `bytes`, and passes each of their lines to `each`.
    ///
    /// # Errors
    /// [`Error::Data`] if it is shorter, or for a line that `each` refuses.
    pub fn log_from(&self, name: &str, bytes: u64, each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<Log> {
        let path = self.path.join(name);
        let open = || open_own(&path, File::options().read(true).write(true));
        let mut file = open()?;
        check_length(&path, &file, bytes)?;
        if has_other_names(&file) {
            // A hard link, such as a backup, keeps the old content.
            self.copy(name, &path, bytes)?;
            file = open()?;
        }
        each_line(&path, &file, bytes, each)?;
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes))).map_err(io_error(&path))?;
        Ok(Log { file: BufWriter::new(file), path, bytes, flushed: Instant::now() })
    }

    /// Copies the first `bytes` of a file.
    ///
    /// # Errors
    /// [`Error::Data`] if it is shorter.
    pub(crate) fn copy(&self, name: &str, from: &Path, bytes: u64) -> Result<()> {
        let (file, _) = open_input(from)?;
        check_length(from, &file, bytes)?;
        let mut part = self.begin(name)?;
        let copied = io::copy(&mut file.take(bytes), &mut part).map(|_| ()).map_err(io_error(&part.path));
        part.end(copied)
    }
}

/// Passes on the lines of the first `bytes` of a file.
pub(super) fn each_line(
    path: &Path,
    file: &File,
    bytes: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<()> {
    let (mut lines, mut line, mut number) = (BufReader::new(file.take(bytes)), Vec::new(), 0_u64);
    while lines.read_until(b'\n', &mut line).map_err(io_error(path))? > 0 {
        number += 1;
        each(&line).map_err(|message| Error::Data {
            path: path.into(),
            place: format!(", line {number}"),
            message: format!("expected the run's own lines: {message}"),
        })?;
        line.clear();
    }
    Ok(())
}

/// Refuses a file with fewer bytes than the run had written.
fn check_length(path: &Path, file: &File, bytes: u64) -> Result<()> {
    let got = file.metadata().map_err(io_error(path))?.len();
    if got < bytes {
        let message = format!("expected the {bytes} bytes that the run had written, got {got}");
        return Err(Error::Data { path: path.into(), place: String::new(), message });
    }
    Ok(())
}

/// A file being written under a temporary name. If dropped early, it is deleted: half a file is useless, especially on
/// a full disk.
pub struct PartialFile {
    file: File,
    path: PathBuf,
    /// The temporary name; `None` once it is renamed.
    temporary: Option<PathBuf>,
}

impl PartialFile {
    /// Gives the file its name, once its bytes are on the disk; `written`: whether all of it could be written.
    ///
    /// # Errors
    /// The error of `written`, with the file's path if it is one of writing; [`Error::Io`] where its bytes do not reach
    /// the disk, or its name cannot be given.
    pub fn end(mut self, written: Result<()>) -> Result<()> {
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

impl Drop for PartialFile {
    fn drop(&mut self) {
        self.temporary.iter().for_each(|temporary| drop(fs::remove_file(temporary)));
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for PartialFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// How stale a log may be for other readers.
const FLUSHED_EVERY: Duration = Duration::from_secs(1);

/// A log: a file that grows line by line.
pub struct Log {
    file: BufWriter<File>,
    path: PathBuf,
    bytes: u64,
    flushed: Instant,
}

impl Log {
    /// The buffer of what is not yet on disk.
    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        self.file.capacity()
    }

    /// Appends a line, which ends with a line break.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn append(&mut self, line: &[u8]) -> Result<()> {
        self.file.write_all(line).map_err(io_error(&self.path))?;
        self.bytes += line.len() as u64;
        if self.flushed.elapsed() > FLUSHED_EVERY {
            self.file.flush().map_err(io_error(&self.path))?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    /// Passes on the lines so far.
    ///
    /// # Errors
    /// [`Error::Data`] for a line that `each` refuses.
    pub(crate) fn lines(&mut self, each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<()> {
        self.file.seek(SeekFrom::Start(0)).map_err(io_error(&self.path))?;
        each_line(&self.path, self.file.get_ref(), self.bytes, each)?;
        self.file.seek(SeekFrom::Start(self.bytes)).map(|_| ()).map_err(io_error(&self.path))
    }

    /// Waits until everything is on the disk; returns how many bytes these are.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(io_error(&self.path))?;
        Ok(self.bytes)
    }
}

/// The files in a folder that a run began and did not give its configuration, or that is empty; `None` where it has
/// anything else. `lock`: what stands in its lock.
fn left_behind(path: &Path, lock: &[u8], is_beginning: fn(&Path) -> bool) -> Option<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !folder.symlink_metadata().ok()?.is_dir() {
            return None;
        }
        for entry in fs::read_dir(&folder).ok()? {
            let entry = entry.ok()?;
            let (file, kind) = (entry.path(), entry.file_type().ok()?);
            let within = file.strip_prefix(path).ok()?;
            match (kind.is_dir(), kind.is_file()) {
                _ if within == Path::new(LOCK) && kind.is_file() => files.push(file),
                (true, _) if is_beginning(within) => folders.push(file),
                (_, true) if is_beginning(within) => files.push(file),
                _ => return None,
            }
        }
    }
    // Without the mark there can only be the lock, before anything was written to it.
    let alone = lock.is_empty() && files.iter().all(|file| file.ends_with(LOCK));
    (lock == BEGUN || alone).then_some(files)
}

/// The content of a lock, up to the length of the mark.
fn read_lock(mut file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(BEGUN.len() as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn make(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // A file of this name is not an existing run.
    parent.map_or(Ok(()), fs::create_dir_all).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
        _ => error,
    })?;
    fs::create_dir(path)?;
    synced(parent.unwrap_or(Path::new(".")))
}

/// Syncs a folder: a file's name is an entry of its folder.
fn sync_names(folder: &Path) -> Result<()> {
    synced(folder).map_err(io_error(folder))
}

fn exists(path: &Path) -> Error {
    Error::Unsupported(format!(
        "--out {}: expected a folder that does not exist yet, or an empty one; nothing was written",
        path_text(path)
    ))
}

/// The error of results that could not be written as comma-separated text.
pub fn unwritten(error: impl Into<io::Error>) -> Error {
    io_error(Path::new("the comma-separated text"))(error.into())
}

/// A line of JSON.
///
/// # Errors
/// [`Error::Failed`] for a map whose keys are no text, and for what refuses to be serialized.
pub fn json_line(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| Error::Failed(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Adds the file name to an I/O error.
pub fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Io { path, source }
}

/// Adds the file name to an error in its content or in reading it.
pub fn in_file(path: &Path) -> impl FnOnce(Error) -> Error {
    let path = path.to_owned();
    |error| match error {
        Error::Io { source, .. } => Error::Io { path, source },
        other => Error::Data { path, place: String::new(), message: other.to_string() },
    }
}
