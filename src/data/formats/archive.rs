//! Files in a zip archive, as written by NumPy's `savez` and `savez_compressed`.

use std::collections::HashSet;
use std::io::Cursor;
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::data::InputLimit;
use crate::data::input::encoding::quoted;
use crate::data::input::file::read_at_most;
use crate::error::{Error, Result};

/// An archive whose directory has been read.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    path: &'a Path,
}

/// The memory of a directory entry besides its name, comment and extra fields, rounded up.
const ENTRY: u64 = 512;

/// Bytes in memory per byte of a name, a comment or an extra field, rounded up.
const FIELD: u64 = 8;

impl<'a> Archive<'a> {
    /// # Errors
    /// [`Error::Data`] if there is no directory, or one that would need more memory than `limit`.
    pub(super) fn open(bytes: &'a [u8], path: &'a Path, limit: InputLimit) -> Result<Self> {
        limit.check(directory_memory(bytes), path, "", "in memory for its directory")?;
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| Error::data(path, "", format!("expected a complete zip archive, got {error}")))?;
        let mut seen = HashSet::new();
        let start = usize::try_from(zip.central_directory_start()).unwrap_or(usize::MAX);
        if let Some(name) = entry_names(bytes, start).find(|name| !seen.insert(*name)) {
            let name = quoted(&String::from_utf8_lossy(name));
            return Err(Error::data(path, "", format!("expected each file once, got {name} twice")));
        }
        Ok(Self { zip, path })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.zip.file_names()
    }

    /// The uncompressed sizes of the files with these names, as declared in the directory.
    ///
    /// # Errors
    /// [`Error::Data`] if one of them has no header at its offset.
    pub(super) fn size_of(&mut self, names: &[&str]) -> Result<u64> {
        let mut all = 0u64;
        for name in names {
            if let Some(index) = self.zip.index_for_name(name) {
                let file = self.zip.by_index_raw(index).map_err(|error| refused(self.path, name, &error))?;
                all = all.saturating_add(file.size());
            }
        }
        Ok(all)
    }

    /// The contents of a file, verified by its checksum; `None` if there is no file of this name.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(index) = self.zip.index_for_name(name) else { return Ok(None) };
        let refuse = |message: String| Err(Error::data(self.path, format!(", {}", quoted(name)), message));
        let file = self.zip.by_index_raw(index).map_err(|error| refused(self.path, name, &error))?;
        if file.encrypted() {
            return refuse("expected a file that is not encrypted, got one that is".into());
        }
        let method = file.compression();
        if ![CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method) {
            return refuse(format!("expected a stored or deflated file, got compression method {method}"));
        }
        drop(file);
        let file = self.zip.by_index(index).map_err(|error| refused(self.path, name, &error))?;
        let (size, checksum) = (file.size(), file.crc32());
        // One byte more than stated is enough to know; a small file may claim to hold any number.
        match read_at_most(file, size.saturating_add(1), "a file in the archive")? {
            (contents, Ok(())) if contents.len() as u64 == size => Ok(Some(contents)),
            (contents, Ok(())) => refuse(format!("expected {size} bytes, got {}", contents.len())),
            (contents, Err(error)) => {
                let expected = format!("expected {size} bytes with the checksum {checksum:#010x}");
                refuse(format!("{expected}, got {} and then: {error}", contents.len()))
            }
        }
    }
}

fn refused(path: &Path, name: &str, error: &ZipError) -> Error {
    Error::data(path, format!(", {}", quoted(name)), format!("expected a complete file in the archive, got {error}"))
}

/// The maximum memory of the directory, from the headers of its entries and from the count in a zip64 record. The
/// directory has not been found yet, so everything that looks like a header counts.
fn directory_memory(bytes: &[u8]) -> u64 {
    let (mut entries, mut claimed) = (0u64, 0);
    for (at, magic) in bytes.windows(4).enumerate() {
        match magic {
            b"PK\x01\x02" => {
                let fields: u64 = [28, 30, 32].iter().map(|field| u64::from(u16_at(bytes, at + field))).sum();
                entries += ENTRY + FIELD * fields;
            }
            b"PK\x06\x06" => {
                let count =
                    bytes.get(at + 32..).and_then(<[u8]>::first_chunk).map_or(0, |count| u64::from_le_bytes(*count));
                // More entries than bytes are refused before any allocation.
                if count.saturating_mul(46) <= bytes.len() as u64 {
                    claimed = claimed.max(count * ENTRY);
                }
            }
            _ => {}
        }
    }
    entries.max(claimed)
}

/// The names in a directory that starts at `start`.
fn entry_names(bytes: &[u8], start: usize) -> impl Iterator<Item = &[u8]> {
    let mut at = start;
    std::iter::from_fn(move || {
        if !bytes.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|field| usize::from(u16_at(bytes, at + field)));
        let begin = at + 46;
        at = begin + name + extra + comment;
        bytes.get(begin..begin + name)
    })
}

