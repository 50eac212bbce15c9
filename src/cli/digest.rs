//! The digest of a file: what a configuration knows its data and its first weights by.

use std::path::Path;

use bptt::{Error, Result};

/// SHA-256 of bytes as they come.
#[derive(Clone)]
pub(crate) struct Digest(hmac_sha256::Hash);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(hmac_sha256::Hash::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal digits.
    pub(crate) fn text(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Puts the digest into the settings and returns it; `flag` names another file than theirs.
    ///
    /// # Errors
    /// [`Error::Data`] where they have another: the file is not the one that they were made for.
    pub(crate) fn check(self, path: &Path, flag: &str, settings: &mut Option<String>) -> Result<String> {
        let digest = self.text();
        match settings.replace(digest.clone()).filter(|expected| *expected != digest) {
            Some(expected) => {
                let message = format!(
                    "expected the file as the run had it, SHA-256 {expected}, got one of {digest}; another run, or a \
                     command that names it with {flag}, takes it as it is now"
                );
                Err(Error::Data { path: path.into(), place: String::new(), message })
            }
            None => Ok(digest),
        }
    }
}
