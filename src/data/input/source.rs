//! Random access to the bytes of a file or of memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::files::open_input;

/// Bytes that must not change while they are read.
#[derive(Debug)]
pub(in crate::data) struct Source {
    /// The path for error messages.
    path: PathBuf,
    len: u64,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Memory(Vec<u8>),
    // Seeking and reading must not be interleaved with other readers.
    File { file: Mutex<File>, modified: Option<SystemTime> },
}

impl Source {
    pub(in crate::data) fn memory(bytes: Vec<u8>, path: &Path) -> Self {
        Self { path: path.into(), len: bytes.len() as u64, storage: Storage::Memory(bytes) }
    }

    pub(in crate::data) fn open(path: &Path) -> Result<Self> {
        let (file, len) = open_input(path)?;
        let modified = file.metadata().map_err(|source| Error::Io { path: path.into(), source })?.modified().ok();
        Ok(Self { path: path.into(), len, storage: Storage::File { file: Mutex::new(file), modified } })
    }

    pub(in crate::data) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes.
    pub(in crate::data) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `bytes` with those from `offset` on, all below [`len`](Self::len).
    ///
    /// # Errors
    /// [`Error::Data`] if the file has changed since it was opened.
    pub(in crate::data) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        match &self.storage {
            Storage::Memory(all) => {
                let begin = offset as usize;
                bytes.copy_from_slice(all.get(begin..begin + bytes.len()).ok_or_else(|| self.changed())?);
                Ok(())
            }
            Storage::File { file, modified } => {
                let io = |source| Error::Io { path: self.path.clone(), source };
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let metadata = file.metadata().map_err(io)?;
                if metadata.len() != self.len || metadata.modified().ok() != *modified {
                    return Err(self.changed());
                }
                file.seek(SeekFrom::Start(offset)).map_err(io)?;
                file.read_exact(bytes).map_err(|error| match error.kind() {
                    ErrorKind::UnexpectedEof => self.changed(),
                    _ => io(error),
                })
            }
        }
    }

    /// The error that the file has changed.
    pub(in crate::data) fn changed(&self) -> Error {
        let message =
            format!("expected the file of {} bytes that was opened, got one that has changed since", self.len);
        Error::data(&self.path, "", message)
    }
}
