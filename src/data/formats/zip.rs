//! The files within a zip archive, as NumPy's `savez` and `savez_compressed` write them.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use crate::data::input::encoding::quoted;
use crate::error::{Error, Result};

/// What the directory at an archive's end tells.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    encrypted: bool,
    method: u16,
    crc: u32,
    compressed: usize,
    size: usize,
    /// Where the file's own header is.
    offset: usize,
}

impl<'a> Archive<'a> {
    /// # Errors
    /// [`Error::Data`] for what has no directory, or one for files of 4 GB.
    pub(super) fn open(bytes: &'a [u8], path: &'a Path) -> Result<Self> {
        let refuse = |message: &str| Error::data(path, "", message);
        // 22 bytes and a comment, whose length they end with.
        let ends = (bytes.len().saturating_sub(22 + 0xffff)..=bytes.len().saturating_sub(22)).rev();
        let whole = |at: &usize| {
            bytes[*at..].starts_with(b"PK\x05\x06") && u16_at(bytes, at + 20) == Some(bytes.len() - at - 22)
        };
        let end = { ends }.find(whole).ok_or_else(|| {
            refuse("expected a zip archive, got no directory at the end: no archive, or one that is cut off")
        })?;
        let cut = || refuse("expected a whole zip directory, got one that is cut off or changed");
        let count = u16_at(bytes, end + 10).ok_or_else(cut)?;
        let mut at = u32_at(bytes, end + 16).ok_or_else(cut)?;
        if count == 0xffff || at == 0xffff_ffff {
            return Err(refuse("expected a zip archive below 4 GB and of fewer than 65535 files, got a zip64 one"));
        }
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        for _ in 0..count {
            let (entry, next) = Entry::parse(bytes, at).ok_or_else(cut)?;
            if [entry.compressed, entry.size, entry.offset].contains(&0xffff_ffff) {
                let message = format!("expected files below 4 GB, got a zip64 entry {}", quoted(&entry.name));
                return Err(refuse(&message));
            }
            if !seen.insert(entry.name.clone()) {
                return Err(refuse(&format!("expected each file once, got {} twice", quoted(&entry.name))));
            }
            entries.push(entry);
            at = next;
        }
        Ok(Self { bytes, path, entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The bytes that files of these names become together, as the directory tells.
    pub(super) fn size_of(&self, names: &[&str]) -> u64 {
        let named = self.entries.iter().filter(|entry| names.contains(&entry.name.as_str()));
        named.map(|entry| entry.size as u64).sum()
    }

    /// The contents of a file, held against their checksum; `None` where there is none of this name.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else { return Ok(None) };
        let refuse = |message: String| Err(Error::data(self.path, format!(", {}", quoted(name)), message));
        if entry.encrypted {
            return refuse("expected a file that is not encrypted, got one that is".into());
        }
        let Some(data) = entry.data(self.bytes) else {
            return refuse(format!("expected {} bytes at offset {}, got fewer", entry.compressed, entry.offset));
        };
        let contents = match entry.method {
            0 => data.to_vec(),
            8 => {
                let mut contents = Vec::new();
                // One byte more than told is enough to know; a small file may claim to hold any number.
                let mut inflater = flate2::read::DeflateDecoder::new(data).take(entry.size as u64 + 1);
                match inflater.read_to_end(&mut contents) {
                    Ok(_) => contents,
                    Err(error) => return refuse(format!("expected whole deflate data, got {error}")),
                }
            }
            method => return refuse(format!("expected a stored or deflated file, got compression method {method}")),
        };
        if contents.len() != entry.size {
            return refuse(format!("expected {} bytes, got {}", entry.size, contents.len()));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&contents);
        match crc.sum() == entry.crc {
            true => Ok(Some(contents)),
            false => refuse(format!("expected the checksum {:#010x}, got {:#010x}", entry.crc, crc.sum())),
        }
    }
}

impl Entry {
    /// The directory's entry at an offset, and where the next one is.
    fn parse(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
        if !bytes.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|field| u16_at(bytes, at + field));
        let end = at + 46 + name?;
        let entry = Self {
            name: String::from_utf8_lossy(bytes.get(at + 46..end)?).into_owned(),
            encrypted: u16_at(bytes, at + 8)? & 1 == 1,
            method: u16_at(bytes, at + 10)? as u16,
            crc: u32_at(bytes, at + 16)? as u32,
            compressed: u32_at(bytes, at + 20)?,
            size: u32_at(bytes, at + 24)?,
            offset: u32_at(bytes, at + 42)?,
        };
        Some((entry, end + extra? + comment?))
    }

    /// The bytes behind the file's own header, whose sizes may be left open: the directory's hold.
    fn data<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let header = bytes.get(self.offset..)?.strip_prefix(b"PK\x03\x04")?;
        let begin = 26 + u16_at(header, 22)? + u16_at(header, 24)?;
        header.get(begin..)?.get(..self.compressed)
    }
}