/// Little endian; 0 after the end.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// An archive of files, each stored or deflated.
    pub(crate) fn archive(files: &[(&str, &[u8], bool)]) -> Vec<u8> {
        write(files, false)
    }

    /// `large`: with 64-bit sizes.
    fn write(files: &[(&str, &[u8], bool)], large: bool) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, contents, deflated) in files {
            let method = if *deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            let options = SimpleFileOptions::default().compression_method(method).large_file(large);
            zip.start_file(*name, options).unwrap();
            zip.write_all(contents).unwrap();
        }
        zip.set_comment("hi").unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn open(bytes: &[u8]) -> Result<Archive<'_>> {
        Archive::open(bytes, Path::new("a.npz"), InputLimit::default())
    }

    fn error(bytes: &[u8]) -> String {
        let error = open(bytes).and_then(|mut archive| archive.read("x")).err();
        error.map_or("none".into(), |error| error.to_string())
    }

    fn directory(bytes: &[u8]) -> usize {
        bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap()
    }

    #[test]
    fn stored_deflated_and_zip64_entries_are_read() {
        for large in [false, true] {
            let bytes = write(&[("x", &[1, 2, 3], false), ("y", &[9; 1000], true), ("empty", &[], true)], large);
            let size = &bytes[directory(&bytes) + 24..][..4];
            assert_eq!(size == [0xff; 4], large, "the directory of a ZIP64 archive has its sizes elsewhere");
            let mut archive = open(&bytes).unwrap();
            assert_eq!(archive.names().collect::<Vec<_>>(), ["x", "y", "empty"]);
            assert_eq!(archive.size_of(&["x", "y", "z"]).unwrap(), 1003);
            assert_eq!(archive.read("x").unwrap(), Some(vec![1, 2, 3]));
            assert_eq!(archive.read("y").unwrap(), Some(vec![9; 1000]));
            assert_eq!(archive.read("empty").unwrap(), Some(vec![]));
            assert_eq!(archive.read("z").unwrap(), None);
        }
    }

    #[test]
    fn a_truncated_or_altered_archive_is_refused() {
        let bytes = archive(&[("x", &[5; 100], false)]);
        for end in 0..bytes.len() {
            let error = error(&bytes[..end]);
            assert!(error.starts_with("a.npz: expected a complete zip archive, got "), "{error}");
        }
        let changed = |at: usize, to: &[u8], expected: &str| {
            let mut bytes = bytes.clone();
            bytes.splice(at..at + to.len(), to.iter().copied());
            let error = error(&bytes);
            assert!(error.contains(expected), "{error}");
        };
        let (directory, end) = (directory(&bytes), bytes.len() - 24);
        changed(
            60,
            &[6],
            "a.npz, \"x\": expected 100 bytes with the checksum 0xdc6ae94a, got 100 and then: Invalid checksum",
        );
        changed(0, b"X", "a.npz, \"x\": expected a complete file in the archive, got ");
        changed(directory, b"X", "expected a complete zip archive, got ");
        changed(directory + 8, &[1], "encrypted");
        changed(directory + 10, &[12], "compression method Bzip2");
        changed(directory + 20, &[0xff, 0xff, 0xff, 0x7f], "expected 100 bytes, got 101");
        changed(directory + 24, &[7], "expected 7 bytes, got 8");
        changed(directory + 24, &[0xff; 4], "expected 4294967295 bytes, got 100");
        changed(end + 16, &[0xff; 4], "expected a complete zip archive, got ");
        let mut twice = archive(&[("x", &[], false), ("y", &[], false)]);
        twice.iter_mut().filter(|byte| **byte == b'y').for_each(|byte| *byte = b'x');
        assert_eq!(error(&twice), "a.npz: expected each file once, got \"x\" twice");
    }

    #[test]
    fn an_entry_that_inflates_beyond_its_declared_size_is_refused() {
        let mut bytes = archive(&[("x", &[0; 10_000_000], true)]);
        let size = directory(&bytes) + 24;
        bytes.splice(size..size + 4, 10u32.to_le_bytes());
        assert!(error(&bytes).contains("expected 10 bytes, got 11"));
        bytes.splice(size..size + 4, 0xffff_fffeu32.to_le_bytes());
        assert!(error(&bytes).contains("expected 4294967294 bytes, got 10000000"));
    }

    #[test]
    fn the_directory_counts_against_the_memory_limit() {
        let refused = |bytes: &[u8], limit| {
            let error = Archive::open(bytes, Path::new("a.npz"), InputLimit(limit)).err();
            error.is_some_and(|error| error.to_string().contains("in memory for its directory; an input-limit of"))
        };
        let names: Vec<String> = (0..1000).map(|n| format!("a file with a name of its own, number {n}")).collect();
        let files: Vec<(&str, &[u8], bool)> = names.iter().map(|name| (name.as_str(), &[][..], false)).collect();
        let many = archive(&files);
        assert!(refused(&many, 500_000) && !refused(&many, 1_000_000));
        // A ZIP64 record that declares an entry for every 46 bytes of a file without any.
        let mut claims = vec![0; 1_000_000];
        let count = (claims.len() as u64 / 46).to_le_bytes();
        let begin = (claims.len() as u64).to_le_bytes();
        let record =
            [&b"PK\x06\x06"[..], &44u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8], &count, &count, &[0; 16]].concat();
        let locator = [&b"PK\x06\x07"[..], &[0; 4], &begin, &[1, 0, 0, 0]].concat();
        claims.extend([&record[..], &locator, b"PK\x05\x06", &[0; 4], &[0xff; 12], &[0; 2]].concat());
        assert!(refused(&claims, 10_000_000));
        assert!(open(&claims).is_err());
    }
}
