//! Reads files: only regular files, whose size is known in advance, and within a limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::allocate;
use crate::error::{Error, Result};
use crate::files::open_input;
use crate::sizes::Count;

/// Size limit in bytes for a file that is read as a whole: of the file itself, its unpacked contents, and the numbers
/// in memory, each counted separately.
///
/// Without it a small file could use up all memory: a thousand zeros are one byte of gzip, and a sequence with a single
/// number needs a hundred bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimit(pub u64);

impl Default for InputLimit {
    /// 1 GiB.
    fn default() -> Self {
        Self(1 << 30)
    }
}

impl InputLimit {
    /// Refuses `bytes`, the size of `what`.
    ///
    /// # Errors
    /// [`Error::Data`] names the limit and how to raise it.
    pub(crate) fn check(self, bytes: u64, path: &Path, place: &str, what: &str) -> Result<()> {
        if bytes > self.0 {
            // In whole MiB, so that it can be typed.
            let enough = bytes.div_ceil(1 << 20);
            let message = format!(
                "expected at most {} bytes, got {bytes} {what}; an input-limit of {enough}MiB allows them",
                self.0
            );
            Err(Error::data(path, place, message))
        } else {
            Ok(())
        }
    }

    /// Refuses data that exceed the limit by an unknown amount; twice the limit is worth a try.
    pub(super) fn exceeded(self, path: &Path, place: &str, what: &str) -> Error {
        self.exceeded_by(self.0.saturating_mul(2), path, place, what)
    }

    /// Refuses data that need about so many bytes.
    fn exceeded_by(self, bytes: u64, path: &Path, place: &str, what: &str) -> Error {
        let message = format!(
            "expected at most {} bytes, got more {what}; a larger input-limit allows them, such as {}MiB",
            self.0,
            bytes.div_ceil(1 << 20)
        );
        Error::data(path, place, message)
    }
}

/// Counts the memory that a file needs during and after reading, if its size is not known in advance.
#[derive(Clone, Copy, Debug)]
pub(in crate::data) struct MemoryUse<'a> {
    limit: InputLimit,
    path: &'a Path,
    /// The bytes so far.
    what: &'static str,
    bytes: Count,
}