/// Little endian, 0 to 65535.
fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)))
}

/// Little endian; addresses are of 32 bits or more wherever this crate runs.
fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// An archive of files, each stored or deflated.
    pub(crate) fn archive(files: &[(&str, &[u8], bool)]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, contents, deflated) in files {
            let mut crc = flate2::Crc::new();
            crc.update(contents);
            let data = match deflated {
                true => {
                    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                    encoder.write_all(contents).unwrap();
                    encoder.finish().unwrap()
                }
                false => contents.to_vec(),
            };
            let method: u16 = if *deflated { 8 } else { 0 };
            let mut fields = [20u16, 0, method, 0, 0].map(u16::to_le_bytes).concat();
            fields.extend([crc.sum(), data.len() as u32, contents.len() as u32].map(u32::to_le_bytes).concat());
            fields.extend((name.len() as u16).to_le_bytes());
            directory.extend([b"PK\x01\x02\x14\0", fields.as_slice(), &[0; 12]].concat());
            directory.extend([&(bytes.len() as u32).to_le_bytes(), name.as_bytes()].concat());
            // Behind the name of its own header a file has what NumPy puts there: room for sizes of 64 bits.
            bytes.extend([b"PK\x03\x04", fields.as_slice(), &20u16.to_le_bytes(), name.as_bytes(), &[0; 20]].concat());
            bytes.extend(data);
        }
        let mut end = [0, 0, files.len() as u16, files.len() as u16].map(u16::to_le_bytes).concat();
        end.extend([directory.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat());
        [bytes.as_slice(), &directory, b"PK\x05\x06", &end, b"\x02\0hi"].concat()
    }

    fn error(bytes: &[u8]) -> String {
        let path = Path::new("a.npz");
        let error = Archive::open(bytes, path).and_then(|archive| archive.read("x")).err();
        error.map_or("none".into(), |error| error.to_string())
    }

    #[test]
    fn files_are_read_stored_and_deflated() {
        let bytes = archive(&[("x", &[1, 2, 3], false), ("y", &[9; 1000], true), ("empty", &[], true)]);
        let archive = Archive::open(&bytes, Path::new("a.npz")).unwrap();
        assert_eq!(archive.names().collect::<Vec<_>>(), ["x", "y", "empty"]);
        assert_eq!(archive.read("x").unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(archive.read("y").unwrap(), Some(vec![9; 1000]));
        assert_eq!(archive.read("empty").unwrap(), Some(vec![]));
        assert_eq!(archive.read("z").unwrap(), None);
    }

    #[test]
    fn an_archive_that_is_cut_or_changed_is_refused() {
        let bytes = archive(&[("x", &[5; 100], false)]);
        for end in 0..bytes.len() {
            assert!(error(&bytes[..end]).contains("got no directory at the end"));
        }
        let changed = |at: usize, to: &[u8]| {
            let mut bytes = bytes.clone();
            bytes.splice(at..at + to.len(), to.iter().copied());
            error(&bytes)
        };
        let directory = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        let end = bytes.len() - 24;
        assert!(changed(60, &[6]).contains("a.npz, \"x\": expected the checksum"));
        assert!(changed(0, b"X").contains("expected 100 bytes at offset 0"));
        assert!(changed(directory, b"X").contains("cut off or changed"));
        assert!(changed(directory + 8, &[1]).contains("encrypted"));
        assert!(changed(directory + 10, &[12]).contains("compression method 12"));
        assert!(changed(directory + 20, &[0xff, 0xff, 0xff, 0x7f]).contains("expected 2147483647 bytes at offset 0"));
        assert!(changed(directory + 24, &[7]).contains("expected 7 bytes, got 100"));
        assert!(changed(directory + 24, &[0xff; 4]).contains("zip64"));
        assert!(changed(end + 16, &[0xff; 4]).contains("zip64"));
        assert!(error(&archive(&[("x", &[], false), ("x", &[], false)])).contains("got \"x\" twice"));
    }

    #[test]
    fn a_small_file_does_not_inflate_beyond_what_it_tells() {
        let mut bytes = archive(&[("x", &[0; 10_000_000], true)]);
        let directory = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        bytes.splice(directory + 24..directory + 28, 10u32.to_le_bytes());
        assert!(error(&bytes).contains("expected 10 bytes, got 11"));
        bytes.splice(directory + 24..directory + 28, 0xffff_fffeu32.to_le_bytes());
        assert!(error(&bytes).contains("expected 4294967294 bytes, got 10000000"));
    }
}
