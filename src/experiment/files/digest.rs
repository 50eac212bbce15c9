//! Digests of files, by which a configuration recognises its data and its initial weights.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::{Error, Result};

/// Prefix of the digest of several files. Older versions joined their bytes without it, so that moving bytes from one
/// file to the next went unnoticed.
const SEVERAL: &str = "files:";

/// The SHA-256 of a stream of bytes.
#[derive(Clone, Default)]
pub(crate) struct Digest(hmac_sha256::Hash);

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that computes the digest of everything read.
pub(crate) struct Digested<R> {
    from: R,
    digest: Digest,
}

impl<R: Read> Digested<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, digest: Digest::new() }
    }

    /// The digest of the whole file, including what was not yet read.
    pub(crate) fn digest(mut self) -> io::Result<Digest> {
        io::copy(&mut self.from, &mut self.digest)?;
        Ok(self.digest)
    }
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }
}

impl Digest {
    pub(crate) fn new() -> Self {
        Self(hmac_sha256::Hash::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As hexadecimal digits.
    pub(crate) fn text(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Stores the digest in the settings and returns it. `flag` is the flag that names another file.
    ///
    /// # Errors
    /// [`Error::Data`] if the settings have another digest: the file is not the one that they were made for.
    pub(crate) fn check(self, path: &Path, flag: &str, settings: &mut Option<String>) -> Result<String> {
        check(self.text(), path, flag, settings)
    }
}

/// The digest of all data files. For a single file it is its SHA-256, as `sha256sum` prints it, whatever its name. For
/// several it is that of a list with the flag, the name without its folder, the length and the SHA-256 of each: files
/// may move to another folder, but nothing may move from one file to another.
pub(crate) struct Files {
    list: Digest,
    /// The digest of the only file so far, unless it is in a folder of classes.
    only: Option<String>,
    in_folder: bool,
}

impl Files {
    /// For files named one by one.
    pub(crate) fn new() -> Self {
        Self { list: Digest::new(), only: None, in_folder: false }
    }

    /// For the files of a folder, whose names count even if there is only one.
    pub(crate) fn in_folder() -> Self {
        Self { in_folder: true, ..Self::new() }
    }

    /// Adds a file read for `flag`, always in the same order, and returns its own digest.
    pub(crate) fn add(&mut self, flag: &str, path: &Path, bytes: &[u8]) -> String {
        let mut digest = Digest::new();
        digest.update(bytes);
        let text = digest.text();
        let length = (bytes.len() as u64).to_le_bytes();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        for field in [flag.as_bytes(), name, &length, text.as_bytes()] {
            self.list.update(&(field.len() as u64).to_le_bytes());
            self.list.update(field);
        }
        // With several files, the first one's own digest does not count.
        self.only = (self.only.is_none() && !self.in_folder).then(|| text.clone());
        self.in_folder = true;
        text
    }

    /// See [`Digest::check`]; for all files.
    pub(crate) fn check(self, path: &Path, flag: &str, settings: &mut Option<String>) -> Result<String> {
        check(self.text(), path, flag, settings)
    }

    fn text(self) -> String {
        self.only.unwrap_or_else(|| format!("{SEVERAL}{}", self.list.text()))
    }
}

fn check(digest: String, path: &Path, flag: &str, settings: &mut Option<String>) -> Result<String> {
    let Some(expected) = settings.replace(digest.clone()).filter(|expected| *expected != digest) else {
        return Ok(digest);
    };
    let (found, way) =
        (digest.strip_prefix(SEVERAL), format!("to use it as it is now, name it with `{flag}` or start another run"));
    let message = match (found, expected.strip_prefix(SEVERAL)) {
        (Some(_), None) => format!(
            "the data are several files, and the SHA-256 of the configuration, {expected}, is of one, or of several without \
             the borders between them, as bptt wrote it before: what had moved from one file to another would pass \
             unnoticed. Expected one that begins with {SEVERAL:?}; a new run, by `bptt train {flag} --config` with the \
             other files named again, writes it"
        ),
        (Some(found), Some(expected)) => format!(
            "expected the files as the run had them, by names, lengths and bytes, SHA-256 {expected} of them all, got one of \
             {found}; {way}"
        ),
        (None, _) => format!("expected the file of the run, SHA-256 {expected}, got SHA-256 {digest}; {way}"),
    };
    Err(Error::Data { path: path.into(), place: String::new(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(files: &[(&str, &str, &str)]) -> String {
        let mut all = Files::new();
        files.iter().for_each(|(flag, path, bytes)| drop(all.add(flag, path.as_ref(), bytes.as_bytes())));
        all.text()
    }

    #[test]
    fn the_digest_of_one_file_is_what_sha256sum_prints() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&[("sequences", "a.ts", "abc")]), abc);
        assert_eq!(digest(&[("sequences", "elsewhere/b.ts", "abc")]), abc);
        let mut folder = Files::in_folder();
        folder.add("classes", "a.txt".as_ref(), b"abc");
        assert!(folder.text().starts_with(SEVERAL));
    }

    #[test]
    fn the_digest_of_several_files_covers_their_borders_but_not_their_folder() {
        let files = [("sequences", "d/a", "1\n2\n"), ("labels", "d/b", "3\n"), ("test-file", "d/c", "4\n5\n")];
        let whole = digest(&files);
        let moved = [("sequences", "e/a", "1\n2\n"), ("labels", "b", "3\n"), ("test-file", "/f/c", "4\n5\n")];
        assert_eq!(digest(&moved), whole);
        let others = [
            [("sequences", "a", "1\n2\n3\n"), ("labels", "b", ""), ("test-file", "c", "4\n5\n")],
            [("sequences", "a", "1\n2\n"), ("labels", "b", "3\n4\n"), ("test-file", "c", "5\n")],
            [("sequences", "b", "1\n2\n"), ("labels", "a", "3\n"), ("test-file", "c", "4\n5\n")],
            [("sequences", "a1", "\n2\n"), ("labels", "b", "3\n"), ("test-file", "c", "4\n5\n")],
            [("sequences", "a", "1\n2\n"), ("test-file", "b", "3\n"), ("test-labels", "c", "4\n5\n")],
        ];
        let mut all: Vec<String> = others.iter().map(|files| digest(files)).chain([whole]).collect();
        all.push(digest(&[("sequences", "a", "1\n2\n"), ("labels", "b", "3\n")]));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), others.len() + 2);
    }

    #[test]
    fn a_digest_without_borders_is_refused_with_advice() {
        let mut settings = Some("0".repeat(64));
        let mut files = Files::new();
        ["a", "b"].iter().for_each(|name| drop(files.add("sequences", name.as_ref(), b"1")));
        let error = files.check("a".as_ref(), "sequences FILE", &mut settings).unwrap_err().to_string();
        assert!(
            error.contains("without the borders") && error.contains("bptt train sequences FILE --config`"),
            "{error}"
        );
    }
}
