//! A configuration as TOML.

use std::path::Path;

use super::Config;
use super::agree::unsupported;
use crate::Result;
use crate::data::{read_settings, utf8};
use crate::experiment::files::names::CONFIG;
use crate::format::path_text;

impl Config {
    /// Reads a configuration file. The values are checked once they become
    /// [`Settings`](crate::experiment::settings::Settings).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be read; [`Error::Unsupported`](crate::Error::Unsupported) names
    /// the line and the key that is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_settings(path)?;
        let text = utf8(&bytes, path).map_err(|error| unsupported(error.to_string()))?;
        Self::parse(text, path)
    }

    /// Parses the text of a configuration file; errors name `path`.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            unsupported(format!("{}: {}", path_text(path), error.to_string().trim_end().replace('\n', "\n  ")))
        })
    }

    /// The text of a run's `config.toml`.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        let body = toml::to_string(self).map_err(|error| unsupported(format!("{CONFIG}: {error}")))?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(format!(
            "# bptt {version}: the settings of this run. `bptt train --config config.toml` repeats it.\n\n{body}"
        ))
    }
}