impl<'a> MemoryUse<'a> {
    /// A new count for the file at `path`.
    pub(in crate::data) fn new(limit: InputLimit, path: &'a Path, what: &'static str) -> Self {
        Self { limit, path, what, bytes: Count::default() }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Error::Data`] if the limit is exceeded.
    pub(in crate::data) fn add(&mut self, bytes: usize) -> Result<()> {
        self.set((self.bytes + bytes).get())
    }

    /// Adds the bytes of something whose size is known before it is made, in words and with what to do about it.
    ///
    /// # Errors
    /// [`Error::Data`] if the limit is exceeded, with the limit that it needs.
    #[cfg(feature = "csv")]
    pub(in crate::data) fn add_known(&mut self, bytes: Count, what: &str, remedy: &str) -> Result<()> {
        let all = (self.bytes + bytes).get();
        if all <= self.limit.0 {
            return self.set(all);
        }
        let message = format!(
            "expected at most {} bytes in memory, got {all} for {what}; {remedy}; an input-limit of {}MiB allows it",
            self.limit.0,
            all.div_ceil(1 << 20)
        );
        Err(Error::data(self.path, "", message))
    }

    /// Adds the bytes of a row of a table, behind which `left` more come.
    ///
    /// # Errors
    /// [`Error::Data`] if the limit is exceeded, with one that all rows need if they are as long.
    #[cfg(feature = "csv")]
    pub(in crate::data) fn add_row(&mut self, bytes: usize, left: impl FnOnce() -> usize) -> Result<()> {
        let all = (self.bytes + bytes).get();
        if all <= self.limit.0 {
            return self.set(all);
        }
        let needed = (self.bytes + Count::from(bytes) * left().saturating_add(1)).get();
        Err(self.limit.exceeded_by(needed, self.path, "", self.what))
    }

    /// The total.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    pub(in crate::data) fn set(&mut self, bytes: u64) -> Result<()> {
        self.bytes = bytes.into();
        if bytes > self.limit.0 { Err(self.limit.exceeded(self.path, "", self.what)) } else { Ok(()) }
    }
}

/// All bytes of a file, at most `limit`.
///
/// # Errors
/// Those of [`open_input`], and [`Error::Data`] for a file that is larger than `limit` or was truncated while it was
/// read.
pub fn read_input(path: &Path, limit: InputLimit) -> Result<Vec<u8>> {
    let (file, len) = open_input(path)?;
    limit.check(len, path, "", "in the file")?;
    whole(file, len, path)
}

/// The limit of [`read_settings`].
const SETTINGS: u64 = 1 << 22;

/// All bytes of a settings or metadata file, at most 4 MiB: such files are shorter, and parsing takes twenty times
/// their size.
///
/// # Errors
/// Those of [`read_input`].
pub fn read_settings(path: &Path) -> Result<Vec<u8>> {
    let (file, len) = open_input(path)?;
    if len > SETTINGS {
        Err(Error::data(path, "", format!("expected at most {SETTINGS} bytes, got a file of {len}")))
    } else {
        whole(file, len, path)
    }
}

fn whole(file: File, len: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let fits = usize::try_from(len).unwrap_or(usize::MAX);
    allocate::reserve(&mut bytes, fits, &path.display().to_string())?;
    file.take(len).read_to_end(&mut bytes).map_err(|source| Error::Io { path: path.into(), source })?;
    if bytes.len() as u64 == len {
        Ok(bytes)
    } else {
        let message = format!("expected {len} bytes, as when it was opened, got {}: it was truncated", bytes.len());
        Err(Error::data(path, "", message))
    }
}

/// What comes of a reader whose length is not known, up to `most` bytes: memory is taken for no more than these, and
/// for no more than twice what came.
///
/// # Errors
/// The reader's own, behind what came before it; [`Error::NoMemory`] names `what` it is.
#[cfg(any(feature = "gzip", feature = "npz"))]
pub(in crate::data) fn read_at_most(
    mut reader: impl Read,
    most: u64,
    what: &str,
) -> Result<(Vec<u8>, std::io::Result<()>)> {
    /// What is asked for at first.
    const FIRST: u64 = 1 << 16;
    let mut bytes = Vec::new();
    loop {
        let len = bytes.len() as u64;
        let more = len.max(FIRST).min(most - len);
        allocate::reserve(&mut bytes, usize::try_from(more).unwrap_or(usize::MAX), what)?;
        match reader.by_ref().take(more).read_to_end(&mut bytes) {
            Ok(read) if read as u64 == more && more > 0 => {}
            ended => return Ok((bytes, ended.map(drop))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, limit: u64) -> String {
        let error = read_input(path, InputLimit(limit)).unwrap_err().to_string();
        error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_the_error_names_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, [7; 5000]).unwrap();
        assert_eq!(read_input(&path, InputLimit(5000)).unwrap(), [7; 5000]);
        let expected = "expected at most 4999 bytes, got 5000 in the file; an input-limit of 1MiB allows them";
        assert_eq!(refusal(&path, 4999), expected);
        assert!(matches!(read_input(&folder.path().join("b"), InputLimit::default()), Err(Error::Io { .. })));
        assert_eq!(read_settings(&path).unwrap(), [7; 5000]);
        File::options().write(true).open(&path).unwrap().set_len(SETTINGS + 1).unwrap();
        let error = read_settings(&path).unwrap_err().to_string();
        assert!(error.ends_with("expected at most 4194304 bytes, got a file of 4194305"), "{error}");
    }

    #[test]
    fn a_sparse_file_beyond_all_memory_is_refused_before_allocation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let file = File::create(&path).unwrap();
        // Not every file system has files as large.
        let size = [1u64 << 42, 1 << 33].into_iter().find(|size| file.set_len(*size).is_ok()).unwrap();
        assert!(refusal(&path, 1 << 30).contains(&format!("got {size} in the file")));
    }

    #[cfg(any(feature = "gzip", feature = "npz"))]
    #[test]
    fn no_more_memory_is_taken_for_what_is_read_than_may_come_and_than_twice_what_came() {
        for len in [0, 1, 65_535, 65_536, 65_537, 200_000, 1_000_000] {
            for most in [0, 1, 31, 65_535, 65_536, 65_567, 100_000, 262_145, 1_000_001, u64::MAX] {
                let (bytes, ended) = read_at_most(std::io::repeat(7).take(len), most, "x").unwrap();
                assert!(ended.is_ok() && bytes == vec![7; len.min(most) as usize], "{len} of {most}");
                let capacity = bytes.capacity() as u64;
                assert!(capacity <= most && capacity <= (2 * len).max(1 << 16), "{len} of {most}: {capacity}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn folders_and_pipes_are_refused_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert_eq!(refusal(folder.path(), 1 << 30), "expected a file, got a folder");
        for (path, what) in [
            (Path::new("/dev/zero"), "a device: write"),
            (&link, "a device: write"),
            (&socket, "a socket: write"),
            (&fifo, "a pipe: write"),
        ] {
            let expected = format!("expected a regular file, got {what}");
            assert!(refusal(path, 1 << 30).starts_with(&expected), "{what}");
        }
    }
}
